//! Mounts of overlayfs (Documentation/filesystems/overlayfs.rst): a shared tree below, read-only,
//! changes above it in a directory of their own.
//!
//! An overlay cannot be id-mapped itself, its layers can be: each is a clone of its mount, mapped,
//! and the overlay is laid over the clones. Kernels before 6.15 take as a layer only what is
//! attached in the mounter's own mount namespace, and the overlay does its work on the layers as
//! the user who has mounted it: one without a place in the map cannot make the work directory, and
//! the overlay comes up read-only. So it is mounted by a thread that has a mount namespace of its
//! own and takes the file system ids of the map's first user; both end with it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::beneath;
use crate::mount::{self, Attributes, Change, Place, Setting};
use crate::namespace::{self, Namespaces};

/// The directory of the changes, below [`Layers::above`].
pub const UPPER: &str = "upper";
/// The directory beside it that overlayfs works in.
pub const WORK: &str = "work";

/// What overlayfs makes in [`WORK`].
pub const WORK_INSIDE: &str = "work";

/// What else is said to the kernel. Nothing that a layer's files claim about others is followed
/// (`redirect_dir`, `metacopy`): a name is found where it lies. `index` would tie the directory of
/// changes to one tree by its file handle, and it could not be copied to another node any more.
const SETTINGS: [Setting<'static>; 5] = [
    Setting::Text("redirect_dir", "nofollow"),
    Setting::Text("metacopy", "off"),
    Setting::Text("index", "off"),
    Setting::Text("nfs_export", "off"),
    Setting::Text("xino", "auto"),
];

/// What owners are shown through.
#[derive(Debug, Clone, Copy)]
pub struct IdMap<'a> {
    /// A user namespace with the map.
    pub user_namespace: BorrowedFd<'a>,
    /// The user that its id 0 is outside.
    pub uid: u32,
    /// The same for groups.
    pub gid: u32,
}

/// What an overlay is made of.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The shared tree. Nothing is ever written there.
    pub below: &'a Path,
    /// A directory with [`UPPER`] and [`WORK`] in it.
    pub above: &'a Path,
    /// Owners as they are on disk without one.
    pub id_map: Option<IdMap<'a>>,
    /// What is done with it.
    pub access: Access,
}

/// What is done with an overlay. To unmount one that can be written to syncs the whole file system
/// that the changes lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is written to.
    Write,
    /// It is written to, and nothing is synced, not even by fsync(2). Afterwards [`WORK`] must be
    /// emptied (see [`WORK_INSIDE`]): until then it cannot be mounted again.
    Volatile,
    /// It is read.
    Read,
}

/// Mounts an overlay, attached nowhere yet. Both paths are the node's own.
///
/// # Errors
/// Those of the calls of the mount API, of `unshare(2)` and `prctl(2)`; `EINVAL` for a file system
/// that cannot be id-mapped, or be a layer; `EROFS` when it would come up read-only.
pub fn make(layers: &Layers<'_>) -> io::Result<OwnedFd> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || make_here(layers))?;
        thread.join().map_err(|_| io::Error::other("the thread has panicked"))?
    })
}

fn make_here(layers: &Layers<'_>) -> io::Result<OwnedFd> {
    namespace::unshare(Namespaces::MOUNT)?;
    let alone = Change { private: true, recursive: true, ..Change::default() };
    mount::change(Place::Path(Path::new("/")), &alone)?;
    let below = attach_clone(layers.below, layers.id_map, Attributes::READ_ONLY)?;
    let above = attach_clone(layers.above, layers.id_map, Attributes::default())?;
    let open = |name: &str| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        beneath::open_beneath(above.as_fd(), name.as_ref(), flags, Mode::empty())
    };
    let (upper, work) = (open(UPPER)?, open(WORK)?);
    if let Some(map) = layers.id_map {
        namespace::take_file_ids(map.uid, map.gid)?;
    }
    let [below, upper, work] = [&below, &upper, &work].map(path_of);
    let mut settings = vec![
        Setting::Text("source", "overlay"),
        Setting::Text("lowerdir", &below),
        Setting::Text("upperdir", &upper),
        Setting::Text("workdir", &work),
    ];
    settings.extend(SETTINGS);
    match layers.access {
        Access::Write => {}
        Access::Volatile => settings.push(Setting::Flag("volatile")),
        Access::Read => settings.push(Setting::Flag("ro")),
    }
    let made = mount::make(c"overlay", &settings, Attributes::default())?;
    // What it cannot write to, it takes for a reason to come up read-only, which is no error.
    let read_only = fstatvfs(made.as_fd())?.flags().contains(FsFlags::ST_RDONLY);
    match read_only && layers.access != Access::Read {
        true => Err(io::Error::from_raw_os_error(libc::EROFS)),
        false => Ok(made),
    }
}

fn attach_clone(path: &Path, id_map: Option<IdMap<'_>>, set: Attributes) -> io::Result<OwnedFd> {
    let tree = mount::clone_tree(Place::Path(path), false)?;
    let id_map = id_map.map(|map| map.user_namespace);
    let change = Change { set, id_map, ..Change::default() };
    mount::change(Place::Descriptor(tree.as_fd()), &change)?;
    mount::attach(tree.as_fd(), Place::Path(path))?;
    Ok(tree)
}

/// The kernel reads a layer's name as text with an alphabet of its own; this one is plain.
fn path_of(descriptor: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
