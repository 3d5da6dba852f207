//! One member of an archive, put together from its headers.

use nix::sys::time::TimeSpec;
use tar::{EntryType, Header};

use super::acl;
use super::error::{Refusal, UnpackError};
use super::number::{decimal, field, time};
use super::pax::Records;
use super::sparse::SparseMap;

/// The longest name, in bytes: `PATH_MAX` less its NUL.
const NAME_MAX: usize = 4095;
/// The largest major number the kernel's 32-bit device number holds.
const MAJOR_MAX: u32 = 0xfff;
/// The largest minor number.
const MINOR_MAX: u32 = 0xf_ffff;

/// What kind of file a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Directory,
    Symlink,
    HardLink,
    Character,
    Block,
    Fifo,
    /// The label of the archive, no file.
    Label,
}

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name: components joined by single slashes, no `.` or `..`; empty for the top.
    pub(super) name: Vec<u8>,
    /// What a symbolic link holds, or a hard link's target in the form of `name`.
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: TimeSpec,
    /// Major and minor number of a device node.
    pub(super) device: (u32, u32),
    /// Extended attributes, in their order.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) access_acl: Option<Vec<u8>>,
    pub(super) default_acl: Option<Vec<u8>>,
    /// Where the contents lie in the file; `None` where they are the whole file.
    pub(super) sparse: Option<SparseMap>,
    /// Contents in the archive, in bytes, padding excluded.
    pub(super) stored: u64,
}

impl Member {
    /// Makes the names relative to `top`. Says whether the member is to be unpacked: the directories
    /// above `top` are not.
    pub(super) fn move_below(&mut self, top: &[u8]) -> Result<bool, UnpackError> {
        if top.is_empty() || self.kind == Kind::Label {
            return Ok(true);
        }
        let is_above = self.name.is_empty()
            || top.strip_prefix(self.name.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        if is_above && self.kind == Kind::Directory {
            return Ok(false);
        }
        let outside = || UnpackError::refused(&self.name, Refusal::Outside);
        let name = below(top, &self.name).ok_or_else(outside)?;
        if self.kind == Kind::HardLink {
            self.link = below(top, &self.link).ok_or_else(outside)?;
        }
        self.name = name;
        Ok(true)
    }
}

/// A path relative to `top`.
fn below(top: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    match path.strip_prefix(top)? {
        b"" => Some(Vec::new()),
        rest => rest.strip_prefix(b"/").map(<[u8]>::to_vec),
    }
}

/// The headers that describe one member.
pub(super) struct Headers<'a> {
    pub(super) header: &'a Header,
    pub(super) long_name: Option<&'a [u8]>,
    pub(super) long_link: Option<&'a [u8]>,
    pub(super) pax: &'a Records,
    pub(super) global: &'a Records,
}

