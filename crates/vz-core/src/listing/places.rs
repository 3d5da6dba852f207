//! The private areas, root areas and dumps of many containers, with few system calls for each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use vz_conf::ctid::Ctid;
use vz_sys::mount;
use vz_sys::mount_table;

use crate::node::Node;

/// What is there, without asking for each: a directory that many containers lie in is listed once,
/// by the first thread that asks for one of them.
pub struct Places<'n> {
    node: &'n Node,
    /// Fewer containers than [`Places::MANY`] are asked for one by one: the directories may be
    /// large.
    are_many: bool,
    /// By their paths as text: to compare paths part by part would cost as much as to ask.
    directories: Mutex<BTreeMap<OsString, Arc<Directory>>>,
    /// Where most will be, not listed yet.
    likely: Mutex<Vec<OsString>>,
}

/// A directory, listed when it is first asked for.
#[derive(Default)]
struct Directory {
    names: OnceLock<Names>,
    mounted: OnceLock<Mounted>,
}

/// Names, and whether they may be links.
type Names = HashMap<OsString, bool>;

/// The names on which something is mounted, or below which; `None` where that cannot be known.
type Mounted = Option<HashSet<OsString>>;

impl<'n> Places<'n> {
    const MANY: usize = 16;

    /// The places of so many containers.
    pub fn of(number: usize, node: &'n Node) -> Places<'n> {
        let paths = [node.config.private_of(Ctid::NODE), node.config.root_of(Ctid::NODE)];
        let parent = |path: String| {
            let path = node.path(path);
            directory_and_name(&path).map(|(parent, _)| parent.to_owned())
        };
        Places {
            node,
            are_many: number >= Self::MANY,
            directories: Mutex::default(),
            likely: Mutex::new(paths.into_iter().flatten().filter_map(parent).collect()),
        }
    }

    /// Lists one directory in which most containers will lie, each call another: threads that
    /// begin with it need not wait for each other.
    pub fn list_likely(&self) {
        if self.are_many {
            let next = self.likely.lock().unwrap_or_else(PoisonError::into_inner).pop();
            next.inspect(|parent| _ = self.directory(parent).names(parent));
        }
    }

    fn directory(&self, path: &OsStr) -> Arc<Directory> {
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        match directories.get(path) {
            Some(directory) => directory.clone(),
            None => directories.entry(path.to_owned()).or_default().clone(),
        }
    }
}

impl Directory {
    fn names(&self, path: &OsStr) -> &Names {
        self.names.get_or_init(|| names_in(Path::new(path)))
    }

    fn mounted(&self, path: &OsStr) -> &Mounted {
        self.mounted.get_or_init(|| mounted_in(Path::new(path)).ok())
    }
}

/// One thread's way of asking: most lie where the one before does.
pub struct Look<'p> {
    places: &'p Places<'p>,
    private: Last,
    root: Last,
    dump: Last,
}

/// The directory that was asked for last.
type Last = Option<(OsString, Arc<Directory>)>;

impl<'p> Look<'p> {
    /// Begins to ask.
    pub fn new(places: &'p Places<'p>) -> Look<'p> {
        Look { places, private: None, root: None, dump: None }
    }

    /// Says whether there is such a private area.
    pub fn has_private(&mut self, path: &Path) -> bool {
        exists(self.places, &mut self.private, path)
    }

    /// Says whether there is a dump of this container.
    pub fn has_dump(&mut self, id: Ctid) -> bool {
        // Most nodes have none at all, and no path to one need be made.
        let is_empty =
            |(path, directory): &(OsString, Arc<Directory>)| directory.names(path).is_empty();
        if self.dump.as_ref().is_some_and(is_empty) {
            return false;
        }
        exists(self.places, &mut self.dump, &self.places.node.dump_path(id))
    }

    /// Says whether something is mounted at this root area.
    ///
    /// # Errors
    /// As [`mount::is_mount_point`].
    pub fn is_mounted(&mut self, root: &Path) -> io::Result<bool> {
        if let Some((parent, name)) = listed(self.places, root)
            && let (parent, directory) = last(self.places, &mut self.root, parent)
            && directory.names(parent).get(name) == Some(&false)
            && let Some(mounted) = directory.mounted(parent)
            && !mounted.contains(name)
        {
            return Ok(false);
        }
        mount::is_mount_point(root)
    }
}

/// Says whether there is such a file or directory.
fn exists(places: &Places<'_>, asked: &mut Last, path: &Path) -> bool {
    let Some((parent, name)) = listed(places, path) else { return path.exists() };
    let (parent, directory) = last(places, asked, parent);
    match directory.names(parent).get(name) {
        // A link may lead nowhere.
        Some(is_link) => !is_link || path.exists(),
        None => false,
    }
}

/// The directory of a path, and its name there, when directories are listed.
fn listed<'a>(places: &Places<'_>, path: &'a Path) -> Option<(&'a OsStr, &'a OsStr)> {
    if places.are_many { directory_and_name(path) } else { None }
}

/// The directory at `path`, which most times is the one asked for before.
fn last<'a>(places: &Places<'_>, asked: &'a mut Last, path: &OsStr) -> (&'a OsStr, &'a Directory) {
    if asked.as_ref().is_none_or(|(known, _)| known != path) {
        *asked = None;
    }
    let (path, directory) = asked.get_or_insert_with(|| (path.to_owned(), places.directory(path)));
    (path, directory)
}

/// What stands before the last slash of a path and behind it; `None` where that is no name.
fn directory_and_name(path: &Path) -> Option<(&OsStr, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let (directory, name) = (&bytes[..slash], &bytes[slash + 1..]);
    let is_name = !directory.is_empty() && ![&b""[..], b".", b".."].contains(&name);
    is_name.then(|| (OsStr::from_bytes(directory), OsStr::from_bytes(name)))
}

/// The names in a directory, and whether they may be links.
fn names_in(directory: &Path) -> Names {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let plain = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file());
            (entry.file_name(), !plain)
        })
        .collect()
}

/// The names in a directory on which, or below which, the mount table has a mount. One that is
/// hidden by a later one is there as well: what is in here is worth a second look.
///
/// # Errors
/// When the directory is not there, or the table cannot be read.
#[expect(clippy::disallowed_methods, reason = "a directory of the node, above all root areas")]
fn mounted_in(directory: &Path) -> io::Result<HashSet<OsString>> {
    let directory = fs::canonicalize(directory)?;
    let mounts = mount_table::mounts_below(&directory)?;
    let name = |mount: &Path| Some(mount.strip_prefix(&directory).ok()?.iter().next()?.to_owned());
    Ok(mounts.iter().filter_map(|mount| name(mount)).collect())
}
