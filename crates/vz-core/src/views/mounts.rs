//! Putting mounts in their places inside a container that runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_sys::clone::{self, Request};
use vz_sys::mount::{self, Place};
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pidfd::{self, Ended};
use vz_sys::{beneath, mount_table};

/// How long the guest's own file systems (FUSE, over whatever it likes) may keep us.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to lie somewhere inside.
#[derive(Debug, Clone, Copy)]
pub struct Mount<'a> {
    /// Where, an absolute path of the container.
    pub path: &'a str,
    /// The type of file system that was put there before, and is taken away.
    pub kind: &'static str,
    /// What is put there, attached nowhere yet; `None` for nothing.
    pub tree: Option<BorrowedFd<'a>>,
}

/// Puts mounts in the places of those that the container behind `init` has had. It is done with the
/// container's rights in its namespaces, by a process that it cannot see. A place that is not there
/// (the guest may have done away with it) is passed over, when another one is.
///
/// # Errors
/// When the namespaces cannot be joined, or nothing could be put anywhere; `TimedOut` when the guest
/// has kept it waiting.
pub fn place_inside(
    mounts: &[Mount<'_>],
    init: BorrowedFd<'_>,
    user_namespace: bool,
) -> io::Result<()> {
    // From outside: the container's own /proc knows nothing of a process that is not in it.
    let pid = pidfd::number(init)?;
    let found = mounts
        .iter()
        .map(|one| mount_table::count_of(Path::new(one.path), one.kind, Some(pid)))
        .collect::<io::Result<Vec<_>>>()?;
    inside(init, user_namespace, || place_all(mounts, &found))
}

/// Does something in the mount namespace of the container behind `init`, with the container's rights, by
/// a process that the container cannot see: it is not in its pid namespace.
///
/// # Errors
/// When the namespaces cannot be joined, and those of `work`; `TimedOut` when the guest has kept it
/// waiting.
pub fn inside(
    init: BorrowedFd<'_>,
    user_namespace: bool,
    work: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let child = clone::spawn(&Request::default(), || {
        match join(init, user_namespace).and_then(|()| work()) {
            Ok(()) => 0,
            // Error numbers end long before exit codes do.
            Err(error) => error.raw_os_error().filter(|n| (1..256).contains(n)).unwrap_or(255),
        }
    })?;
    match pidfd::reap_within(child.pidfd.as_fd(), PATIENCE)? {
        Ended::Code(0) => Ok(()),
        Ended::Code(number) => Err(io::Error::from_raw_os_error(number)),
        Ended::Signal(_) => Err(io::ErrorKind::Interrupted.into()),
    }
}

fn join(init: BorrowedFd<'_>, user_namespace: bool) -> io::Result<()> {
    if !user_namespace {
        return namespace::join(init, Namespaces::MOUNT);
    }
    namespace::join(init, Namespaces::MOUNT | Namespaces::USER)?;
    namespace::become_root()
}

fn place_all(mounts: &[Mount<'_>], found: &[usize]) -> io::Result<()> {
    let root = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
    let mut placed = false;
    let mut last = Ok(());
    for (mount, found) in mounts.iter().zip(found) {
        match place(root.as_fd(), mount, *found) {
            Ok(()) => placed = true,
            Err(error) => last = Err(error),
        }
    }
    if placed { Ok(()) } else { last }
}

fn place(root: BorrowedFd<'_>, mount: &Mount<'_>, found: usize) -> io::Result<()> {
    let path = mount.path.trim_start_matches('/');
    let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
    if found > 0 {
        // By the last name alone: no link on the way is followed, and the container's /proc, which
        // does not know this process, is not needed.
        nix::unistd::fchdir(beneath::open_directory(root, above.as_ref())?)?;
    }
    for _ in 0..found {
        mount::unmount(Path::new(name), true)?;
    }
    let Some(tree) = mount.tree else { return Ok(()) };
    mount::attach(tree, Place::Descriptor(open(root, path)?.as_fd()))
}

fn open(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    Ok(beneath::open_beneath(root, path.as_ref(), OFlag::O_PATH, Mode::empty())?)
}
