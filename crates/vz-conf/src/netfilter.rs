//! Packet filtering inside a container (NETFILTER, and its forerunner IPTABLES).

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;
use crate::list::{BLANKS_AND_COMMA, words};

/// How much of netfilter a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Netfilter {
    /// Nothing.
    Disabled,
    /// Filter and mangle tables, no connection tracking.
    Stateless,
    /// Connection tracking too, no NAT.
    Stateful,
    /// Everything.
    Full,
}

impl Netfilter {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Disabled, Self::Stateless, Self::Stateful, Self::Full];

    /// The mode's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Stateless => "stateless",
            Self::Stateful => "stateful",
            Self::Full => "full",
        }
    }
}

impl FromStr for Netfilter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|mode| mode.word() == text);
        known.ok_or_else(|| ParseError::UnknownNetfilterMode(text.to_owned()))
    }
}

impl fmt::Display for Netfilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The iptables modules in the order they are stored, each with those it needs.
const MODULES: [(&str, &[&str]); 26] = [
    ("ip_tables", &[]),
    ("iptable_filter", &["ip_tables"]),
    ("iptable_mangle", &["ip_tables"]),
    ("ipt_limit", &["ip_tables"]),
    ("ipt_multiport", &["ip_tables"]),
    ("ipt_tos", &["ip_tables"]),
    ("ipt_TOS", &["ip_tables"]),
    ("ipt_REJECT", &["ip_tables"]),
    ("ipt_TCPMSS", &["ip_tables"]),
    ("ipt_tcpmss", &["ip_tables"]),
    ("ipt_ttl", &["ip_tables"]),
    ("ipt_LOG", &["ip_tables"]),
    ("ipt_length", &["ip_tables"]),
    ("ip_conntrack", &["ip_tables"]),
    ("ip_conntrack_ftp", &["ip_conntrack"]),
    ("ip_conntrack_irc", &["ip_conntrack"]),
    ("ipt_conntrack", &["ip_conntrack"]),
    ("ipt_state", &["ip_conntrack"]),
    ("ipt_helper", &["ip_conntrack"]),
    ("iptable_nat", &["ip_conntrack"]),
    ("ip_nat_ftp", &["iptable_nat", "ip_conntrack_ftp"]),
    ("ip_nat_irc", &["iptable_nat", "ip_conntrack_irc"]),
    ("ipt_REDIRECT", &["iptable_nat"]),
    ("xt_mac", &["ip_tables"]),
    ("ipt_recent", &["ip_tables"]),
    ("ipt_owner", &["ip_tables"]),
];

/// A set of iptables modules (IPTABLES), closed under what they need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IptablesModules(u32);

impl IptablesModules {
    /// Adds the modules of a text, separated by blanks or commas, and those they need. An
    /// unknown name does not keep the others from counting; the unknown ones are returned.
    pub fn add(&mut self, text: &str) -> Vec<ParseError> {
        let mut unknown = Vec::new();
        for name in words(text, BLANKS_AND_COMMA) {
            if !self.add_module(name) {
                unknown.push(ParseError::UnknownIptablesModule(name.to_owned()));
            }
        }
        unknown
    }

    /// Adds one module and those it needs; says whether its name is known.
    fn add_module(&mut self, name: &str) -> bool {
        let Some(index) = MODULES.iter().position(|(known, _)| *known == name) else {
            return false;
        };
        self.0 |= 1 << index;
        MODULES[index].1.iter().all(|needed| self.add_module(needed))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`ParseError::UnknownIptablesModule`] for the first name that is none.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut modules = Self::default();
        match modules.add(text).into_iter().next() {
            Some(error) => Err(error),
            None => Ok(modules),
        }
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The modules, in the stored order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        let has = move |index: usize| self.0 & (1 << index) != 0;
        MODULES.iter().enumerate().filter(move |(index, _)| has(*index)).map(|(_, (name, _))| *name)
    }
}

impl fmt::Display for IptablesModules {
    /// The stored form ends with a blank.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|name| write!(f, "{name} "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn modes() {
        for mode in Netfilter::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(
            "Full".parse::<Netfilter>(),
            Err(ParseError::UnknownNetfilterMode("Full".into()))
        );
    }

    #[test]
    fn modules_bring_what_they_need() {
        let stored = |text| IptablesModules::parse(text).unwrap().to_string();
        assert_eq!(stored("ipt_limit,iptable_filter"), "ip_tables iptable_filter ipt_limit ");
        assert_eq!(
            stored("ip_conntrack ipt_state iptable_nat"),
            "ip_tables ip_conntrack ipt_state iptable_nat "
        );
        assert_eq!(
            stored("ip_nat_ftp"),
            "ip_tables ip_conntrack ip_conntrack_ftp iptable_nat ip_nat_ftp "
        );
        assert_eq!(stored(""), "");
        assert!(IptablesModules::parse("ip_tables foo").is_err());
    }

    proptest! {
        #[test]
        fn display_is_read_back(indices in prop::collection::vec(0..MODULES.len(), 0..8)) {
            let mut modules = IptablesModules::default();
            indices.iter().for_each(|index| assert!(modules.add_module(MODULES[*index].0)));
            prop_assert_eq!(IptablesModules::parse(&modules.to_string()), Ok(modules));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = IptablesModules::parse(&text);
            let _ = text.parse::<Netfilter>();
        }
    }
}
