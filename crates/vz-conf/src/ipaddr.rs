//! A container's IP addresses (IP_ADDRESS).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::ParseError;
use crate::list::{BLANKS, words};
use crate::number;

/// An address with an optional prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Bits of the network, if given.
    pub prefix: Option<u8>,
}

impl FromStr for Address {
    type Err = ParseError;

    /// Reads `ADDRESS[/BITS]`; `ADDRESS/` is `/0`, as the original has it. A netmask in dots
    /// is refused.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(number::int(bits)?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| ParseError::Syntax)?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match bits.map(u8::try_from) {
            None => None,
            Some(Ok(bits)) if bits <= longest => Some(bits),
            Some(_) => return Err(ParseError::Range),
        };
        Ok(Self { ip, prefix })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            None => write!(f, "{}", self.ip),
            Some(bits) => write!(f, "{}/{bits}", self.ip),
        }
    }
}

/// A list of addresses, each once whatever its prefix length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList(Vec<Address>);

impl AddressList {
    /// Adds the addresses of a blank-separated text. `0.0.0.0`, `::` and `::0` are passed over.
    /// What stands before a bad word has been added when this fails.
    ///
    /// # Errors
    /// [`ParseError`] for the first word that is no address.
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        for word in words(text, BLANKS) {
            if ["0.0.0.0", "::", "::0"].contains(&word) {
                continue;
            }
            self.push(word.parse()?);
        }
        Ok(())
    }

    /// Reads a blank-separated list.
    ///
    /// # Errors
    /// As [`AddressList::add`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut list = Self::default();
        list.add(text)?;
        Ok(list)
    }

    /// Adds an address unless it is there.
    pub fn push(&mut self, address: Address) {
        if !self.contains(address.ip) {
            self.0.push(address);
        }
    }

    /// Whether the list has this address, with any prefix length.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|address| address.ip == ip)
    }

    /// The addresses, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Address] {
        &self.0
    }

    /// Whether there is no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This list without those of `removed` and `added`, then those of `added`: an address
    /// that is added again moves to the end.
    #[must_use]
    pub fn merged(&self, added: &Self, removed: &Self) -> Self {
        let stays = |old: &&Address| !removed.contains(old.ip) && !added.contains(old.ip);
        Self(self.0.iter().filter(stays).chain(&added.0).copied().collect())
    }
}

impl fmt::Display for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if position == 0 { "" } else { " " })?;
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
        for (text, stored) in [
            ("10.0.0.5/24", "10.0.0.5/24"),
            ("10.0.0.5\t10.0.0.6", "10.0.0.5 10.0.0.6"),
            ("10.0.0.5/24 10.0.0.5/16", "10.0.0.5/24"),
            ("0.0.0.0 :: ::0", ""),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
            ("10.0.0.1/0 2001:DB8::2/64", "10.0.0.1/0 2001:db8::2/64"),
            ("10.0.0.1/", "10.0.0.1/0"),
        ] {
            assert_eq!(AddressList::parse(text).unwrap().to_string(), stored, "{text}");
        }
        for text in [
            "10.0.0.5,10.0.0.6",
            "10.0.0",
            "10.0.0.1/33",
            "10.0.0.1/255.255.255.0",
            "2001:db8::1/129",
            "10.0.0.01",
            "10.0.0.300",
            "10.0.0.1/-1",
            "all",
        ] {
            assert!(AddressList::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn adding_an_old_address_moves_it() {
        let list = |text| AddressList::parse(text).unwrap();
        let old = list("10.0.0.1 10.0.0.2/24 2001:db8::5");
        let added = old.merged(&list("10.0.0.1"), &list(""));
        assert_eq!(added.to_string(), "10.0.0.2/24 2001:db8::5 10.0.0.1");
        let removed = old.merged(&list(""), &list("10.0.0.1 10.0.0.2"));
        assert_eq!(removed.to_string(), "2001:db8::5");
    }

    proptest! {
        #[test]
        fn display_is_read_back(ips in prop::collection::vec(any::<(IpAddr, u8)>(), 0..6)) {
            let mut list = AddressList::default();
            for (ip, bits) in ips.into_iter().filter(|(ip, _)| !ip.is_unspecified()) {
                let longest = if ip.is_ipv4() { 32 } else { 128 };
                list.push(Address { ip, prefix: (bits <= longest).then_some(bits) });
            }
            prop_assert_eq!(AddressList::parse(&list.to_string()), Ok(list));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = AddressList::parse(&text);
        }
    }
}
