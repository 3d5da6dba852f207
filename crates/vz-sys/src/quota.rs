//! Project quota: the project id of files, and what a project may hold (quotactl(2),
//! ioctl_fs(2): linux/fs.h `struct fsxattr`); and what a user or a group of a file system may hold.
//!
//! Works for ext4 and XFS by the same calls. The file system is named by a descriptor of any
//! file on it (quotactl_fd(2), Linux 5.14), so no block device has to be found or trusted.
//! Setting limits needs CAP_SYS_ADMIN of the node.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

#[path = "quota_call.rs"]
pub mod call;
#[path = "quota_owner.rs"]
mod owner;
#[path = "quota_tree.rs"]
mod tree;
pub use owner::{Owner, next_owner_quota, owner_support, set_owner_grace, set_owner_limits};
pub use tree::{TreeError, TreeSummary, set_project_recursive};

/// `PRJQUOTA` of linux/quota.h.
const PROJECT: u32 = 2;
/// Commands of linux/quota.h and linux/dqblk_xfs.h.
const Q_GETINFO: u32 = 0x80_0005;
const Q_SETINFO: u32 = 0x80_0006;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
const Q_GETNEXTQUOTA: u32 = 0x80_0009;
const Q_XGETQSTATV: u32 = ((b'X' as u32) << 8) + 8;

/// Which fields of [`KernelQuota`] and [`KernelInfo`] are given (`QIF_*`, `IIF_*`).
const QIF_BLIMITS: u32 = 1;
const QIF_ILIMITS: u32 = 4;
const QIF_BTIME: u32 = 16;
const QIF_ITIME: u32 = 32;
const IIF_BGRACE: u32 = 1;
const IIF_IGRACE: u32 = 2;
/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`; version of the answer (`FS_QSTATV_VERSION1`).
const PROJECT_ACCOUNTING: u16 = 1 << 4;
const PROJECT_ENFORCEMENT: u16 = 1 << 5;
const STATUS_VERSION: i8 = 1;

/// Limits of space are kept in units of this many bytes (`QIF_DQBLKSIZE`).
pub const SPACE_UNIT: u64 = 1024;

/// `_IOR('X', 31, struct fsxattr)` and `_IOW('X', 32, struct fsxattr)`.
const FS_IOC_FSGETXATTR: libc::Ioctl = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::Ioctl = 0x401c_5820;
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct FileAttributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct KernelQuota {
    space_hard: u64,
    space_soft: u64,
    space_held: u64,
    inodes_hard: u64,
    inodes_soft: u64,
    inodes_held: u64,
    space_grace_end: u64,
    inodes_grace_end: u64,
    valid: u32,
    /// Only in the answer of Q_GETNEXTQUOTA (`struct if_nextdqblk`).
    id: u32,
}

/// `struct if_dqinfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct KernelInfo {
    space_grace: u64,
    inodes_grace: u64,
    flags: u32,
    valid: u32,
}

/// `struct fs_quota_statv`, of which the flags matter here.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct KernelStatus {
    version: i8,
    padding: u8,
    flags: u16,
    rest: [u64; 20],
}

/// The project a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Project {
    /// Project id; 0 is every file's that was given none.
    pub id: u32,
    /// New files below this directory get its project id (`PROJINHERIT`).
    pub inherit: bool,
}

/// The two limits of one resource. 0 means none, as in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// May be passed for the grace period.
    pub soft: u64,
    /// May never be passed.
    pub hard: u64,
}

/// What a project may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; the kernel keeps multiples of [`SPACE_UNIT`], rounded up here.
    pub space: Limit,
    /// Files, directories and all else that has an inode.
    pub inodes: Limit,
}

/// What a project may hold and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Project id.
    pub id: u32,
    /// What it may hold.
    pub limits: Limits,
    /// Bytes held. Lacks what was written and not yet allocated: syncfs(2) first to be exact.
    pub space_held: u64,
    /// Inodes held.
    pub inodes_held: u64,
    /// When space over the soft limit begins to fail, in seconds of the epoch; 0 while below.
    pub space_grace_end: u64,
    /// The same for inodes.
    pub inodes_grace_end: u64,
}

/// How long a soft limit may be passed; one value for all projects of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// For space, in whole seconds.
    pub space: Duration,
    /// For inodes, in whole seconds.
    pub inodes: Duration,
}

