//! Headers of members: POSIX's ustar, and before it a PAX header for what that has no room for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::own::Attributes;

/// Size of a block, in bytes.
pub(super) const BLOCK: usize = 512;
/// Room for a name in a header, in bytes.
const NAME: usize = 100;
/// The largest number of 7 octal digits: what an id has room for.
const LARGEST_ID: u32 = 0o7_777_777;
/// The largest number of 11 octal digits: what a size and a time have room for.
const LARGEST: u64 = 0o77_777_777_777;

/// What kind of file a member is.
pub(super) enum Kind {
    Regular,
    Directory,
    Symlink(OsString),
    /// Another name of this file, a path from the top.
    HardLink(PathBuf),
    Character,
    Block,
    Fifo,
}

/// A member.
pub(super) struct Entry<'a> {
    pub(super) path: &'a Path,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since the epoch, and nanoseconds.
    pub(super) modified: (i64, i64),
    /// In bytes, holes included.
    pub(super) size: u64,
    /// Major and minor number.
    pub(super) device: (u64, u64),
    pub(super) attributes: Attributes,
    /// Where a file with holes has data: offsets and lengths.
    pub(super) pieces: Option<Vec<(u64, u64)>>,
}

impl<'a> Entry<'a> {
    /// An empty one of root's.
    pub(super) fn new(path: &'a Path, kind: Kind) -> Entry<'a> {
        let (attributes, pieces) = (Attributes::default(), None);
        Entry {
            path,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            modified: (0, 0),
            size: 0,
            device: (0, 0),
            attributes,
            pieces,
        }
    }

    /// All that stands before its contents.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let name = self.name();
        let link = self.link();
        let map = self.pieces.as_ref().map(|pieces| sparse_map(pieces));
        let mut stored = self
            .pieces
            .as_ref()
            .map_or(self.size, |pieces| pieces.iter().map(|(_, length)| length).sum());
        stored += map.as_ref().map_or(0, |map| map.len() as u64);
        let records = self.records(&name, &link, stored);
        let mut bytes = Vec::with_capacity(3 * BLOCK);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            header.set_size(records.len() as u64);
            header.set_mode(0o644);
            put_name(&mut header, b"./PaxHeaders/member", b"");
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.extend_from_slice(self.header(&name, &link, stored).as_bytes());
        bytes.extend(map.into_iter().flatten());
        bytes
    }

    /// `./` and the path; a directory's ends in a slash.
    fn name(&self) -> Vec<u8> {
        let mut name = [b"./", self.path.as_os_str().as_bytes()].concat();
        if matches!(self.kind, Kind::Directory) && name != b"./" {
            name.push(b'/');
        }
        name
    }

    fn link(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Symlink(target) => target.as_bytes().to_vec(),
            Kind::HardLink(path) => [b"./", path.as_os_str().as_bytes()].concat(),
            _ => Vec::new(),
        }
    }

    /// The records of the PAX header.
    fn records(&self, name: &[u8], link: &[u8], stored: u64) -> Vec<u8> {
        let mut records = Vec::new();
        let (seconds, nanoseconds) = self.modified;
        let is_sparse = self.pieces.is_some();
        if is_sparse {
            add(&mut records, b"GNU.sparse.major", b"1");
            add(&mut records, b"GNU.sparse.minor", b"0");
            add(&mut records, b"GNU.sparse.name", name);
            add(&mut records, b"GNU.sparse.realsize", self.size.to_string().as_bytes());
        } else if name.len() > NAME {
            add(&mut records, b"path", name);
        }
        if link.len() > NAME {
            add(&mut records, b"linkpath", link);
        }
        for (key, id) in [(b"uid", self.uid), (b"gid", self.gid)] {
            if id > LARGEST_ID {
                add(&mut records, key, id.to_string().as_bytes());
            }
        }
        if matches!(self.kind, Kind::Regular) && stored > LARGEST {
            add(&mut records, b"size", stored.to_string().as_bytes());
        }
        if nanoseconds != 0 || !(0..=LARGEST.cast_signed()).contains(&seconds) {
            add(&mut records, b"mtime", time(seconds, nanoseconds).as_bytes());
        }
        // Not as an attribute: GNU tar restores an ACL from its text alone.
        for (key, text) in &self.attributes.acls {
            add(&mut records, key.as_bytes(), text.as_bytes());
        }
        for (name, value) in &self.attributes.plain {
            add(&mut records, &[b"SCHILY.xattr.", escaped(name).as_slice()].concat(), value);
        }
        records
    }

    fn header(&self, name: &[u8], link: &[u8], stored: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(match self.kind {
            Kind::Regular => EntryType::Regular,
            Kind::Directory => EntryType::Directory,
            Kind::Symlink(_) => EntryType::Symlink,
            Kind::HardLink(_) => EntryType::Link,
            Kind::Character => EntryType::Char,
            Kind::Block => EntryType::Block,
            Kind::Fifo => EntryType::Fifo,
        });
        header.set_mode(self.mode);
        header.set_uid(u64::from(if self.uid > LARGEST_ID { 0 } else { self.uid }));
        header.set_gid(u64::from(if self.gid > LARGEST_ID { 0 } else { self.gid }));
        header.set_mtime(self.modified.0.clamp(0, LARGEST.cast_signed()).cast_unsigned());
        let has_contents = matches!(self.kind, Kind::Regular);
        header.set_size(if has_contents && stored <= LARGEST { stored } else { 0 });
        if let Some(ustar) = header.as_ustar_mut() {
            // The kernel's numbers have 12 and 20 bits, a field has room for 21.
            ustar.set_device_major(self.device.0 as u32);
            ustar.set_device_minor(self.device.1 as u32);
        }
        match self.pieces {
            // Readers that know nothing of holes make a file beside it, as GNU tar has them do.
            Some(_) => put_name(&mut header, b"./GNUSparseFile/member", link),
            None => put_name(&mut header, name, link),
        }
        header
    }
}

/// Writes the names, as far as there is room, and the sum.
fn put_name(header: &mut Header, name: &[u8], link: &[u8]) {
    let old = header.as_old_mut();
    let put = |field: &mut [u8; NAME], text: &[u8]| {
        let length = text.len().min(NAME);
        field.iter_mut().zip(text.iter().take(length)).for_each(|(to, from)| *to = *from);
    };
    put(&mut old.name, name);
    put(&mut old.linkname, link);
    header.set_cksum();
}

/// `LENGTH KEY=VALUE\n`, whose length counts itself.
fn add(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// A name that stands before a `=`.
fn escaped(name: &OsStr) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in name.as_bytes() {
        match byte {
            b'=' => text.extend_from_slice(b"%3D"),
            b'%' => text.extend_from_slice(b"%25"),
            other => text.push(*other),
        }
    }
    text
}

/// Seconds with a fraction; nanoseconds count forward from a negative second, too.
fn time(seconds: i64, nanoseconds: i64) -> String {
    match (seconds, nanoseconds) {
        (..0, 1..) => {
            let (seconds, rest) = (-(seconds + 1), 1_000_000_000 - nanoseconds);
            format!("-{seconds}.{rest:09}")
        }
        _ => format!("{seconds}.{nanoseconds:09}"),
    }
}

/// The map of a PAX sparse file of version 1.0: decimal numbers, filled up to a block.
fn sparse_map(pieces: &[(u64, u64)]) -> Vec<u8> {
    let mut map = format!("{}\n", pieces.len());
    for (offset, length) in pieces {
        map.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}
