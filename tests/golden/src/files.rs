//! A node's files under their recorded paths: laid down before a case, looked at around it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    case::{Content, Files},
    quota_file,
};

/// A key ending in this is a link; its content is the target and a newline.
const LINK: &str = ".symlink";
/// Recorded names of directories, and where those lie on the node.
const PLACES: [(&str, &str); 3] =
    [("etc-vz", "etc/vz"), ("var-lib-vzctl", "var/lib/vzctl"), ("var-vzquota", "var/vzquota")];
/// Imitation files of `/proc` have a directory of their own.
const PROC: &str = "fake/proc/";

/// Where a node's files lie.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its `/`.
    pub root: PathBuf,
    /// Imitation files of `/proc`.
    pub proc: PathBuf,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file: bytes, permissions.
    File(Vec<u8>, u32),
    /// A link: its target.
    Link(PathBuf),
}

/// Files by their recorded path.
pub type Snapshot = BTreeMap<String, Entry>;

impl Tree {
    /// The place of a recorded path.
    fn place(&self, path: &str) -> PathBuf {
        if let Some(rest) = path.strip_prefix(PROC) {
            return self.proc.join(rest);
        }
        let renamed = PLACES.iter().find_map(|(recorded, place)| {
            let rest = path.strip_prefix(recorded)?.strip_prefix('/')?;
            Some(self.root.join(place).join(rest))
        });
        renamed.unwrap_or_else(|| self.root.join(path))
    }

    /// Lays files down, and takes away those that are to be absent.
    ///
    /// # Errors
    /// The file system's.
    pub fn lay(&self, files: &Files) -> Result<()> {
        let absent = files.iter().filter(|(_, content)| content.is_none());
        for (path, _) in absent {
            let place = self.place(path.strip_suffix(LINK).unwrap_or(path));
            match fs::remove_file(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &place)(error));
                }
                _ => {}
            }
        }
        files.iter().try_for_each(|(path, content)| match content {
            Some(content) => self.write(path, content),
            None => Ok(()),
        })
    }

    fn write(&self, path: &str, content: &Content) -> Result<()> {
        let place = self.place(path.strip_suffix(LINK).unwrap_or(path));
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        }
        let mut bytes = content.bytes();
        quota_file::renew(&mut bytes);
        if path.ends_with(LINK) {
            let target = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
            let _ = fs::remove_file(&place);
            return symlink(target, &place).map_err(Error::file("make", &place));
        }
        // Scripts are told by their first line; the recording has no modes of what was there.
        let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
        fs::write(&place, bytes).map_err(Error::file("write", &place))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))
            .map_err(Error::file("change", &place))
    }

    /// Looks at the files that recordings tell of.
    ///
    /// # Errors
    /// The file system's.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::new();
        for (recorded, place) in PLACES {
            gather(&self.root.join(place), recorded, &mut snapshot)?;
        }
        Ok(snapshot)
    }
}

fn gather(directory: &Path, recorded: &str, snapshot: &mut Snapshot) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(Error::file("read", directory))?,
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{recorded}/{}", entry.file_name().to_string_lossy());
        let metadata = fs::symlink_metadata(&path).map_err(Error::file("look at", &path))?;
        if metadata.is_dir() {
            gather(&path, &name, snapshot)?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(Error::file("read", &path))?;
            snapshot.insert(name, Entry::Link(target));
        } else {
            let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
            let mode = metadata.permissions().mode() & 0o7777;
            snapshot.insert(name, Entry::File(bytes, mode));
        }
    }
    Ok(())
}

/// What has changed between two looks, in the recording's words.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut changes = Vec::new();
    for (path, entry) in after {
        let kind = match before.get(path) {
            None => "A",
            Some(old) if old != entry => "M",
            Some(_) => continue,
        };
        changes.push(match entry {
            Entry::File(_, mode) => format!("{kind} {path} {mode:o}"),
            Entry::Link(target) => format!("{kind} {path} -> {}", target.display()),
        });
    }
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    changes.extend(gone.map(|path| format!("D {path}")));
    changes
}

/// The content of a recorded path, as a recording has it.
pub fn content(snapshot: &Snapshot, path: &str) -> Option<Vec<u8>> {
    match snapshot.get(path.strip_suffix(LINK).unwrap_or(path))? {
        Entry::File(bytes, _) => Some(bytes.clone()),
        Entry::Link(target) => Some(format!("{}\n", target.display()).into_bytes()),
    }
}
