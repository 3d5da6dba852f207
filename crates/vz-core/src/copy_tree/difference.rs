//! What a tree has that another does not, as the upper directory of an overlay has it
//! (Documentation/filesystems/overlayfs.rst): files that differ, directories on the way to them, and
//! a device 0:0 for what is not there.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::stat::{FileStat, Mode, SFlag};
use vz_sys::beneath;

use super::{At, Copier, Result, check, errno, file, is_whiteout, kind, names, open_directory};

/// How much of two files is compared at a time, in bytes.
const PIECE: usize = 128 << 10;

/// Fills the empty directory `upper` so that, laid over `below`, it shows `from`. Files are the same
/// when all they have is the same, contents read and compared: a time can be set by a container.
///
/// # Errors
/// As [`super::copy_tree`].
pub fn copy_difference(
    from: BorrowedFd<'_>,
    below: BorrowedFd<'_>,
    upper: BorrowedFd<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let top = Path::new("");
    let open = |directory| open_directory(directory, OsStr::new(".")).at("open", Path::new("."));
    let (from, below, upper) = (open(from)?, open(below)?, open(upper)?);
    let mut groups = HashMap::new();
    gather(from.as_fd(), Some(below.as_fd()), top, &mut groups)?;
    let copier = Copier::new(upper.as_fd(), true, progress);
    let mut difference = Difference { copier, groups };
    difference.put(from.as_fd(), below.as_fd(), upper.as_fd(), top)?;
    let status = beneath::status(from.as_fd()).at("look at", Path::new("."))?;
    file::give_attributes(from.as_fd(), upper.as_fd(), &status).at("set up", Path::new("."))
}

/// A file with more than one name. It can be shared only with one that has the same names.
#[derive(Debug)]
struct Group {
    names: u64,
    below: (u64, u64),
    same: bool,
}

type Groups = HashMap<(u64, u64), Group>;

fn identity(status: &FileStat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

/// Looks for files with more than one name, and whether `below` has them under the same.
fn gather(
    from: BorrowedFd<'_>,
    below: Option<BorrowedFd<'_>>,
    path: &Path,
    groups: &mut Groups,
) -> Result<()> {
    check(path)?;
    for name in names(from).at("read", path)? {
        let path = path.join(&name);
        let status = beneath::status_at(from, &name).at("look at", &path)?;
        let counterpart = below.and_then(|below| beneath::status_at(below, &name).ok());
        if kind(&status) == SFlag::S_IFDIR {
            let from = open_directory(from, &name).at("open", &path)?;
            let both = counterpart.filter(|status| kind(status) == SFlag::S_IFDIR);
            let below = match (both, below) {
                (Some(_), Some(below)) => Some(open_directory(below, &name).at("open", &path)?),
                _ => None,
            };
            gather(from.as_fd(), below.as_ref().map(AsFd::as_fd), &path, groups)?;
        } else if status.st_nlink > 1 {
            let other = counterpart.as_ref();
            let found = other.map(identity).unwrap_or_default();
            let group = groups.entry(identity(&status)).or_insert(Group {
                names: 0,
                below: found,
                same: true,
            });
            group.names += 1;
            let as_many = other.is_some_and(|other| other.st_nlink == status.st_nlink);
            group.same &= as_many && group.below == found;
        }
    }
    Ok(())
}

struct Difference<'a> {
    copier: Copier<'a>,
    groups: Groups,
}

