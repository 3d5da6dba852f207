//! The file system a container gets to see: a clone of what lies at VE_ROOT on the node, shown
//! through the container's id map. Nothing is chowned.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_sys::beneath;
use vz_sys::mount::{self, Change, Place};
use vz_sys::mount_table;

/// One mount of the container's tree, attached nowhere yet.
#[derive(Debug)]
pub struct Tree {
    /// Where it goes below the container's root; empty for the root itself.
    pub path: String,
    /// The mount.
    pub mount: OwnedFd,
    /// Owners are shown through the container's id map, or shifted like that already.
    pub mapped: bool,
}

/// Clones the mount at `root` and each mount below it, mapped through `user_namespace`. Mounts
/// below that cannot be mapped (proc, overlay, most FUSE) come along as they are, and so does a root
/// whose owners are `shifted` already.
///
/// # Errors
/// Those of `open_tree(2)`; of `mount_setattr(2)` for the root.
pub fn clone_all(
    root: &Path,
    user_namespace: Option<BorrowedFd<'_>>,
    shifted: bool,
) -> io::Result<Vec<Tree>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let top = nix::fcntl::open(root, flags, Mode::empty())?;
    let map = user_namespace.filter(|_| !shifted);
    let first = clone_one(top.as_fd(), String::new(), map)?;
    let mut trees = vec![Tree { mapped: first.mapped || shifted, ..first }];
    if let (Some(_), false) = (user_namespace, trees[0].mapped) {
        return Err(io::Error::from_raw_os_error(nix::libc::EINVAL));
    }
    for below in mount_table::mounts_below(root)? {
        let Ok(relative) = below.strip_prefix(root) else { continue };
        let mount = open_mount(top.as_fd(), relative)?;
        let Some(relative) = relative.to_str() else { continue };
        trees.push(clone_one(mount.as_fd(), relative.to_owned(), user_namespace)?);
    }
    Ok(trees)
}

/// Opens what is mounted at `path` below `root`. A container that shares a directory with this one
/// can swap it for a link to `/` at any moment (CVE-2021-30465): links are refused, and what is
/// found must be the root of a mount.
pub(in crate::lifecycle) fn open_mount(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("the mount at /{}: {error}", path.display()))
    };
    let found = beneath::open_beneath(root, path.as_os_str(), OFlag::O_PATH, Mode::empty())
        .map_err(|error| named(error.into()))?;
    match mount::is_mount_root(Place::Descriptor(found.as_fd())).map_err(named)? {
        true => Ok(found),
        false => Err(named(io::Error::other("it has been moved away"))),
    }
}

fn clone_one(
    at: BorrowedFd<'_>,
    path: String,
    user_namespace: Option<BorrowedFd<'_>>,
) -> io::Result<Tree> {
    let mount = mount::clone_tree(Place::Descriptor(at), false)?;
    // What happens to the node's mount later must not reach into the container, nor out of it.
    let place = Place::Descriptor(mount.as_fd());
    mount::change(place, &Change { private: true, ..Change::default() })?;
    let mapped = match user_namespace {
        None => false,
        Some(_) => {
            mount::change(place, &Change { id_map: user_namespace, ..Change::default() }).is_ok()
        }
    };
    Ok(Tree { path, mount, mapped })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_swapped_for_a_link_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("shared/plain")).unwrap();
        std::os::unix::fs::symlink("/", tree.path().join("shared/swapped")).unwrap();
        let top = std::fs::File::open(tree.path()).unwrap();
        let open = |path: &str| open_mount(top.as_fd(), Path::new(path)).unwrap_err().to_string();
        assert!(open("shared/swapped").contains("symbolic links"), "{}", open("shared/swapped"));
        assert!(open("shared/swapped/proc").contains("symbolic links"));
        assert!(open("shared/plain").contains("moved away"));
        let root = std::fs::File::open("/").unwrap();
        assert!(open_mount(root.as_fd(), Path::new("proc")).is_ok());
    }
}
