//! The inode flags that chattr(1) sets (`FS_IOC_GETFLAGS`, ioctl_iflags(2)).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::Result;
use nix::errno::Errno;

/// Nothing about the file may change, its removal included (`FS_IMMUTABLE_FL`).
pub const IMMUTABLE: u32 = 0x10;
/// The file may only grow and not be removed (`FS_APPEND_FL`).
pub const APPEND: u32 = 0x20;

/// The flags of an open file or directory.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` where the file system has no flags.
pub fn get(file: BorrowedFd<'_>) -> Result<u32> {
    // Declared as `long` in the kernel's header, an `int` in what every file system does.
    let mut flags: libc::c_int = 0;
    // SAFETY: FS_IOC_GETFLAGS writes one int to the address given, which outlives the call.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &mut flags) };
    Errno::result(answer)?;
    Ok(flags.cast_unsigned())
}

/// Replaces the flags of an open file or directory.
///
/// # Errors
/// `EPERM` without `CAP_LINUX_IMMUTABLE`, and those of ioctl_iflags(2).
pub fn set(file: BorrowedFd<'_>, flags: u32) -> Result<()> {
    let flags: libc::c_int = flags.cast_signed();
    // SAFETY: FS_IOC_SETFLAGS reads one int from the address given, which outlives the call.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &flags) };
    Errno::result(answer).map(drop)
}
