//! Capabilities a container is given or denied (CAPABILITY).

use std::fmt;

use crate::error::ParseError;
use crate::list::{BLANKS_AND_COMMA, words};
use crate::yesno::{on_off, on_off_word};

/// The names, each at the number of its bit (capabilities(7); VE_ADMIN and FS_MASK are names
/// of the OpenVZ kernel, which stand where AUDIT_CONTROL and MAC_OVERRIDE are today).
pub const NAMES: [&str; 33] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "VE_ADMIN",
    "SETFCAP",
    "FS_MASK",
];

/// The capabilities of a configuration that are not left at their default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    on: u32,
    off: u32,
}

/// The bit of a name. The mask has 32, so FS_MASK shares CHOWN's, as it always did.
fn bit(index: usize) -> u32 {
    1 << (index % 32)
}

impl Capabilities {
    /// Adds the items `NAME:on` and `NAME:off` of a text, separated by blanks or commas; case
    /// does not matter. What stands before a bad item has been added when this fails.
    ///
    /// # Errors
    /// [`ParseError::UnknownCapability`], [`ParseError::CapabilitySyntax`].
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        for item in words(text, BLANKS_AND_COMMA) {
            let malformed = || ParseError::CapabilitySyntax(item.to_owned());
            let (name, switch) = item.rsplit_once(':').ok_or_else(malformed)?;
            let on = on_off(switch).ok_or_else(malformed)?;
            let known = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
            let index = known.ok_or_else(|| ParseError::UnknownCapability(name.to_owned()))?;
            let mask = if on { &mut self.on } else { &mut self.off };
            *mask |= bit(index);
        }
        Ok(())
    }

    /// Reads a list.
    ///
    /// # Errors
    /// As [`Capabilities::add`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut capabilities = Self::default();
        capabilities.add(text)?;
        Ok(capabilities)
    }

    /// Whether every capability is left at its default.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.on | self.off == 0
    }

    /// The names that are set, in the order of their bits, and whether each is on. On wins
    /// where both were asked for.
    pub fn iter(self) -> impl Iterator<Item = (&'static str, bool)> {
        NAMES.iter().enumerate().filter_map(move |(index, name)| {
            let on = self.on & bit(index) != 0;
            (on || self.off & bit(index) != 0).then_some((*name, on))
        })
    }

    /// These, with everything that `over` sets.
    #[must_use]
    pub fn merged_with(self, over: Self) -> Self {
        let off = over.off & !over.on;
        Self { on: (self.on & !off) | over.on, off: (self.off & !self.on & !over.on) | off }
    }
}

impl fmt::Display for Capabilities {
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
        let stored = |text| Capabilities::parse(text).unwrap().to_string();
        assert_eq!(stored("sys_time:off,NET_ADMIN:on"), "NET_ADMIN:on SYS_TIME:off");
        assert_eq!(stored("fs_mask:on"), "CHOWN:on FS_MASK:on");
        assert_eq!(stored("kill:off kill:on"), "KILL:on");
        let refused = |text| Capabilities::parse(text).unwrap_err();
        assert_eq!(refused("foo:on"), ParseError::UnknownCapability("foo".into()));
        assert_eq!(refused("CAP_KILL:on"), ParseError::UnknownCapability("CAP_KILL".into()));
        assert_eq!(refused("kill"), ParseError::CapabilitySyntax("kill".into()));
        assert_eq!(refused("kill:yes"), ParseError::CapabilitySyntax("kill:yes".into()));
    }

    #[test]
    fn the_newer_switch_counts() {
        let old = Capabilities::parse("kill:on mknod:off").unwrap();
        let over = Capabilities::parse("kill:off lease:on").unwrap();
        assert_eq!(old.merged_with(over).to_string(), "KILL:off MKNOD:off LEASE:on");
    }

    proptest! {
        #[test]
        fn display_is_read_back(on in any::<u32>(), off in any::<u32>()) {
            let value = Capabilities { on, off: off & !on };
            prop_assert_eq!(Capabilities::parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = Capabilities::parse(&text);
        }
    }
}
