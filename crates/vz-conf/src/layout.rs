//! Where a container's files live (VE_LAYOUT).

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;

/// The kinds of a container's private area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// A directory with a disk quota.
    Simfs,
    /// An ext4 image; the mode matters only when it is created.
    Ploop(Option<PloopMode>),
    /// A shared template below, the container's own changes above.
    Overlay,
}

/// How a ploop image takes its space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PloopMode {
    /// As it is written to.
    Expanded,
    /// At once, with an allocation table.
    Plain,
    /// At once, without one.
    Raw,
}

impl PloopMode {
    /// Every mode with its word.
    const WORDS: [(Self, &'static str); 3] =
        [(Self::Expanded, "expanded"), (Self::Plain, "plain"), (Self::Raw, "raw")];

    /// The word after `ploop:`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Expanded => "expanded",
            Self::Plain => "plain",
            Self::Raw => "raw",
        }
    }
}

impl Layout {
    /// The word that is stored: a ploop image's mode is known by the image itself.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::Simfs => "simfs",
            Self::Ploop(_) => "ploop",
            Self::Overlay => "overlay",
        }
    }
}

impl FromStr for Layout {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "simfs" => Ok(Self::Simfs),
            "overlay" => Ok(Self::Overlay),
            "ploop" => Ok(Self::Ploop(None)),
            _ => {
                let mode = text.strip_prefix("ploop:").ok_or(ParseError::Syntax)?;
                let known = PloopMode::WORDS.into_iter().find(|(_, word)| *word == mode);
                Ok(Self::Ploop(Some(known.ok_or(ParseError::Syntax)?.0)))
            }
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stored())?;
        match self {
            Self::Ploop(Some(mode)) => write!(f, ":{}", mode.word()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_read_back() {
        for text in ["simfs", "overlay", "ploop", "ploop:expanded", "ploop:plain", "ploop:raw"] {
            assert_eq!(text.parse::<Layout>().unwrap().to_string(), text);
        }
        assert_eq!("ploop:raw".parse::<Layout>().unwrap().stored(), "ploop");
        for text in ["zfs", "ploop:", "ploop:foo", "ploopx", "Simfs", ""] {
            assert!(text.parse::<Layout>().is_err(), "{text:?}");
        }
    }
}