impl Difference<'_> {
    /// Puts what differs between two directories into a third. Says whether anything does.
    fn put(
        &mut self,
        from: BorrowedFd<'_>,
        below: BorrowedFd<'_>,
        upper: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<bool> {
        check(path)?;
        let mut gone: BTreeSet<OsString> = names(below).at("read", path)?.into_iter().collect();
        let mut differs = false;
        for name in names(from).at("read", path)? {
            let path = path.join(&name);
            let status = beneath::status_at(from, &name).at("look at", &path)?;
            if is_whiteout(&status) {
                continue;
            }
            let other = match gone.remove(&name) {
                true => Some(beneath::status_at(below, &name).at("look at", &path)?),
                false => None,
            };
            let directories = other
                .filter(|other| kind(&status) == SFlag::S_IFDIR && kind(other) == SFlag::S_IFDIR);
            differs |= match (directories, other) {
                (Some(other), _) => {
                    self.put_directory(from, below, upper, &name, (&status, &other), &path)?
                }
                (None, Some(other))
                    if self.is_same(from, below, &name, &status, &other, &path)? =>
                {
                    false
                }
                _ => {
                    self.copier.copy(from, upper, &name, &status, &path)?;
                    true
                }
            };
        }
        for name in &gone {
            let made = beneath::make_node(upper, name, SFlag::S_IFCHR, Mode::empty(), 0);
            made.at("make a whiteout for", &path.join(name))?;
        }
        Ok(differs || !gone.is_empty())
    }

    fn put_directory(
        &mut self,
        from: BorrowedFd<'_>,
        below: BorrowedFd<'_>,
        upper: BorrowedFd<'_>,
        name: &OsStr,
        (status, other): (&FileStat, &FileStat),
        path: &Path,
    ) -> Result<bool> {
        beneath::make_directory(upper, name, Mode::S_IRWXU).at("make", path)?;
        let open = |parent| open_directory(parent, name).at("open", path);
        let (from, below, copy) = (open(from)?, open(below)?, open(upper)?);
        let differs = self.put(from.as_fd(), below.as_fd(), copy.as_fd(), path)?
            || !has_same(status, other)
            || file::attributes(from.as_fd()).at("read the attributes of", path)?
                != file::attributes(below.as_fd()).at("read the attributes of", path)?;
        match differs {
            true => file::give_attributes(from.as_fd(), copy.as_fd(), status).at("set up", path)?,
            false => beneath::remove_directory(upper, name).at("remove", path)?,
        }
        Ok(differs)
    }

    fn is_same(
        &mut self,
        from: BorrowedFd<'_>,
        below: BorrowedFd<'_>,
        name: &OsStr,
        status: &FileStat,
        other: &FileStat,
        path: &Path,
    ) -> Result<bool> {
        let group = match status.st_nlink > 1 {
            true => self.groups.get_mut(&identity(status)),
            false => None,
        };
        let Some(group) = group else {
            return is_same_file(from, below, name, status, other, path);
        };
        // What has one name in a tree that is not looked at has it for good.
        group.same &= group.names == status.st_nlink;
        group.same = group.same && is_same_file(from, below, name, status, other, path)?;
        Ok(group.same)
    }
}

/// Owner, mode, time, and kind.
fn has_same(status: &FileStat, other: &FileStat) -> bool {
    let of = |status: &FileStat| {
        (status.st_mode, status.st_uid, status.st_gid, status.st_mtime, status.st_mtime_nsec)
    };
    of(status) == of(other)
}

fn is_same_file(
    from: BorrowedFd<'_>,
    below: BorrowedFd<'_>,
    name: &OsStr,
    status: &FileStat,
    other: &FileStat,
    path: &Path,
) -> Result<bool> {
    if !has_same(status, other) {
        return Ok(false);
    }
    match kind(status) {
        SFlag::S_IFREG if status.st_size != other.st_size => Ok(false),
        SFlag::S_IFREG => {
            let open = |parent| file::open(parent, name).at("open", path);
            let (one, two) = (open(from)?, open(below)?);
            let attributes =
                |file: &File| file::attributes(file.as_fd()).at("read the attributes of", path);
            Ok(attributes(&one)? == attributes(&two)?
                && has_same_contents(&one, &two).map_err(|error| errno(&error)).at("read", path)?)
        }
        SFlag::S_IFLNK => {
            let read = |parent| beneath::read_link(parent, name).at("read", path);
            Ok(read(from)? == read(below)?)
        }
        _ => Ok(status.st_rdev == other.st_rdev),
    }
}

fn has_same_contents(one: &File, two: &File) -> io::Result<bool> {
    let (mut left, mut right) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    loop {
        left.clear();
        right.clear();
        one.take(PIECE as u64).read_to_end(&mut left)?;
        two.take(PIECE as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
