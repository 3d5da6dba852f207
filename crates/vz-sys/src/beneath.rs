//! Files below a directory the caller holds open, never outside it.
//!
//! A path is resolved by `openat2(2)` only: [`open_beneath`] refuses every symbolic link,
//! [`open_in_root`] takes the directory as the root that links and `..` are resolved in.
//! What has no `openat2` form (`mkdirat`, `linkat`, ...) takes one name, not a path: a name with
//! a slash, `.`, `..` and the empty name are refused with `EINVAL`, and the last component is
//! never followed. All descriptors are close-on-exec.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat2};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags};

/// How often a resolution that raced with a rename (`EAGAIN`, see `openat2(2)`) is tried again.
const RESOLVE_ATTEMPTS: u32 = 128;

/// `RESOLVE_CACHED` of linux/openat2.h.
const RESOLVE_CACHED: u64 = 0x20;

/// Opens `path` below `directory`, refusing every symbolic link on the way and at its end.
///
/// `mode` counts only where `flags` has `O_CREAT`.
///
/// # Errors
/// `ELOOP` for a symbolic link, `EXDEV` for a path that leaves `directory`, and those of open(2).
pub fn open_beneath(
    directory: BorrowedFd<'_>,
    path: &OsStr,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd> {
    resolve(directory, path, flags, mode, no_links())
}

/// As [`open_beneath`], and refuses to cross into another mount.
///
/// # Errors
/// `EXDEV` where a component is a mount point, and those of [`open_beneath`].
pub fn open_beneath_same_mount(
    directory: BorrowedFd<'_>,
    path: &OsStr,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd> {
    resolve(directory, path, flags, mode, no_links() | ResolveFlag::RESOLVE_NO_XDEV)
}

/// Opens `path` as a process whose root directory is `root` would: absolute symbolic links and
/// `..` stay inside. Magic links of `/proc` are refused.
///
/// # Errors
/// `ELOOP` for a magic link or a loop of links, and those of open(2).
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &OsStr,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd> {
    let how = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    resolve(root, path, flags, mode, how)
}

/// Opens the directory `path` below `directory` as a place to work from (`O_PATH`).
///
/// # Errors
/// `ENOTDIR` where it is no directory, and those of [`open_beneath`].
pub fn open_directory(directory: BorrowedFd<'_>, path: &OsStr) -> Result<OwnedFd> {
    open_beneath(directory, path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())
}

/// Finds the directory `path` below `directory` as [`open_directory`] does, by what the kernel has in
/// memory: no file system is asked, so none whose server is somebody else's (FUSE) can make the caller
/// wait. Mount points are always in memory. Since Linux 5.12.
///
/// # Errors
/// `EAGAIN` where a file system would have to be asked, `EINVAL` by an older kernel, and those of
/// [`open_directory`].
pub fn find_mount_point(directory: BorrowedFd<'_>, path: &OsStr) -> Result<OwnedFd> {
    let how = no_links() | ResolveFlag::from_bits_retain(RESOLVE_CACHED);
    resolve(directory, path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty(), how)
}

/// Opens the directory that `directory` is in now, for reading, unless that is another mount.
/// Others may have moved `directory`: the caller has to check where this led.
///
/// # Errors
/// `EXDEV` where `directory` is the root of a mount, and those of open(2).
pub fn open_parent(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let how = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    resolve(directory, OsStr::new(".."), flags, Mode::empty(), how)
}

/// Makes the directory `name` in `parent`.
///
/// # Errors
/// Those of mkdir(2), `EINVAL` for what is not one name.
pub fn make_directory(parent: BorrowedFd<'_>, name: &OsStr, mode: Mode) -> Result<()> {
    nix::sys::stat::mkdirat(parent, one_name(name)?, mode)
}

/// Makes the device node, FIFO or socket `name` in `parent`; `device` is a `makedev(3)` number.
///
/// # Errors
/// Those of mknod(2): `EPERM` where device nodes are not permitted.
pub fn make_node(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    kind: SFlag,
    mode: Mode,
    device: u64,
) -> Result<()> {
    nix::sys::stat::mknodat(parent, one_name(name)?, kind, mode, device)
}

/// Makes the symbolic link `name` in `parent`, holding `target` as it is.
///
/// # Errors
/// Those of symlink(2), `EINVAL` for what is not one name.
pub fn make_symlink(target: &OsStr, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    nix::unistd::symlinkat(target, parent, one_name(name)?)
}

/// Makes `name` in `parent` another name of `old_name` in `old_parent`. Where that is a symbolic
/// link, the link itself gets the new name.
///
/// # Errors
/// Those of link(2), `EINVAL` for what is not one name.
pub fn make_hard_link(
    old_parent: BorrowedFd<'_>,
    old_name: &OsStr,
    parent: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<()> {
    let flags = LinkatFlags::empty();
    nix::unistd::linkat(old_parent, one_name(old_name)?, parent, one_name(name)?, flags)
}

/// Renames `old_name` in `old_parent` to `name` in `parent`, as renameat2(2) does with `flags`.
///
/// # Errors
/// Those of renameat2(2), `EINVAL` for what is not one name.
pub fn rename(
    old_parent: BorrowedFd<'_>,
    old_name: &OsStr,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    flags: RenameFlags,
) -> Result<()> {
    nix::fcntl::renameat2(old_parent, one_name(old_name)?, parent, one_name(name)?, flags)
}

/// Removes `name` in `parent`, which is no directory.
///
/// # Errors
/// `EISDIR` for a directory, and those of unlink(2).
pub fn remove_file(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    nix::unistd::unlinkat(parent, one_name(name)?, UnlinkatFlags::NoRemoveDir)
}

/// Removes the empty directory `name` in `parent`.
///
/// # Errors
/// `ENOTEMPTY`, `ENOTDIR`, and those of rmdir(2).
pub fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    nix::unistd::unlinkat(parent, one_name(name)?, UnlinkatFlags::RemoveDir)
}

/// Changes the owner and group of an open file.
///
/// # Errors
/// Those of fchown(2).
pub fn change_owner(file: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    nix::unistd::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// Changes the owner and group of `name` in `parent`; of a symbolic link its own.
///
/// # Errors
/// Those of fchownat(2), `EINVAL` for what is not one name.
pub fn change_owner_at(parent: BorrowedFd<'_>, name: &OsStr, uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    nix::unistd::fchownat(parent, one_name(name)?, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Changes the mode of an open file (not of an `O_PATH` descriptor: [`change_mode_of_path`]).
///
/// # Errors
/// Those of fchmod(2).
pub fn change_mode(file: BorrowedFd<'_>, mode: Mode) -> Result<()> {
    nix::sys::stat::fchmod(file, mode)
}

/// Changes the mode of what an `O_PATH` descriptor holds, through `/proc/self/fd`: the only way
/// to a device node or a FIFO that does not open it, before fchmodat2(2) of Linux 6.6.
///
/// # Errors
/// `EOPNOTSUPP` for a symbolic link, and those of chmod(2).
pub fn change_mode_of_path(path: BorrowedFd<'_>, mode: Mode) -> Result<()> {
    let link = proc_link(path);
    nix::sys::stat::fchmodat(AT_FDCWD, link.as_os_str(), mode, FchmodatFlags::FollowSymlink)
}

/// Sets the modification time of an open file; the access time stays.
///
/// # Errors
/// Those of futimens(3).
pub fn set_modified(file: BorrowedFd<'_>, modified: TimeSpec) -> Result<()> {
    nix::sys::stat::futimens(file, &TimeSpec::UTIME_OMIT, &modified)
}

/// Sets the modification time of `name` in `parent`; of a symbolic link its own.
///
/// # Errors
/// Those of utimensat(2), `EINVAL` for what is not one name.
pub fn set_modified_at(parent: BorrowedFd<'_>, name: &OsStr, modified: TimeSpec) -> Result<()> {
    let flags = UtimensatFlags::NoFollowSymlink;
    nix::sys::stat::utimensat(parent, one_name(name)?, &TimeSpec::UTIME_OMIT, &modified, flags)
}

/// What the symbolic link `name` in `parent` holds.
///
/// # Errors
/// `EINVAL` where it is no symbolic link, and those of readlink(2).
pub fn read_link(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OsString> {
    nix::fcntl::readlinkat(parent, one_name(name)?)
}

/// The status of an open file, `O_PATH` descriptors included.
///
/// # Errors
/// Those of fstat(2).
pub fn status(file: BorrowedFd<'_>) -> Result<FileStat> {
    nix::sys::stat::fstat(file)
}

/// The status of `name` in `parent`; of a symbolic link its own.
///
/// # Errors
/// Those of fstatat(2), `EINVAL` for what is not one name.
pub fn status_at(parent: BorrowedFd<'_>, name: &OsStr) -> Result<FileStat> {
    nix::sys::stat::fstatat(parent, one_name(name)?, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Opens anew, with `flags`, what an `O_PATH` descriptor holds: it was looked at first and is
/// now known to be safe to open.
///
/// # Errors
/// `ELOOP` for a symbolic link, and those of open(2).
pub fn reopen(path: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd> {
    nix::fcntl::open(proc_link(path).as_os_str(), flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// The magic link of a descriptor: it leads to the very file that is open, whatever its name is.
pub(crate) fn proc_link(file: BorrowedFd<'_>) -> OsString {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()).into()
}

fn no_links() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
}

fn resolve(
    directory: BorrowedFd<'_>,
    path: &OsStr,
    flags: OFlag,
    mode: Mode,
    resolve: ResolveFlag,
) -> Result<OwnedFd> {
    // openat2(2) refuses a mode that nothing would use.
    let mode = if flags.contains(OFlag::O_CREAT) { mode } else { Mode::empty() };
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(resolve);
    let mut left = RESOLVE_ATTEMPTS;
    loop {
        match openat2(directory, path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) if left > 0 => left -= 1,
            answer => return answer,
        }
    }
}

/// `name`, if it is the name of one directory entry.
fn one_name(name: &OsStr) -> Result<&OsStr> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(Errno::EINVAL),
        bytes if bytes.contains(&b'/') => Err(Errno::EINVAL),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn open_directory_of(path: &std::path::Path) -> File {
        File::open(path).unwrap()
    }

    #[test]
    fn a_path_that_leaves_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("inside")).unwrap();
        symlink("/etc", tree.path().join("link")).unwrap();
        let top = open_directory_of(tree.path());
        let open = |path: &str| {
            open_beneath(top.as_fd(), OsStr::new(path), OFlag::O_RDONLY, Mode::empty())
        };
        assert!(open("inside").is_ok());
        assert_eq!(open("link").unwrap_err(), Errno::ELOOP);
        assert_eq!(open("link/passwd").unwrap_err(), Errno::ELOOP);
        assert_eq!(open("inside/../..").unwrap_err(), Errno::EXDEV);
        assert_eq!(open("/etc").unwrap_err(), Errno::EXDEV);
    }

    #[test]
    fn an_absolute_link_stays_in_the_root() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("real")).unwrap();
        symlink("/../../real", tree.path().join("link")).unwrap();
        let top = open_directory_of(tree.path());
        let open =
            open_in_root(top.as_fd(), OsStr::new("/link"), OFlag::O_PATH, Mode::empty()).unwrap();
        let real = status_at(top.as_fd(), OsStr::new("real")).unwrap();
        assert_eq!(status(open.as_fd()).unwrap().st_ino, real.st_ino);
    }

    #[test]
    fn only_one_name_is_taken() {
        let tree = tempfile::tempdir().unwrap();
        let top = open_directory_of(tree.path());
        for name in ["", ".", "..", "a/b", "../x", "a/"] {
            let made = make_directory(top.as_fd(), OsStr::new(name), Mode::S_IRWXU);
            assert_eq!(made.unwrap_err(), Errno::EINVAL, "{name}");
        }
    }

    #[test]
    fn a_descriptor_is_close_on_exec() {
        let tree = tempfile::tempdir().unwrap();
        let top = open_directory_of(tree.path());
        let open = open_directory(top.as_fd(), OsStr::new(".")).unwrap();
        let flags = nix::fcntl::fcntl(open.as_fd(), nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags & nix::libc::FD_CLOEXEC, nix::libc::FD_CLOEXEC);
    }

    #[test]
    fn the_mode_of_a_fifo_changes_without_opening_it() {
        let tree = tempfile::tempdir().unwrap();
        let top = open_directory_of(tree.path());
        let name = OsStr::new("fifo");
        make_node(top.as_fd(), name, SFlag::S_IFIFO, Mode::S_IRWXU, 0).unwrap();
        let path = open_beneath(top.as_fd(), name, OFlag::O_PATH, Mode::empty()).unwrap();
        change_mode_of_path(path.as_fd(), Mode::from_bits_truncate(0o640)).unwrap();
        let metadata = std::fs::symlink_metadata(tree.path().join("fifo")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    }
}
