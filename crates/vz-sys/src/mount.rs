//! Mounts by descriptor: fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2),
//! and what is left of mount(2). No path of a container is ever resolved here: a target is a
//! descriptor that the caller has opened safely.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const EMPTY: &CStr = c"";

/// Where a mount or a file is to be found: a path of the node, or an open descriptor.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A path, resolved from the caller's root.
    Path(&'a Path),
    /// A path, resolved from this open directory.
    Below(BorrowedFd<'a>, &'a Path),
    /// The very thing this descriptor is open on.
    Descriptor(BorrowedFd<'a>),
}

impl Place<'_> {
    fn split(&self) -> io::Result<(RawFd, CString, u32)> {
        match self {
            Place::Path(path) => Ok((libc::AT_FDCWD, c_path(path)?, 0)),
            Place::Below(directory, path) => Ok((directory.as_raw_fd(), c_path(path)?, 0)),
            Place::Descriptor(descriptor) => {
                Ok((descriptor.as_raw_fd(), CString::default(), libc::AT_EMPTY_PATH as u32))
            }
        }
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What kind of setting a file system option is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<'a> {
    /// `key` alone.
    Flag(&'a str),
    /// `key=value`.
    Text(&'a str, &'a str),
}

bitflags::bitflags! {
    /// Attributes of a mount (mount_setattr(2)).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Attributes: u64 {
        /// Nothing can be written through it.
        const READ_ONLY = 0x1;
        /// set-id bits and file capabilities do nothing.
        const NO_SUID = 0x2;
        /// Device nodes cannot be opened.
        const NO_DEV = 0x4;
        /// Nothing can be executed from it.
        const NO_EXEC = 0x8;
        /// Access times are not written.
        const NO_ATIME = 0x10;
        /// Access times are always written.
        const STRICT_ATIME = 0x20;
        /// Access times of directories are not written.
        const NO_DIR_ATIME = 0x80;
    }
}

/// Makes a file system of type `fstype` and mounts it, attached nowhere yet.
///
/// # Errors
/// Those of `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`.
pub fn make(
    fstype: &CStr,
    settings: &[Setting<'_>],
    attributes: Attributes,
) -> io::Result<OwnedFd> {
    const FSCONFIG_CMD_CREATE: u32 = 6;
    // SAFETY: fsopen reads a NUL-terminated string.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), 1) })?;
    configure_all(context.as_raw_fd(), settings)?;
    configure(context.as_raw_fd(), FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: fsmount takes a descriptor and flags.
    owned(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, attributes.bits() as u32)
    })
}

/// Changes the settings of the file system mounted at `place`, all of them: one that is not given
/// goes back to its default.
///
/// # Errors
/// Those of `fspick(2)`, `fsconfig(2)`.
pub fn reconfigure(place: Place<'_>, settings: &[Setting<'_>]) -> io::Result<()> {
    const FSPICK_CLOEXEC: u32 = 0x1;
    const FSPICK_SYMLINK_NOFOLLOW: u32 = 0x2;
    const FSPICK_NO_AUTOMOUNT: u32 = 0x4;
    const FSPICK_EMPTY_PATH: u32 = 0x8;
    const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
    let (directory, path, empty) = place.split()?;
    let flags = FSPICK_CLOEXEC
        | FSPICK_SYMLINK_NOFOLLOW
        | FSPICK_NO_AUTOMOUNT
        | if empty == 0 { 0 } else { FSPICK_EMPTY_PATH };
    // SAFETY: the path is NUL-terminated and lives across the call.
    let context =
        owned(unsafe { libc::syscall(libc::SYS_fspick, directory, path.as_ptr(), flags) })?;
    configure_all(context.as_raw_fd(), settings)?;
    configure(context.as_raw_fd(), FSCONFIG_CMD_RECONFIGURE, None, None)
}

fn configure_all(context: RawFd, settings: &[Setting<'_>]) -> io::Result<()> {
    const FSCONFIG_SET_FLAG: u32 = 0;
    const FSCONFIG_SET_STRING: u32 = 1;
    for setting in settings {
        match setting {
            Setting::Flag(key) => {
                configure(context, FSCONFIG_SET_FLAG, Some(&CString::new(*key)?), None)?;
            }
            Setting::Text(key, value) => configure(
                context,
                FSCONFIG_SET_STRING,
                Some(&CString::new(*key)?),
                Some(&CString::new(*value)?),
            )?,
        }
    }
    Ok(())
}

fn configure(
    context: RawFd,
    command: u32,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    // SAFETY: key and value are NUL-terminated or null, as the command wants them.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context,
            command,
            key.map_or(std::ptr::null(), CStr::as_ptr),
            value.map_or(std::ptr::null(), CStr::as_ptr),
            0,
        )
    })
}

/// Clones the mount at `place` (with all below it when `recursive`), attached nowhere yet.
///
/// # Errors
/// Those of `open_tree(2)`.
pub fn clone_tree(place: Place<'_>, recursive: bool) -> io::Result<OwnedFd> {
    const OPEN_TREE_CLONE: u32 = 1;
    let (directory, path, empty) = place.split()?;
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | empty;
    if recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    // SAFETY: the path is NUL-terminated and lives across the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, directory, path.as_ptr(), flags) })
}

