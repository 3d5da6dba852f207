//! `/var/lib/vzctl/veip/CTID`: the addresses that a running container has been given, without
//! their prefix lengths, each followed by a blank. Panels and scripts read it, and so does vzlist.

use std::fs::Permissions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::new_file::{self, NewFile};

use crate::error::{Context, Result};
use crate::node::Node;

/// The file of a container.
pub fn path(node: &Node, id: Ctid) -> PathBuf {
    node.path("/var/lib/vzctl/veip").join(id.to_string())
}

/// The addresses in the file, in the order in which they were given; `None` when there is no such
/// file, or it cannot be read.
pub fn read(node: &Node, id: Ctid) -> Option<Vec<IpAddr>> {
    let text = std::fs::read_to_string(path(node, id)).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
}

/// Writes the file whole: a reader sees the old one or the new one. A node without the directory
/// gets it.
///
/// # Errors
/// When the file cannot be made.
pub fn write(node: &Node, id: Ctid, addresses: &[IpAddr]) -> Result<()> {
    let path = path(node, id);
    replace(node, &path, addresses).at(Exit::SystemError, "Cannot write", &node.shown(&path))
}

fn replace(node: &Node, path: &Path, addresses: &[IpAddr]) -> io::Result<()> {
    let text: String = addresses.iter().map(|address| format!("{address} ")).collect();
    let directory = path.parent().unwrap_or(Path::new("/"));
    node.make_directory(directory, 0o755)?;
    let new = NewFile::beside(directory)?;
    new.file().set_permissions(Permissions::from_mode(0o644))?;
    new.file().write_all(text.as_bytes())?;
    new.replace(path)
}

/// Removes the file; one that is not there is no error.
///
/// # Errors
/// Those of `unlink(2)`.
pub fn forget(node: &Node, id: Ctid) -> Result<()> {
    let path = path(node, id);
    new_file::remove(&path).at(Exit::SystemError, "Cannot remove", &node.shown(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_file_is_what_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::without_config(Some(directory.path().to_owned()));
        let id = Ctid::new(7).unwrap();
        assert_eq!(read(&node, id), None);
        let addresses = ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        write(&node, id, &addresses).unwrap();
        let text = std::fs::read_to_string(path(&node, id)).unwrap();
        assert_eq!(text, "10.0.0.1 2001:db8::1 ");
        assert_eq!(read(&node, id).as_deref(), Some(&addresses[..]));
        write(&node, id, &[]).unwrap();
        assert_eq!(read(&node, id), Some(vec![]));
        forget(&node, id).unwrap();
        forget(&node, id).unwrap();
        assert_eq!(read(&node, id), None);
    }
}
