//! Numbers as tar headers and PAX records hold them.

use nix::sys::time::TimeSpec;

/// A number of a header field: octal digits, or base 256 where the first byte's highest bit is
/// set (GNU tar manual, "Basic Tar Format"; there big-endian two's complement).
///
/// `None` where the field is malformed or does not fit.
pub(super) fn field(bytes: &[u8]) -> Option<i64> {
    match bytes.first()? {
        0x80 | 0xff => base_256(bytes),
        first if *first & 0x80 != 0 => None,
        _ => octal(bytes),
    }
}

fn base_256(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    let start: i128 = if *first == 0xff { -1 } else { 0 };
    let value = rest
        .iter()
        .try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(i128::from(*byte)))?;
    i64::try_from(value).ok()
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let text = bytes.trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(text.len());
    let digits = text.get(..end)?;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Decimal digits only: no sign, no blank.
pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// A PAX time: `[-]seconds[.fraction]`; digits after the ninth are cut.
pub(super) fn time(text: &[u8]) -> Option<TimeSpec> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let nanoseconds = parts.next().map_or(Some(0), fraction)?;
    match (negative, nanoseconds) {
        (false, _) => Some(TimeSpec::new(seconds, nanoseconds)),
        (true, 0) => Some(TimeSpec::new(-seconds, 0)),
        (true, _) => Some(TimeSpec::new(-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}

fn fraction(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some(padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields() {
        assert_eq!(field(b"0000644\0"), Some(0o644));
        assert_eq!(field(b"   755 \0"), Some(0o755));
        assert_eq!(field(b"77777777777\0"), Some(0o77_777_777_777));
        assert_eq!(field(&[0x80, 0, 0, 0, 0, 0x20, 0, 0]), Some(0x20_0000));
        assert_eq!(field(&[0xff; 12]), Some(-1));
        let mut largest = [0; 12];
        largest[0] = 0x80;
        largest[4..].copy_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(field(&largest), Some(i64::MAX));
        largest[3] = 1;
        assert_eq!(field(&largest), None);
        for bad in [&b""[..], b"\0\0\0", b"       ", b"-1\0", b"+1\0", b"9\0", b"0x1\0", &[0x90; 8]]
        {
            assert_eq!(field(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"1.5"), Some(TimeSpec::new(1, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some(TimeSpec::new(-2, 750_000_000)));
        assert_eq!(time(b"7.1234567899"), Some(TimeSpec::new(7, 123_456_789)));
        assert_eq!(time(b"3."), Some(TimeSpec::new(3, 0)));
        for bad in [&b""[..], b".5", b"--1", b"1.-5", b"1e3", b"9223372036854775808"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }
}
