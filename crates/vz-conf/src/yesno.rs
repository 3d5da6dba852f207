//! Switches.

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;

/// `yes` or `no`, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum YesNo {
    /// `yes`.
    Yes,
    /// `no`.
    No,
}

impl YesNo {
    /// Whether it is `yes`.
    #[must_use]
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

impl FromStr for YesNo {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            _ => Err(ParseError::Syntax),
        }
    }
}

impl fmt::Display for YesNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_yes() { "yes" } else { "no" })
    }
}

/// Reads `on` or `off`, exactly.
pub(crate) fn on_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The word for a switch in lists.
pub(crate) fn on_off_word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::YesNo;

    #[test]
    fn only_two_words() {
        for value in [YesNo::Yes, YesNo::No] {
            assert_eq!(value.to_string().parse(), Ok(value));
        }
        for text in ["YES", "1", "", "yes ", "maybe"] {
            assert!(text.parse::<YesNo>().is_err(), "{text:?}");
        }
    }
}
