//! Who counts and limits: project quota of the file system, the quota's number as project id.
//!
//! A quota is *on* while its project has a limit in the kernel, which keeps that on the disk: it
//! stays on over a restart of the node, as does what it has counted. Switched off, its files keep
//! the project, and nothing limits it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vz_sys::mount_table;
use vz_sys::quota::{self, Limit, Limits, Project, Quota, Support};

use super::error::{Error, Result};
use super::file::{Amount, Amounts, Grace, Object, QuotaFile};
use super::owners;
use crate::error::OsText;
use crate::report::Report;

/// A limit of inodes that says: on, and without limits. More than 32 bits, so nobody can type it.
const ON_WITHOUT_LIMITS: u64 = 1 << 40;
/// File systems that have project quota.
const FILE_SYSTEMS: [&str; 3] = ["ext4", "xfs", "f2fs"];

/// What the kernel knows of a quota that is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Limits, use, and ends of grace.
    pub amounts: Amounts,
    /// The grace times of space and inodes that count from now on, in seconds.
    pub grace: (i64, i64),
}

/// Counts and limits.
pub trait Kernel {
    /// What a quota may hold and holds; `None` when it is off. Without its directory it is looked
    /// for everywhere.
    ///
    /// # Errors
    /// The kernel's.
    fn get(&self, id: u32, directory: Option<&Path>) -> Result<Option<Level>>;

    /// Switches it on, with the limits of `file`. With `anew` all that is in the directory is
    /// counted anew.
    ///
    /// # Errors
    /// When the file system cannot, and the kernel's.
    fn on(
        &self,
        id: u32,
        directory: &Path,
        file: &QuotaFile,
        anew: bool,
        report: &mut dyn Report,
    ) -> Result<()>;

    /// Sets the limits of one that is on.
    ///
    /// # Errors
    /// The kernel's.
    fn set(&self, id: u32, directory: Option<&Path>, file: &QuotaFile) -> Result<()>;

    /// Switches it off.
    ///
    /// # Errors
    /// The kernel's.
    fn off(&self, id: u32, directory: Option<&Path>) -> Result<()>;

    /// Whether limits of users and groups of a directory have an effect.
    fn limits_users(&self, directory: &Path) -> bool;

    /// What users and groups of a directory may hold and hold; `None` when they are to be counted
    /// by going through it.
    ///
    /// # Errors
    /// The kernel's.
    fn users(&self, directory: &Path) -> Result<Option<Vec<Object>>>;

    /// Sets the limits of a user or a group, where they have an effect.
    ///
    /// # Errors
    /// The kernel's.
    fn set_user(&self, directory: &Path, object: &Object) -> Result<()>;

    /// Sets the grace times of users or of groups, where their limits have an effect.
    ///
    /// # Errors
    /// The kernel's.
    fn set_users_grace(&self, directory: &Path, kind: u32, grace: &Grace) -> Result<()>;
}

/// This kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProjectQuota;

impl Kernel for ProjectQuota {
    fn get(&self, id: u32, directory: Option<&Path>) -> Result<Option<Level>> {
        let Some((file, quota)) = find(id, directory)? else { return Ok(None) };
        let grace = quota::grace(file.as_fd()).map_err(failed("getstat", id))?;
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let grace = (seconds(grace.space), seconds(grace.inodes));
        Ok(Some(Level { amounts: amounts_of(&quota), grace }))
    }

    fn on(
        &self,
        id: u32,
        directory: &Path,
        file: &QuotaFile,
        anew: bool,
        report: &mut dyn Report,
    ) -> Result<()> {
        let opened = open(directory).map_err(failed("on", id))?;
        let support = quota::support(opened.as_fd()).map_err(failed("on", id))?;
        if support != Support::Enforced {
            let (path, lack) = (directory.display(), lack_of(support));
            let text =
                format!("Quota on syscall for id {id}: the file system of {path} {lack}: {CURE}");
            return Err(Error::Kernel(text));
        }
        let project = quota::project(opened.as_fd()).map_err(failed("on", id))?;
        refuse_foreign(&opened, directory, id, project)?;
        if anew || project != (Project { id, inherit: true }) {
            adopt(&opened, directory, id, report)?;
        }
        enforce(opened.as_fd(), id, &marked(file)).map_err(failed("on", id))
    }

    fn set(&self, id: u32, directory: Option<&Path>, file: &QuotaFile) -> Result<()> {
        let Some((opened, _)) = find(id, directory)? else { return Ok(()) };
        enforce(opened.as_fd(), id, &marked(file)).map_err(failed("setlimit", id))
    }

    fn off(&self, id: u32, directory: Option<&Path>) -> Result<()> {
        let Some((opened, _)) = find(id, directory)? else { return Ok(()) };
        quota::set_limits(opened.as_fd(), id, &Limits::default()).map_err(failed("off", id))
    }

