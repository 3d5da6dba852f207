//! What a user or a group may hold of a whole file system, by the numbers on the disk.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Grace, Limits, Quota, Support, next_of, set_grace_of, set_limits_of, support_of};

/// Whose files are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `USRQUOTA`.
    User,
    /// `GRPQUOTA`.
    Group,
}

impl Owner {
    /// Its number in linux/quota.h.
    pub(super) fn kind(self) -> u32 {
        match self {
            Owner::User => 0,
            Owner::Group => 1,
        }
    }
}

/// What the file system of `file` does with quota of users, or of groups.
///
/// # Errors
/// Those of quotactl(2).
pub fn owner_support(file: BorrowedFd<'_>, owner: Owner) -> io::Result<Support> {
    // `FS_QUOTA_UDQ_ACCT`, `FS_QUOTA_UDQ_ENFD`, and those of groups (linux/dqblk_xfs.h).
    match owner {
        Owner::User => support_of(file, 1 << 0, 1 << 1),
        Owner::Group => support_of(file, 1 << 2, 1 << 3),
    }
}

/// Reads the first user or group of this number or a higher one that has usage or limits; `None`
/// when there is no further one.
///
/// # Errors
/// Those of quotactl(2): ESRCH where they are not counted.
pub fn next_owner_quota(file: BorrowedFd<'_>, owner: Owner, id: u32) -> io::Result<Option<Quota>> {
    next_of(file, owner.kind(), id)
}

/// Sets what a user or a group may hold.
///
/// # Errors
/// Those of quotactl(2).
pub fn set_owner_limits(
    file: BorrowedFd<'_>,
    owner: Owner,
    id: u32,
    limits: &Limits,
) -> io::Result<()> {
    set_limits_of(file, owner.kind(), id, limits)
}

/// Sets the grace periods of all users, or of all groups.
///
/// # Errors
/// Those of quotactl(2).
pub fn set_owner_grace(file: BorrowedFd<'_>, owner: Owner, grace: Grace) -> io::Result<()> {
    set_grace_of(file, owner.kind(), grace)
}
