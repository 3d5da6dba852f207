//! Writes a container's files as a tar archive: what [`crate::unpack`] and GNU tar read back.
//!
//! The tree stands still (the container is stopped, or frozen), but what lies in it is hostile: no
//! link in it is followed, no mount entered, and nothing but directories and regular files is opened.
//! Members are `./` and below, in an order that is always the same. Owners are as the container sees
//! them, modes, times of change, links to one file, holes and attributes are kept; sockets, which
//! nobody could connect to, are left out.

mod header;
mod own;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::unistd::Whence;
use vz_sys::beneath;

use crate::copy_tree::{
    At, CopyError, attributes, attributes_of_path, check, kind, names, open_directory, open_file,
};
use header::{Entry, Kind};
use own::Attributes;
pub use own::Shift;

/// The longest path of a member, in bytes: what the unpacker, and the kernel, take.
const LONGEST: usize = 4000;
/// Pieces of a sparse file, at most: their map must be one that the unpacker reads.
const PIECES: usize = 1 << 17;
/// How much is read at a time, in bytes.
const BUFFER: usize = 256 * 1024;

type Result<T> = std::result::Result<T, CopyError>;

/// What is packed, and how.
pub struct Tree<'a> {
    /// Its top directory.
    pub top: BorrowedFd<'a>,
    /// By how much the ids that its files show are shifted.
    pub shift: Shift,
    /// Says whether a path from the top is left out, with all below.
    pub excluded: &'a dyn Fn(&Path, &FileStat) -> bool,
}

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Members.
    pub entries: u64,
    /// Size of the archive before it is compressed, in bytes.
    pub bytes: u64,
}

