//! The v1 hierarchy named `systemd`, for guests whose systemd is older than 230 and knows no other.
//!
//! It has no controllers: such a guest only sorts its processes in it. The node mounts it for the
//! first such container and takes it away with the last; each gets a directory of its own there,
//! given to its root and bound into its `/sys/fs/cgroup`. `release_agent` is only in the hierarchy's
//! root, which no container sees.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::ctid::Ctid;
use vz_sys::beneath;
use vz_sys::cgroup::Cgroup;
use vz_sys::mount::{self, Attributes, Change, Place, Setting};

use crate::node::Node;

/// Files of a v1 group that its owner must be able to write.
const DELEGATED: [&str; 2] = ["tasks", "cgroup.procs"];

fn mount_point(node: &Node) -> PathBuf {
    node.run_dir().join("cgroup-systemd")
}

/// Makes the container's directory, owned by `uid`:`gid`, and clones it as a mount.
///
/// # Errors
/// Those of mounting the hierarchy and of making the directory.
pub fn make(node: &Node, id: Ctid, uid: u32, gid: u32) -> io::Result<OwnedFd> {
    let top = mount_point(node);
    node.make_directory(&top, 0o755)?;
    let _alone = lock(node)?;
    if !mount::is_mount_point(&top)? {
        let settings = [Setting::Flag("none"), Setting::Text("name", "systemd")];
        let attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        let tree = mount::make(c"cgroup", &settings, attributes)?;
        mount::attach(tree.as_fd(), Place::Path(&top))?;
        let private = Change { private: true, ..Change::default() };
        mount::change(Place::Path(&top), &private)?;
    }
    let group = top.join(directory_name(id));
    node.make_directory(&group, 0o755)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = nix::fcntl::open(&group, flags, Mode::empty())?;
    for name in DELEGATED {
        beneath::change_owner_at(directory.as_fd(), name.as_ref(), uid, gid)?;
    }
    nix::unistd::chown(&group, Some(uid.into()), Some(gid.into()))?;
    mount::clone_tree(Place::Path(&group), false)
}

/// Removes the container's directory and those its guest made in it, deepest first.
///
/// # Errors
/// Those of `rmdir(2)`.
pub fn remove(node: &Node, id: Ctid) -> io::Result<()> {
    let top = mount_point(node);
    if !top.join(directory_name(id)).exists() {
        return Ok(());
    }
    // However deep the guest has nested groups there.
    Cgroup::open(&top)?.remove_child(directory_name(id).as_ref())?;
    let _alone = lock(node)?;
    let is_ours = |entry: io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b"vz-"))
    };
    if !std::fs::read_dir(&top)?.any(is_ours) && mount::is_mount_point(&top)? {
        mount::unmount(&top, true)?;
        std::fs::remove_dir(&top)?;
    }
    Ok(())
}

/// One at a time makes and removes the mount. flock(2) on the directory that it lies in.
fn lock(node: &Node) -> io::Result<std::fs::File> {
    let directory = std::fs::File::open(node.run_dir())?;
    directory.lock()?;
    Ok(directory)
}

fn directory_name(id: Ctid) -> String {
    format!("vz-{id}")
}