impl Headers<'_> {
    /// Puts the member together. Its sparse map is read by the caller.
    pub(super) fn member(&self) -> Result<Member, UnpackError> {
        let raw_name = self.raw_name()?;
        let refused = |reason| UnpackError::refused(&raw_name, reason);
        let name = clean_name(&raw_name, Refusal::DotDot).map_err(refused)?;
        let kind = kind(self.header.entry_type(), &raw_name).map_err(refused)?;
        let stored = self.stored(kind).map_err(refused)?;
        let link = self.link(kind).map_err(refused)?;
        let mut member = Member {
            name,
            link,
            kind,
            mode: self.mode().map_err(refused)?,
            uid: self.id("uid", &self.header.as_old().uid).map_err(refused)?,
            gid: self.id("gid", &self.header.as_old().gid).map_err(refused)?,
            modified: self.modified().map_err(refused)?,
            device: self.device(kind).map_err(refused)?,
            attributes: Vec::new(),
            access_acl: self.pax.get(acl::ACCESS_RECORD).map(<[u8]>::to_vec),
            default_acl: self.pax.get(acl::DEFAULT_RECORD).map(<[u8]>::to_vec),
            sparse: None,
            stored,
        };
        member.attributes = super::attribute::of_records(self.pax).map_err(refused)?;
        Ok(member)
    }

    /// The value that `key` has for this member.
    fn record(&self, key: &str) -> Option<&[u8]> {
        self.pax.get(key).or_else(|| self.global.get(key))
    }

    /// The name as the archive gives it: readers must not be able to disagree.
    fn raw_name(&self) -> Result<Vec<u8>, UnpackError> {
        let in_header = self.header.path_bytes();
        let path = self.pax.get("path");
        let name = match (self.long_name, path) {
            (Some(long), Some(path)) if long != path => {
                return Err(UnpackError::refused(path, Refusal::Ambiguous("name")));
            }
            (long, path) => path.or(long).unwrap_or(&in_header),
        };
        match self.pax.get("GNU.sparse.name") {
            Some(name) if super::sparse::is_pax_sparse(self.pax) => Ok(name.to_vec()),
            Some(other) => Err(UnpackError::refused(other, Refusal::Ambiguous("name"))),
            None => Ok(name.to_vec()),
        }
    }

    fn link(&self, kind: Kind) -> Result<Vec<u8>, Refusal> {
        if !matches!(kind, Kind::Symlink | Kind::HardLink) {
            return Ok(Vec::new());
        }
        let in_header = self.header.link_name_bytes().unwrap_or_default();
        let target = match (self.long_link, self.pax.get("linkpath")) {
            (Some(long), Some(path)) if long != path => {
                return Err(Refusal::Ambiguous("link target"));
            }
            (long, path) => path.or(long).unwrap_or(&in_header),
        };
        match kind {
            Kind::HardLink => clean_name(target, Refusal::LinkDotDot),
            _ => plain(target).map(<[u8]>::to_vec),
        }
    }

    /// The size of the contents in the archive. A PAX size counts before the header's, as in GNU
    /// tar; a kind without contents that claims some is read differently by different readers.
    fn stored(&self, kind: Kind) -> Result<u64, Refusal> {
        let in_header = field(&self.header.as_old().size).and_then(|size| u64::try_from(size).ok());
        let in_header = in_header.ok_or(Refusal::Number("size"))?;
        let in_record = match self.pax.get("size") {
            Some(text) => Some(decimal(text).ok_or(Refusal::Number("size"))?),
            None => None,
        };
        match kind {
            Kind::Regular | Kind::Label => Ok(in_record.unwrap_or(in_header)),
            // Old archives repeat the size of the file here; no contents follow.
            Kind::HardLink if in_record.unwrap_or(0) == 0 => Ok(0),
            _ if in_record.unwrap_or(in_header) == 0 => Ok(0),
            _ => Err(Refusal::UnexpectedData),
        }
    }

    fn mode(&self) -> Result<u32, Refusal> {
        let mode = field(&self.header.as_old().mode).and_then(|mode| u32::try_from(mode).ok());
        Ok(mode.ok_or(Refusal::Number("mode"))? & 0o7777)
    }

    fn id(&self, key: &'static str, in_header: &[u8]) -> Result<u32, Refusal> {
        let id = match self.record(key) {
            Some(text) => decimal(text),
            None => field(in_header).and_then(|id| u64::try_from(id).ok()),
        };
        // (uid_t)-1 means "leave it" to chown(2).
        let id = id.and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX);
        id.ok_or(Refusal::Number(key))
    }

    fn modified(&self) -> Result<TimeSpec, Refusal> {
        let modified = match self.record("mtime") {
            Some(text) => time(text),
            None => field(&self.header.as_old().mtime).map(|seconds| TimeSpec::new(seconds, 0)),
        };
        modified.ok_or(Refusal::Number("time"))
    }

    fn device(&self, kind: Kind) -> Result<(u32, u32), Refusal> {
        if !matches!(kind, Kind::Character | Kind::Block) {
            return Ok((0, 0));
        }
        let fields = match (self.header.as_gnu(), self.header.as_ustar()) {
            (Some(gnu), _) => Some((&gnu.dev_major, &gnu.dev_minor)),
            (_, Some(ustar)) => Some((&ustar.dev_major, &ustar.dev_minor)),
            (None, None) => None,
        };
        let (major, minor) = fields.ok_or(Refusal::Number("device number"))?;
        let number = |bytes: &[u8], most: u32| {
            let number = field(bytes).and_then(|number| u32::try_from(number).ok());
            number.filter(|number| *number <= most).ok_or(Refusal::Number("device number"))
        };
        Ok((number(major, MAJOR_MAX)?, number(minor, MINOR_MAX)?))
    }
}

/// The kind of member; BSD's and v7's directories are regular files whose name ends in a slash.
fn kind(entry_type: EntryType, name: &[u8]) -> Result<Kind, Refusal> {
    match entry_type.as_byte() {
        b'0' | 0 | b'7' if name.ends_with(b"/") => Ok(Kind::Directory),
        b'0' | 0 | b'7' | b'S' => Ok(Kind::Regular),
        b'1' => Ok(Kind::HardLink),
        b'2' => Ok(Kind::Symlink),
        b'3' => Ok(Kind::Character),
        b'4' => Ok(Kind::Block),
        b'5' => Ok(Kind::Directory),
        b'6' => Ok(Kind::Fifo),
        b'V' => Ok(Kind::Label),
        _ => Err(Refusal::UnknownKind),
    }
}

/// A name as the archive gives it, checked for what no name can hold.
fn plain(name: &[u8]) -> Result<&[u8], Refusal> {
    match name {
        [] => Err(Refusal::EmptyName),
        name if name.contains(&0) => Err(Refusal::NulInName),
        name if name.len() > NAME_MAX => Err(Refusal::LongName),
        name => Ok(name),
    }
}

/// A name as a path below the top: leading slashes go, as in GNU tar, and so do `.` and empty
/// components. A `..` is refused with `dot_dot`.
fn clean_name(name: &[u8], dot_dot: Refusal) -> Result<Vec<u8>, Refusal> {
    let name = plain(name)?;
    let mut clean = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(dot_dot),
            component => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(component);
            }
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_relative() {
        let clean = |name: &[u8]| clean_name(name, Refusal::DotDot);
        assert_eq!(clean(b"./a//b/./c/"), Ok(b"a/b/c".to_vec()));
        assert_eq!(clean(b"//etc/passwd"), Ok(b"etc/passwd".to_vec()));
        assert_eq!(clean(b"./"), Ok(Vec::new()));
        assert_eq!(clean(b"..a/b.."), Ok(b"..a/b..".to_vec()));
        assert_eq!(clean(b""), Err(Refusal::EmptyName));
        assert_eq!(clean(b"a\0b"), Err(Refusal::NulInName));
        for bad in [&b".."[..], b"../a", b"a/..", b"/../a", b"a/../b"] {
            assert_eq!(clean(bad), Err(Refusal::DotDot));
        }
    }
}
