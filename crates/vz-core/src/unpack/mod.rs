//! Unpacks an OS template, a tar archive, into a private area.
//!
//! The archive is not trusted: whatever it holds, nothing outside the destination is touched.
//! Every name is resolved from a descriptor of the destination, and no symbolic link is followed,
//! not even one that the archive itself has made: a member below one is refused. A reader of tar
//! archives can be made to see other members than its neighbour sees; where that is possible,
//! GNU tar's view counts, or the archive is refused.
//!
//! Owners are numbers, as the archive has them. What is unpacked when an error comes stays: the
//! caller removes the destination ([`crate::remove_tree`]).

pub(crate) mod acl;
mod archive;
mod attribute;
mod directories;
mod error;
mod extract;
mod member;
mod members;
mod names;
mod number;
mod pax;
mod sparse;
pub mod survey;

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

pub use archive::Compression;
pub use error::{Refusal, UnpackError};

/// How far the unpacking is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the archive file that were read.
    pub read: u64,
    /// Size of the archive file, in bytes; 0 where it is not known (a pipe).
    pub total: u64,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Members of the archive.
    pub entries: u64,
    /// Sizes of the regular files together, holes included, in bytes.
    pub bytes: u64,
    /// Extended attributes and ACLs that were not set: of a kind that is the node's own
    /// (`trusted.`, security labels), not kept by the file system, or naming an unknown user.
    pub ignored_attributes: u64,
}

/// Unpacks `archive`, from its current position, into the directory `destination`.
///
/// The compression (none, gzip, xz, zstd, bzip2) is found by the first bytes. `progress` is called
/// now and then, on the calling thread. Directories that are there already are used, other files
/// of a member's name are replaced.
///
/// # Errors
/// [`UnpackError`], with the name of the member it is about.
pub fn unpack(
    archive: File,
    destination: BorrowedFd<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, UnpackError> {
    put_members(archive, &mut |_| Ok(true), destination, progress)
}

/// As [`unpack`], of a backup in which all lies below the directory `top`: that becomes the
/// destination. What [`survey::DUMP`] has at the beginning is vzdump's, not the container's: it is not
/// unpacked, and so not in the way of what the container has there, a link for `etc` say.
///
/// # Errors
/// As [`unpack`]; [`Refusal::Outside`] for what lies elsewhere.
pub fn unpack_backup(
    archive: File,
    top: &[u8],
    destination: BorrowedFd<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, UnpackError> {
    let mut at_start = true;
    let mut choose = |member: &mut member::Member| {
        at_start &= survey::is_of_dump(&member.name);
        Ok(!at_start && member.move_below(top)?)
    };
    put_members(archive, &mut choose, destination, progress)
}

/// Unpacks the members that are chosen.
fn put_members(
    archive: File,
    choose: &mut dyn FnMut(&mut member::Member) -> Result<bool, UnpackError>,
    destination: BorrowedFd<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, UnpackError> {
    let metadata = archive.metadata().map_err(UnpackError::Read)?;
    let total = if metadata.is_file() { metadata.len() } else { 0 };
    let read = AtomicU64::new(0);
    let mut told = 0;
    let mut tell = || {
        let read = read.load(Ordering::Relaxed);
        if read != told {
            told = read;
            progress(Progress { read, total });
        }
    };
    std::thread::scope(|scope| {
        let stream = archive::Stream::open(archive, &read, scope)?;
        let mut members = members::Members::new(stream);
        let mut extractor = extract::Extractor::new(destination)?;
        while let Some(mut member) = members.next()? {
            if !choose(&mut member)? {
                continue;
            }
            extractor.put(member, &mut members, &mut tell)?;
            tell();
            check_cancelled()?;
        }
        extractor.finish()
    })
}

/// Reads `archive`, from its current position, to its end, and unpacks nothing.
///
/// # Errors
/// [`UnpackError`] for what is cut, damaged or no tar archive.
pub fn check(archive: File) -> Result<(), UnpackError> {
    let read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut members = members::Members::new(archive::Stream::open(archive, &read, scope)?);
        while members.next()?.is_some() {
            check_cancelled()?;
        }
        Ok(())
    })
}

/// Between two pieces of work, none of which takes long.
fn check_cancelled() -> Result<(), UnpackError> {
    if vz_sys::cancel::take() { Err(UnpackError::Cancelled) } else { Ok(()) }
}
