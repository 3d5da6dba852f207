//! A container's veth interfaces (NETIF) and their MAC addresses.

use std::fmt;
use std::str::FromStr;

use crate::context::Context;
use crate::ctid::Ctid;
use crate::error::ParseError;
use crate::list::words;
use crate::yesno::{on_off, on_off_word};

/// The longest name of a network interface, in bytes (IFNAMSIZ without its NUL).
pub const NAME_MAX: usize = 15;

/// Characters of a MAC address.
const MAC_LENGTH: usize = 17;

/// The vendor part of generated MAC addresses.
const VENDOR: [u8; 3] = [0x00, 0x18, 0x51];

/// A MAC address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = ParseError;

    /// Reads six pairs of hexadecimal digits with any character between them.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() != MAC_LENGTH || !text.is_ascii() {
            return Err(ParseError::MacLength);
        }
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(text.as_bytes().chunks(3)) {
            let digit = |b: u8| char::from(b).to_digit(16).ok_or(ParseError::MacFormat);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(mac))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl Mac {
    /// The address the original gives to an interface of a container on this node: its vendor
    /// part and 24 bits of a hash over the names, so that it is the same each time.
    #[must_use]
    pub fn generate(device: &str, ctid: Ctid, node: Self) -> Self {
        let node = node.to_string().to_ascii_lowercase();
        let seed = format!("{device}:{ctid}:{node} ");
        let hash = hash(seed.as_bytes(), ctid.get());
        let [a, b, c] = VENDOR;
        // The bytes overlap by a bit, as they always did.
        Self([a, b, c, hash as u8, (hash >> 8) as u8, (hash >> 15) as u8])
    }
}

/// A hash of the SuperFast kind over overlapping pairs of bytes.
fn hash(data: &[u8], start: u32) -> u32 {
    let mixed = data.windows(2).fold(start, |hash, pair| {
        let hash = hash.wrapping_add(u32::from(pair[0]));
        let hash = (hash << 16) ^ (u32::from(pair[1]) << 11) ^ hash;
        hash.wrapping_add(hash >> 11)
    });
    [(3, 5), (4, 17), (25, 6)].iter().fold(mixed, |hash, (left, right)| {
        let hash = hash ^ (hash << left);
        hash.wrapping_add(hash >> right)
    })
}

/// One veth pair: an end in the container and one on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netif {
    /// Name of the container's end.
    pub ifname: String,
    /// Bridge of the node that the node's end joins.
    pub bridge: Option<String>,
    /// MAC address of the container's end.
    pub mac: Mac,
    /// Name of the node's end.
    pub host_ifname: String,
    /// MAC address of the node's end.
    pub host_mac: Mac,
    /// Whether the container is kept from changing its MAC address.
    pub mac_filter: Option<bool>,
}

/// Checks an interface name: 1 to 15 printable characters without those that mean something
/// to the kernel, to this format or to a shell.
fn parse_ifname(text: &str) -> Result<String, ParseError> {
    let odd = |b: u8| !b.is_ascii_graphic() || b"/:,;=\"'\\$`&|<>(){}*?[]#~!".contains(&b);
    if text.is_empty() || text.len() > NAME_MAX || text == "." || text == ".." {
        return Err(ParseError::Name);
    }
    if text.bytes().any(odd) { Err(ParseError::Name) } else { Ok(text.to_owned()) }
}

/// Checks a bridge name. Commas are let through, as ever: all after the fourth is the bridge.
fn parse_bridge(text: &str) -> Result<Option<String>, ParseError> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > NAME_MAX {
        return Err(ParseError::Name);
    }
    words(text, &[',']).try_for_each(|word| parse_ifname(word).map(drop))?;
    Ok(Some(text.to_owned()))
}

/// The name of the node's end: `veth<CTID>.<N>`, N being the first number in the name of the
/// container's end. With a long id the id is in hexadecimal, so that the name still fits.
fn default_host_ifname(ifname: &str, ctid: Ctid) -> String {
    let after_letters = ifname.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = after_letters.find(|c: char| !c.is_ascii_digit()).unwrap_or(after_letters.len());
    let number: u64 = match ifname.starts_with(|c: char| c.is_ascii_digit()) {
        true => 0,
        false => after_letters[..end].parse().unwrap_or(0),
    };
    let mut name = format!("veth{ctid}.{number}");
    if name.len() > NAME_MAX {
        name = format!("veth{:x}.{number}", ctid.get());
    }
    name.truncate(NAME_MAX);
    name
}

/// Splits at the first comma; the second part is empty when there is none.
fn split(text: &str) -> (&str, &str) {
    text.split_once(',').unwrap_or((text, ""))
}

