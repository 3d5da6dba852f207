//! Going through all of a directory tree that somebody else may change meanwhile.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

/// A tree that could not be gone through to its end.
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

/// What is done with a tree. A file that is gone meanwhile (ENOENT) is passed over.
pub trait Visitor {
    /// What it does, for messages: "count".
    const VERB: &'static str;

    /// Takes a directory, before what is in it. Returns whether that is to be gone through.
    ///
    /// # Errors
    /// What ends the walk.
    fn directory(&mut self, directory: BorrowedFd<'_>, status: &FileStat) -> io::Result<bool>;

    /// Takes what is no directory: `name` in `parent`. A name that was replaced since `status` was
    /// read leads to another file.
    ///
    /// # Errors
    /// What ends the walk.
    fn other(&mut self, parent: BorrowedFd<'_>, name: &CStr, status: &FileStat) -> io::Result<()>;

    /// Takes note of a mount point, which is not entered.
    ///
    /// # Errors
    /// What ends the walk.
    fn mount_point(&mut self) -> io::Result<()>;
}

/// A directory on the way down.
struct Level {
    /// Device and inode: what `..` of a directory below must be.
    identity: (u64, u64),
    name: CString,
    pending: Vec<CString>,
}

/// Shows a directory and all below it to `visitor`.
///
/// Follows no link, enters no mount point and holds two descriptors, however deep the tree. Each
/// directory is shown before it is listed. A directory that is moved away meanwhile ends it with an
/// error: it can be run again. Devices are never opened.
///
/// # Errors
/// What could not be read, and what the visitor refuses.
pub fn walk<V: Visitor>(directory: BorrowedFd<'_>, visitor: &mut V) -> Result<(), TreeError> {
    let mut walk = Walk { visitor, levels: Vec::new() };
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
                None => return Ok(()),
            },
        }
    }
}

struct Walk<'v, V> {
    visitor: &'v mut V,
    levels: Vec<Level>,
}

impl<V: Visitor> Walk<'_, V> {
    fn next_name(&mut self) -> Option<CString> {
        self.levels.last_mut().and_then(|level| level.pending.pop())
    }

    /// Shows the directory itself and lists what is in it.
    fn enter(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Result<(), TreeError> {
        let status = fstat(directory).map_err(|e| self.error("read status of", name, e.into()))?;
        let shown = self.visitor.directory(directory, &status);
        let pending = match shown.map_err(|e| self.error(V::VERB, name, e))? {
            true => list(directory).map_err(|e| self.error("list", name, e))?,
            false => Vec::new(),
        };
        let identity = (status.st_dev, status.st_ino);
        self.levels.push(Level { identity, name: name.to_owned(), pending });
        Ok(())
    }

    /// Looks at one entry; returns it opened when it is a directory to enter.
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
        let is_mount = self.levels.last().is_some_and(|level| level.identity.0 != status.st_dev);
        let is_directory = status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
        let done = match (is_mount, is_directory) {
            (true, _) => self.visitor.mount_point(),
            (false, true) => match open_below(directory, name, OFlag::O_DIRECTORY) {
                Ok(below) => return Ok(Some(below)),
                // A bind mount of the same file system.
                Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
                    self.visitor.mount_point()
                }
                Err(error) => Err(error),
            },
            (false, false) => self.visitor.other(directory, name, &status),
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None), // removed meanwhile
            Err(error) => Err(self.error(V::VERB, name, error)),
            Ok(()) => Ok(None),
        }
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
pub(crate) fn open_below(
    directory: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlag,
) -> io::Result<OwnedFd> {
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
