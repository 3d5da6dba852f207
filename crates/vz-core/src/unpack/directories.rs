//! The directories that members go into, held open: most members follow another one of the same
//! directory, so that a member costs no walk from the top.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_sys::beneath;

/// How many directories are held open at a time: deeper trees are walked from the last one held.
const HELD: usize = 32;

/// The directories of the tree.
pub(super) struct Directories {
    top: OwnedFd,
    /// The path that `open` leads along.
    path: Vec<u8>,
    /// Directories on `path`: how many bytes of it lead there, and the descriptor.
    open: Vec<(usize, OwnedFd)>,
}

impl Directories {
    /// Starts at the top of the tree.
    pub(super) fn new(destination: BorrowedFd<'_>) -> nix::Result<Self> {
        let top = beneath::open_directory(destination, OsStr::new("."))?;
        Ok(Self { top, path: Vec::new(), open: Vec::new() })
    }

    /// The top directory.
    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// Opens the directory `path`, which is clean and relative to the top.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link on the way, `ENOENT` and `ENOTDIR` for what is missing.
    pub(super) fn open(&mut self, path: &[u8]) -> nix::Result<BorrowedFd<'_>> {
        let shared = shared_directories(&self.path, path);
        self.open.retain(|(length, _)| *length <= shared);
        let held = self.open.last().map_or(0, |(length, _)| *length);
        if held < path.len() {
            let rest = path.get(held..).unwrap_or_default();
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            let from = self.open.last().map_or(self.top.as_fd(), |(_, held)| held.as_fd());
            let opened = beneath::open_directory(from, OsStr::from_bytes(rest))?;
            if self.open.len() >= HELD {
                self.open.remove(0);
            }
            self.open.push((path.len(), opened));
        }
        self.path.clear();
        self.path.extend_from_slice(path);
        Ok(self.current())
    }

    /// The directory that was opened last.
    pub(super) fn current(&self) -> BorrowedFd<'_> {
        match self.open.last() {
            Some((length, held)) if *length == self.path.len() => held.as_fd(),
            _ => self.top.as_fd(),
        }
    }

    /// Opens the directory `path` beside the one that was opened last.
    pub(super) fn open_beside(&self, path: &[u8]) -> nix::Result<OwnedFd> {
        match path {
            [] => self.top.try_clone().map_err(|_| Errno::EMFILE),
            path => beneath::open_directory(self.top(), OsStr::from_bytes(path)),
        }
    }

    /// Forgets all that is held: a directory was replaced.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.path.clear();
    }

    /// Makes the directories of `path` that are missing; `made` is told each one.
    ///
    /// # Errors
    /// As [`Self::open`], and those of mkdir(2).
    pub(super) fn make_missing(
        &mut self,
        path: &[u8],
        mut made: impl FnMut(&[u8]),
    ) -> nix::Result<()> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let directory = path.get(..end).unwrap_or(path);
            match self.open(directory) {
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
                Ok(_) => continue,
            }
            let (parent, name) = split(directory);
            beneath::make_directory(self.open(parent)?, name, Mode::S_IRWXU)?;
            made(directory);
        }
        Ok(())
    }
}

/// The directory of a path and the name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &OsStr) {
    match path.iter().rposition(|byte| *byte == b'/') {
        None => (&[], OsStr::from_bytes(path)),
        Some(slash) => {
            let (parent, name) = path.split_at(slash);
            (parent, OsStr::from_bytes(name.get(1..).unwrap_or_default()))
        }
    }
}

/// Opens a file of a directory for what a descriptor of its own is needed for.
pub(super) fn open_file(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlag,
) -> nix::Result<OwnedFd> {
    beneath::open_beneath(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
}

/// How many bytes of both paths lead along the same directories.
fn shared_directories(old: &[u8], new: &[u8]) -> usize {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let ends = |path: &[u8]| path.get(same).is_none_or(|byte| *byte == b'/');
    match ends(old) && ends(new) {
        true => same,
        false => old
            .get(..same)
            .and_then(|start| start.iter().rposition(|byte| *byte == b'/'))
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_components_are_shared() {
        for (old, new, shared) in [
            ("a/b", "a/b", 3),
            ("a/b", "a/bc", 1),
            ("a/b", "a", 1),
            ("a", "a/b", 1),
            ("ab", "ac", 0),
            ("", "a", 0),
            ("a/b/c", "a/b/d", 3),
        ] {
            assert_eq!(shared_directories(old.as_bytes(), new.as_bytes()), shared, "{old} {new}");
        }
    }

    #[test]
    fn a_deep_tree_holds_few_descriptors() {
        let tree = tempfile::tempdir().unwrap();
        let top = std::fs::File::open(tree.path()).unwrap();
        let mut directories = Directories::new(top.as_fd()).unwrap();
        let path = vec!["d"; 500].join("/");
        let mut made = 0;
        directories.make_missing(path.as_bytes(), |_| made += 1).unwrap();
        assert_eq!(made, 500);
        assert!(directories.open.len() <= HELD);
        let open = beneath::status(directories.open(path.as_bytes()).unwrap()).unwrap();
        let real = std::fs::metadata(tree.path().join(path)).unwrap();
        assert_eq!(open.st_ino, std::os::unix::fs::MetadataExt::ino(&real));
    }
}
