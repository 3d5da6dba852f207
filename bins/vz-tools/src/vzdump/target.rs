//! Where an archive is written until it is whole: nobody takes half an archive for one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::libc;
use vz_conf::ctid::Ctid;
use vz_conf::new_file::NewFile;

/// A file that is to become an archive.
pub enum Target {
    /// Without a name, until it gets its own.
    Unnamed(NewFile),
    /// Where the file system has no such files (vfat, NFS, many in user space).
    Part(Part),
}

impl Target {
    /// Makes one for an archive of the container in `directory`.
    pub fn make(directory: &Path, id: Ctid) -> io::Result<Target> {
        match NewFile::unnamed(directory)? {
            Some(file) => Ok(Target::Unnamed(file)),
            None => Part::take(directory, id).map(Target::Part),
        }
    }

    /// The file, to be written to.
    pub fn file(&self) -> &File {
        match self {
            Target::Unnamed(file) => file.file(),
            Target::Part(part) => &part.file,
        }
    }

    /// Puts it on disk and gives it the name `path`, which must be free.
    pub fn settle(self, path: &Path) -> io::Result<()> {
        self.file().sync_all()?;
        match self {
            Target::Unnamed(file) => file.link(path).map(drop)?,
            Target::Part(part) => part.rename(path)?,
        }
        let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
        match directory.sync_all() {
            // Some have nothing to sync of a directory.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(()),
            synced => synced,
        }
    }
}

/// A file with a name that is no archive's, and is the same each time: what a killed vzdump has left
/// is what the next one begins with. It goes when this is dropped.
pub struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn take(directory: &Path, id: Ctid) -> io::Result<Part> {
        // As Proxmox VE's vzdump named it.
        let path = directory.join(format!("vzdump-openvz-{id}.dat"));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path)?;
        // Another node may have the same directory, and a container of the same number; where
        // nothing can be locked there is no telling.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(io::Error::other("another vzdump of this container writes there"));
        }
        let (held, named) = (file.metadata()?, fs::symlink_metadata(&path)?);
        if !held.is_file() || (held.dev(), held.ino()) != (named.dev(), named.ino()) {
            return Err(io::Error::other(format!("{} is in use", path.display())));
        }
        file.set_len(0)?;
        Ok(Part { path, file })
    }

    fn rename(self, path: &Path) -> io::Result<()> {
        match renameat2(AT_FDCWD, &self.path, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE) {
            // NFS and others cannot look and rename in one.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) if !path.exists() => {
                fs::rename(&self.path, path)
            }
            renamed => Ok(renamed?),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let named = fs::symlink_metadata(&self.path);
        let held = self.file.metadata();
        let is_there = |named: fs::Metadata, held: fs::Metadata| named.ino() == held.ino();
        if named.and_then(|named| Ok(is_there(named, held?))).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests' own directories")]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn part(directory: &Path) -> Target {
        Target::Part(Part::take(directory, "101".parse().unwrap()).unwrap())
    }

    #[test]
    fn an_archive_appears_whole() {
        let any: fn(&Path) -> Target =
            |directory| Target::make(directory, "101".parse().unwrap()).unwrap();
        for make in [part, any] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a.tar");
            let target = make(directory.path());
            target.file().write_all(b"text").unwrap();
            assert!(!path.exists());
            target.settle(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"text");
            let again = make(directory.path()).settle(&path).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"text");
            drop(make(directory.path()));
            assert_eq!(names(directory.path()), ["a.tar"]);
        }
    }

    #[test]
    fn what_a_killed_one_has_left_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("vzdump-openvz-101.dat");
        fs::write(&left, "left by another").unwrap();
        let target = part(directory.path());
        assert!(Part::take(directory.path(), "101".parse().unwrap()).is_err(), "it is in use");
        target.file().write_all(b"text").unwrap();
        target.settle(&directory.path().join("a.tar")).unwrap();
        assert_eq!(fs::read(directory.path().join("a.tar")).unwrap(), b"text");
        fs::write(directory.path().join("planted"), "text").unwrap();
        std::os::unix::fs::symlink("planted", &left).unwrap();
        assert!(Part::take(directory.path(), "101".parse().unwrap()).is_err());
        assert_eq!(fs::read(directory.path().join("planted")).unwrap(), b"text");
    }
}
