//! Writes a container's files as a tar archive: what [`crate::unpack`] and GNU tar read back.
//!
//! The tree stands still (the container is stopped, or frozen), but what lies in it is hostile: no
//! link in it is followed, no mount entered, and nothing but directories and regular files is opened.
//! A file that cannot be read is told, and passed over: it does not cost all others their backup.
//! Neither the depth of the tree nor the number of its files costs descriptors or memory, but for the
//! names of one large directory's directories, and of files with more than one name.
//!
//! Members are `./` and below, in an order that is always the same. Owners are as the container sees
//! them, modes, times of change, links to one file, holes and attributes are kept; sockets, which
//! nobody could connect to, are left out.

mod header;
mod own;
mod pieces;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag};
use vz_sys::beneath;

use crate::copy_tree::{At, CopyError, attributes, attributes_of_path, kind, open_file};
use crate::error::OsText;
use header::{Entry, Kind};
pub use own::Shift;

/// The longest path of a member, in bytes: what the unpacker, and the kernel, take.
const LONGEST: usize = 4000;
/// How much is read at a time, in bytes.
const BUFFER: usize = 256 * 1024;
/// How many names of a directory are read, and sorted, at a time.
const NAMES: usize = 1 << 12;
/// How long all files with a lease (fcntl(2), `F_SETLEASE`) are waited for together: who has one
/// stands still and cannot give it up, but the kernel ends it after `/proc/sys/fs/lease-break-time`,
/// 45 seconds.
const PATIENCE: Duration = Duration::from_secs(100);
/// Between two looks at such a file.
const PAUSE: Duration = Duration::from_millis(100);

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
    /// Files that could not be read: not there, or with zeros for what is missing.
    pub unread: u64,
}

/// An archive that is being written.
pub struct Packer<'a> {
    output: &'a mut dyn Write,
    /// Is told of each file that could not be read.
    unread: &'a mut dyn FnMut(&CopyError),
    summary: Summary,
    /// Where a file with more names was packed, and how many of them are to come.
    links: HashMap<(u64, u64), (PathBuf, u64)>,
    buffer: Vec<u8>,
    patience: Duration,
}

