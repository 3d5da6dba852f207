//! Numbers as the original reads them: C's strtol(3) family, decimals and size suffixes.

use crate::error::ParseError;

/// LONG_MAX of the original, its spelling of "unlimited".
pub(crate) const LONG_MAX: u64 = i64::MAX as u64;

/// Digits of a fraction that count; more cannot change a value that fits.
const FRACTION_DIGITS: usize = 15;

/// What strtoull(3) makes of a text in base 10.
pub(crate) struct Digits<'a> {
    /// The magnitude; `None` when it does not fit 64 bits.
    pub magnitude: Option<u64>,
    /// Whether a minus sign came first.
    pub negative: bool,
    /// What follows the number; the whole text when there is none.
    pub rest: &'a str,
}

/// Whether C's isspace(3) holds in the "C" locale.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Skips blanks and one sign: (negative, what follows).
fn sign(text: &str) -> (bool, &str) {
    let text = text.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Splits leading decimal digits off.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// strtoull(3) in base 10: blanks, a sign and no digits at all are accepted.
pub(crate) fn strtoull(text: &str) -> Digits<'_> {
    let (negative, after_sign) = match text.as_bytes() {
        [b'0'..=b'9', ..] => (false, text),
        _ => sign(text),
    };
    let (number, rest) = digits(after_sign);
    if number.is_empty() {
        return Digits { magnitude: Some(0), negative: false, rest: text };
    }
    Digits { magnitude: number.parse().ok(), negative, rest }
}

/// A whole text as an unsigned number up to LONG_MAX; empty is 0.
pub(crate) fn unsigned(text: &str) -> Result<u64, ParseError> {
    let read = strtoull(text);
    if !read.rest.is_empty() {
        return Err(ParseError::Syntax);
    }
    match read.magnitude {
        Some(0) => Ok(0),
        Some(value) if !read.negative && value <= LONG_MAX => Ok(value),
        _ => Err(ParseError::Range),
    }
}

/// As [`unsigned`], with the word `unlimited` for LONG_MAX.
pub(crate) fn unsigned_or_unlimited(text: &str) -> Result<u64, ParseError> {
    if text == "unlimited" { Ok(LONG_MAX) } else { unsigned(text) }
}

/// A whole text as a C `int`; empty is 0.
pub(crate) fn int(text: &str) -> Result<i32, ParseError> {
    let read = strtoull(text);
    if !read.rest.is_empty() {
        return Err(ParseError::Syntax);
    }
    let magnitude = i128::from(read.magnitude.ok_or(ParseError::Range)?);
    let value = if read.negative { -magnitude } else { magnitude };
    i32::try_from(value).map_err(|_| ParseError::Range)
}

/// Bytes of a size suffix.
pub(crate) fn multiplier(suffix: u8) -> Option<u64> {
    match suffix.to_ascii_uppercase() {
        b'T' => Some(1 << 40),
        b'G' => Some(1 << 30),
        b'M' => Some(1 << 20),
        b'K' => Some(1 << 10),
        b'P' => Some(crate::ubc::PAGE),
        b'B' => Some(1),
        _ => None,
    }
}

/// A number with an optional suffix, at the head of a text.
pub(crate) struct Amount<'a> {
    /// The value, at most LONG_MAX.
    pub value: u64,
    /// Whether the text named more than LONG_MAX.
    pub truncated: bool,
    /// What follows; empty, or the `:` before a second number.
    pub rest: &'a str,
}

/// An exact decimal: magnitude = numerator / denominator.
struct Decimal<'a> {
    numerator: u128,
    denominator: u128,
    negative: bool,
    rest: &'a str,
}