/// What a file system does with project quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Nothing: no such feature, kernel without quota, or switched off.
    None,
    /// It counts, and limits have no effect (ext4 with the feature but without `prjquota`;
    /// XFS with `pqnoenforce`).
    AccountingOnly,
    /// It counts and limits hold.
    Enforced,
}

/// Reads the project of an open file or directory. ENOTTY or EOPNOTSUPP where the file system
/// has no projects. `file` must not be an O_PATH descriptor.
pub fn project(file: BorrowedFd<'_>) -> io::Result<Project> {
    let attributes = file_attributes(file)?;
    let inherit = attributes.flags & FS_XFLAG_PROJINHERIT != 0;
    Ok(Project { id: attributes.project, inherit })
}

/// Gives an open file or directory a project; its other attributes stay. Only a directory can
/// have `inherit` (EOPNOTSUPP, or EINVAL, for a file). EINVAL from within a user namespace.
pub fn set_project(file: BorrowedFd<'_>, project: Project) -> io::Result<()> {
    let mut attributes = file_attributes(file)?;
    attributes.project = project.id;
    attributes.flags &= !FS_XFLAG_PROJINHERIT;
    if project.inherit {
        attributes.flags |= FS_XFLAG_PROJINHERIT;
    }
    // SAFETY: the kernel reads one `fsxattr` that lives over the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSSETXATTR, &raw const attributes) })
}

fn file_attributes(file: BorrowedFd<'_>) -> io::Result<FileAttributes> {
    let mut attributes = FileAttributes::default();
    // SAFETY: the kernel writes one `fsxattr`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR, &raw mut attributes) })?;
    Ok(attributes)
}

/// Finds out what the file system of `file` does with project quota.
///
/// One call tells ext4 and XFS apart from the rest: Q_XGETQSTATV, which ext4 answers too, with
/// one flag for counting and one for enforcing. `ENOSYS` is its answer both where there is no
/// quota at all and where every type is off.
pub fn support(file: BorrowedFd<'_>) -> io::Result<Support> {
    support_of(file, PROJECT_ACCOUNTING, PROJECT_ENFORCEMENT)
}

fn support_of(file: BorrowedFd<'_>, accounting: u16, enforcement: u16) -> io::Result<Support> {
    let mut status = KernelStatus { version: STATUS_VERSION, padding: 0, flags: 0, rest: [0; 20] };
    // SAFETY: the kernel writes one `fs_quota_statv` of this version, 160 bytes, into more.
    match unsafe { quotactl(file, PROJECT, Q_XGETQSTATV, 0, &mut status) } {
        Ok(()) if status.flags & accounting == 0 => Ok(Support::None),
        Ok(()) if status.flags & enforcement == 0 => Ok(Support::AccountingOnly),
        Ok(()) => Ok(Support::Enforced),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP | libc::ENODEV) => {
                Ok(Support::None)
            }
            _ => Err(error),
        },
    }
}

/// Reads what a project may hold and holds. ESRCH where the file system counts nothing;
/// ENOENT on XFS for a project that never held or was given anything.
pub fn quota(file: BorrowedFd<'_>, id: u32) -> io::Result<Quota> {
    let mut answer = KernelQuota::default();
    // SAFETY: the kernel writes one `if_dqblk`, the first part of `KernelQuota`.
    unsafe { quotactl(file, PROJECT, Q_GETQUOTA, id, &mut answer) }?;
    Ok(from_kernel(id, &answer))
}

/// Reads the first project of this id or a higher one that has usage or limits; `None` when
/// there is no further one. For listing: ask again from the answer's id plus one.
pub fn next_quota(file: BorrowedFd<'_>, id: u32) -> io::Result<Option<Quota>> {
    next_of(file, PROJECT, id)
}