impl<'a> Packer<'a> {
    /// Begins an archive. `unread` is told of each file that could not be read.
    pub fn new(output: &'a mut dyn Write, unread: &'a mut dyn FnMut(&CopyError)) -> Packer<'a> {
        Packer {
            output,
            unread,
            summary: Summary::default(),
            links: HashMap::new(),
            buffer: vec![0; BUFFER],
            patience: PATIENCE,
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

    /// Adds a tree.
    ///
    /// # Errors
    /// Those of writing, and of the top directory; that it was called off; that this process has no
    /// descriptors or memory left.
    pub fn add_tree(&mut self, tree: &Tree<'_>) -> Result<()> {
        let mut waiting = Vec::new();
        self.add_directory(tree, Path::new(""), &mut waiting)?;
        while let Some(path) = waiting.pop() {
            if let Err(error) = self.add_directory(tree, &path, &mut waiting) {
                self.pass_over(error)?;
            }
        }
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> Result<Summary> {
        self.write(&[0; 2 * header::BLOCK])?;
        Ok(self.summary)
    }

    /// Adds a directory and what lies in it; directories among that are put to those that wait.
    fn add_directory(
        &mut self,
        tree: &Tree<'_>,
        path: &Path,
        waiting: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let Some(directory) = tree.open_directory(path)? else { return Ok(()) };
        let entry = tree.directory(directory.as_fd(), path)?;
        self.put(&entry)?;
        let mut list = list(directory.as_fd()).at("read", path)?;
        let mut entries = list.iter();
        let known = waiting.len();
        loop {
            check_cancelled()?;
            let names = next_names(&mut entries).at("read", path)?;
            if names.is_empty() {
                break;
            }
            for name in names {
                let below = path.join(&name);
                let looked = beneath::status_at(directory.as_fd(), &name).at("look at", &below);
                let added = looked.and_then(|status| {
                    let file = Named { name: &name, path: below, status };
                    self.add(tree, directory.as_fd(), file, waiting)
                });
                if let Err(error) = added {
                    self.pass_over(error)?;
                }
            }
        }
        // The last one is the next.
        waiting.get_mut(known..).unwrap_or_default().reverse();
        Ok(())
    }

    /// Adds what is no directory; those are put to those that wait.
    fn add(
        &mut self,
        tree: &Tree<'_>,
        parent: BorrowedFd<'_>,
        file: Named<'_>,
        waiting: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let (status, kind) = (file.status, kind(&file.status));
        if (tree.excluded)(&file.path, &status) || kind == SFlag::S_IFSOCK {
            return Ok(());
        }
        if file.path.as_os_str().len() > LONGEST {
            return Err(Errno::ENAMETOOLONG).at("pack", &file.path);
        }
        if kind == SFlag::S_IFDIR {
            waiting.push(file.path);
            return Ok(());
        }
        if status.st_nlink > 1 && self.link(tree, &file)? {
            return Ok(());
        }
        match kind {
            SFlag::S_IFREG => self.add_regular(tree, parent, &file)?,
            _ => self.put(&tree.special(parent, &file)?)?,
        }
        if status.st_nlink > 1 {
            self.links.insert((status.st_dev, status.st_ino), (file.path, status.st_nlink - 1));
        }
        Ok(())
    }

    /// Adds another name of a file that is there already. Says whether it was.
    fn link(&mut self, tree: &Tree<'_>, file: &Named<'_>) -> Result<bool> {
        let number = (file.status.st_dev, file.status.st_ino);
        let Some((first, left)) = self.links.get_mut(&number) else { return Ok(false) };
        let entry = tree.entry(&file.path, &file.status, Kind::HardLink(first.clone()));
        *left -= 1;
        if *left == 0 {
            self.links.remove(&number);
        }
        self.put(&entry)?;
        Ok(true)
    }

    fn add_regular(
        &mut self,
        tree: &Tree<'_>,
        parent: BorrowedFd<'_>,
        file: &Named<'_>,
    ) -> Result<()> {
        let opened = self.open(parent, file.name).at("open", &file.path)?;
        let entry = tree.regular(&opened, file)?;
        self.put(&entry)?;
        let whole = [(0, entry.size)];
        let (mut stored, mut readable) = (0, true);
        for (start, length) in entry.pieces.as_deref().unwrap_or(&whole) {
            let missing = match readable {
                true => self.copy(&opened, *start, *length, &file.path)?,
                false => *length,
            };
            readable = missing == 0;
            // The archive says already how long the file is.
            self.write_zeros(missing)?;
            stored += length;
        }
        self.pad(stored)
    }

    /// Opens a file, when nobody's lease keeps it from that.
    fn open(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<File> {
        loop {
            let opened = open_file(parent, name);
            let waits = !self.patience.is_zero() && !vz_sys::cancel::was_requested();
            if !(waits && matches!(opened, Err(Errno::EAGAIN))) {
                return opened;
            }
            self.patience = self.patience.saturating_sub(PAUSE);
            std::thread::sleep(PAUSE);
        }
    }

    /// Copies a piece of a file. How many bytes at its end cannot be read is returned.
    fn copy(&mut self, file: &File, mut start: u64, length: u64, path: &Path) -> Result<u64> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut left = length;
        while left > 0 {
            check_cancelled()?;
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match file.read_at(buffer.get_mut(..most).unwrap_or_default(), start) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => Err(io::Error::other("it became shorter meanwhile")),
                other => other,
            };
            let read = match read.at("read", path) {
                Ok(read) => read,
                Err(error) => {
                    self.pass_over(error)?;
                    break;
                }
            };
            self.write(buffer.get(..read).unwrap_or_default())?;
            (start, left) = (start + read as u64, left - read as u64);
        }
        self.buffer = buffer;
        Ok(left)
    }

    /// Goes on without a file, unless the next one would fare no better.
    fn pass_over(&mut self, error: CopyError) -> Result<()> {
        let is_ours = |source: &io::Error| {
            [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM]
                .iter()
                .any(|errno| source.raw_os_error() == Some(*errno as i32))
        };
        match &error {
            CopyError::File { source, .. } if !is_ours(&source.0) => {}
            CopyError::Deep(_) => {}
            _ => return Err(error),
        }
        self.summary.unread += 1;
        (self.unread)(&error);
        Ok(())
    }

    fn put(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.summary.entries += 1;
        let bytes = entry.to_bytes();
        self.write(&bytes)
    }

    /// Fills the last block of what a member stores.
    fn pad(&mut self, stored: u64) -> Result<()> {
        self.write_zeros(stored.next_multiple_of(header::BLOCK as u64) - stored)
    }

    fn write_zeros(&mut self, mut length: u64) -> Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while length > 0 {
            check_cancelled()?;
            let piece = ZEROS.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            self.write(ZEROS.get(..piece).unwrap_or_default())?;
            length -= piece as u64;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.summary.bytes += bytes.len() as u64;
        self.output.write_all(bytes).map_err(|error| CopyError::Archive(OsText(error)))
    }
}

/// A file in a directory that is open.
struct Named<'a> {
    name: &'a OsStr,
    path: PathBuf,
    status: FileStat,
}