    fn limits_users(&self, directory: &Path) -> bool {
        owners::file_system(directory).is_some()
    }

    fn users(&self, directory: &Path) -> Result<Option<Vec<Object>>> {
        owners::all(directory)
    }

    fn set_user(&self, directory: &Path, object: &Object) -> Result<()> {
        owners::set(directory, object)
    }

    fn set_users_grace(&self, directory: &Path, kind: u32, grace: &Grace) -> Result<()> {
        owners::set_grace(directory, kind, grace)
    }
}

/// What would make a file system fit.
pub const CURE: &str =
    "tune2fs -O project -Q prjquota on it (unmounted) and mount it with prjquota";

/// What a file system lacks that does not enforce project quota.
pub fn lack_of(support: Support) -> &'static str {
    match support {
        Support::AccountingOnly => "counts but does not enforce project quota",
        _ => "has no project quota",
    }
}

/// Sets limits, grace times and, of what is over its soft limit already, the end of its grace.
///
/// The kernel has one grace time for all projects of a file system, the last that was asked for. It
/// is left alone when it is the one wanted: whoever starts a hundred containers sets it once.
///
/// # Errors
/// Those of quotactl(2).
pub fn enforce(directory: BorrowedFd<'_>, id: u32, file: &QuotaFile) -> std::io::Result<()> {
    let before = quota::quota(directory, id).unwrap_or_default();
    let (space, inodes) = (&file.amounts.space, &file.amounts.inodes);
    let limit = |amount: &Amount| Limit { soft: amount.soft, hard: amount.hard };
    let limits = Limits { space: limit(space), inodes: limit(inodes) };
    quota::set_limits(directory, id, &limits)?;
    let seconds = |grace: i64| Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let (space_grace, inode_grace) = (seconds(file.grace.space), seconds(file.grace.inodes));
    let wanted = quota::Grace { space: space_grace, inodes: inode_grace };
    if quota::grace(directory)? != wanted {
        quota::set_grace(directory, wanted)?;
    }
    match ends(file, &before, wanted) {
        (0, 0) => Ok(()),
        (space, inodes) => quota::set_grace_end(directory, id, space, inodes),
    }
}

/// A quota without limits gets one by which it can be told that it is on.
pub(super) fn marked(file: &QuotaFile) -> QuotaFile {
    let mut file = file.clone();
    let Amounts { space, inodes } = &mut file.amounts;
    if (space.soft, space.hard, inodes.soft, inodes.hard) == (0, 0, 0, 0) {
        inodes.hard = ON_WITHOUT_LIMITS;
    }
    file
}

/// When the grace of what is held ends, of space and inodes. While it is on the kernel knows best:
/// what the file has is from before.
pub(super) fn ends(file: &QuotaFile, before: &Quota, grace: quota::Grace) -> (u64, u64) {
    let (space, inodes) = (&file.amounts.space, &file.amounts.inodes);
    let is_on = before.limits != Limits::default();
    let known = |of_kernel: u64, amount: &Amount| match is_on {
        true => of_kernel,
        false => u64::try_from(amount.end).unwrap_or(0),
    };
    (
        end(space, before.space_held, known(before.space_grace_end, space), grace.space),
        end(inodes, before.inodes_held, known(before.inodes_grace_end, inodes), grace.inodes),
    )
}

/// As it was, or as it begins now; 0 below the soft limit.
fn end(amount: &Amount, held: u64, known: u64, grace: Duration) -> u64 {
    match (amount.soft, known) {
        (0, _) => 0,
        (soft, _) if held <= soft => 0,
        (_, 0) => now().saturating_add_unsigned(grace.as_secs()).max(1).unsigned_abs(),
        (_, known) => known,
    }
}

/// Seconds of the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A file on the file system where a quota is on, and what it holds.
fn find(id: u32, directory: Option<&Path>) -> Result<Option<(File, Quota)>> {
    if let Some(directory) = directory
        && let Ok(file) = open(directory)
    {
        return Ok(on_at(file, id));
    }
    // The directory is gone, or nobody knows it.
    let places = mount_table::mounts_of(&FILE_SYSTEMS).map_err(failed("getstat", id))?;
    Ok(places.iter().filter_map(|place| open(place).ok()).find_map(|file| on_at(file, id)))
}

/// Whether a quota is on at the file system of `file`. One that counts no projects has none.
fn on_at(file: File, id: u32) -> Option<(File, Quota)> {
    let quota = quota::quota(file.as_fd(), id).ok()?;
    (quota.limits != Limits::default()).then_some((file, quota))
}

pub(super) fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(nix::libc::O_DIRECTORY).open(path)
}

