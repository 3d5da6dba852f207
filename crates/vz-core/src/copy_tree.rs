//! Copies a container's files, as they lie on the node's disk, for another layout.
//!
//! Both trees stand still: the container is stopped and nobody but root of the node reaches them. No
//! link in them is followed all the same. Owners, modes, times of change, attributes that are a
//! container's to have, links to one file and holes are kept; flags of inodes (chattr(1)) are not.

mod difference;
mod file;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag};
use vz_sys::beneath;

use crate::error::OsText;

pub use difference::copy_difference;
pub(crate) use file::{attributes, attributes_of_path, copy_contents, open as open_file};

/// How deep directories may lie in each other: each costs three descriptors.
const DEEPEST: usize = 250;

/// Why a tree was not copied; what was copied until then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A step failed.
    #[error("cannot {action} '{}': {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file, as a path from the top of the tree.
        path: PathBuf,
        /// Why it failed.
        source: OsText,
    },
    /// The archive that is made of a tree cannot be written.
    #[error("cannot write the archive: {0}")]
    Archive(OsText),
    /// Directories lie too deep in each other.
    #[error("cannot copy '{}': more than {DEEPEST} directories in each other", .0.display())]
    Deep(PathBuf),
    /// It was called off.
    #[error("interrupted")]
    Cancelled,
}

type Result<T> = std::result::Result<T, CopyError>;

/// Says what was tried with which file.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| CopyError::File {
            action,
            path: path.to_owned(),
            source: OsText(error.into()),
        })
    }
}

/// Copies all below `from`, and what `from` itself has, to the empty directory `to`. `progress` is told
/// how many bytes of contents each step has copied.
///
/// # Errors
/// [`CopyError`]: the first file that cannot be copied ends it.
pub fn copy_tree(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let from = open_directory(from, OsStr::new(".")).at("open", Path::new("."))?;
    let to = open_directory(to, OsStr::new(".")).at("open", Path::new("."))?;
    let mut copier = Copier::new(to.as_fd(), false, progress);
    copier.copy_below(from.as_fd(), to.as_fd(), Path::new(""))?;
    let status = beneath::status(from.as_fd()).at("look at", Path::new("."))?;
    file::give_attributes(from.as_fd(), to.as_fd(), &status).at("set up", Path::new("."))
}

/// Puts the files below `top` on disk, which are few.
///
/// # Errors
/// [`CopyError`]: the first file that cannot be synced ends it.
pub fn sync_tree(top: BorrowedFd<'_>) -> Result<()> {
    let top = open_directory(top, OsStr::new(".")).at("open", Path::new("."))?;
    sync_below(top.as_fd(), Path::new(""))
}

fn sync_below(directory: BorrowedFd<'_>, path: &Path) -> Result<()> {
    check(path)?;
    for name in names(directory).at("read", path)? {
        let path = path.join(&name);
        let status = beneath::status_at(directory, &name).at("look at", &path)?;
        match kind(&status) {
            SFlag::S_IFDIR => {
                let below = open_directory(directory, &name).at("open", &path)?;
                sync_below(below.as_fd(), &path)?;
            }
            SFlag::S_IFREG => {
                let file = file::open(directory, &name).at("open", &path)?;
                file.sync_all().at("sync", &path)?;
            }
            _ => {}
        }
    }
    nix::unistd::fsync(directory).at("sync", path)
}

/// Puts files where the copy is made.
struct Copier<'a> {
    top: BorrowedFd<'a>,
    /// Where the copy of a file with more than one name is, by what it is a copy of.
    links: HashMap<(u64, u64), PathBuf>,
    /// A device 0:0 is left out: in the upper directory of an overlay it would be a whiteout.
    without_whiteouts: bool,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Copier<'a> {
    fn new(
        top: BorrowedFd<'a>,
        without_whiteouts: bool,
        progress: &'a mut dyn FnMut(u64),
    ) -> Copier<'a> {
        Copier { top, links: HashMap::new(), without_whiteouts, progress }
    }

    fn copy_below(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &Path) -> Result<()> {
        check(path)?;
        for name in names(from).at("read", path)? {
            let path = path.join(&name);
            let status = beneath::status_at(from, &name).at("look at", &path)?;
            self.copy(from, to, &name, &status, &path)?;
        }
        Ok(())
    }

    /// Copies one file or directory, whose path from the top is `path`.
    fn copy(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &OsStr,
        status: &FileStat,
        path: &Path,
    ) -> Result<()> {
        if self.without_whiteouts && is_whiteout(status) {
            return Ok(());
        }
        if kind(status) == SFlag::S_IFDIR {
            beneath::make_directory(to, name, Mode::S_IRWXU).at("make", path)?;
            let from = open_directory(from, name).at("open", path)?;
            let to = open_directory(to, name).at("open", path)?;
            self.copy_below(from.as_fd(), to.as_fd(), path)?;
            return file::give_attributes(from.as_fd(), to.as_fd(), status).at("set up", path);
        }
        if status.st_nlink > 1 && self.link(to, name, status, path)? {
            return Ok(());
        }
        match kind(status) {
            SFlag::S_IFREG => file::copy_regular(from, to, name, status, self.progress),
            SFlag::S_IFLNK => file::copy_symlink(from, to, name, status),
            _ => file::copy_special(to, name, status),
        }
        .at("copy", path)
    }

    /// Makes another name for what is copied already. Says whether it was.
    fn link(
        &mut self,
        to: BorrowedFd<'_>,
        name: &OsStr,
        status: &FileStat,
        path: &Path,
    ) -> Result<bool> {
        let Some(first) = self.links.get(&(status.st_dev, status.st_ino)) else {
            self.links.insert((status.st_dev, status.st_ino), path.to_owned());
            return Ok(false);
        };
        let parent = first.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        beneath::open_directory(self.top, parent.as_os_str())
            .and_then(|parent| {
                let old = first.file_name().unwrap_or_default();
                beneath::make_hard_link(parent.as_fd(), old, to, name)
            })
            .at("link", path)?;
        Ok(true)
    }
}

/// Between two directories.
fn check(path: &Path) -> Result<()> {
    if vz_sys::cancel::take() {
        return Err(CopyError::Cancelled);
    }
    match path.components().count() > DEEPEST {
        true => Err(CopyError::Deep(path.to_owned())),
        false => Ok(()),
    }
}

pub(crate) fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

fn is_whiteout(status: &FileStat) -> bool {
    kind(status) == SFlag::S_IFCHR && status.st_rdev == 0
}

fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    beneath::open_beneath_same_mount(parent, name, flags, Mode::empty())
}

/// The names in a directory, in an order that is always the same.
fn names(directory: BorrowedFd<'_>) -> nix::Result<Vec<OsString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::openat(directory, ".", flags, Mode::empty())?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The number of a failed call of the standard library.
fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}

#[cfg(test)]
#[path = "copy_tree/tests.rs"]
mod tests;