/// Attaches the detached mount `tree` at `target`; a link as the last part of a path is not followed.
///
/// # Errors
/// Those of `move_mount(2)`.
pub fn attach(tree: BorrowedFd<'_>, target: Place<'_>) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
    const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
    let (directory, path, empty) = target.split()?;
    let flags = MOVE_MOUNT_F_EMPTY_PATH | if empty == 0 { 0 } else { MOVE_MOUNT_T_EMPTY_PATH };
    // SAFETY: both paths are NUL-terminated and live across the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            EMPTY.as_ptr(),
            directory,
            path.as_ptr(),
            flags,
        )
    })
}

/// What [`change`] does to a mount.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// Attributes switched on.
    pub set: Attributes,
    /// Attributes switched off.
    pub clear: Attributes,
    /// The user namespace whose map owners are shown through (an id-mapped mount).
    pub id_map: Option<BorrowedFd<'a>>,
    /// Make it, and what it receives, private to this mount namespace.
    pub private: bool,
    /// Let it receive, but not send, mount events.
    pub slave: bool,
    /// Also everything mounted below it.
    pub recursive: bool,
}

/// Changes the mount at `place` (`mount_setattr(2)`).
///
/// # Errors
/// Those of `mount_setattr(2)`; `EINVAL` for an id map on a file system that cannot be mapped.
pub fn change(place: Place<'_>, change: &Change<'_>) -> io::Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let (directory, path, mut flags) = place.split()?;
    if change.recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    // SAFETY: mount_attr is plain data for which all zeroes is a valid value.
    let mut attributes: libc::mount_attr = unsafe { std::mem::zeroed() };
    attributes.attr_set = change.set.bits();
    attributes.attr_clr = change.clear.bits();
    if let Some(user_namespace) = change.id_map {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = user_namespace.as_raw_fd() as u64;
    }
    if change.private {
        attributes.propagation = libc::MS_PRIVATE;
    } else if change.slave {
        attributes.propagation = libc::MS_SLAVE;
    }
    // SAFETY: the path is NUL-terminated, the attributes live across the call, their size is told.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory,
            path.as_ptr(),
            flags,
            &raw const attributes,
            std::mem::size_of::<libc::mount_attr>(),
        )
    })
}

/// Makes the current directory the root, the old root being stacked on top of it and then taken
/// away: `pivot_root(".", ".")`, `umount2(".", MNT_DETACH)` as pivot_root(2) describes.
///
/// # Errors
/// Those of `pivot_root(2)`, `umount2(2)`, `chdir(2)`.
pub fn pivot_here() -> io::Result<()> {
    // SAFETY: both paths are NUL-terminated literals.
    checked(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// Unmounts what is mounted at `path`, not following a link there; `detach` takes it out of sight
/// even when in use.
///
/// # Errors
/// Those of `umount2(2)`.
pub fn unmount(path: &Path, detach: bool) -> io::Result<()> {
    use nix::mount::MntFlags;
    let mut flags = MntFlags::UMOUNT_NOFOLLOW;
    if detach {
        flags |= MntFlags::MNT_DETACH;
    }
    nix::mount::umount2(path, flags).map_err(Into::into)
}

/// Unmounts what is mounted at `path` below `root`. No link on the way is followed: whoever can
/// rename directories there must not have the node unmount something of its own.
///
/// # Errors
/// `ELOOP` for a link on the way, and those of `umount2(2)`.
pub fn unmount_below(root: BorrowedFd<'_>, path: &Path, detach: bool) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let directory = crate::beneath::open_directory(root, above.as_os_str())?;
    let link = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    unmount(&link.join(name), detach)
}

/// Says whether `path` is the root of a mount (`STATX_ATTR_MOUNT_ROOT`, Linux 5.8): one call,
/// however many mounts the node has.
///
/// # Errors
/// Those of `statx(2)`.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    is_mount_root(Place::Path(path))
}

/// As [`is_mount_point`], of any place; a link as the last part of a path is not followed.
///
/// # Errors
/// Those of `statx(2)`.
pub fn is_mount_root(place: Place<'_>) -> io::Result<bool> {
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    let (directory, path, empty) = place.split()?;
    // SAFETY: statx is plain data for which all zeroes is a valid value.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    // By number: std looks for libc's statx(3) as a weak symbol, and in a static program linked
    // with LTO that makes ours weak too, which then nothing resolves (a call of address 0).
    // SAFETY: the path is NUL-terminated and the buffer lives across the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_statx,
            directory,
            path.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | empty as i32,
            libc::STATX_BASIC_STATS,
            &raw mut status,
        )
    })?;
    Ok(status.stx_attributes & STATX_ATTR_MOUNT_ROOT != 0)
}

/// The type number of the file system that `descriptor` lies on (statfs(2)).
///
/// # Errors
/// Those of `fstatfs(2)`.
pub fn file_system_type(descriptor: BorrowedFd<'_>) -> io::Result<i64> {
    Ok(nix::sys::statfs::fstatfs(descriptor)?.filesystem_type().0)
}
