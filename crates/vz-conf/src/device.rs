//! Devices a container may use (DEVICES, DEVNODES, PCI).

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;
use crate::list::words;

/// Only blanks separate these lists.
const SEPARATOR: &[char] = &[' '];

/// The loop devices' major number: a container that had one could mount the node's files.
pub const LOOP_MAJOR: u32 = 7;

/// The largest major and minor number of Linux (linux/kdev_t.h: 12 and 20 bits).
const MAJOR_MAX: u32 = (1 << 12) - 1;
const MINOR_MAX: u32 = (1 << 20) - 1;

/// What a container may do with a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Read from it (`r`).
    pub read: bool,
    /// Write to it (`w`).
    pub write: bool,
    /// Ask for its disk quota (`q`).
    pub quota: bool,
}

impl Access {
    /// Whether nothing is allowed, which removes the device from a list.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl FromStr for Access {
    type Err = ParseError;

    /// Reads the letters `r`, `w`, `q`, or `none`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut access = Self::default();
        if text == "none" {
            return Ok(access);
        }
        for letter in text.chars() {
            match letter {
                'r' => access.read = true,
                'w' => access.write = true,
                'q' => access.quota = true,
                _ => return Err(ParseError::Syntax),
            }
        }
        Ok(access)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.quota, "q")];
        letters
            .iter()
            .filter(|(allowed, _)| *allowed)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// The two kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// `b`.
    Block,
    /// `c`.
    Char,
}

/// A rule for a device, or for all of a driver, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceRule {
    /// Block or character.
    pub kind: DeviceKind,
    /// The driver's number.
    pub major: u32,
    /// The device's number, or all of them.
    pub minor: Option<u32>,
    /// What is allowed.
    pub access: Access,
}

impl FromStr for DeviceRule {
    type Err = ParseError;

    /// Reads `b|c:MAJOR:MINOR|all:[r][w][q]|none`; loop devices are refused.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut fields = text.split(':');
        let mut field = || fields.next().ok_or(ParseError::Syntax);
        let (kind, major, minor, access) = (field()?, field()?, field()?, field()?);
        if field().is_ok() || access.is_empty() {
            return Err(ParseError::Syntax);
        }
        let kind = match kind {
            "b" => DeviceKind::Block,
            "c" => DeviceKind::Char,
            _ => return Err(ParseError::Syntax),
        };
        let major = parse_device_number(major, MAJOR_MAX)?;
        if major == LOOP_MAJOR {
            return Err(ParseError::Range);
        }
        let minor = match minor {
            "all" => None,
            number => Some(parse_device_number(number, MINOR_MAX)?),
        };
        Ok(Self { kind, major, minor, access: access.parse()? })
    }
}

/// Reads decimal digits up to `max`.
fn parse_device_number(text: &str, max: u32) -> Result<u32, ParseError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseError::Syntax);
    }
    text.parse().ok().filter(|number| *number <= max).ok_or(ParseError::Range)
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == DeviceKind::Block { 'b' } else { 'c' };
        write!(f, "{kind}:{}:", self.major)?;
        match self.minor {
            Some(minor) => write!(f, "{minor}")?,
            None => f.write_str("all")?,
        }
        write!(f, ":{}", self.access)
    }
}

/// A device by its name below /dev.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Devnode {
    /// The path below /dev, such as `net/tun`.
    pub name: String,
    /// What is allowed.
    pub access: Access,
}

impl FromStr for Devnode {
    type Err = ParseError;

    /// Reads `NAME:[r][w][q]|none`. That the node has such a device is for the caller to check.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (name, access) = text.rsplit_once(':').ok_or(ParseError::Syntax)?;
        let plain = |part: &str| {
            let odd = |b: u8| !b.is_ascii_graphic() || b"\"'\\$`;&|<>(){}*?[]#~!".contains(&b);
            !part.is_empty() && part != "." && part != ".." && !part.bytes().any(odd)
        };
        if !name.split('/').all(plain) {
            return Err(ParseError::Name);
        }
        Ok(Self { name: name.to_owned(), access: access.parse()? })
    }
}

