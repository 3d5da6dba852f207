//! The node of the recordings.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    case::{Case, Group},
    files::Tree,
    states::Found,
};

/// Directories that vz.conf of the recordings' node names, and those of the state.
const DIRECTORIES: [&str; 11] = [
    "etc/vz/conf",
    "etc/vz/names",
    "etc/vz/dists/scripts",
    "vz/private",
    "vz/root",
    "vz/lock",
    "vz/dump",
    "vz/template/cache",
    "var/log",
    "var/lib/vzctl/veip",
    "var/vzquota",
];

/// Where the project's own files are.
#[derive(Debug, Clone)]
pub struct Sources {
    /// This package.
    pub suite: PathBuf,
    /// The project.
    pub project: PathBuf,
}

impl Sources {
    /// Those that this was built from.
    pub fn new() -> Sources {
        let suite = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let project = suite.ancestors().nth(2).unwrap_or(&suite).to_owned();
        Sources { suite, project }
    }
}

impl Default for Sources {
    fn default() -> Self {
        Sources::new()
    }
}

/// Makes the node that a case finds: what all have in common, the group's files, its own.
///
/// # Errors
/// The file system's.
pub fn make(
    sources: &Sources,
    tree: &Tree,
    group: &Group,
    case: &Case,
    found: &Found,
) -> Result<()> {
    let own = found.directories.iter().map(String::as_str);
    for directory in DIRECTORIES.into_iter().chain(own) {
        let place = tree.root.join(directory);
        // What the case before has left in its place is there on purpose.
        if !place.exists() {
            fs::create_dir_all(&place).map_err(Error::file("make", &place))?;
        }
    }
    copy(&sources.suite.join("node/etc-vz"), &tree.root.join("etc/vz"))?;
    copy(&sources.suite.join("node/proc"), &tree.proc)?;
    dists(sources, &tree.root.join("etc/vz/dists"))?;
    tree.lay(&found.files)?;
    tree.lay(&group.files(case))
}

/// The recordings' node had other names than we install; what they say is ours.
fn dists(sources: &Sources, to: &Path) -> Result<()> {
    let ours = sources.project.join("dists");
    let list = sources.suite.join("node/dists.txt");
    let names = fs::read_to_string(&list).map_err(Error::file("read", &list))?;
    let default = ours.join("default");
    copy_file(&default, &to.join("default"))?;
    for name in names.lines() {
        let file = format!("{name}.conf");
        let from = Some(ours.join(&file)).filter(|path| path.exists());
        copy_file(from.as_ref().unwrap_or(&default), &to.join(file))?;
    }
    let scripts = ours.join("scripts");
    if scripts.is_dir() { copy(&scripts, &to.join("scripts")) } else { Ok(()) }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::file("make", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("read", from))?.flatten() {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &place)?;
        } else {
            copy_file(&path, &place)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(Error::file("copy", from))
}
