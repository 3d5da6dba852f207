//! A look at an archive before it is unpacked: is it a container's, and which of its files say how it
//! is to be made?

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::AtomicU64;

use super::error::UnpackError;
use super::member::Kind;
use super::{archive, check_cancelled, members};

/// Where vzdump keeps the container's configuration and scripts, below its top.
pub const DUMP: &str = "etc/vzdump";
/// The configuration among them.
pub const CONFIG: &str = "vps.conf";
/// The largest of these files that is read, in bytes; of an honest one a thousandth.
const LARGEST: u64 = 1 << 20;
/// How many of them are read.
const MOST: usize = 16;
/// Paths by which the top of a distribution's tree is known.
const KNOWN: [&[u8]; 4] = [b"etc/passwd", b"sbin/init", b"bin/sh", b"usr/bin"];

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The path of the container's top directory in the archive; empty as a rule.
    pub top: Vec<u8>,
    /// The files of [`DUMP`], by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Goes through `archive`, from its current position. One that begins with its configuration, as ours
/// do, is read no further than that; any other to its end.
///
/// # Errors
/// [`UnpackError`], as [`super::unpack`] would find it; [`UnpackError::NoContainer`].
pub fn survey(archive: File) -> Result<Survey, UnpackError> {
    let read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let stream = archive::Stream::open(archive, &read, scope)?;
        let mut members = members::Members::new(stream);
        let mut found = Survey::default();
        let mut top: Option<Vec<u8>> = None;
        while let Some(member) = members.next()? {
            check_cancelled()?;
            if let Some(name) = of_dump(&member.name) {
                if member.kind == Kind::Regular
                    && member.stored <= LARGEST
                    && found.files.len() < MOST
                {
                    let mut text = Vec::new();
                    members.contents(member.stored, |piece| {
                        text.extend_from_slice(piece);
                        Ok(())
                    })?;
                    // As when it is unpacked: the last one counts.
                    found.files.insert(name, text);
                }
                continue;
            }
            if found.files.contains_key(CONFIG) && !is_above_dump(&member.name) {
                return Ok(found);
            }
            let above = top_by(&member.name);
            if above.is_some_and(|above| top.as_ref().is_none_or(|top| above.len() < top.len())) {
                top = above.map(<[u8]>::to_vec);
            }
        }
        if found.files.contains_key(CONFIG) {
            return Ok(found);
        }
        found.top = top.ok_or(UnpackError::NoContainer)?;
        Ok(found)
    })
}

/// The name of a file of [`DUMP`].
fn of_dump(name: &[u8]) -> Option<String> {
    let name = name.strip_prefix(DUMP.as_bytes())?.strip_prefix(b"/")?;
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
    if plain { String::from_utf8(name.to_vec()).ok() } else { None }
}

/// Whether a member is a file of [`DUMP`].
pub(super) fn is_of_dump(name: &[u8]) -> bool {
    of_dump(name).is_some()
}

/// Its files lie in one directory, and so beside each other.
fn is_above_dump(name: &[u8]) -> bool {
    name.is_empty() || name == b"etc" || name == DUMP.as_bytes()
}

/// What stands before a path that is known.
fn top_by(name: &[u8]) -> Option<&[u8]> {
    KNOWN.iter().find_map(|known| {
        let above = name.strip_suffix(*known)?;
        if above.is_empty() { Some(above) } else { above.strip_suffix(b"/") }
    })
}