impl fmt::Display for Devnode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.access)
    }
}

/// A device in a list: what it is, and what may be done with it.
pub trait ListedDevice: Clone + FromStr<Err = ParseError> + fmt::Display {
    /// Whether both name the same device.
    fn is_same(&self, other: &Self) -> bool;
    /// What is allowed.
    fn access(&self) -> Access;
}

impl ListedDevice for DeviceRule {
    fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }

    fn access(&self) -> Access {
        self.access
    }
}

impl ListedDevice for Devnode {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn access(&self) -> Access {
        self.access
    }
}

/// A list of devices, each once. One with no access stands for its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList<T>(Vec<T>);

impl<T> Default for DeviceList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: ListedDevice> DeviceList<T> {
    /// Adds the devices of a blank-separated text; the last rule for a device counts. What
    /// stands before a bad one has been added when this fails.
    ///
    /// # Errors
    /// [`ParseError`] for the first item that is no device.
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        words(text, SEPARATOR).try_for_each(|item| {
            self.push(item.parse()?);
            Ok(())
        })
    }

    /// Reads a blank-separated list.
    ///
    /// # Errors
    /// As [`DeviceList::add`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut list = Self::default();
        list.add(text)?;
        Ok(list)
    }

    /// Adds a device, in place of an older rule for it.
    fn push(&mut self, device: T) {
        match self.0.iter_mut().find(|old| old.is_same(&device)) {
            Some(old) => *old = device,
            None => self.0.push(device),
        }
    }

    /// The devices, in order, with those to be removed.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// Whether there is no device.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This list without the devices of `new`, then those of `new`; none without access.
    #[must_use]
    pub fn merged(&self, new: &Self) -> Self {
        let replaced = |old: &&T| new.0.iter().any(|device| device.is_same(old));
        let old = self.0.iter().filter(|old| !replaced(old));
        Self(old.chain(&new.0).filter(|device| !device.access().is_none()).cloned().collect())
    }
}

impl<T: ListedDevice> fmt::Display for DeviceList<T> {
    /// The stored form ends with a blank.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.0.iter().filter(|device| !device.access().is_none());
        listed.into_iter().try_for_each(|device| write!(f, "{device} "))
    }
}

/// The place of a PCI device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PciAddress {
    /// The domain, up to 16 bits.
    pub domain: u16,
    /// The bus.
    pub bus: u8,
    /// The slot, up to 31.
    pub slot: u8,
    /// The function, up to 7.
    pub function: u8,
}

impl FromStr for PciAddress {
    type Err = ParseError;

    /// Reads `[DOMAIN:]BUS:SLOT.FUNCTION`, hexadecimal but for the function.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (place, function) = text.split_once('.').ok_or(ParseError::Syntax)?;
        let fields: Vec<&str> = place.split(':').collect();
        let (domain, bus, slot) = match fields[..] {
            [bus, slot] => ("0", bus, slot),
            [domain, bus, slot] => (domain, bus, slot),
            _ => return Err(ParseError::Syntax),
        };
        let hex = |text: &str, max: u32| {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(ParseError::Syntax);
            }
            let number = u32::from_str_radix(text, 16).ok();
            number.filter(|number| *number <= max).ok_or(ParseError::Range)
        };
        // Each is within its type's range by the maximum asked for.
        Ok(Self {
            domain: hex(domain, 0xffff)? as u16,
            bus: hex(bus, 0xff)? as u8,
            slot: hex(slot, 0x1f)? as u8,
            function: parse_device_number(function, 7)? as u8,
        })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{}", self.domain, self.bus, self.slot, self.function)
    }
}

/// A list of PCI devices, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PciList(Vec<PciAddress>);

impl PciList {
    /// Adds the devices of a blank-separated text. What stands before a bad one has been added
    /// when this fails.
    ///
    /// # Errors
    /// [`ParseError`] for the first item that is none.
    pub fn add(&mut self, text: &str) -> Result<(), ParseError> {
        for item in words(text, SEPARATOR) {
            let address = item.parse()?;
            if !self.0.contains(&address) {
                self.0.push(address);
            }
        }
        Ok(())
    }

