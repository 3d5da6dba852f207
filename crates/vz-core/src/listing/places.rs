//! The private areas, root areas and dumps of many containers, with few system calls for each.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use vz_conf::ctid::Ctid;
use vz_sys::mount::{self, Place};

use super::Listed;
use crate::node::Node;

/// What is there, without asking for each: directories that many containers lie in are listed
/// once.
pub struct Places {
    /// By their paths as text: to compare paths part by part would cost as much as to ask.
    directories: Option<BTreeMap<OsString, Names>>,
    /// There may be dumps.
    dumps: bool,
}

/// Names, and whether they may be links.
type Names = HashMap<OsString, bool>;

impl Places {
    /// Fewer containers than this are asked for one by one: the directories may be large.
    const MANY: usize = 16;

    /// Lists the directories in which private areas and dumps of these containers lie.
    pub fn of(list: &[Listed], node: &Node) -> Places {
        if list.len() < Self::MANY {
            return Places { directories: None, dumps: true };
        }
        let mut directories = BTreeMap::new();
        let mut add = |path: &Path| {
            if let Some((parent, _)) = directory_and_name(path)
                && !directories.contains_key(parent)
            {
                directories.insert(parent.to_owned(), names_in(Path::new(parent)));
            }
        };
        let dump = node.dump_path(Ctid::NODE);
        add(&dump);
        for private in list.iter().filter_map(|listed| listed.private.as_ref()) {
            add(&node.path(private));
        }
        let dumps = directory_and_name(&dump).and_then(|(parent, _)| directories.get(parent));
        let dumps = dumps.is_none_or(|names| !names.is_empty());
        Places { directories: Some(directories), dumps }
    }

    /// Says whether there may be dumps.
    pub fn have_dumps(&self) -> bool {
        self.dumps
    }

    /// Says whether there is such a file or directory.
    pub fn exists(&self, path: &Path) -> bool {
        let known = || {
            let (parent, name) = directory_and_name(path)?;
            Some(self.directories.as_ref()?.get(parent)?.get(name))
        };
        match known() {
            // A link may lead nowhere.
            Some(Some(is_link)) => !is_link || path.exists(),
            Some(None) => false,
            None => path.exists(),
        }
    }
}

/// Where root areas lie: most in one directory, which need not be found for each anew.
#[derive(Default)]
pub struct Roots {
    path: OsString,
    opened: Option<OwnedFd>,
}

impl Roots {
    /// Says whether something is mounted there.
    ///
    /// # Errors
    /// As [`mount::is_mount_point`].
    pub fn is_mounted(&mut self, root: &Path) -> io::Result<bool> {
        let Some((parent, name)) = directory_and_name(root) else {
            return mount::is_mount_point(root);
        };
        if self.path != parent {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            self.opened = open(Path::new(parent), flags, Mode::empty()).ok();
            self.path = parent.to_owned();
        }
        match &self.opened {
            Some(directory) => {
                mount::is_mount_root(Place::Below(directory.as_fd(), Path::new(name)))
            }
            None => mount::is_mount_point(root),
        }
    }
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
