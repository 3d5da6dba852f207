//! One file at a time: its contents, and what it has beside them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode};
use nix::sys::time::TimeSpec;
use nix::unistd::Whence;
use vz_sys::{beneath, xattr};

use super::{errno, kind};

/// Attributes that are taken along. The others are the node's own: labels of its security modules,
/// and `trusted.`, which overlayfs obeys.
const TAKEN: [&[u8]; 3] = [b"user.", b"system.posix_acl_", b"security.capability"];

/// How much is copied before it is told, in bytes.
const STEP: i64 = 64 << 20;

/// Opens a regular file for reading.
pub(crate) fn open(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    beneath::open_beneath_same_mount(parent, name, flags, Mode::empty()).map(File::from)
}

pub(super) fn copy_regular(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &OsStr,
    status: &FileStat,
    progress: &mut dyn FnMut(u64),
) -> nix::Result<()> {
    let source = open(from, name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let copy = File::from(beneath::open_beneath(to, name, flags, mode)?);
    copy_contents_by(&source, &copy, progress).map_err(|error| errno(&error))?;
    give_attributes(source.as_fd(), copy.as_fd(), status)
}

/// As [`copy_contents_by`], told to nobody.
pub(crate) fn copy_contents(source: &File, copy: &File) -> io::Result<()> {
    copy_contents_by(source, copy, &mut |_| {})
}

/// Data by data; the kernel copies it, or shares it where the file system can (copy_file_range(2)).
fn copy_contents_by(
    mut source: &File,
    mut copy: &File,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let size = source.metadata()?.len();
    copy.set_len(size)?;
    let mut offset = 0;
    loop {
        let start = match nix::unistd::lseek(source, offset, Whence::SeekData) {
            // Nothing but a hole from there on.
            Err(Errno::ENXIO) => return Ok(()),
            other => other?,
        };
        let end = nix::unistd::lseek(source, start, Whence::SeekHole)?;
        offset = end.min(start.saturating_add(STEP));
        let (first, length) = (start.cast_unsigned(), (offset - start).cast_unsigned());
        source.seek(SeekFrom::Start(first))?;
        copy.seek(SeekFrom::Start(first))?;
        if io::copy(&mut source.take(length), &mut copy)? != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        progress(length);
    }
}

pub(super) fn copy_symlink(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &OsStr,
    status: &FileStat,
) -> nix::Result<()> {
    beneath::make_symlink(&beneath::read_link(from, name)?, to, name)?;
    beneath::change_owner_at(to, name, status.st_uid, status.st_gid)?;
    beneath::set_modified_at(to, name, modified(status))
}

/// A device, a FIFO or a socket.
pub(super) fn copy_special(to: BorrowedFd<'_>, name: &OsStr, status: &FileStat) -> nix::Result<()> {
    beneath::make_node(to, name, kind(status), Mode::S_IRUSR | Mode::S_IWUSR, status.st_rdev)?;
    beneath::change_owner_at(to, name, status.st_uid, status.st_gid)?;
    let node = beneath::open_beneath(to, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())?;
    beneath::change_mode_of_path(node.as_fd(), mode(status))?;
    beneath::set_modified_at(to, name, modified(status))
}

/// Gives an open file what another has beside its contents; the time last, which all else changes.
pub(super) fn give_attributes(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    status: &FileStat,
) -> nix::Result<()> {
    beneath::change_owner(to, status.st_uid, status.st_gid)?;
    beneath::change_mode(to, mode(status))?;
    for (name, value) in attributes(from)? {
        xattr::set(to, &name, &value)?;
    }
    beneath::set_modified(to, modified(status))
}

/// The attributes that are taken along.
pub(crate) fn attributes(file: BorrowedFd<'_>) -> nix::Result<Vec<(OsString, Vec<u8>)>> {
    with_values(xattr::list(file), |name| xattr::get(file, name))
}

/// The same of what an `O_PATH` descriptor holds.
pub(crate) fn attributes_of_path(path: BorrowedFd<'_>) -> nix::Result<Vec<(OsString, Vec<u8>)>> {
    with_values(xattr::list_of_path(path), |name| xattr::get_of_path(path, name))
}

fn with_values(
    names: nix::Result<Vec<OsString>>,
    get: impl Fn(&OsStr) -> nix::Result<Vec<u8>>,
) -> nix::Result<Vec<(OsString, Vec<u8>)>> {
    let mut names = match names {
        Err(Errno::EOPNOTSUPP) => Vec::new(),
        other => other?,
    };
    names.retain(|name| TAKEN.iter().any(|taken| name.as_bytes().starts_with(taken)));
    names.sort_unstable();
    names.into_iter().map(|name| get(&name).map(|value| (name, value))).collect()
}

fn mode(status: &FileStat) -> Mode {
    Mode::from_bits_truncate(status.st_mode)
}

fn modified(status: &FileStat) -> TimeSpec {
    TimeSpec::new(status.st_mtime, status.st_mtime_nsec)
}
