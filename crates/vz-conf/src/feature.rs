//! Kernel features of a container (FEATURES).

use std::fmt;

use crate::error::ParseError;
use crate::list::{BLANKS_AND_COMMA, words};
use crate::yesno::{on_off, on_off_word};

/// The names, in the order they are stored.
pub const NAMES: [&str; 8] = ["sysfs", "nfs", "sit", "ipip", "ppp", "ipgre", "bridge", "nfsd"];

/// The features of a configuration that are not left at their default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    on: u8,
    known: u8,
}

impl Features {
    /// Adds the items `name:on` and `name:off` of a text, separated by blanks or commas. An
    /// unknown item does not keep the others from counting; the unknown ones are returned.
    pub fn add(&mut self, text: &str) -> Vec<ParseError> {
        let mut unknown = Vec::new();
        for item in words(text, BLANKS_AND_COMMA) {
            match parse_item(item) {
                Some((bit, on)) => {
                    self.known |= bit;
                    self.on |= if on { bit } else { 0 };
                }
                None => unknown.push(ParseError::UnknownFeature(item.to_owned())),
            }
        }
        unknown
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`ParseError::UnknownFeature`] for the first item that is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut features = Self::default();
        match features.add(text).into_iter().next() {
            Some(error) => Err(error),
            None => Ok(features),
        }
    }

    /// Whether every feature is left at its default.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.known == 0
    }

    /// The features that are set, in the stored order, and whether each is on.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, bool)> {
        NAMES.iter().enumerate().filter_map(move |(index, name)| {
            let bit = 1 << index;
            (self.known & bit != 0).then_some((*name, self.on & bit != 0))
        })
    }

    /// Whether a feature is on, off, or left at its default.
    #[must_use]
    pub fn get(self, name: &str) -> Option<bool> {
        self.iter().find(|(known, _)| *known == name).map(|(_, on)| on)
    }

    /// These, with everything that `over` sets.
    #[must_use]
    pub fn merged_with(self, over: Self) -> Self {
        Self { on: (self.on & !over.known) | over.on, known: self.known | over.known }
    }
}

/// Reads `name:on` or `name:off`: the feature's bit and the switch.
fn parse_item(item: &str) -> Option<(u8, bool)> {
    let (name, switch) = item.split_once(':')?;
    let index = NAMES.iter().position(|known| *known == name)?;
    Some((1 << index, on_off(switch)?))
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, on)) in self.iter().enumerate() {
            let blank = if position == 0 { "" } else { " " };
            write!(f, "{blank}{name}:{}", on_off_word(on))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        assert_eq!(Features::parse("ppp:on,nfs:off").unwrap().to_string(), "nfs:off ppp:on");
        for text in ["foo:on", "nfs", "nfs:maybe", "abcd:on", "NFS:on"] {
            assert_eq!(
                Features::parse(text),
                Err(ParseError::UnknownFeature(text.into())),
                "{text}"
            );
        }
        let mut features = Features::default();
        assert_eq!(features.add("nfs:on bogus:on ppp:on").len(), 1);
        assert_eq!(features.to_string(), "nfs:on ppp:on");
        let over = Features::parse("nfs:off").unwrap();
        assert_eq!(features.merged_with(over).to_string(), "nfs:off ppp:on");
        assert_eq!(features.get("sit"), None);
    }

    proptest! {
        #[test]
        fn display_is_read_back(on in any::<u8>(), known in any::<u8>()) {
            let value = Features { on: on & known, known };
            prop_assert_eq!(Features::parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = Features::parse(&text);
        }
    }
}
