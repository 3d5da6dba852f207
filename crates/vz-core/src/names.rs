//! Containers' names: `/etc/vz/names/NAME`, a link to the container's configuration.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vz_conf::ctid::{Ctid, parse_name};
use vz_conf::exit::Exit;

use crate::error::{Error, Result};
use crate::node::Node;

/// The container that `name` means; `None` when it means none.
pub fn find(node: &Node, name: &str) -> Option<Ctid> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let link = node.names_dir().join(name);
    let target = std::fs::read_link(&link).ok()?;
    let id = id_of(&target)?;
    // A link left by a container that is gone means nothing.
    node.conf_path(id).exists().then_some(id)
}

fn id_of(target: &Path) -> Option<Ctid> {
    let number = target.file_name()?.to_str()?.strip_suffix(".conf")?;
    Ctid::new(number.parse().ok()?)
}

/// Gives the name to the container: makes the link, and removes the one of its old name.
///
/// # Errors
/// [`Exit::SetNameFailed`] when the name is not a name, is another's, or cannot be linked.
pub fn assign(node: &Node, id: Ctid, name: &str, old: Option<&str>) -> Result<()> {
    let refused = |text: String| Err(Error::Refused(Exit::SetNameFailed, text));
    let shown_link = Path::new("/etc/vz/names").join(name);
    if !name.is_empty() {
        if parse_name(name).is_err() {
            return refused(format!("Invalid name: {name}"));
        }
        match find(node, name) {
            Some(other) if other != id => {
                return refused(format!("Conflict: name {name} already used by container {other}"));
            }
            _ => {}
        }
        if let Err(error) = replace_link(node, id, name) {
            let error = crate::error::OsText(error);
            return refused(format!("Unable to create link {}: {error}", shown_link.display()));
        }
    }
    match old {
        Some(old) if old != name => remove(node, id, old),
        _ => Ok(()),
    }
}

/// Makes the link under another name first: at no moment does the name mean nothing.
fn replace_link(node: &Node, id: Ctid, name: &str) -> io::Result<()> {
    let directory = node.names_dir();
    node.make_directory(&directory, 0o755)?;
    let target: PathBuf = node.shown(&node.conf_path(id));
    let link = directory.join(name);
    match std::fs::symlink_metadata(&link) {
        Ok(status) if !status.is_symlink() => {
            return Err(io::Error::from_raw_os_error(nix::libc::EEXIST));
        }
        _ => {}
    }
    let temporary = directory.join(format!(".{id}.{}", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    symlink(target, &temporary)?;
    std::fs::rename(&temporary, &link).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Takes the name away, if it is this container's.
///
/// # Errors
/// When the link cannot be removed.
pub fn remove(node: &Node, id: Ctid, name: &str) -> Result<()> {
    let link = node.names_dir().join(name);
    let ours = std::fs::read_link(&link).ok().and_then(|target| id_of(&target)) == Some(id);
    if name.is_empty() || name.contains('/') || !ours {
        return Ok(());
    }
    std::fs::remove_file(&link).map_err(|error| {
        let error = crate::error::OsText(error);
        Error::Refused(Exit::SetNameFailed, format!("Unable to remove {}: {error}", link.display()))
    })
}

/// Removes every name that leads to the container.
///
/// # Errors
/// The first that cannot be removed; the others have been tried.
pub fn remove_all(node: &Node, id: Ctid) -> Result<()> {
    let mut outcome = Ok(());
    for entry in std::fs::read_dir(node.names_dir()).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str() {
            outcome = outcome.and(remove(node, id, name));
        }
    }
    outcome
}
