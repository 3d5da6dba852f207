//! Counting a tree, as `init` and vzdqcheck(8) do.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, SFlag};
use vz_sys::tree_walk::{self, Visitor};

use super::error::{Error, Result};
use super::file::{Amounts, GROUP, Object, USER, Users};
use crate::report::Report;

/// `st_blocks` of stat(2) is in units of this many bytes.
const STAT_BLOCK: u64 = 512;

/// What a tree holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Bytes, of whole blocks: also those of directories.
    pub space: u64,
    /// Files of every kind, each once whatever links it has.
    pub inodes: u64,
    /// Of them, those that are no directories.
    pub files: u64,
    /// Of them, directories.
    pub directories: u64,
    /// Names of files that have several.
    pub hard_links: u64,
    /// What each user and group holds, when that was asked for; other fields are empty.
    pub users: Option<Users>,
}

/// Counts a directory and all below it, and for `by_user` also by user and group. Follows no link
/// below it.
///
/// # Errors
/// [`Error::CrossesMount`] when something is mounted in it; what cannot be read.
pub fn count(path: &Path, by_user: bool, report: &mut dyn Report) -> Result<Count> {
    report.log(1, &format!("scan mount point begin '{}'", path.display()));
    let directory = open(path)?;
    let owners = by_user.then(HashMap::new);
    let mut counter = Counter { count: Count::default(), owners, seen: HashSet::new() };
    tree_walk::walk(directory.as_fd(), &mut counter).map_err(|error| {
        match error.source.raw_os_error() {
            Some(errno) if errno == Errno::EXDEV as i32 => Error::CrossesMount,
            _ => Error::Scan {
                what: error.verb,
                path: path.join(error.path),
                source: error.source.into(),
            },
        }
    })?;
    let count = Count { users: counter.owners.map(users), ..counter.count };
    report.log(
        1,
        &format!(
            "scan mount point end :{}:inodes {}:size {}:files {}:dirs {}:hard_links {}",
            path.display(),
            count.inodes,
            count.space,
            count.files,
            count.directories,
            count.hard_links
        ),
    );
    Ok(count)
}

/// Opens the directory that is counted; only the path to it may lead over links.
fn open(path: &Path) -> Result<File> {
    let failed = |what| {
        let path = path.to_owned();
        move |source: io::Error| Error::Scan { what, path, source: source.into() }
    };
    let metadata = std::fs::metadata(path).map_err(failed("stat"))?;
    if !metadata.is_dir() {
        let source = io::Error::from(Errno::ENOTDIR);
        let path = format!("{} is not dir", path.display()).into();
        return Err(Error::Scan { what: "path", path, source: source.into() });
    }
    let flags = nix::libc::O_DIRECTORY;
    File::options().read(true).custom_flags(flags).open(path).map_err(failed("open"))
}

/// Users and groups in the order of [`Users`].
fn users(owners: HashMap<(u32, u32), Amounts>) -> Users {
    let object = |((kind, id), amounts)| Object { id, kind, amounts, flags: 0 };
    let mut objects: Vec<Object> = owners.into_iter().map(object).collect();
    objects.sort_unstable_by_key(Object::key);
    Users { objects, ..Users::default() }
}

struct Counter {
    count: Count,
    /// By kind and number. A tree can have a million, in any order.
    owners: Option<HashMap<(u32, u32), Amounts>>,
    /// Files with several names: by their number, since all lie on one file system.
    seen: HashSet<u64>,
}

impl Counter {
    fn add(&mut self, status: &FileStat) {
        let space = u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(STAT_BLOCK);
        let count = &mut self.count;
        count.space = count.space.saturating_add(space);
        count.inodes += 1;
        let Some(owners) = &mut self.owners else { return };
        for (kind, id) in [(USER, status.st_uid), (GROUP, status.st_gid)] {
            let amounts = owners.entry((kind, id)).or_default();
            amounts.space.held = amounts.space.held.saturating_add(space);
            amounts.inodes.held += 1;
        }
    }
}

impl Visitor for Counter {
    const VERB: &'static str = "count";

    fn directory(&mut self, _: BorrowedFd<'_>, status: &FileStat) -> io::Result<bool> {
        self.count.directories += 1;
        self.add(status);
        Ok(true)
    }

    fn other(
        &mut self,
        _: BorrowedFd<'_>,
        _: &std::ffi::CStr,
        status: &FileStat,
    ) -> io::Result<()> {
        debug_assert!(status.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFDIR.bits());
        if status.st_nlink > 1 {
            self.count.hard_links += 1;
            if !self.seen.insert(status.st_ino) {
                return Ok(());
            }
        }
        self.count.files += 1;
        self.add(status);
        Ok(())
    }

    fn mount_point(&mut self) -> io::Result<()> {
        Err(Errno::EXDEV.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::report::Silent;

    #[test]
    fn links_count_once_and_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("d")).unwrap();
        let mut file = File::create_new(path.join("d/f")).unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        fs::hard_link(path.join("d/f"), path.join("f2")).unwrap();
        symlink("/usr", path.join("s")).unwrap();
        let count = super::count(path, true, &mut Silent).unwrap();
        assert_eq!((count.inodes, count.directories, count.files), (4, 2, 2));
        assert_eq!(count.hard_links, 2);
        assert!((10_000..60_000).contains(&count.space), "{count:?}");
        let users = count.users.unwrap();
        let of = |kind| users.objects.iter().filter(move |object| object.kind == kind);
        for kind in [USER, GROUP] {
            assert_eq!(of(kind).map(|object| object.amounts.space.held).sum::<u64>(), count.space);
            assert_eq!(of(kind).map(|object| object.amounts.inodes.held).sum::<u64>(), 4);
        }
    }

    #[test]
    fn what_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let error = count(path, false, &mut Silent).unwrap_err();
        let text = format!("quota check : path {} is not dir: Not a directory", path.display());
        assert_eq!((error.code(), error.to_string()), (1, text));
        let error = count(Path::new("/nonexistent"), false, &mut Silent).unwrap_err();
        let text = "quota check : stat /nonexistent: No such file or directory";
        assert_eq!(error.to_string(), text);
        let error = count(Path::new("/dev"), false, &mut Silent).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            (8, "quota check : crossing mount point".into())
        );
    }
}
