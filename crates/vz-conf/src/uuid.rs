//! Identifiers of snapshots: `{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}`, hexadecimal.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::error::ParseError;

/// Where the dashes stand, without braces.
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// Characters without braces.
const LENGTH: usize = 36;

/// An identifier of a snapshot. It is shown in braces, its digits as they were given; those that differ
/// in upper and lower case only are the same.
#[derive(Debug, Clone)]
pub struct Uuid(String);

impl PartialEq for Uuid {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Uuid {}

impl Hash for Uuid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().for_each(|byte| byte.to_ascii_lowercase().hash(state));
    }
}

impl FromStr for Uuid {
    type Err = ParseError;

    /// Reads it with braces around it or without.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bare = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(ParseError::Syntax)?,
            None => text,
        };
        let fits = |(place, byte): (usize, u8)| match DASHES.contains(&place) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        };
        match bare.len() == LENGTH && bare.bytes().enumerate().all(fits) {
            true => Ok(Self(bare.to_owned())),
            false => Err(ParseError::Syntax),
        }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{{}}}", self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BARE: &str = "01234567-89ab-cdef-ABCD-0123456789ab";

    #[test]
    fn with_braces_and_without() {
        let braced = format!("{{{BARE}}}");
        assert_eq!(BARE.parse::<Uuid>().unwrap().to_string(), braced);
        assert_eq!(braced.parse::<Uuid>().unwrap().to_string(), braced);
        for wrong in ["", "{}", &BARE[1..], &format!("{{{BARE}"), &BARE.replace('-', "0")] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in ".*|[{]?[0-9a-f-]{30,40}[}]?") {
            if let Ok(uuid) = text.parse::<Uuid>() {
                prop_assert_eq!(uuid.to_string().parse::<Uuid>(), Ok(uuid));
            }
        }
    }
}
