//! What the OpenVZ kernel showed under `/proc`, served under `/dev/vz`: on the node all of it, in a
//! container its own part; and lxcfs's files over those of a container's `/proc`.
//!
//! # Who serves
//!
//! Each container has a file system of its own, so that no guest can reach another's rows, or keep
//! another's requests waiting. Its connection is kept open by the container's vzmon, which sleeps
//! until somebody asks, and then starts `vzviews`; that one answers, and ends when nobody has asked
//! for a while. So nothing runs where nobody reads; a `vzviews` that is killed costs the request it
//! was about; and what serving costs is charged to the container, whose group vzmon is in. A
//! killed vzmon takes the connection along (ENOTCONN inside), and the next one brings another.
//!
//! The node's is one process, `vzviews node`, that only wakes when somebody asks; systemd keeps
//! it there.

pub mod lxcfs;
mod mounts;
mod tree;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_sys::fuse::{self, Connection, End};
use vz_sys::mount::{self, Place};
use vz_sys::mount_table;

use crate::error::{Context, Error, Result};
use crate::lock::{self, Outcome};
use crate::node::Node;
use crate::state::State;

pub use mounts::{Mount, inside, place_inside};
use tree::{Container, Everything};

/// The program that serves, in the directory of the helpers.
pub const PROGRAM: &str = "vzviews";

/// What the file systems are called in tables of mounts: `fuse.vz` of `vz`.
const NAME: &str = "vz";

/// Where they lie.
pub const TARGET: &str = "/dev/vz";

/// How long a server of a container stays when nobody asks.
const IDLE: Duration = Duration::from_secs(10);

/// A container's file system that nobody serves yet.
#[derive(Debug)]
pub struct Views {
    /// For vzmon.
    pub connection: Connection,
    /// For the container: its mount, attached nowhere yet.
    pub mount: OwnedFd,
}

impl Views {
    /// Makes it for the container whose ids begin at `uid` and `gid`; `None` where the program that
    /// serves is not installed.
    ///
    /// # Errors
    /// Those of [`Connection::open`].
    pub fn open(node: &Node, uid: u32, gid: u32) -> io::Result<Option<Views>> {
        if !node.helper(PROGRAM).exists() {
            return Ok(None);
        }
        let (connection, mount) = Connection::open(NAME, uid, gid)?;
        Ok(Some(Views { connection, mount }))
    }

    /// Puts it in the place of the one that the container behind `init` has had.
    ///
    /// # Errors
    /// When the container's namespaces cannot be joined, or it has no `/dev/vz` to lie on.
    pub fn replace(&self, init: BorrowedFd<'_>, user_namespace: bool) -> Result<()> {
        let mount = Mount { path: TARGET, kind: "fuse.vz", tree: Some(self.mount.as_fd()) };
        place_inside(&[mount], init, user_namespace)
            .context(Exit::SystemError, || format!("Cannot give the container another {TARGET}"))
    }
}

/// Serves a container's file system until nobody asks any more.
///
/// # Errors
/// When the container does not run, and those of `/dev/fuse`.
pub fn serve_container(node: &Node, id: Ctid, connection: &Connection) -> Result<()> {
    let state = State::load(&node.state_path(id)).ok().flatten().ok_or(Error::NotRunning)?;
    let owner = (state.uid_base, state.gid_base);
    let mut tree = Container { node, id };
    fuse::serve(connection, &mut tree, owner, Some(IDLE))
        .map(drop)
        .context(Exit::SystemError, || format!("Cannot serve {TARGET} of container {id}"))
}

/// Serves the node's file system until it is unmounted. One that is being served already is left
/// alone; one whose server was killed is replaced.
///
/// # Errors
/// When it cannot be mounted, and those of `/dev/fuse`.
pub fn serve_node(node: &Node) -> Result<()> {
    let directory = node.run_dir();
    let failed = || format!("Cannot serve {TARGET}");
    node.make_directory(&directory, 0o755).context(Exit::SystemError, failed)?;
    let taken = lock::take(&directory.join("views.lck")).context(Exit::SystemError, failed)?;
    let Outcome::Taken { lock: _lock, .. } = taken else { return Ok(()) };
    let target = node.path(TARGET);
    clear(&target).context(Exit::SystemError, failed)?;
    node.make_directory(&target, 0o755).context(Exit::SystemError, failed)?;
    let (connection, tree) = Connection::open(NAME, 0, 0).context(Exit::MountFailed, failed)?;
    mount::attach(tree.as_fd(), Place::Path(&target)).context(Exit::MountFailed, failed)?;
    drop(tree);
    match fuse::serve(&connection, &mut Everything { node }, (0, 0), None) {
        Ok(End::Unmounted | End::Idle) => Ok(()),
        Err(error) => Err(error).context(Exit::SystemError, failed),
    }
}

/// Takes away what servers before have left, one upon the other.
fn clear(target: &Path) -> io::Result<()> {
    for _ in 0..mount_table::count_of(target, "fuse.vz", None)? {
        mount::unmount(target, true)?;
    }
    Ok(())
}
