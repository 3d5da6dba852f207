//! What /proc/meminfo shows inside a container (MEMINFO).

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;
use crate::number;

/// How much memory a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meminfo {
    /// The node's.
    None,
    /// So many pages.
    Pages(u64),
    /// So many times its privvmpages.
    Privvmpages(u64),
}

impl FromStr for Meminfo {
    type Err = ParseError;

    /// Reads `none`, `pages:N` or `privvmpages:N`, N above 0.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let Some((mode, value)) = text.split_once(':') else {
            return if text == "none" { Ok(Self::None) } else { Err(ParseError::Syntax) };
        };
        let value = match number::unsigned(value)? {
            0 => return Err(ParseError::Range),
            value => value,
        };
        match mode {
            "pages" => Ok(Self::Pages(value)),
            "privvmpages" => Ok(Self::Privvmpages(value)),
            _ => Err(ParseError::Syntax),
        }
    }
}

impl fmt::Display for Meminfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Pages(value) => write!(f, "pages:{value}"),
            Self::Privvmpages(value) => write!(f, "privvmpages:{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refused() {
        for text in ["foo:1", "pages:0", "pages", "none:5", "pages:", "pages:1x", ""] {
            assert!(text.parse::<Meminfo>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back(value in 1..=i64::MAX as u64) {
            for meminfo in [Meminfo::None, Meminfo::Pages(value), Meminfo::Privvmpages(value)] {
                prop_assert_eq!(meminfo.to_string().parse(), Ok(meminfo));
            }
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = text.parse::<Meminfo>();
        }
    }
}