/// Reads `N` or `N.F`.
fn decimal(text: &str) -> Result<Decimal<'_>, ParseError> {
    let whole = strtoull(text);
    let magnitude = whole.magnitude.ok_or(ParseError::Range)?;
    let Some(after_point) = whole.rest.strip_prefix('.') else {
        return Ok(Decimal {
            numerator: magnitude.into(),
            denominator: 1,
            negative: whole.negative,
            rest: whole.rest,
        });
    };
    let (fraction, rest) = digits(after_point);
    if fraction.is_empty() && whole.rest.len() == text.len() {
        return Err(ParseError::Syntax);
    }
    let counted = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let denominator = counted.bytes().fold(1_u128, |power, _| power * 10);
    let fraction = counted.bytes().fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let numerator = u128::from(magnitude) * denominator + fraction;
    Ok(Decimal { numerator, denominator, negative: whole.negative, rest })
}

/// Reads `N[.F][suffix]`; a suffix's bytes are divided by `divisor`, and refused without one.
/// A number with no suffix is in the parameter's own unit; a fraction is cut off.
pub(crate) fn amount(
    text: &str,
    divisor: Option<u64>,
    unlimited: bool,
) -> Result<Amount<'_>, ParseError> {
    if unlimited && let Some(rest) = text.strip_prefix("unlimited") {
        return Ok(Amount { value: LONG_MAX, truncated: false, rest });
    }
    let number = decimal(text)?;
    let (value, rest) = match number.rest.bytes().next() {
        None | Some(b':') => (Some(number.numerator / number.denominator), number.rest),
        Some(suffix) => {
            let divisor = divisor.ok_or(ParseError::Syntax)?;
            let multiplier = multiplier(suffix).ok_or(ParseError::Syntax)?;
            let bytes = number.numerator.checked_mul(multiplier.into());
            let value = bytes.map(|bytes| bytes / (number.denominator * u128::from(divisor)));
            (value, &number.rest[1..])
        }
    };
    let negative = number.negative && number.numerator != 0;
    let fits = value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value <= LONG_MAX);
    match fits {
        Some(value) if !negative => Ok(Amount { value, truncated: false, rest }),
        _ => Ok(Amount { value: LONG_MAX, truncated: true, rest }),
    }
}

/// Reads `N[sfx][:M[sfx]]`; a missing second number is the first. Returns both and whether
/// one of them was cut to LONG_MAX.
pub(crate) fn pair(
    text: &str,
    divisor: Option<u64>,
    unlimited: bool,
) -> Result<(u64, u64, bool), ParseError> {
    let first = amount(text, divisor, unlimited)?;
    if first.rest.is_empty() {
        return Ok((first.value, first.value, first.truncated));
    }
    let rest = first.rest.strip_prefix(':').ok_or(ParseError::Syntax)?;
    let second = amount(rest, divisor, unlimited)?;
    if !second.rest.is_empty() {
        return Err(ParseError::Syntax);
    }
    Ok((first.value, second.value, first.truncated || second.truncated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_like_strtoull() {
        assert_eq!(unsigned(" +12"), Ok(12));
        assert_eq!(unsigned(""), Ok(0));
        assert_eq!(unsigned("-1"), Err(ParseError::Range));
        assert_eq!(unsigned("12x"), Err(ParseError::Syntax));
        assert_eq!(int("-5"), Ok(-5));
        assert_eq!(int("2147483648"), Err(ParseError::Range));
        assert_eq!(unsigned_or_unlimited("unlimited"), Ok(LONG_MAX));
    }

    #[test]
    fn a_fraction_is_exact() {
        assert_eq!(amount("2.2G", Some(1024), true).unwrap().value, 2_306_867);
        assert_eq!(amount(".5G", Some(4096), true).unwrap().value, 131_072);
        assert!(amount(".", Some(1), true).is_err());
        assert!(amount("1.5e3", Some(1), true).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*", divisor in prop::option::of(1_u64..5000)) {
            let _ = pair(&text, divisor, true);
            let _ = (unsigned(&text), int(&text));
        }

        #[test]
        fn never_above_long_max(text in "[ +-]?[0-9]{0,25}(\\.[0-9]{0,20})?[TGMKPBtq:]?[0-9]{0,5}") {
            if let Ok((first, second, _)) = pair(&text, Some(1), true) {
                prop_assert!(first <= LONG_MAX && second <= LONG_MAX);
            }
        }
    }
}