    /// Reads a blank-separated list.
    ///
    /// # Errors
    /// As [`PciList::add`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut list = Self::default();
        list.add(text)?;
        Ok(list)
    }

    /// The devices, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[PciAddress] {
        &self.0
    }

    /// Whether there is no device.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This list without `removed`, then those of `added` that are new.
    #[must_use]
    pub fn merged(&self, added: &Self, removed: &Self) -> Self {
        let stays = |address: &&PciAddress| !removed.0.contains(address);
        let mut merged: Vec<_> = self.0.iter().filter(stays).copied().collect();
        let new: Vec<_> = added.0.iter().filter(|new| !merged.contains(new)).copied().collect();
        merged.extend(new);
        Self(merged)
    }
}

impl fmt::Display for PciList {
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

    type Rules = DeviceList<DeviceRule>;
    type Nodes = DeviceList<Devnode>;

    #[test]
    fn rules() {
        let stored = |text| Rules::parse(text).map(|list| list.to_string());
        assert_eq!(stored("c:10:200:rw b:8:1:w").unwrap(), "c:10:200:rw b:8:1:w ");
        assert_eq!(stored("b:8:all:qr").unwrap(), "b:8:all:rq ");
        assert_eq!(stored("c:10:200:none").unwrap(), "");
        for text in [
            "b:7:0:rw",
            "b:8:0:rx",
            "b:8:0",
            "b:8:0:",
            "x:8:0:r",
            "b:-1:0:r",
            "b:4096:0:r",
            "b:8:1048576:r",
            "b:8:0:r:w",
            "bogus",
        ] {
            assert!(stored(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_without_access_removes() {
        let rules = |text| Rules::parse(text).unwrap();
        let old = rules("c:10:200:rw c:10:229:rw");
        assert_eq!(old.merged(&rules("c:10:200:none")).to_string(), "c:10:229:rw ");
        assert_eq!(old.merged(&rules("c:10:200:r")).to_string(), "c:10:229:rw c:10:200:r ");
    }

    #[test]
    fn nodes() {
        let stored = |text| Nodes::parse(text).map(|list| list.to_string());
        assert_eq!(stored("net/tun:rw null:r").unwrap(), "net/tun:rw null:r ");
        for text in ["null", "null:zz", "../etc/passwd:r", "/null:r", ":r", "a//b:r", "a$(b):r"] {
            assert!(stored(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pci() {
        let stored = |text| PciList::parse(text).map(|list| list.to_string());
        assert_eq!(stored("0:01:00.0 1:0.0").unwrap(), "0000:01:00.0");
        assert_eq!(stored("1f:A.7").unwrap(), "0000:1f:0a.7");
        for text in ["zzz", "1:2", "1:2.8", "1:20.0", "100:1.0", "1:2:3:4.0", "+1:2.0"] {
            assert!(stored(text).is_err(), "{text}");
        }
    }

    prop_compose! {
        fn rule()(block in any::<bool>(), major in 8..=MAJOR_MAX,
                  minor in prop::option::of(0..=MINOR_MAX), letters in "[rwq]{1,3}") -> DeviceRule {
            let kind = if block { DeviceKind::Block } else { DeviceKind::Char };
            DeviceRule { kind, major, minor, access: letters.parse().unwrap() }
        }
    }

    proptest! {
        #[test]
        fn display_is_read_back(rules in prop::collection::vec(rule(), 0..5)) {
            let mut list = Rules::default();
            rules.into_iter().for_each(|rule| list.push(rule));
            prop_assert_eq!(Rules::parse(&list.to_string()), Ok(list));
        }

        #[test]
        fn pci_is_read_back(domain: u16, bus: u8, slot in 0..32_u8, function in 0..8_u8) {
            let address = PciAddress { domain, bus, slot, function };
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn any_text(text in ".*|[bc:0-9rwq.a-f ]*") {
            let _ = (Rules::parse(&text), Nodes::parse(&text), PciList::parse(&text));
        }
    }
}
