//! Removes a private area, whatever a container has made of it.
//!
//! No symbolic link is followed and no mount point crossed. The depth of the tree costs neither
//! stack nor descriptors: only the last directories of the way down are held open, the others are
//! found again through `..`, and are the right ones only if they are the same file as before.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};
use vz_conf::new_file::remove_if_there;
use vz_sys::{beneath, inode_flags};

/// How many directories of the way down are held open.
const HELD: usize = 32;
/// How many names of a directory are read before they are removed.
const NAMES: usize = 4096;
/// How often the walk starts again because others move directories about.
const RESTARTS: u32 = 64;
/// How many components of a path a message shows.
const SHOWN: usize = 32;

/// Why a tree was not removed; what was removed until then is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The name is a path, `.`, `..` or empty.
    #[error("cannot remove '{}': it is not the name of one file", .0.display())]
    Name(OsString),
    /// Something is mounted in the tree.
    #[error("cannot remove '{}': it is a mount point", .0.display())]
    MountPoint(PathBuf),
    /// Others keep moving directories of the tree, or fill them again.
    #[error("cannot remove '{}': it keeps changing", .0.display())]
    Changing(PathBuf),
    /// A file cannot be removed.
    #[error("cannot remove '{}': {source}", path.display())]
    File {
        /// The file, as a path from the parent directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Removes `name` in `parent` and all below it. A symbolic link goes itself; a name that is not
/// there is no error, for a removal that was interrupted is done again.
///
/// Immutable and append-only flags are cleared.
///
/// # Errors
/// [`RemoveError`]: the first file that cannot be removed ends the walk.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), RemoveError> {
    if matches!(name.as_bytes(), b"" | b"." | b"..") || name.as_bytes().contains(&b'/') {
        return Err(RemoveError::Name(name.to_owned()));
    }
    for _ in 0..RESTARTS {
        match remove_entry(parent, name, None, beneath::remove_file) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EISDIR) => {}
            Err(errno) => return Err(failed(PathBuf::from(name), errno)),
        }
        let walk = Walk { parent, way: Vec::new(), held: VecDeque::new() };
        if walk.run(name)? == Walked::Whole {
            return Ok(());
        }
    }
    Err(RemoveError::Changing(name.into()))
}

/// Removes what lies at `path`, a directory with all below it; that nothing lies there is no error.
///
/// # Errors
/// Those of unlink(2); of a directory, [`RemoveError`].
pub fn remove_path(path: &Path) -> io::Result<()> {
    match remove_if_there(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    remove_tree(File::open(parent)?.as_fd(), name).map_err(io::Error::other)
}

/// How a walk ended.
#[derive(PartialEq, Eq)]
enum Walked {
    Whole,
    /// The tree changed under it: what is left needs another walk.
    Changed,
}

/// A directory on the way down.
struct Level {
    name: OsString,
    /// Device and inode number: `..` may lead elsewhere by now.
    identity: (u64, u64),
    /// Directories in it that were seen and not yet entered.
    pending: Vec<OsString>,
}

/// A walk through the tree, children first.
struct Walk<'a> {
    parent: BorrowedFd<'a>,
    way: Vec<Level>,
    /// The last directories of `way`.
    held: VecDeque<Dir>,
}

