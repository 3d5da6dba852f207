//! Users and groups of a directory that is a whole file system: its own quota counts and limits them.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use vz_sys::mount_table;
use vz_sys::quota::{self, Limit, Limits, Owner, Support};

use super::error::{Error, Result};
use super::file::{Amount, GROUP, Grace, Object, USER};
use super::kernel::{amounts_of, open};
use crate::error::OsText;

/// Both kinds, by their number in the quota file.
const OWNERS: [(u32, Owner); 2] = [(USER, Owner::User), (GROUP, Owner::Group)];

/// The file system that a directory is the top of, when it limits both users and groups.
pub fn file_system(directory: &Path) -> Option<File> {
    let file = open(directory).ok()?;
    // The name that the mount table has for what was opened.
    let place = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let limits = |owner| quota::owner_support(file.as_fd(), owner).ok() == Some(Support::Enforced);
    let is_whole = mount_table::is_whole_file_system(&place).unwrap_or(false);
    (is_whole && limits(Owner::User) && limits(Owner::Group)).then_some(file)
}

/// What all of them may hold and hold; `None` where it does not limit them.
///
/// # Errors
/// The kernel's.
pub fn all(directory: &Path) -> Result<Option<Vec<Object>>> {
    let Some(file) = file_system(directory) else { return Ok(None) };
    let mut objects = Vec::new();
    for (kind, owner) in OWNERS {
        let mut next = Some(0);
        while let Some(from) = next {
            let found = quota::next_owner_quota(file.as_fd(), owner, from);
            let Some(quota) = found.map_err(failed("getstat"))? else { break };
            let amounts = amounts_of(&quota);
            let object = Object { id: quota.id, kind, amounts, flags: 0 };
            if !object.is_empty() {
                objects.push(object);
            }
            next = quota.id.checked_add(1);
        }
    }
    Ok(Some(objects))
}

/// Sets the limits of one; nothing happens where they are not limited.
///
/// # Errors
/// The kernel's.
pub fn set(directory: &Path, object: &Object) -> Result<()> {
    let Some(file) = file_system(directory) else { return Ok(()) };
    let limit = |amount: &Amount| Limit { soft: amount.soft, hard: amount.hard };
    let (space, inodes) = (limit(&object.amounts.space), limit(&object.amounts.inodes));
    let limits = Limits { space, inodes };
    quota::set_owner_limits(file.as_fd(), owner(object.kind), object.id, &limits)
        .map_err(failed("setlimit"))
}

/// Sets the grace times of a kind.
///
/// # Errors
/// The kernel's.
pub fn set_grace(directory: &Path, kind: u32, grace: &Grace) -> Result<()> {
    let Some(file) = file_system(directory) else { return Ok(()) };
    let seconds = |grace: i64| Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let times = quota::Grace { space: seconds(grace.space), inodes: seconds(grace.inodes) };
    quota::set_owner_grace(file.as_fd(), owner(kind), times).map_err(failed("setgrace"))
}

fn owner(kind: u32) -> Owner {
    if kind == GROUP { Owner::Group } else { Owner::User }
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Kernel(format!("Quota ugid_{what} syscall: {}", OsText(error)))
}
