//! A container's console: a pseudoterminal of the node whose device lies over `/dev/console`.

mod attach;
mod attention;
mod keys;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_sys::mount::{self, Place};
use vz_sys::{beneath, pty};

pub use attach::attach;

use crate::container::Container;
use crate::error::{Context, Result};
use crate::views;

/// The group `tty`, the same in every distribution; devpts is mounted with it as well.
pub(crate) const TTY_GROUP: u32 = 5;

/// Where it lies in the container.
const TARGET: &str = "/dev/console";

/// The number of the terminal that is the console, as the original counted them; no number at all
/// means the same.
const CONSOLE: u32 = 1;

/// The console is the only terminal that a container shares with the node.
///
/// # Errors
/// For any other number, as the original's for a terminal that there is not.
pub fn require_number(number: u32) -> Result<()> {
    match number {
        0 | CONSOLE => Ok(()),
        _ => Err(attach::unavailable(nix::errno::Errno::ENODEV)),
    }
}

/// What vzmon of container `id` is called in `/run/vz`, for [`attach`].
pub(super) fn socket_name(id: Ctid) -> String {
    format!("{id}.console")
}

/// Forgets the name of a vzmon that is gone. One that stays refuses, and is replaced by the next
/// vzmon: no harm.
pub(super) fn remove_socket(container: &Container<'_>) {
    let _ = std::fs::remove_file(container.node.run_dir().join(socket_name(container.id)));
}

/// A console.
#[derive(Debug)]
pub struct Console {
    /// For vzmon: both ends, so that a guest that closes it does not hang it up.
    pub pair: pty::Pair,
    /// For the container: a mount of its device, attached nowhere yet.
    pub mount: OwnedFd,
}

impl Console {
    /// Opens a console that belongs to the container whose ids begin at `uid` and `gid`.
    ///
    /// # Errors
    /// Those of making a pseudoterminal and of `open_tree(2)`.
    pub fn open(uid: u32, gid: u32) -> Result<Console> {
        let system = |what: &'static str| move || what.to_owned();
        let pair = pty::open().context(Exit::ResourceError, system("Cannot open a console"))?;
        beneath::change_owner(pair.slave.as_fd(), uid, gid + TTY_GROUP)
            .context(Exit::SystemError, system("Cannot give the console away"))?;
        let number = pty::number(pair.master.as_fd())
            .context(Exit::SystemError, system("Cannot find the console"))?;
        let path = format!("/dev/pts/{number}");
        let mount = mount::clone_tree(Place::Path(path.as_ref()), false)
            .context(Exit::SystemError, || format!("Cannot clone {path}"))?;
        Ok(Console { pair, mount })
    }

    /// Puts it in the place of the console that the container behind `init` has had.
    ///
    /// # Errors
    /// When the container's namespaces cannot be joined, or it has no `/dev/console` to lie on.
    pub fn replace(&self, init: BorrowedFd<'_>, user_namespace: bool) -> Result<()> {
        let failed = || format!("Cannot give the container another {TARGET}");
        views::inside(init, user_namespace, || attach_inside(self.mount.as_fd()))
            .context(Exit::SystemError, failed)
    }
}

fn attach_inside(console: BorrowedFd<'_>) -> io::Result<()> {
    // The hung-up one, which the guest may have unmounted; nothing else of its may go.
    let old = find_target()?;
    if mount::file_system_type(old.as_fd())? == pty::DEVPTS_MAGIC {
        drop(old);
        mount::unmount(Path::new(TARGET), true)?;
    }
    mount::attach(console, Place::Descriptor(find_target()?.as_fd()))
}

fn find_target() -> io::Result<OwnedFd> {
    let root = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
    let path = TARGET.trim_start_matches('/');
    Ok(beneath::open_beneath(root.as_fd(), path.as_ref(), OFlag::O_PATH, Mode::empty())?)
}