fn next_of(file: BorrowedFd<'_>, kind: u32, id: u32) -> io::Result<Option<Quota>> {
    let mut answer = KernelQuota::default();
    // SAFETY: the kernel writes one `if_nextdqblk`, which is `KernelQuota`.
    match unsafe { quotactl(file, kind, Q_GETNEXTQUOTA, id, &mut answer) } {
        Ok(()) => Ok(Some(from_kernel(answer.id, &answer))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets what a project may hold. Takes effect at once for what is asked for from then on; a
/// limit below what is held frees nothing.
pub fn set_limits(file: BorrowedFd<'_>, id: u32, limits: &Limits) -> io::Result<()> {
    set_limits_of(file, PROJECT, id, limits)
}

fn set_limits_of(file: BorrowedFd<'_>, kind: u32, id: u32, limits: &Limits) -> io::Result<()> {
    let mut quota = KernelQuota {
        space_hard: limits.space.hard.div_ceil(SPACE_UNIT),
        space_soft: limits.space.soft.div_ceil(SPACE_UNIT),
        inodes_hard: limits.inodes.hard,
        inodes_soft: limits.inodes.soft,
        valid: QIF_BLIMITS | QIF_ILIMITS,
        ..KernelQuota::default()
    };
    // SAFETY: the kernel reads one `if_dqblk`, the first part of `KernelQuota`.
    unsafe { quotactl(file, kind, Q_SETQUOTA, id, &mut quota) }
}

/// Sets when one project's grace ends, in seconds of the epoch: for space, then for inodes. The
/// kernel forgets it when the project is not over its soft limit.
pub fn set_grace_end(file: BorrowedFd<'_>, id: u32, space: u64, inodes: u64) -> io::Result<()> {
    let mut quota = KernelQuota {
        space_grace_end: space,
        inodes_grace_end: inodes,
        valid: QIF_BTIME | QIF_ITIME,
        ..KernelQuota::default()
    };
    // SAFETY: the kernel reads one `if_dqblk`, the first part of `KernelQuota`.
    unsafe { quotactl(file, PROJECT, Q_SETQUOTA, id, &mut quota) }
}

/// Reads the grace periods of the file system.
pub fn grace(file: BorrowedFd<'_>) -> io::Result<Grace> {
    let mut info = KernelInfo::default();
    // SAFETY: the kernel writes one `if_dqinfo`.
    unsafe { quotactl(file, PROJECT, Q_GETINFO, 0, &mut info) }?;
    let seconds = Duration::from_secs;
    Ok(Grace { space: seconds(info.space_grace), inodes: seconds(info.inodes_grace) })
}

/// Sets the grace periods, for every project of the file system.
pub fn set_grace(file: BorrowedFd<'_>, grace: Grace) -> io::Result<()> {
    set_grace_of(file, PROJECT, grace)
}

fn set_grace_of(file: BorrowedFd<'_>, kind: u32, grace: Grace) -> io::Result<()> {
    let mut info = KernelInfo {
        space_grace: grace.space.as_secs(),
        inodes_grace: grace.inodes.as_secs(),
        flags: 0,
        valid: IIF_BGRACE | IIF_IGRACE,
    };
    // SAFETY: the kernel reads one `if_dqinfo`.
    unsafe { quotactl(file, kind, Q_SETINFO, 0, &mut info) }
}

fn from_kernel(id: u32, quota: &KernelQuota) -> Quota {
    let space = Limit {
        soft: quota.space_soft.saturating_mul(SPACE_UNIT),
        hard: quota.space_hard.saturating_mul(SPACE_UNIT),
    };
    let inodes = Limit { soft: quota.inodes_soft, hard: quota.inodes_hard };
    Quota {
        id,
        limits: Limits { space, inodes },
        space_held: quota.space_held, // in bytes, unlike the limits
        inodes_held: quota.inodes_held,
        space_grace_end: quota.space_grace_end,
        inodes_grace_end: quota.inodes_grace_end,
    }
}

/// quotactl_fd(2) of one kind of quota.
///
/// # Safety
/// `data` must be at least what the kernel reads or writes for `command`.
unsafe fn quotactl<T>(
    file: BorrowedFd<'_>,
    kind: u32,
    command: u32,
    id: u32,
    data: &mut T,
) -> io::Result<()> {
    let command = command << 8 | kind; // QCMD()
    // SAFETY: by this function's own contract.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            file.as_raw_fd(),
            command,
            id,
            std::ptr::from_mut(data),
        )
    };
    check(result as libc::c_int)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

// The layouts the kernel knows: a slip here would be memory corruption, so it must not compile.
const _: () = assert!(size_of::<FileAttributes>() == 28);
const _: () = assert!(size_of::<KernelQuota>() == 72 && offset_of!(KernelQuota, id) == 68);
const _: () = assert!(size_of::<KernelInfo>() == 24);
const _: () = assert!(size_of::<KernelStatus>() >= 160 && offset_of!(KernelStatus, flags) == 2);

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
