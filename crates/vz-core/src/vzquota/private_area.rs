//! The quota of a container's private area, as vzctl(8) has it: on while the container is mounted,
//! under its CTID, with the limits of its configuration.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use vz_conf::config::Config;
use vz_conf::ctid::Ctid;
use vz_conf::new_file;
use vz_sys::quota::{self, Limits, Project, Quota};

use super::change::BLOCK;
use super::file::{DIRTY, Grace, ON, QuotaFile, USERS_ON};
use super::store::{self, Place, QuotaStore};
use super::{kernel, second};
use crate::container::Container;
use crate::node::Node;

/// The grace time without QUOTATIME, in seconds (vzctl's default).
const DEFAULT_GRACE: u64 = 259_200;

/// Sets the limits of `config` for the private area, which `directory` is a file of, and keeps them
/// in its quota file, as far as that can be written and no other command holds it.
///
/// # Errors
/// Those of quotactl(2).
pub fn on(container: &Container<'_>, directory: BorrowedFd<'_>, config: &Config) -> io::Result<()> {
    let mut held = Held::open(container.node, container.id)?;
    let mut file = held.known.take().unwrap_or_default();
    put_config(&mut file, config);
    file.set_directory(&container.node.shown(&container.private));
    file.mark(ON, true);
    file.mark(DIRTY, false);
    second::activate(&mut file);
    // Without limits as well: it is on while the container is mounted.
    kernel::enforce(directory, container.id.get(), &kernel::marked(&file))?;
    take_use(&mut file, quota::quota(directory, container.id.get()).ok());
    // The kernel has them. A node whose disk is full must still start its containers.
    let _ = held.keep(&file);
    Ok(())
}

/// The grace times in force on the file system of the private area; `None` where they cannot be asked for.
pub fn grace(container: &Container<'_>) -> Option<quota::Grace> {
    quota::grace(File::open(&container.private).ok()?.as_fd()).ok()
}

/// Takes the limits away, and keeps in the file what is held, and when its grace ends: the next
/// [`on`] goes on with that. Nothing happens when it is off.
///
/// # Errors
/// Those of quotactl(2), and of writing the file.
pub fn off(container: &Container<'_>) -> io::Result<()> {
    let directory = match File::open(&container.private) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let id = container.id;
    let mut held = Held::open(container.node, id)?;
    let before = quota::quota(directory.as_fd(), id.get()).ok();
    // First: without limits the kernel forgets when the grace ends.
    let kept = match held.known.take().filter(|file| file.has(ON)) {
        Some(mut file) => {
            take_use(&mut file, before);
            second::deactivate(&mut file.users);
            file.mark(ON, false);
            held.keep(&file)
        }
        None => Ok(()),
    };
    lift(directory.as_fd(), id, before)?;
    kept
}

/// Takes the limits of a directory that is about to be removed away: the kernel keeps those also of
/// a project that holds nothing. What is not there, or no directory, has none.
///
/// # Errors
/// Those of open(2) and quotactl(2).
pub fn clear(area: &Path, id: Ctid) -> io::Result<()> {
    match kernel::open(area) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(())
        }
        opened => {
            let opened = opened?;
            lift(opened.as_fd(), id, quota::quota(opened.as_fd(), id.get()).ok())
        }
    }
}

/// Takes the limits of the directory's own project away, when it has any.
fn lift(directory: BorrowedFd<'_>, id: Ctid, quota: Option<Quota>) -> io::Result<()> {
    let project = quota::project(directory).ok();
    match is_limited(project, id, quota) {
        true => quota::set_limits(directory, id.get(), &Limits::default()),
        false => Ok(()),
    }
}

fn is_limited(project: Option<Project>, id: Ctid, quota: Option<Quota>) -> bool {
    project.is_some_and(|project| project.id == id.get())
        && quota.is_some_and(|quota| quota.limits != Limits::default())
}

/// Removes the quota file of a container that is no more.
///
/// # Errors
/// Those of unlink(2).
pub fn forget(node: &Node, id: Ctid) -> io::Result<()> {
    let path = Place::default().new_file(node, id.get()).map_err(io::Error::other)?;
    match path.parent().is_some_and(|directory| directory.exists()) {
        true => new_file::remove(&path),
        false => Ok(()),
    }
}

/// The quota file of a private area, held against vzquota(8) where it can be.
struct Held {
    store: super::Result<QuotaStore>,
    /// What is in it; one that is damaged counts as none.
    known: Option<QuotaFile>,
}

impl Held {
    fn open(node: &Node, id: Ctid) -> io::Result<Held> {
        let path = Place::default().new_file(node, id.get()).map_err(io::Error::other)?;
        let store = QuotaStore::make(path.clone(), id.get()).map(|(store, _)| store);
        let known = store::read(&path, id.get()).ok().map(|(file, _)| file);
        Ok(Held { store, known })
    }

    /// Limits of users and groups are only there, and go to the disk at once. The rest comes from
    /// the configuration and the kernel: no start waits for the disk because of it.
    fn keep(self, file: &QuotaFile) -> io::Result<()> {
        let store = self.store.map_err(io::Error::other)?;
        let done = match file.users.objects.is_empty() {
            true => store.write_unsynced(file),
            false => store.write(file),
        };
        done.map_err(io::Error::other)
    }
}

