//! Where a quota's file lies, and how it is read, locked and replaced.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use vz_conf::new_file::{self, NewFile};

use super::error::{Error, Result};
use super::file::{FileError, QuotaFile};
use crate::node::Node;
use crate::report::Report;

/// A quota file is not larger: a million users and groups.
const LARGEST: u64 = 80 << 20;

/// Where the command line says that file and directory are.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `-p`: the directory.
    pub directory: Option<PathBuf>,
    /// `-c`: the file.
    pub file: Option<PathBuf>,
    /// `-R`: the file lies beside the directory.
    pub relative: bool,
}

impl Place {
    /// `quota.NAME` beside the directory.
    fn beside(&self, node: &Node) -> Option<PathBuf> {
        let directory = node.path(self.directory.as_ref()?);
        let mut name = std::ffi::OsString::from("quota.");
        name.push(directory.file_name()?);
        Some(directory.with_file_name(name))
    }

    /// The file that a new quota gets.
    ///
    /// # Errors
    /// When it is to lie beside the root directory.
    pub fn new_file(&self, node: &Node, id: u32) -> Result<PathBuf> {
        match (&self.file, self.relative) {
            (Some(file), _) => Ok(node.path(file)),
            (None, false) => Ok(usual(node, id)),
            (None, true) => self.beside(node).ok_or(Error::NoPath),
        }
    }

    /// The file of a quota that was made: without `-R` also one that lies beside the directory.
    ///
    /// # Errors
    /// When with `-R` there is none beside the directory, or no directory is given.
    pub fn old_file(&self, node: &Node, id: u32) -> Result<PathBuf> {
        if let Some(file) = &self.file {
            return Ok(node.path(file));
        }
        match (self.beside(node), self.relative) {
            (Some(beside), _) if beside.exists() => Ok(beside),
            (_, false) => Ok(usual(node, id)),
            (Some(_), true) => Err(Error::NoFile(id)),
            (None, true) => Err(Error::NoPath),
        }
    }
}

/// Where files lie unless the command line says otherwise.
fn usual(node: &Node, id: u32) -> PathBuf {
    node.path("/var/vzquota").join(format!("quota.{id}"))
}

/// A quota's file, held against other commands.
#[derive(Debug)]
pub struct QuotaStore {
    path: PathBuf,
    id: u32,
    lock: Option<Flock<File>>,
}

impl QuotaStore {
    /// Takes the file of a quota that was made.
    ///
    /// # Errors
    /// [`Error::NoFile`], [`Error::Locked`].
    pub fn open(path: PathBuf, id: u32) -> Result<QuotaStore> {
        loop {
            let file = File::open(&path).map_err(|error| not_opened(error, &path, id))?;
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EAGAIN)) => return Err(Error::Locked(id)),
                Err((_, error)) => return Err(not_opened(error.into(), &path, id)),
            };
            // Whoever held it before may have put another file in its place.
            let held = lock.metadata().map_err(|error| not_opened(error, &path, id))?;
            match fs::metadata(&path) {
                Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => {
                    return Ok(QuotaStore { path, id, lock: Some(lock) });
                }
                Ok(_) => {}
                Err(error) => return Err(not_opened(error, &path, id)),
            }
        }
    }

    /// The place of a quota that is to be made, and whether there is a file already.
    ///
    /// # Errors
    /// As [`QuotaStore::open`], for one that is there.
    pub fn make(path: PathBuf, id: u32) -> Result<(QuotaStore, bool)> {
        match QuotaStore::open(path.clone(), id) {
            Err(Error::NoFile(_)) => Ok((QuotaStore { path, id, lock: None }, false)),
            other => other.map(|store| (store, true)),
        }
    }

    /// Reads it. One of an old version is converted in its place.
    ///
    /// # Errors
    /// It is no quota file, or cannot be read.
    pub fn read(&self) -> Result<QuotaFile> {
        let (file, is_old) = read(&self.path, self.id)?;
        if is_old {
            self.write(&file)?;
        }
        Ok(file)
    }

    /// Puts it in the place of the one that is there, and on the disk: whoever is killed on the way
    /// leaves the old one or the new one.
    ///
    /// # Errors
    /// The file system's. [`Error::Locked`] when another command has made it meanwhile.
    pub fn write(&self, file: &QuotaFile) -> Result<()> {
        self.put(file, true)
    }

    /// As [`QuotaStore::write`], but on the disk when the file system likes: for what is written
    /// anew before long.
    ///
    /// # Errors
    /// As [`QuotaStore::write`].
    pub fn write_unsynced(&self, file: &QuotaFile) -> Result<()> {
        self.put(file, false)
    }

    fn put(&self, file: &QuotaFile, sync: bool) -> Result<()> {
        let written = |error| self.failed("write quota file", error);
        // Nobody could read it again.
        if file.length() > LARGEST {
            return Err(written(Errno::EFBIG.into()));
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        if self.lock.is_none() {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(written)?;
        }
        let new = NewFile::beside(directory).map_err(written)?;
        new.file().write_all(&file.bytes()).map_err(written)?;
        if sync {
            new.file().sync_all().map_err(written)?;
        }
        match self.lock {
            Some(_) => new.replace(&self.path).map_err(written)?,
            None => match new.link(&self.path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::Locked(self.id));
                }
                other => drop(other.map_err(written)?),
            },
        }
        match sync {
            true => File::open(directory).and_then(|opened| opened.sync_all()).map_err(written),
            false => Ok(()),
        }
    }

    /// Removes it.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove(self) -> Result<()> {
        new_file::remove(&self.path).map_err(|error| self.failed("unlink quota file", error))
    }

    fn failed(&self, action: &'static str, error: io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source: error.into() }
    }
}