/// A directory counts for one quota: one that another quota limits is not taken from it.
fn refuse_foreign(opened: &File, directory: &Path, id: u32, project: Project) -> Result<()> {
    let Some(other) = foreign(opened.as_fd(), id, project) else { return Ok(()) };
    let path = directory.display();
    Err(Error::Kernel(format!(
        "Quota on syscall for id {id}: {path} is under quota {other}, which is on: \
         switch that off first"
    )))
}

/// The other quota, which is on, that a directory of this project counts for.
pub fn foreign(directory: BorrowedFd<'_>, id: u32, project: Project) -> Option<u32> {
    foreign_with(id, project, || quota::quota(directory, project.id))
}

fn foreign_with(
    id: u32,
    project: Project,
    quota: impl FnOnce() -> std::io::Result<Quota>,
) -> Option<u32> {
    let is_other = project.id != 0 && project.id != id;
    let is_on = || quota().is_ok_and(|quota| quota.limits != Limits::default());
    (is_other && is_on()).then_some(project.id)
}

fn adopt(opened: &File, directory: &Path, id: u32, report: &mut dyn Report) -> Result<()> {
    let done = quota::set_project_recursive(opened.as_fd(), id).map_err(|error| {
        let path = directory.join(&error.path);
        let text = format!("{} {}: {}", error.verb, path.display(), OsText(error.source));
        Error::Kernel(format!("Quota on syscall for id {id}: {text}"))
    })?;
    if done.unreachable > 0 {
        report.error(&format!(
            "{} links and devices that were there before are not counted: this kernel cannot \
             give them to a quota",
            done.unreachable
        ));
    }
    Ok(())
}

pub(super) fn amounts_of(quota: &Quota) -> Amounts {
    let Limits { space, inodes } = limits(quota);
    let end = |end: u64| i64::try_from(end).unwrap_or(i64::MAX);
    let space = Amount {
        hard: space.hard,
        soft: space.soft,
        end: end(quota.space_grace_end),
        held: quota.space_held,
    };
    let inodes = Amount {
        hard: inodes.hard,
        soft: inodes.soft,
        end: end(quota.inodes_grace_end),
        held: quota.inodes_held,
    };
    Amounts { space, inodes }
}

/// The limits that somebody has set: none for a quota that is on without.
pub fn limits(quota: &Quota) -> Limits {
    let mut limits = quota.limits;
    if limits.inodes.hard == ON_WITHOUT_LIMITS {
        limits.inodes.hard = 0;
    }
    limits
}

fn failed(what: &'static str, id: u32) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Kernel(format!("Quota {what} syscall for id {id}: {}", OsText(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_another_quota_limits_is_foreign() {
        let project = |id| Project { id, inherit: true };
        let limited = || {
            let limits = Limits { inodes: Limit { soft: 0, hard: 1 }, ..Limits::default() };
            Ok(Quota { limits, ..Quota::default() })
        };
        assert_eq!(foreign_with(5, project(6), limited), Some(6));
        assert_eq!(foreign_with(5, project(5), limited), None);
        assert_eq!(foreign_with(5, project(0), limited), None);
        assert_eq!(foreign_with(5, project(6), || Ok(Quota::default())), None);
    }

    #[test]
    fn one_without_limits_is_on_and_shows_none() {
        let mut file = QuotaFile::default();
        let limits_of = |file: &QuotaFile| {
            let inodes = Limit { soft: file.amounts.inodes.soft, hard: file.amounts.inodes.hard };
            Limits { inodes, ..Limits::default() }
        };
        let on = Quota { limits: limits_of(&marked(&file)), ..Quota::default() };
        assert_ne!(on.limits, Limits::default());
        assert_eq!(limits(&on), Limits::default());
        file.amounts.inodes.hard = 5;
        assert_eq!(marked(&file), file);
        let on = Quota { limits: limits_of(&file), ..Quota::default() };
        assert_eq!(limits(&on), on.limits);
    }

    #[test]
    fn the_end_of_grace_is_the_kernels_while_it_is_on() {
        let mut file = QuotaFile::default();
        file.amounts.space = Amount { soft: 10, hard: 0, end: 77, held: 0 };
        let grace = quota::Grace { space: Duration::from_secs(100), inodes: Duration::ZERO };
        let off = Quota { space_held: 11, ..Quota::default() };
        assert_eq!(ends(&file, &off, grace), (77, 0));
        let limits = Limits { space: Limit { soft: 10, hard: 0 }, ..Limits::default() };
        let mut on = Quota { limits, space_grace_end: 99, ..off };
        assert_eq!(ends(&file, &on, grace), (99, 0));
        on.space_grace_end = 0;
        assert!(ends(&file, &on, grace).0 >= now().unsigned_abs());
        on.space_held = 10;
        assert_eq!(ends(&file, &on, grace), (0, 0));
    }
}