impl Netif {
    /// Reads an item of `--netif_add`: `ifname[,mac[,host_ifname[,host_mac[,bridge]]]]`.
    ///
    /// With only a name both addresses are generated; with no `host_mac` it is the same as
    /// `mac`; a field left empty is generated.
    ///
    /// # Errors
    /// [`ParseError`] for the first field that is wrong.
    pub fn parse_option(text: &str, context: &Context) -> Result<Self, ParseError> {
        let generated = |device: &str| Mac::generate(device, context.ctid, context.node_mac);
        let (ifname, rest) = split(text);
        let ifname = parse_ifname(ifname)?;
        let default_host = default_host_ifname(&ifname, context.ctid);
        let (mac, after_mac) = split(rest);
        let mac = if mac.is_empty() { generated(&ifname) } else { mac.parse()? };
        let (host, after_host) = split(after_mac);
        let host_ifname = if host.is_empty() { default_host } else { parse_ifname(host)? };
        let (host_mac, bridge) = split(after_host);
        let host_mac = match host_mac {
            "" if rest.is_empty() => generated(&host_ifname),
            "" if after_mac.is_empty() || (after_host.is_empty() && !host.is_empty()) => mac,
            "" => generated(&host_ifname),
            text => text.parse().map_err(|_| ParseError::HostMac)?,
        };
        let bridge = parse_bridge(bridge)?;
        Ok(Self { ifname, bridge, mac, host_ifname, host_mac, mac_filter: None })
    }

    /// Reads an interface of NETIF: `key=value` items in any order; unknown ones are passed
    /// over. A missing `mac` is generated, a missing `host_mac` is the same as `mac`.
    ///
    /// # Errors
    /// [`ParseError`] when the name is missing or an item is wrong.
    pub fn parse_stored(text: &str, context: &Context) -> Result<Self, ParseError> {
        let edit = NetifEdit::parse_items(text)?;
        let ifname = edit.ifname.ok_or(ParseError::Syntax)?;
        let host_ifname =
            edit.host_ifname.unwrap_or_else(|| default_host_ifname(&ifname, context.ctid));
        let generate = || Mac::generate(&host_ifname, context.ctid, context.node_mac);
        let mac = edit.mac.unwrap_or_else(generate);
        let host_mac = edit.host_mac.unwrap_or(mac);
        let (bridge, mac_filter) = (edit.bridge, edit.mac_filter);
        Ok(Self { ifname, bridge, mac, host_ifname, host_mac, mac_filter })
    }

    /// This interface with what `new` says where it says something.
    fn merged_with(&self, new: &Self) -> Self {
        let mut merged = new.clone();
        merged.bridge = new.bridge.clone().or_else(|| self.bridge.clone());
        merged.mac_filter = new.mac_filter.or(self.mac_filter);
        merged
    }
}

impl fmt::Display for Netif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ifname={}", self.ifname)?;
        if let Some(bridge) = &self.bridge {
            write!(f, ",bridge={bridge}")?;
        }
        write!(f, ",mac={},host_ifname={}", self.mac, self.host_ifname)?;
        write!(f, ",host_mac={}", self.host_mac)?;
        match self.mac_filter {
            Some(on) => write!(f, ",mac_filter={}", on_off_word(on)),
            None => Ok(()),
        }
    }
}

/// The interfaces of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetifList(Vec<Netif>);

impl NetifList {
    /// Reads a NETIF value: interfaces joined by `;`; of two with one name the first counts.
    ///
    /// # Errors
    /// [`ParseError`] for the first interface that is wrong.
    pub fn parse_stored(text: &str, context: &Context) -> Result<Self, ParseError> {
        let mut list = Self::default();
        for item in words(text, &[';']) {
            let netif = Netif::parse_stored(item, context)?;
            if list.get(&netif.ifname).is_none() {
                list.0.push(netif);
            }
        }
        Ok(list)
    }

    /// Adds the interfaces of a `--netif_add` value, separated by blanks.
    ///
    /// # Errors
    /// [`ParseError`] for the first that is wrong.
    pub fn add_option(&mut self, text: &str, context: &Context) -> Result<(), ParseError> {
        for item in words(text, &[' ']) {
            self.0.push(Netif::parse_option(item, context)?);
        }
        Ok(())
    }

    /// The interface with this name in the container.
    #[must_use]
    pub fn get(&self, ifname: &str) -> Option<&Netif> {
        self.0.iter().find(|netif| netif.ifname == ifname)
    }

    /// The interfaces, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Netif] {
        &self.0
    }

    /// Whether there is no interface.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This list without the names in `removed`, those in `added` changed, then the new ones.
    #[must_use]
    pub fn merged(&self, added: &Self, removed: &[String]) -> Self {
        let kept = self.0.iter().filter(|old| !removed.contains(&old.ifname));
        let changed = kept.map(|old| match added.get(&old.ifname) {
            Some(new) => old.merged_with(new),
            None => old.clone(),
        });
        let mut merged: Vec<_> = changed.collect();
        let has = |list: &[Netif], name: &str| list.iter().any(|netif| netif.ifname == name);
        let new: Vec<_> =
            added.0.iter().filter(|new| !has(&merged, &new.ifname)).cloned().collect();
        merged.extend(new);
        Self(merged)
    }

    /// Changes the interface the edit names; says whether there is one.
    pub fn edit(&mut self, edit: &NetifEdit) -> bool {
        match self.0.iter_mut().find(|netif| Some(&netif.ifname) == edit.ifname.as_ref()) {
            Some(netif) => {
                edit.apply_to(netif);
                true
            }
            None => false,
        }
    }
}

