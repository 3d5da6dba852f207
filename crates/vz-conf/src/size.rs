//! Disk and I/O limits.

use std::fmt;

use crate::error::ParseError;
use crate::number;

/// A soft and a hard disk limit, in KiB (DISKSPACE) or inodes (DISKINODES).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftHard {
    /// May be exceeded for a while.
    pub soft: u64,
    /// Is never exceeded.
    pub hard: u64,
}

impl SoftHard {
    /// Reads `soft[:hard]` in KiB; a suffix makes it bytes, cut down to KiB.
    ///
    /// # Errors
    /// [`ParseError::TooLarge`] above LONG_MAX, another for a text of another form;
    /// `unlimited` is not a disk limit.
    pub fn parse_space(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, 1024)
    }

    /// Reads `soft[:hard]` in inodes; suffixes multiply.
    ///
    /// # Errors
    /// As [`SoftHard::parse_space`].
    pub fn parse_inodes(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, 1)
    }

    fn parse(text: &str, divisor: u64) -> Result<Self, ParseError> {
        match number::pair(text, Some(divisor), false)? {
            (_, _, true) => Err(ParseError::TooLarge),
            (soft, hard, false) => Ok(Self { soft, hard }),
        }
    }
}

impl fmt::Display for SoftHard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.soft, self.hard)
    }
}

/// The largest I/O limit, in bytes a second.
const IOLIMIT_MAX: u64 = i32::MAX as u64;

/// Bytes a second of a plain number: a megabyte on the command line, one in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IolimitUnit {
    /// `--iolimit 10` is 10 MiB/s.
    Megabytes,
    /// `IOLIMIT="10"` is 10 bytes/s.
    Bytes,
}

/// Reads an I/O limit in bytes a second; 0 and `unlimited` are none. The second value says
/// that a larger number was cut to 2147483647.
///
/// # Errors
/// [`ParseError`] for a text of another form.
pub fn parse_iolimit(text: &str, unit: IolimitUnit) -> Result<(u32, bool), ParseError> {
    if text == "unlimited" {
        return Ok((0, false));
    }
    let read = number::strtoull(text);
    let magnitude = read.magnitude.ok_or(ParseError::Range)?;
    let factor = match (read.rest.as_bytes(), unit) {
        ([], IolimitUnit::Megabytes) => 1 << 20,
        ([], IolimitUnit::Bytes) => 1,
        ([suffix], _) => number::multiplier(*suffix).ok_or(ParseError::Syntax)?,
        _ => return Err(ParseError::Syntax),
    };
    let limit = magnitude.checked_mul(factor).filter(|limit| *limit <= IOLIMIT_MAX);
    let negative = read.negative && magnitude != 0;
    match limit.and_then(|limit| u32::try_from(limit).ok()) {
        Some(limit) if !negative => Ok((limit, false)),
        _ => Ok((i32::MAX.unsigned_abs(), true)),
    }
}

/// Reads an I/O operations limit, or a timeout: an `int` that is not negative.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_natural(text: &str) -> Result<u32, ParseError> {
    u32::try_from(number::int(text)?).map_err(|_| ParseError::Range)
}

/// Reads an I/O priority, 0 to 7.
///
/// # Errors
/// [`ParseError`] for anything else.
pub fn parse_ioprio(text: &str) -> Result<u8, ParseError> {
    u8::try_from(number::int(text)?).ok().filter(|p| *p <= 7).ok_or(ParseError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn disk_limits() {
        let space = |text| SoftHard::parse_space(text).map(|value| value.to_string());
        assert_eq!(space("1000000").unwrap(), "1000000:1000000");
        assert_eq!(space("10G:11G").unwrap(), "10485760:11534336");
        assert_eq!(space("2G:2.2G").unwrap(), "2097152:2306867");
        assert_eq!(space("1.5M").unwrap(), "1536:1536");
        assert_eq!(space("2048B").unwrap(), "2:2");
        assert_eq!(SoftHard::parse_inodes("200K").unwrap().to_string(), "204800:204800");
        for text in ["unlimited", "9999999999T", "abc", "-1", "1:2:3"] {
            assert!(space(text).is_err(), "{text}");
        }
    }

    #[test]
    fn io_limits() {
        let on_line = |text| parse_iolimit(text, IolimitUnit::Megabytes);
        assert_eq!(on_line("10"), Ok((10_485_760, false)));
        assert_eq!(on_line("1000B"), Ok((1000, false)));
        assert_eq!(on_line("1G"), Ok((1 << 30, false)));
        assert_eq!(on_line("2G"), Ok((2_147_483_647, true)));
        assert_eq!(on_line("-1"), Ok((2_147_483_647, true)));
        assert_eq!(on_line("unlimited"), Ok((0, false)));
        assert!(on_line("1.5M").is_err() && on_line("10MB").is_err() && on_line("x").is_err());
        assert_eq!(parse_iolimit("10", IolimitUnit::Bytes), Ok((10, false)));
        assert_eq!(parse_ioprio("7"), Ok(7));
        assert!(parse_ioprio("8").is_err() && parse_ioprio("-1").is_err());
        assert!(parse_natural("-1").is_err() && parse_natural("10s").is_err());
    }

    proptest! {
        #[test]
        fn display_is_read_back(soft in 0..=i64::MAX as u64, hard in 0..=i64::MAX as u64) {
            let value = SoftHard { soft, hard };
            prop_assert_eq!(SoftHard::parse_space(&value.to_string()), Ok(value));
            prop_assert_eq!(SoftHard::parse_inodes(&value.to_string()), Ok(value));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = SoftHard::parse_space(&text);
            let _ = parse_iolimit(&text, IolimitUnit::Bytes);
            let _ = (parse_natural(&text), parse_ioprio(&text));
        }
    }
}
