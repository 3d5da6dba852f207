//! Lists of words in one value: name servers, search domains, devices of the node.

use std::fmt;

use crate::error::ParseError;
use crate::quote;

/// Blanks between the words of most lists.
pub(crate) const BLANKS: &[char] = &[' ', '\t'];

/// Blanks and commas, between the words of some.
pub(crate) const BLANKS_AND_COMMA: &[char] = &[' ', '\t', ','];

/// The words of a list; several separators count as one.
pub(crate) fn words<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = &'a str> {
    text.split(separators).filter(|word| !word.is_empty())
}

/// The text up to the end of its first word: what the original names in a message about a bad
/// list, because its tokeniser has cut the text there.
pub fn first_word<'a>(text: &'a str, separators: &[char]) -> &'a str {
    let start = text.len() - text.trim_start_matches(separators).len();
    let end = text[start..].find(separators).map_or(text.len(), |end| start + end);
    &text[..end]
}

/// A list of words, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordList(Vec<String>);

impl WordList {
    /// Adds the words of a blank-separated text; words that are there already are left out.
    ///
    /// # Errors
    /// [`ParseError::Control`] when a word cannot stand in a configuration line.
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        quote::check(text)?;
        for word in words(text, BLANKS) {
            if !self.0.iter().any(|old| old == word) {
                self.0.push(word.to_owned());
            }
        }
        Ok(())
    }

    /// Reads a blank-separated list.
    ///
    /// # Errors
    /// As [`WordList::add`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut list = Self::default();
        list.add(text)?;
        Ok(list)
    }

    /// The words, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This list without the words of `removed`, then those of `added` that are new.
    #[must_use]
    pub fn merged(&self, added: &Self, removed: &Self) -> Self {
        let gone = |word: &&String| removed.0.contains(word);
        let mut merged: Vec<_> = self.0.iter().filter(|word| !gone(word)).cloned().collect();
        let new: Vec<_> = added.0.iter().filter(|word| !merged.contains(word)).cloned().collect();
        merged.extend(new);
        Self(merged)
    }
}

impl fmt::Display for WordList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Devices of the node that a container takes over (NETDEV).
///
/// Names beginning with `venet`, `tun`, `tap` and `lo` are refused: they are virtual.
///
/// # Errors
/// [`ParseError::Syntax`] for such a name, [`ParseError::Control`] as for every list.
pub fn parse_netdevs(text: &str) -> Result<WordList, ParseError> {
    let virtual_device =
        |name: &str| ["venet", "tun", "tap", "lo"].iter().any(|v| name.starts_with(v));
    if words(text, BLANKS).any(virtual_device) {
        return Err(ParseError::Syntax);
    }
    WordList::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_word_once() {
        let list = WordList::parse("8.8.8.8\t1.1.1.1  8.8.8.8 ").unwrap();
        assert_eq!(list.to_string(), "8.8.8.8 1.1.1.1");
        assert!(WordList::parse("a\nb").is_err());
    }

    #[test]
    fn a_message_names_the_first_word() {
        assert_eq!(first_word("10.0.0.1 bad", BLANKS), "10.0.0.1");
        assert_eq!(first_word(" a b", BLANKS), " a");
        assert_eq!(first_word("nfs:on,x:on", BLANKS_AND_COMMA), "nfs:on");
        assert_eq!(first_word("", BLANKS), "");
    }

    #[test]
    fn virtual_devices_cannot_be_taken_over() {
        assert!(parse_netdevs("eth1 eth2").is_ok());
        for name in ["lo", "lock0", "venet0", "tunnel5", "eth0 tap1"] {
            assert_eq!(parse_netdevs(name), Err(ParseError::Syntax), "{name}");
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back(text in "[^\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f]{0,40}") {
            let list = WordList::parse(&text).unwrap();
            prop_assert_eq!(WordList::parse(&list.to_string()), Ok(list));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = WordList::parse(&text);
            let _ = parse_netdevs(&text);
            prop_assert!(text.starts_with(first_word(&text, BLANKS_AND_COMMA)));
        }
    }
}