impl Tree<'_> {
    /// Opens a directory by its path from the top, so that those above need not be held; nothing
    /// where another file system's lies on it.
    fn open_directory(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match beneath::open_beneath_same_mount(self.top, shown.as_os_str(), flags, Mode::empty()) {
            Err(Errno::EXDEV) => Ok(None),
            opened => opened.at("open", shown).map(Some),
        }
    }

    fn directory<'p>(&self, directory: BorrowedFd<'_>, path: &'p Path) -> Result<Entry<'p>> {
        let status = beneath::status(directory).at("look at", path)?;
        let seen = attributes(directory).at("read attributes of", path)?;
        let attributes = self.shift.attributes(seen);
        Ok(Entry { attributes, ..self.entry(path, &status, Kind::Directory) })
    }

    fn regular<'p>(&self, opened: &File, file: &'p Named<'_>) -> Result<Entry<'p>> {
        let (path, status) = (&file.path, &file.status);
        let mut entry = self.entry(path, status, Kind::Regular);
        let seen = attributes(opened.as_fd()).at("read attributes of", path)?;
        entry.attributes = self.shift.attributes(seen);
        entry.size = status.st_size.cast_unsigned();
        // 512 is what st_blocks counts, whatever the file system's blocks are.
        if status.st_blocks.cast_unsigned().saturating_mul(512) < entry.size {
            let mut pieces = pieces::of(opened, entry.size).at("look for holes in", path)?;
            // By this GNU tar knows where a last hole ends.
            pieces.push((entry.size, 0));
            entry.pieces = Some(pieces);
        }
        Ok(entry)
    }

    /// A link, a device or a FIFO; what has attributes of these is not opened for them.
    fn special<'p>(&self, parent: BorrowedFd<'_>, file: &'p Named<'_>) -> Result<Entry<'p>> {
        let (path, status) = (&file.path, &file.status);
        let kind = match kind(status) {
            SFlag::S_IFLNK => {
                let target = beneath::read_link(parent, file.name).at("read", path)?;
                return Ok(self.entry(path, status, Kind::Symlink(target)));
            }
            SFlag::S_IFCHR => Kind::Character,
            SFlag::S_IFBLK => Kind::Block,
            _ => Kind::Fifo,
        };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let seen = beneath::open_beneath_same_mount(parent, file.name, flags, Mode::empty())
            .and_then(|file| attributes_of_path(file.as_fd()));
        let attributes = self.shift.attributes(seen.at("read attributes of", path)?);
        Ok(Entry { attributes, ..self.entry(path, status, kind) })
    }

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
}

fn check_cancelled() -> Result<()> {
    if vz_sys::cancel::take() { Err(CopyError::Cancelled) } else { Ok(()) }
}

fn list(directory: BorrowedFd<'_>) -> nix::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Dir::openat(directory, ".", flags, Mode::empty())
}

/// The next names of a directory, sorted; none when there are no more.
fn next_names(entries: &mut nix::dir::Iter<'_>) -> nix::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
        if names.len() == NAMES {
            break;
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