/// What the kernel has counted and, while it limits, when grace ends. One that counts nothing leaves
/// what was known.
fn take_use(file: &mut QuotaFile, quota: Option<Quota>) {
    let Some(quota) = quota else { return };
    let (space, inodes) = (&mut file.amounts.space, &mut file.amounts.inodes);
    (space.held, inodes.held) = (quota.space_held, quota.inodes_held);
    if quota.limits != Limits::default() {
        let end = |end: u64| i64::try_from(end).unwrap_or(i64::MAX);
        (space.end, inodes.end) = (end(quota.space_grace_end), end(quota.inodes_grace_end));
    }
}

/// DISKSPACE is in KB; what is not set has no limit.
fn put_config(file: &mut QuotaFile, config: &Config) {
    let (space, inodes) = (&mut file.amounts.space, &mut file.amounts.inodes);
    let bytes = |blocks: u64| blocks.saturating_mul(BLOCK);
    (space.soft, space.hard) =
        config.diskspace.map_or((0, 0), |space| (bytes(space.soft), bytes(space.hard)));
    (inodes.soft, inodes.hard) =
        config.diskinodes.map_or((0, 0), |inodes| (inodes.soft, inodes.hard));
    let seconds = i64::try_from(config.quotatime.unwrap_or(DEFAULT_GRACE)).unwrap_or(i64::MAX);
    file.grace = Grace { space: seconds, inodes: seconds, flags: file.grace.flags };
    let users = config.quotaugidlimit.unwrap_or(0);
    file.users.limit = u32::try_from(users).unwrap_or(u32::MAX);
    file.mark(USERS_ON, users != 0);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vz_sys::quota::Limit;

    use super::super::file::Amount;
    use super::*;

    #[test]
    fn what_the_configuration_says() {
        let text = "DISKSPACE=\"1000:2000\"\nDISKINODES=\"5:6\"\nQUOTAUGIDLIMIT=\"7\"\n";
        let parsed = vz_conf::file::ConfFile::parse(text.as_bytes());
        let context = vz_conf::context::Context::new(Ctid::new(101).unwrap());
        let scope = vz_conf::param::Scope::Container;
        let (config, _) = Config::read(&parsed, std::path::Path::new("x"), scope, &context);
        let mut file = QuotaFile::default();
        put_config(&mut file, &config);
        assert_eq!((file.amounts.space.soft, file.amounts.space.hard), (1_024_000, 2_048_000));
        assert_eq!((file.amounts.inodes.soft, file.amounts.inodes.hard), (5, 6));
        assert_eq!((file.grace.space, file.grace.inodes), (259_200, 259_200));
        assert!(file.has(USERS_ON));
        put_config(&mut file, &Config { quotatime: Some(0), ..Config::default() });
        assert_eq!((file.amounts, file.grace), Default::default());
        assert!(!file.has(USERS_ON));
    }

    #[test]
    fn grace_goes_on_where_it_was_when_mounted_again() {
        let mut file = QuotaFile::default();
        file.amounts.space = Amount { soft: 10, hard: 20, end: 0, held: 0 };
        let limits = Limits { space: Limit { soft: 10, hard: 20 }, ..Limits::default() };
        let on = Quota {
            limits,
            space_held: 15,
            space_grace_end: 77,
            inodes_held: 3,
            ..Quota::default()
        };
        take_use(&mut file, Some(on));
        let kept = Amount { soft: 10, hard: 20, end: 77, held: 15 };
        assert_eq!((file.amounts.space, file.amounts.inodes.held), (kept, 3));
        // What the kernel says without limits.
        let off = Quota { space_held: 15, inodes_held: 3, ..Quota::default() };
        let hour = Duration::from_secs(3600);
        let grace = quota::Grace { space: hour, inodes: hour };
        assert_eq!(kernel::ends(&file, &off, grace), (77, 0));
        take_use(&mut file, Some(off));
        assert_eq!(file.amounts.space, kept);
        take_use(&mut file, Some(Quota { space_held: 9, space_grace_end: 0, ..on }));
        assert_eq!(file.amounts.space.end, 0);
    }

    #[test]
    fn a_file_that_another_command_holds_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::without_config(Some(directory.path().to_owned()));
        let id = Ctid::new(101).unwrap();
        let mut file = QuotaFile::default();
        Held::open(&node, id).unwrap().keep(&file).unwrap();
        let path = Place::default().new_file(&node, 101).unwrap();
        let other = QuotaStore::open(path, 101).unwrap();
        file.users.object(0, 5).amounts.space.hard = 1024;
        let held = Held::open(&node, id).unwrap();
        assert_eq!(held.known, Some(QuotaFile::default()));
        held.keep(&file).unwrap_err();
        drop(other);
        assert_eq!(Held::open(&node, id).unwrap().known, Some(QuotaFile::default()));
        Held::open(&node, id).unwrap().keep(&file).unwrap();
        assert_eq!(Held::open(&node, id).unwrap().known, Some(file));
    }

    #[test]
    fn limits_of_its_own_project_are_taken_away() {
        let id = Ctid::new(101).unwrap();
        let project = |id| Some(Project { id, inherit: false });
        let limits = Limits { space: Limit { soft: 0, hard: 20 }, ..Limits::default() };
        let limited = Some(Quota { limits, ..Quota::default() });
        assert!(is_limited(project(101), id, limited));
        assert!(!is_limited(project(102), id, limited));
        assert!(!is_limited(project(101), id, Some(Quota::default())));
        assert!(!is_limited(None, id, None));
        let directory = tempfile::tempdir().unwrap();
        clear(&directory.path().join("none"), id).unwrap();
        clear(directory.path(), id).unwrap();
        clear(Path::new("/dev/null"), id).unwrap();
    }
}
