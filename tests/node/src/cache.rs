//! Directories that take long to build, kept under a name and a key of all that went in.
//!
//! A directory is built beside its place and renamed into it, under a lock: what is there is
//! whole, whoever was killed while building.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{Error, Result};

/// Builds kept of each name; older ones are removed.
const KEPT: usize = 2;

/// The key of a build: a hash of its inputs.
#[derive(Debug, Default)]
pub struct Key(DefaultHasher);

impl Key {
    /// Adds an input.
    pub fn add(&mut self, input: &(impl Hash + ?Sized)) -> &mut Self {
        input.hash(&mut self.0);
        self
    }

    /// Adds a file's content, or all below a directory: names, contents, modes, link targets.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn add_path(&mut self, path: &Path) -> Result<&mut Self> {
        let meta = fs::symlink_metadata(path).map_err(Error::file("read", path))?;
        path.file_name().hash(&mut self.0);
        std::os::unix::fs::PermissionsExt::mode(&meta.permissions()).hash(&mut self.0);
        if meta.is_dir() {
            for entry in sorted_entries(path)? {
                self.add_path(&entry)?;
            }
        } else if meta.is_symlink() {
            fs::read_link(path).map_err(Error::file("read", path))?.hash(&mut self.0);
        } else {
            fs::read(path).map_err(Error::file("read", path))?.hash(&mut self.0);
        }
        Ok(self)
    }

    /// The key as it stands in a directory's name.
    pub fn finish(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

/// The directory of caches.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The caches in a directory, which is made if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: PathBuf) -> Result<Self> {
        make_directory(&directory)?;
        Ok(Self { directory })
    }

    /// The directory `NAME-KEY`, built first where it is not there.
    ///
    /// # Errors
    /// Those of the build, which leaves nothing behind, and of the directory itself.
    pub fn get(
        &self,
        name: &str,
        key: &Key,
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.directory.join(format!("{name}-{}", key.finish()));
        let lock = lock(&self.directory.join(format!("{name}.lock")))?;
        if place.is_dir() {
            // The newest are kept, and used is as good as new.
            lock_time(&place)?;
            return Ok(place);
        }
        let part = self.directory.join(format!("{name}.part"));
        remove(&part)?;
        make_directory(&part)?;
        if let Err(error) = build(&part) {
            // The first error is the one to tell.
            let _ = remove(&part);
            return Err(error);
        }
        fs::rename(&part, &place).map_err(Error::file("rename to", &place))?;
        self.remove_old(name)?;
        drop(lock);
        Ok(place)
    }

    fn remove_old(&self, name: &str) -> Result<()> {
        let mut builds = Vec::new();
        for path in sorted_entries(&self.directory)? {
            let key = path.file_name().and_then(|file| file.to_str()?.strip_prefix(name));
            if path.is_dir() && key.is_some_and(|key| key.len() == 17 && key.starts_with('-')) {
                let meta = fs::metadata(&path).map_err(Error::file("read", &path))?;
                builds.push((meta.modified().map_err(Error::file("read", &path))?, path));
            }
        }
        builds.sort();
        let old = builds.len().saturating_sub(KEPT);
        builds.iter().take(old).try_for_each(|(_, path)| remove(path))
    }
}

fn lock_time(place: &Path) -> Result<()> {
    let directory = File::open(place).map_err(Error::file("open", place))?;
    directory.set_modified(SystemTime::now()).map_err(Error::file("touch", place))
}

/// Waits for an exclusive lock on a file, which is made if need be. Closing it unlocks.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock().map_err(Error::file("lock", path))?;
    Ok(file)
}

/// Locks a file if nobody has it.
///
/// # Errors
/// The file cannot be made.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open_lock(path)?;
    Ok(file.try_lock().is_ok().then_some(file))
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    options.open(path).map_err(Error::file("open", path))
}

/// Makes a directory and those above it.
///
/// # Errors
/// What mkdir(2) says.
pub fn make_directory(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).create(path).map_err(Error::file("make directory", path))
}

/// Removes a directory tree that may be absent.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// What is in a directory, sorted.
///
/// # Errors
/// It cannot be read.
pub fn sorted_entries(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(Error::file("read", path))?;
    let entries: std::io::Result<Vec<_>> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries.map_err(Error::file("read", path))?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        let mut key = Key::default();
        key.add(text);
        key
    }

    #[test]
    fn a_build_runs_once_for_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path().join("cache")).unwrap();
        let mut runs = 0;
        for text in ["a", "a", "b"] {
            let place = cache.get("root", &key(text), |part| {
                runs += 1;
                fs::write(part.join("file"), text).map_err(Error::file("write", part))
            });
            assert_eq!(fs::read_to_string(place.unwrap().join("file")).unwrap(), text);
        }
        assert_eq!(runs, 2);
    }

    #[test]
    fn a_failed_or_killed_build_leaves_nothing_to_use() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path().into()).unwrap();
        fs::create_dir(directory.path().join("root.part")).unwrap();
        fs::write(directory.path().join("root.part/torn"), "").unwrap();
        let failed = cache.get("root", &key("a"), |_| Err(Error::Module("ext4".into())));
        assert!(failed.is_err());
        let place = cache.get("root", &key("a"), |_| Ok(())).unwrap();
        assert_eq!(sorted_entries(&place).unwrap(), [] as [PathBuf; 0]);
    }

    #[test]
    fn old_builds_go_and_other_names_stay() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path().into()).unwrap();
        cache.get("root-plain", &key("a"), |_| Ok(())).unwrap();
        let places: Vec<_> = ["a", "b", "c"]
            .map(|text| cache.get("root", &key(text), |_| Ok(())).unwrap())
            .into_iter()
            .filter(|place| place.is_dir())
            .collect();
        assert_eq!(places.len(), KEPT);
        assert!(directory.path().join(format!("root-plain-{}", key("a").finish())).is_dir());
    }

    #[test]
    fn a_key_follows_content_names_and_modes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let now = || Key::default().add_path(directory.path()).unwrap().finish();
        fs::write(&file, "a").unwrap();
        let first = now();
        assert_eq!(first, now());
        fs::write(&file, "b").unwrap();
        let second = now();
        fs::rename(&file, directory.path().join("other")).unwrap();
        assert!(first != second && second != now());
    }
}