impl fmt::Display for NetifList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, netif) in self.0.iter().enumerate() {
            write!(f, "{}{netif}", if position == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}

/// Changes to one interface: `--ifname` with `--mac`, `--bridge` and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetifEdit {
    /// The interface that is changed.
    pub ifname: Option<String>,
    /// New MAC address of the container's end.
    pub mac: Option<Mac>,
    /// New name of the node's end.
    pub host_ifname: Option<String>,
    /// New MAC address of the node's end.
    pub host_mac: Option<Mac>,
    /// New bridge.
    pub bridge: Option<String>,
    /// New MAC filter.
    pub mac_filter: Option<bool>,
}

impl NetifEdit {
    /// Reads `key=value` items joined by commas. The first name counts, the last address.
    fn parse_items(text: &str) -> Result<Self, ParseError> {
        let mut edit = Self::default();
        for item in text.split(',') {
            let Some((key, value)) = item.split_once('=') else { continue };
            match key {
                "ifname" if edit.ifname.is_none() => edit.ifname = Some(parse_ifname(value)?),
                "host_ifname" if edit.host_ifname.is_none() => {
                    edit.host_ifname = Some(parse_ifname(value)?);
                }
                "bridge" if edit.bridge.is_none() => edit.bridge = parse_bridge(value)?,
                "mac" => edit.mac = Some(value.parse()?),
                "host_mac" => edit.host_mac = Some(value.parse()?),
                "mac_filter" if !value.is_empty() => {
                    edit.mac_filter = Some(on_off(value).ok_or(ParseError::Syntax)?);
                }
                _ => {}
            }
        }
        Ok(edit)
    }

    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes `--ifname`.
    ///
    /// # Errors
    /// [`ParseError::Repeated`] when it was given before, [`ParseError::Name`] for a bad name.
    pub fn set_ifname(&mut self, text: &str) -> Result<(), ParseError> {
        if self.ifname.is_some() {
            return Err(ParseError::Repeated("ifname"));
        }
        self.ifname = Some(parse_ifname(text)?);
        Ok(())
    }

    /// Takes `--bridge`.
    ///
    /// # Errors
    /// As [`NetifEdit::set_ifname`].
    pub fn set_bridge(&mut self, text: &str) -> Result<(), ParseError> {
        if self.bridge.is_some() {
            return Err(ParseError::Repeated("bridge"));
        }
        self.bridge = parse_bridge(text)?;
        Ok(())
    }

    /// Takes `--host_ifname`.
    ///
    /// # Errors
    /// [`ParseError::Name`] for a bad name.
    pub fn set_host_ifname(&mut self, text: &str) -> Result<(), ParseError> {
        self.host_ifname = Some(parse_ifname(text)?);
        Ok(())
    }

    /// Takes `--mac` or `--host_mac`.
    ///
    /// # Errors
    /// [`ParseError::Syntax`] when the text is no MAC address.
    pub fn parse_mac(text: &str) -> Result<Mac, ParseError> {
        text.parse().map_err(|_| ParseError::Syntax)
    }

    /// Takes `--mac_filter on|off`.
    ///
    /// # Errors
    /// [`ParseError::Syntax`] for another word.
    pub fn set_mac_filter(&mut self, text: &str) -> Result<(), ParseError> {
        self.mac_filter = Some(on_off(text).ok_or(ParseError::Syntax)?);
        Ok(())
    }

    /// Changes an interface that is configured.
    fn apply_to(&self, netif: &mut Netif) {
        netif.mac = self.mac.unwrap_or(netif.mac);
        netif.host_mac = self.host_mac.unwrap_or(netif.host_mac);
        netif.mac_filter = self.mac_filter.or(netif.mac_filter);
        if let Some(name) = &self.host_ifname {
            netif.host_ifname.clone_from(name);
        }
        if self.bridge.is_some() {
            netif.bridge.clone_from(&self.bridge);
        }
    }

    /// Completes an interface that the same command line adds: what `--netif_add` made, given
    /// or generated, counts before this, as it always did.
    pub fn complete(&self, added: &mut Netif) {
        if added.bridge.is_none() {
            added.bridge.clone_from(&self.bridge);
        }
        added.mac_filter = added.mac_filter.or(self.mac_filter);
    }
}

impl NetifList {
    /// Completes an interface of this list of added ones; says whether it is there.
    pub fn complete(&mut self, edit: &NetifEdit) -> bool {
        match self.0.iter_mut().find(|netif| Some(&netif.ifname) == edit.ifname.as_ref()) {
            Some(netif) => {
                edit.complete(netif);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
