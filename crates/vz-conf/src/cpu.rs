//! CPU shares and limits.

use crate::error::ParseError;
use crate::number;

/// The smallest and the largest CPUUNITS.
pub const CPUUNITS_RANGE: std::ops::RangeInclusive<u64> = 8..=500_000;

/// Reads CPUUNITS, 8 to 500000.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_cpuunits(text: &str) -> Result<u64, ParseError> {
    let units = number::unsigned(text)?;
    if CPUUNITS_RANGE.contains(&units) { Ok(units) } else { Err(ParseError::Range) }
}

/// Reads CPULIMIT: percent of one CPU, 0 for none; `N%` is percent of all `cpus`.
///
/// # Errors
/// [`ParseError`] for a fraction, more than `100%`, or a number that is not an `int`.
pub fn parse_cpulimit(text: &str, cpus: u32) -> Result<u64, ParseError> {
    let (number, of_all) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let limit = u64::try_from(number::int(number)?).map_err(|_| ParseError::Range)?;
    match of_all {
        true if limit > 100 => Err(ParseError::Range),
        true => Ok(limit * u64::from(cpus)),
        false => Ok(limit),
    }
}

/// Reads a plain number up to LONG_MAX, or `unlimited` for that: CPUS, CPUWEIGHT, BOOTORDER,
/// QUOTATIME, QUOTAUGIDLIMIT.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_unsigned(text: &str) -> Result<u64, ParseError> {
    number::unsigned_or_unlimited(text)
}

/// Reads VM_OVERCOMMIT: a decimal factor at the head of the text, as scanf(3) does.
///
/// # Errors
/// [`ParseError`] when the text begins with no number, or a negative one.
pub fn parse_factor(text: &str) -> Result<f32, ParseError> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let text = text.strip_prefix('+').unwrap_or(text);
    let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let longest = (1..=end).rev().find_map(|end| text[..end].parse::<f32>().ok());
    match longest {
        Some(factor) if factor.is_finite() && factor >= 0.0 => Ok(factor.abs()),
        Some(_) => Err(ParseError::Range),
        None => Err(ParseError::Syntax),
    }
}

/// Renders a factor as printf(3)'s `%g`: six digits, no trailing zeros.
#[must_use]
pub fn format_factor(factor: f32) -> String {
    let scientific = format!("{:.5e}", f64::from(factor));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        let fixed = format!("{:.decimals$}", f64::from(factor));
        return if fixed.contains('.') { trimmed(&fixed) } else { fixed };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_limits() {
        assert_eq!(parse_cpuunits("8"), Ok(8));
        for text in ["7", "500001", "12x", "unlimited", "", "-1"] {
            assert!(parse_cpuunits(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_cpulimit("50", 2), Ok(50));
        assert_eq!(parse_cpulimit("50%", 2), Ok(100));
        assert_eq!(parse_cpulimit("", 2), Ok(0));
        for text in ["101%", "abc", "12.5", "-1", "50%%"] {
            assert!(parse_cpulimit(text, 2).is_err(), "{text:?}");
        }
        assert_eq!(parse_unsigned("unlimited"), Ok(i64::MAX as u64));
    }

    #[test]
    fn factors() {
        for (text, stored) in [
            ("1.5", "1.5"),
            ("1.5junk", "1.5"),
            ("0", "0"),
            (" +2.", "2"),
            ("1e3x", "1000"),
            ("1234567", "1.23457e+06"),
            ("0.00001", "1e-05"),
            ("0.1", "0.1"),
            ("100000", "100000"),
        ] {
            assert_eq!(format_factor(parse_factor(text).unwrap()), stored, "{text:?}");
        }
        for text in ["x", "", "-1", "nan", "inf", "1e99"] {
            assert!(parse_factor(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in ".*", cpus in any::<u32>()) {
            let _ = (parse_cpuunits(&text), parse_cpulimit(&text, cpus), parse_factor(&text));
        }

        #[test]
        fn a_stored_factor_is_read_back_the_same(factor in 0.0_f32..1e9) {
            let stored = format_factor(factor);
            prop_assert_eq!(format_factor(parse_factor(&stored).unwrap()), stored);
        }
    }
}