/// An archive that is being written.
pub struct Packer<'a> {
    output: &'a mut dyn Write,
    summary: Summary,
    links: HashMap<(u64, u64), PathBuf>,
    buffer: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Begins an archive.
    pub fn new(output: &'a mut dyn Write) -> Packer<'a> {
        Packer {
            output,
            summary: Summary::default(),
            links: HashMap::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Adds a file of root's with this content.
    ///
    /// # Errors
    /// Those of writing.
    pub fn add_file(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        let entry = Entry { mode, size: content.len() as u64, ..Entry::new(path, Kind::Regular) };
        self.put(&entry)?;
        self.write(content)?;
        self.pad(entry.size)
    }

    /// Adds a directory of root's.
    ///
    /// # Errors
    /// Those of writing.
    pub fn add_directory(&mut self, path: &Path) -> Result<()> {
        self.put(&Entry { mode: 0o755, ..Entry::new(path, Kind::Directory) })
    }

    /// Adds a tree.
    ///
    /// # Errors
    /// [`CopyError`]: the first file that cannot be read ends it.
    pub fn add_tree(&mut self, tree: &Tree<'_>) -> Result<()> {
        let top = open_directory(tree.top, OsStr::new(".")).at("open", Path::new("."))?;
        let status = beneath::status(top.as_fd()).at("look at", Path::new("."))?;
        self.add_below(tree, top.as_fd(), &status, Path::new(""))
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<Summary> {
        self.write(&[0; 2 * header::BLOCK])?;
        Ok(self.summary)
    }

    fn add_below(
        &mut self,
        tree: &Tree<'_>,
        directory: BorrowedFd<'_>,
        status: &FileStat,
        path: &Path,
    ) -> Result<()> {
        check(path)?;
        let mut entry = tree.entry(path, status, Kind::Directory);
        let seen = attributes(directory).at("read attributes of", path)?;
        entry.attributes = tree.shift.attributes(seen);
        self.put(&entry)?;
        for name in names(directory).at("read", path)? {
            let path = path.join(&name);
            let status = beneath::status_at(directory, &name).at("look at", &path)?;
            if !(tree.excluded)(&path, &status) {
                self.add(tree, directory, &name, &status, &path)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        tree: &Tree<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        status: &FileStat,
        path: &Path,
    ) -> Result<()> {
        if path.as_os_str().len() > LONGEST {
            return Err(Errno::ENAMETOOLONG).at("pack", path);
        }
        if kind(status) == SFlag::S_IFDIR {
            // A mount point has another file system's directory on it.
            return match open_directory(parent, name) {
                Err(Errno::EXDEV) => Ok(()),
                opened => {
                    let below = opened.at("open", path)?;
                    self.add_below(tree, below.as_fd(), status, path)
                }
            };
        }
        if kind(status) == SFlag::S_IFSOCK {
            return Ok(());
        }
        if status.st_nlink > 1 && self.link(tree, status, path)? {
            return Ok(());
        }
        let special = match kind(status) {
            SFlag::S_IFREG => return self.add_regular(tree, parent, name, status, path),
            SFlag::S_IFLNK => Kind::Symlink(beneath::read_link(parent, name).at("read", path)?),
            SFlag::S_IFCHR => Kind::Character,
            SFlag::S_IFBLK => Kind::Block,
            _ => Kind::Fifo,
        };
        let mut entry = tree.entry(path, status, special);
        if !matches!(entry.kind, Kind::Symlink(_)) {
            entry.attributes = tree.attributes_of_special(parent, name, path)?;
        }
        self.put(&entry)
    }

    /// Adds another name of a file that is there already. Says whether it was.
    fn link(&mut self, tree: &Tree<'_>, status: &FileStat, path: &Path) -> Result<bool> {
        let file = (status.st_dev, status.st_ino);
        let Some(first) = self.links.get(&file) else {
            self.links.insert(file, path.to_owned());
            return Ok(false);
        };
        let entry = tree.entry(path, status, Kind::HardLink(first.clone()));
        self.put(&entry)?;
        Ok(true)
    }

    fn add_regular(
        &mut self,
        tree: &Tree<'_>,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        status: &FileStat,
        path: &Path,
    ) -> Result<()> {
        let mut file = open_file(parent, name).at("open", path)?;
        let mut entry = tree.entry(path, status, Kind::Regular);
        let seen = attributes(file.as_fd()).at("read attributes of", path)?;
        entry.attributes = tree.shift.attributes(seen);
        entry.size = status.st_size.cast_unsigned();
        // 512 is what st_blocks counts, whatever the file system's blocks are.
        let has_holes = status.st_blocks.cast_unsigned().saturating_mul(512) < entry.size;
        if has_holes {
            let mut pieces = pieces(&file, entry.size).at("look for holes in", path)?;
            // By this GNU tar knows where a last hole ends.
            pieces.push((entry.size, 0));
            entry.pieces = Some(pieces);
        }
        self.put(&entry)?;
        let whole = [(0, entry.size)];
        let mut stored = 0;
        for (start, length) in entry.pieces.as_deref().unwrap_or(&whole) {
            file.seek(SeekFrom::Start(*start)).at("read", path)?;
            self.copy(&mut file, *length, path)?;
            stored += length;
        }
        self.pad(stored)
    }

    fn copy(&mut self, file: &mut std::fs::File, mut length: u64, path: &Path) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        while length > 0 {
            let most = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let read = match file.read(buffer.get_mut(..most).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => Err(io::Error::other("it became shorter meanwhile")),
                other => other,
            };
            let read = read.at("read", path)?;
            self.write(buffer.get(..read).unwrap_or_default())?;
            length -= read as u64;
            check(Path::new(""))?;
        }
        self.buffer = buffer;
        Ok(())
    }

    fn put(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.summary.entries += 1;
        let bytes = entry.to_bytes();
        self.write(&bytes)
    }

    /// Fills the last block of what a member stores.
    fn pad(&mut self, stored: u64) -> Result<()> {
        let rest = (stored % header::BLOCK as u64) as usize;
        match rest {
            0 => Ok(()),
            rest => self.write([0; header::BLOCK].get(rest..).unwrap_or_default()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.summary.bytes += bytes.len() as u64;
        self.output.write_all(bytes).at("write", Path::new("the archive"))
    }
}

impl Tree<'_> {
    fn entry<'p>(&self, path: &'p Path, status: &FileStat, kind: Kind) -> Entry<'p> {
        Entry {
            mode: status.st_mode & 0o7777,
            uid: self.shift.user(status.st_uid),
            gid: self.shift.group(status.st_gid),
            modified: (status.st_mtime, status.st_mtime_nsec),
            device: (nix::sys::stat::major(status.st_rdev), nix::sys::stat::minor(status.st_rdev)),
            ..Entry::new(path, kind)
        }
    }

    /// Of a device or a FIFO, which is not opened for that.
    fn attributes_of_special(
        &self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
    ) -> Result<Attributes> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let file = beneath::open_beneath_same_mount(parent, name, flags, Mode::empty());
        let seen = file.and_then(|file| attributes_of_path(file.as_fd()));
        Ok(self.shift.attributes(seen.at("read attributes of", path)?))
    }
}

/// Where a file has data: offsets and lengths, each but the last of whole blocks of the archive.
fn pieces(file: &std::fs::File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    let mut offset = 0;
    loop {
        let start = match nix::unistd::lseek(file, offset, Whence::SeekData) {
            Err(Errno::ENXIO) => return Ok(pieces),
            other => other?,
        };
        offset = nix::unistd::lseek(file, start, Whence::SeekHole)?;
        let block = header::BLOCK as u64;
        let start = start.cast_unsigned() / block * block;
        let end = offset.cast_unsigned().next_multiple_of(block).min(size);
        if start >= end {
            return Ok(pieces);
        }
        pieces.push((start, end - start));
        if pieces.len() > PIECES {
            return Err(io::Error::other(format!("there are more than {PIECES}")));
        }
    }
}

#[cfg(test)]
mod tests;
