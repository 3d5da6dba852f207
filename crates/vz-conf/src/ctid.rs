//! Container ids and names.

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;
use crate::number;

/// A container's id (CTID). 0 is the node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ctid(u32);

impl Ctid {
    /// The largest id a container can have.
    pub const MAX: Self = Self(2_147_483_644);
    /// The node itself, "CT0".
    pub const NODE: Self = Self(0);

    /// An id, if it is not above [`Ctid::MAX`].
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        if id <= Self::MAX.0 { Some(Self(id)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether this is the node itself.
    #[must_use]
    pub const fn is_node(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Ctid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Ctid {
    type Err = ParseError;

    /// Reads an id as strtol(3) does: blanks before it, a plus sign and leading zeros are
    /// accepted, the empty text is 0.
    ///
    /// # Errors
    /// [`ParseError::Syntax`] when the text is not a number (it may be a name),
    /// [`ParseError::Range`] when it is one that no container can have.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let id = number::unsigned(text)?;
        u32::try_from(id).ok().and_then(Self::new).ok_or(ParseError::Range)
    }
}

/// Checks a container's name: ASCII letters, digits, blanks and `-+_.`; empty removes the name.
///
/// `.` and `..` are refused here, where the original only failed to make their links.
///
/// # Errors
/// [`ParseError::Name`] when the name has another character.
pub fn parse_name(text: &str) -> Result<String, ParseError> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b" -+_.".contains(&b);
    if text == "." || text == ".." || !text.bytes().all(valid) {
        return Err(ParseError::Name);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_an_id() {
        for text in ["101", " 101", "+101", "0101", "\t101"] {
            assert_eq!(text.parse(), Ok(Ctid(101)), "{text:?}");
        }
        assert_eq!("".parse(), Ok(Ctid::NODE));
        assert_eq!("2147483644".parse(), Ok(Ctid::MAX));
        for text in ["2147483645", "-1", "101 ", "0x65", "web", "99999999999999999999"] {
            assert!(text.parse::<Ctid>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names() {
        for text in ["web server", "a-b+c_d.e", "12345", ""] {
            assert!(parse_name(text).is_ok(), "{text:?}");
        }
        for text in ["a/b", "../../x", ".", "..", "ж", "a\nb", "a$b", "a\"b"] {
            assert_eq!(parse_name(text), Err(ParseError::Name), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in ".*") {
            let _ = text.parse::<Ctid>();
            let _ = parse_name(&text);
        }

        #[test]
        fn display_is_read_back(id in 0..=Ctid::MAX.0) {
            prop_assert_eq!(Ctid(id).to_string().parse(), Ok(Ctid(id)));
        }
    }
}