impl Walk<'_> {
    fn run(mut self, name: &OsStr) -> Result<Walked, RemoveError> {
        self.enter(name)?;
        if self.way.is_empty() {
            return Ok(Walked::Changed);
        }
        while let Some(level) = self.way.last_mut() {
            if let Some(name) = level.pending.pop() {
                self.enter(&name)?;
                continue;
            }
            let directories = self.sweep()?;
            if directories.is_empty() {
                if self.leave()? == Walked::Changed {
                    return Ok(Walked::Changed);
                }
            } else if let Some(level) = self.way.last_mut() {
                level.pending = directories;
            }
        }
        Ok(Walked::Whole)
    }

    /// Goes down into `name`. What is no directory any more is left to the next sweep.
    fn enter(&mut self, name: &OsStr) -> Result<(), RemoveError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let opened = beneath::open_beneath_same_mount(self.current(), name, flags, Mode::empty());
        let opened = match opened {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
            opened => opened.and_then(|opened| Ok((identity(opened.as_fd())?, opened))),
        };
        let entered = opened.and_then(|(identity, opened)| Ok((identity, Dir::from_fd(opened)?)));
        let (identity, directory) = entered.map_err(|errno| self.failed(name, errno))?;
        self.hold_back(directory);
        self.way.push(Level { name: name.to_owned(), identity, pending: Vec::new() });
        Ok(())
    }

    fn hold_back(&mut self, directory: Dir) {
        if self.held.len() >= HELD {
            self.held.pop_front();
        }
        self.held.push_back(directory);
    }

    /// Removes the files of the current directory; its directories are returned.
    fn sweep(&mut self) -> Result<Vec<OsString>, RemoveError> {
        let entries = match self.held.back_mut() {
            Some(directory) => read_names(directory),
            None => Ok(Vec::new()),
        };
        let entries = entries.map_err(|errno| self.failed(OsStr::new("."), errno))?;
        let current = self.current();
        let mut directories = Vec::new();
        for (name, kind) in entries {
            if kind == Some(Type::Directory) {
                directories.push(name);
                continue;
            }
            match remove_entry(current, &name, Some(current), beneath::remove_file) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR) => directories.push(name),
                Err(errno) => return Err(self.failed(&name, errno)),
            }
        }
        Ok(directories)
    }

    /// Goes up from a directory that is empty, and removes it.
    fn leave(&mut self) -> Result<Walked, RemoveError> {
        let (Some(left), Some(directory)) = (self.way.pop(), self.held.pop_back()) else {
            return Ok(Walked::Whole);
        };
        if self.held.is_empty() && !self.way.is_empty() && self.find_again(&directory).is_err() {
            return Ok(Walked::Changed);
        }
        let own = if self.way.is_empty() { None } else { Some(self.current()) };
        match remove_entry(self.current(), &left.name, own, beneath::remove_directory) {
            Ok(()) | Err(Errno::ENOENT) => Ok(Walked::Whole),
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => Ok(Walked::Changed),
            Err(errno) => Err(self.failed(&left.name, errno)),
        }
    }

    /// Opens the last directory of the way through `..` of the one below it, and makes sure that
    /// it is the one that was left.
    fn find_again(&mut self, below: &Dir) -> nix::Result<()> {
        let opened = beneath::open_parent(below.as_fd())?;
        let found = identity(opened.as_fd())?;
        if self.way.last().is_none_or(|level| level.identity != found) {
            return Err(Errno::ESTALE);
        }
        self.held.push_back(Dir::from_fd(opened)?);
        Ok(())
    }

    /// The directory the walk is in; at its start, the one that holds the tree.
    fn current(&self) -> BorrowedFd<'_> {
        self.held.back().map_or(self.parent, AsFd::as_fd)
    }

    fn failed(&self, name: &OsStr, errno: Errno) -> RemoveError {
        let skipped = self.way.len().saturating_sub(SHOWN);
        let mut path = PathBuf::new();
        path.extend(self.way.iter().take(1).map(|level| &level.name));
        if skipped > 1 {
            path.push("...");
        }
        path.extend(self.way.iter().skip(skipped.max(1)).map(|level| &level.name));
        path.push(name);
        failed(path, errno)
    }
}

fn failed(path: PathBuf, errno: Errno) -> RemoveError {
    match errno {
        Errno::EXDEV | Errno::EBUSY => RemoveError::MountPoint(path),
        errno => RemoveError::File { path, source: errno.into() },
    }
}

fn identity(directory: BorrowedFd<'_>) -> nix::Result<(u64, u64)> {
    beneath::status(directory).map(|status| (status.st_dev, status.st_ino))
}

/// Reads names of a directory from its start, at most [`NAMES`].
fn read_names(directory: &mut Dir) -> nix::Result<Vec<(OsString, Option<Type>)>> {
    let mut names = Vec::new();
    // The iterator rewinds the directory when it is dropped.
    for entry in directory.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push((name.to_owned(), entry.file_type()));
        }
        if names.len() == NAMES {
            break;
        }
    }
    Ok(names)
}

/// Removes one entry. Where that is not permitted, flags of the file and of `own`, the directory
/// it is in if that is part of the tree, are cleared first.
fn remove_entry(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    own: Option<BorrowedFd<'_>>,
    remove: impl Fn(BorrowedFd<'_>, &OsStr) -> nix::Result<()>,
) -> nix::Result<()> {
    match remove(parent, name) {
        Err(Errno::EPERM) => {}
        answer => return answer,
    }
    // What cannot be cleared shows in the second attempt.
    let _ = own.map(clear_flags);
    let _ = clear_flags_at(parent, name);
    remove(parent, name)
}

fn clear_flags_at(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let path = beneath::open_beneath_same_mount(parent, name, flags, Mode::empty())?;
    // Only these have flags, and opening a device node does things of its own.
    let kind = beneath::status(path.as_fd())?.st_mode & SFlag::S_IFMT.bits();
    if kind != SFlag::S_IFREG.bits() && kind != SFlag::S_IFDIR.bits() {
        return Ok(());
    }
    let file = beneath::reopen(path.as_fd(), OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    clear_flags(file.as_fd())
}

fn clear_flags(file: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = inode_flags::get(file)?;
    let cleared = flags & !(inode_flags::IMMUTABLE | inode_flags::APPEND);
    if cleared == flags { Ok(()) } else { inode_flags::set(file, cleared) }
}
