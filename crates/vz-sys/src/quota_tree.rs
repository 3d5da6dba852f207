//! Giving a project to a tree that exists already.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::{Project, set_project};

/// Numbers of file_getattr(2) and file_setattr(2), Linux 6.17, the same on every architecture.
const SYS_FILE_GETATTR: libc::c_long = 468;
const SYS_FILE_SETATTR: libc::c_long = 469;

/// `struct file_attr` (linux/fs.h).
#[repr(C)]
#[derive(Default)]
struct FileAttr {
    flags: u64,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
}

/// What was done to a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSummary {
    /// Files of every kind that have the project now.
    pub changed: u64,
    /// Symbolic links, devices, fifos and sockets that keep their project, because the kernel
    /// has no file_setattr(2) or the file system does not take it for them. They hold inodes,
    /// and hardly any space.
    pub unreachable: u64,
}

/// A tree that could not be given a project to its end.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {}: {source}", path.display())]
pub struct TreeError {
    /// What was tried.
    pub verb: &'static str,
    /// Of what, relative to the top of the tree.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// A directory on the way down.
struct Level {
    /// Device and inode: what `..` of a directory below must be.
    identity: (u64, u64),
    name: CString,
    pending: Vec<CString>,
}

/// Gives the project, inherited from now on, to a directory and all below it.
///
/// Follows no link, enters no mount point and holds two descriptors, however deep the tree.
/// Each directory is done before it is listed, so what is made in it meanwhile inherits. A
/// directory that is moved away meanwhile ends it with an error: it can be run again. Devices
/// are never opened.
pub fn set_project_recursive(directory: BorrowedFd<'_>, id: u32) -> Result<TreeSummary, TreeError> {
    let mut walk = Walk { id, summary: TreeSummary::default(), levels: Vec::new() };
    let at_top = |source| TreeError { verb: "open", path: PathBuf::from("."), source };
    let mut current = open_below(directory, c".", OFlag::O_DIRECTORY).map_err(at_top)?;
    walk.enter(current.as_fd(), c".")?;
    loop {
        match walk.next_name() {
            Some(name) => {
                if let Some(below) = walk.visit(current.as_fd(), &name)? {
                    walk.enter(below.as_fd(), &name)?;
                    current = below;
                }
            }
            None => match walk.leave(current.as_fd())? {
                Some(above) => current = above,
                None => return Ok(walk.summary),
            },
        }
    }
}

struct Walk {
    id: u32,
    summary: TreeSummary,
    levels: Vec<Level>,
}

impl Walk {
    fn next_name(&mut self) -> Option<CString> {
        self.levels.last_mut().and_then(|level| level.pending.pop())
    }