/// Reads a quota's file without holding it. The second value tells that it is of an old version.
///
/// # Errors
/// [`Error::NoFile`]; it is no quota file.
pub fn read(path: &Path, id: u32) -> Result<(QuotaFile, bool)> {
    let file = File::open(path).map_err(|error| not_opened(error, path, id))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LARGEST), &mut bytes).map_err(|error| {
        Error::Io { action: "read quota file", path: path.to_owned(), source: error.into() }
    })?;
    Ok(QuotaFile::parse(&bytes, id)?)
}

/// As [`read`], for those that take a file of the current version only.
///
/// # Errors
/// As [`read`]; code 4 for one of an old version, which is told.
pub fn read_current(path: &Path, id: u32, report: &mut dyn Report) -> Result<QuotaFile> {
    let (file, is_old) = read(path, id)?;
    if is_old {
        report.error(&format!("Quota file for id {id} is in old quota format"));
        return Err(Error::Reported(Error::from(FileError::NotOne).code()));
    }
    Ok(file)
}

fn not_opened(error: io::Error, path: &Path, id: u32) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NoFile(id),
        _ => Error::Io { action: "open quota file", path: path.to_owned(), source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Object;
    use super::*;

    #[test]
    fn one_command_at_a_time_and_old_or_new() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("q/quota.5");
        assert_eq!(QuotaStore::open(path.clone(), 5).unwrap_err().code(), 11);
        let (new, is_there) = QuotaStore::make(path.clone(), 5).unwrap();
        let (other, _) = QuotaStore::make(path.clone(), 5).unwrap();
        assert!(!is_there);
        new.write(&QuotaFile::default()).unwrap();
        assert_eq!(other.write(&QuotaFile::default()).unwrap_err().code(), 7);
        let held = QuotaStore::open(path.clone(), 5).unwrap();
        assert_eq!(QuotaStore::open(path.clone(), 5).unwrap_err().code(), 7);
        let file = QuotaFile { flags: 2, ..QuotaFile::default() };
        held.write(&file).unwrap();
        drop(held);
        let again = QuotaStore::open(path.clone(), 5).unwrap();
        assert_eq!(again.read().unwrap(), file);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        again.remove().unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("quota.5");
        let (new, _) = QuotaStore::make(path.clone(), 5).unwrap();
        let mut file = QuotaFile::default();
        file.users.objects = vec![Object::default(); 1_200_000];
        let error = new.write(&file).unwrap_err();
        assert!(error.to_string().ends_with("File too large"), "{error}");
        assert!(!path.exists());
        file.users.objects.truncate(7);
        assert_eq!(file.length(), file.bytes().len() as u64);
    }

    #[test]
    fn where_files_lie() {
        let node = Node::without_config(Some("/n".into()));
        let mut place = Place { directory: Some("/vz/private/200".into()), ..Place::default() };
        assert_eq!(place.new_file(&node, 200).unwrap(), Path::new("/n/var/vzquota/quota.200"));
        assert_eq!(place.old_file(&node, 200).unwrap(), Path::new("/n/var/vzquota/quota.200"));
        place.relative = true;
        assert_eq!(place.new_file(&node, 200).unwrap(), Path::new("/n/vz/private/quota.200"));
        assert_eq!(place.old_file(&node, 200).unwrap_err().code(), 11);
        place.file = Some("/q".into());
        assert_eq!(place.old_file(&node, 200).unwrap(), Path::new("/n/q"));
    }
}
