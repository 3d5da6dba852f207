//! What was held, and what had failed, when the tool ran before: a small file for each number.
//!
//! The directory is by default in `/tmp`, where anybody could have made it, or put a link in its
//! place: it must be a directory of ours, closed to others, and no link is followed in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// The directory, open.
#[derive(Debug)]
pub struct Store {
    directory: File,
    shown: String,
}

impl Store {
    /// Opens the directory, or makes it.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else: a line.
    pub fn open(path: &Path) -> Result<Store, String> {
        let said = |error: io::Error| format!("vzubc: Cannot use {}: {error}", path.display());
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(said(error)),
            _ => {}
        }
        let directory = open_directory(path).map_err(said)?;
        let status = directory.metadata().map_err(said)?;
        let own = nix::unistd::Uid::effective().as_raw();
        if status.uid() != own || status.mode() & 0o022 != 0 {
            return Err(said(io::Error::other("others may write to it")));
        }
        Ok(Store { directory, shown: path.display().to_string() })
    }

    /// The number kept under `name`; `None` when there is none.
    pub fn get(&self, name: &str) -> Option<u64> {
        let mut text = String::new();
        self.file(name, OFlag::O_RDONLY).ok()?.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// Keeps a number under `name`.
    ///
    /// # Errors
    /// When it cannot be written: a line.
    pub fn put(&self, name: &str, value: u64) -> Result<(), String> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        self.file(name, flags)
            .and_then(|mut file| file.write_all(format!("{value}\n").as_bytes()))
            .map_err(|error| format!("vzubc: Cannot write {}/{name}: {error}", self.shown))
    }

    fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let mode = Mode::from_bits_truncate(0o600);
        Ok(openat(self.directory.as_fd(), name, flags, mode)?.into())
    }
}

fn open_directory(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// The name under which something of a beancounter is kept.
pub fn name(id: u64, resource: &str, what: &str) -> String {
    format!("ubc.{id}.{resource}.{what}")
}

/// Forgets all numbers of a kind.
///
/// # Errors
/// When one cannot be removed: a line.
pub fn clear(path: &Path, what: &str) -> Result<(), String> {
    let said = |error: io::Error| format!("vzubc: Cannot clear {}: {error}", path.display());
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(said(error)),
    };
    let end = format!(".{what}");
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours =
            name.to_str().is_some_and(|name| name.starts_with("ubc.") && name.ends_with(&end));
        if ours {
            fs::remove_file(entry.path()).map_err(said)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("store");
        let store = Store::open(&path).unwrap();
        let (held, failures) = (name(101, "numproc", "held"), name(101, "numproc", "failcnt"));
        assert_eq!(store.get(&held), None);
        store.put(&held, u64::MAX).unwrap();
        store.put(&held, 7).unwrap();
        store.put(&failures, 1).unwrap();
        assert_eq!(store.get(&held), Some(7));
        clear(&path, "held").unwrap();
        assert_eq!((store.get(&held), store.get(&failures)), (None, Some(1)));
        clear(&place.path().join("none"), "held").unwrap();
    }

    #[test]
    fn planted_places_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let (real, link) = (place.path().join("real"), place.path().join("link"));
        DirBuilder::new().mode(0o700).create(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(Store::open(&link).is_err());
        let store = Store::open(&real).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", real.join("ubc.1.a.held")).unwrap();
        assert_eq!(store.get("ubc.1.a.held"), None);
        assert!(store.put("ubc.1.a.held", 1).is_err());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        File::open(&real).unwrap().set_permissions(open).unwrap();
        assert!(Store::open(&real).is_err());
    }
}