    /// Does the directory itself and lists what is in it.
    fn enter(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(), TreeError> {
        let project = Project { id: self.id, inherit: true };
        set_project(directory, project).map_err(|e| self.error("set project of", name, e))?;
        self.summary.changed += 1;
        let status = fstat(directory).map_err(|e| self.error("read status of", name, e.into()))?;
        let pending = list(directory).map_err(|e| self.error("list", name, e))?;
        let identity = (status.st_dev, status.st_ino);
        self.levels.push(Level { identity, name: name.to_owned(), pending });
        Ok(())
    }

    /// Does one entry; returns it opened when it is a directory to enter.
    fn visit(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<Option<OwnedFd>, TreeError> {
        let Some(status) =
            status_of(directory, name).map_err(|e| self.error("read status of", name, e))?
        else {
            return Ok(None);
        };
        if self.levels.last().is_some_and(|level| level.identity.0 != status.st_dev) {
            return Ok(None); // a mount point
        }
        let done = match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => match open_below(directory, name, OFlag::O_DIRECTORY) {
                Ok(below) => return Ok(Some(below)),
                // A bind mount of the same file system.
                Err(error) if error.raw_os_error() == Some(libc::EXDEV) => return Ok(None),
                Err(error) => Err(error),
            },
            SFlag::S_IFREG => set_regular(directory, name, self.id),
            _ => set_special(directory, name, self.id),
        };
        match done {
            Ok(true) => self.summary.changed += 1,
            Ok(false) => self.summary.unreachable += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // removed meanwhile
            Err(error) => return Err(self.error("set project of", name, error)),
        }
        Ok(None)
    }

    /// Goes up; `None` when this was the top.
    fn leave(&mut self, directory: BorrowedFd<'_>) -> Result<Option<OwnedFd>, TreeError> {
        let left = self.levels.pop();
        let Some(level) = self.levels.last() else { return Ok(None) };
        let name = left.map(|level| level.name).unwrap_or_default();
        // Not RESOLVE_BENEATH: `..` is what is asked for, and it is checked.
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let above = nix::fcntl::openat(directory, c"..", flags, Mode::empty())
            .map_err(|e| self.error("leave", &name, e.into()))?;
        let status = fstat(&above).map_err(|e| self.error("leave", &name, e.into()))?;
        if (status.st_dev, status.st_ino) != level.identity {
            return Err(self.error("leave", &name, io::Error::other("it was moved meanwhile")));
        }
        Ok(Some(above))
    }

    fn error(&self, verb: &'static str, name: &CStr, source: io::Error) -> TreeError {
        let names = self.levels.iter().skip(1).map(|level| level.name.as_c_str());
        let path = names.chain([name]).map(|name| OsStr::from_bytes(name.to_bytes())).collect();
        TreeError { verb, path, source }
    }
}

/// The status of an entry itself; `None` when it was removed meanwhile.
fn status_of(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<FileStat>> {
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(status)),
        Err(nix::errno::Errno::ENOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn list(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(open_below(directory, c".", OFlag::O_DIRECTORY)?)?.iter() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Opens an entry without following a link or entering a mount point.
fn open_below(directory: BorrowedFd<'_>, name: &CStr, flags: OFlag) -> io::Result<OwnedFd> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV | libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: all zero is a valid `open_how`.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = flags.bits() as u64;
    how.resolve = resolve;
    // SAFETY: name and `how` live over the call; the size is that of `how`.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory.as_raw_fd(),
            name.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a success returns a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// A regular file needs a descriptor that is open in earnest. It is first opened as a mere
/// place, looked at, and then opened through /proc: an entry that became a device between the
/// two is not opened. O_NONBLOCK: a lease of another process does not hold us up.
fn set_regular(directory: BorrowedFd<'_>, name: &CStr, id: u32) -> io::Result<bool> {
    let place = match open_below(directory, name, OFlag::O_PATH) {
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => return Ok(false),
        opened => opened?,
    };
    if SFlag::from_bits_truncate(fstat(&place)?.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
        return Err(io::Error::other("it was replaced meanwhile"));
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOATIME;
    let file = nix::fcntl::open(path.as_str(), flags, Mode::empty())?;
    set_project(file.as_fd(), Project { id, inherit: false })?;
    Ok(true)
}

/// The rest cannot be opened without effects, or at all: by name, where the kernel can.
fn set_special(directory: BorrowedFd<'_>, name: &CStr, id: u32) -> io::Result<bool> {
    let mut attributes = FileAttr::default();
    let call = |number, attributes: *mut FileAttr| {
        // SAFETY: name and attributes live over the call; the size is that of the structure,
        // which the kernel takes in any length of 24 bytes or more.
        let result = unsafe {
            libc::syscall(
                number,
                directory.as_raw_fd(),
                name.as_ptr(),
                attributes,
                size_of::<FileAttr>(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    let result = call(SYS_FILE_GETATTR, &raw mut attributes).and_then(|()| {
        attributes.project = id;
        call(SYS_FILE_SETATTR, &raw mut attributes)
    });
    match result {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOTTY) => Ok(false),
            _ => Err(error),
        },
    }
}
