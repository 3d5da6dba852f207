//! Files that appear whole: made without a name, filled, and then linked into their place. Whoever
//! is killed on the way leaves nothing behind, or one file that the next one replaces.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use tempfile::NamedTempFile;

/// A file that nobody sees yet.
#[derive(Debug)]
pub struct NewFile(Kind);

#[derive(Debug)]
enum Kind {
    /// open(2)'s `O_TMPFILE`.
    Unnamed(File),
    /// On file systems that have no such thing; its name is random.
    Named(NamedTempFile),
}

impl NewFile {
    /// Makes an empty file, of mode 0600, on the file system of `directory`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn beside(directory: &Path) -> io::Result<NewFile> {
        NewFile::unnamed(directory)?.map_or_else(|| NewFile::named(directory), Ok)
    }

    /// The same where it can be without a name until the end; else nothing.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn unnamed(directory: &Path) -> io::Result<Option<NewFile>> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlag::O_TMPFILE.bits())
            .open(directory);
        let unsupported = |error: &io::Error| {
            [Errno::EOPNOTSUPP, Errno::EISDIR, Errno::EINVAL]
                .iter()
                .any(|errno| error.raw_os_error() == Some(*errno as i32))
        };
        match opened {
            Err(error) if unsupported(&error) => Ok(None),
            other => Ok(Some(NewFile(Kind::Unnamed(other?)))),
        }
    }

    fn named(directory: &Path) -> io::Result<NewFile> {
        let file = tempfile::Builder::new().prefix(".new.").tempfile_in(directory)?;
        Ok(NewFile(Kind::Named(file)))
    }

    /// The file, to be written to.
    pub fn file(&self) -> &File {
        match &self.0 {
            Kind::Unnamed(file) => file,
            Kind::Named(file) => file.as_file(),
        }
    }

    /// Gives it the name `path`, which must be free.
    ///
    /// # Errors
    /// Those of linkat(2): `EEXIST` when the name is taken.
    pub fn link(self, path: &Path) -> io::Result<File> {
        self.link_to(path)?;
        Ok(match self.0 {
            Kind::Unnamed(file) => file,
            Kind::Named(file) => file.into_file(),
        })
    }

    fn link_to(&self, path: &Path) -> io::Result<()> {
        match &self.0 {
            Kind::Unnamed(file) => {
                let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
                let follow = AtFlags::AT_SYMLINK_FOLLOW;
                Ok(nix::unistd::linkat(AT_FDCWD, itself.as_str(), AT_FDCWD, path, follow)?)
            }
            Kind::Named(file) => fs::hard_link(file.path(), path),
        }
    }

    /// Puts it in the place of `path`, if there is one: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// Those of linkat(2) and rename(2); the old file is untouched then.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        let waiting = waiting_name(path);
        loop {
            match self.link_to(&waiting) {
                // A killed command has left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_if_there(&waiting)?;
                }
                other => break other?,
            }
        }
        let renamed = fs::rename(&waiting, path);
        if renamed.is_err() {
            let _ = fs::remove_file(&waiting);
        }
        renamed
    }
}

/// Makes `path` a file of mode 0600 with this content, in the place of one that is there: a reader sees
/// the old one or the new one. Nothing is synced.
///
/// # Errors
/// Those of making, writing and renaming the file.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = NewFile::beside(path.parent().unwrap_or(Path::new("/")))?;
    new.file().write_all(content)?;
    new.replace(path)
}

/// Removes a file that [`NewFile::replace`] has made, and what a killed one has left beside it. A
/// file that is not there is no error.
///
/// # Errors
/// Those of unlink(2).
pub fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(&waiting_name(path))?;
    remove_if_there(path)
}

/// Removes a file; that it is not there is no error.
///
/// # Errors
/// Those of unlink(2).
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Between the link and the rename: a file that programs which list the directory pass over.
fn waiting_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    const KINDS: [fn(&Path) -> io::Result<NewFile>; 2] = [NewFile::beside, NewFile::named];

    #[test]
    fn a_link_takes_no_name_from_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        for make in KINDS {
            let new = make(directory.path()).unwrap();
            drop(new.link(&path).unwrap());
            let again = NewFile::beside(directory.path()).unwrap().link(&path).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(names(directory.path()), ["101.lck"]);
            remove(&path).unwrap();
        }
    }

    #[test]
    fn the_place_of_an_old_one_and_of_what_was_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.toml");
        for make in KINDS {
            let new = make(directory.path()).unwrap();
            drop(NewFile::beside(directory.path()).unwrap().link(&waiting_name(&path)).unwrap());
            new.file().write_all(b"new").unwrap();
            new.replace(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(names(directory.path()), ["101.toml"]);
        }
        drop(NewFile::beside(directory.path()).unwrap().link(&waiting_name(&path)).unwrap());
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(names(directory.path()), [] as [&str; 0]);
    }
}
