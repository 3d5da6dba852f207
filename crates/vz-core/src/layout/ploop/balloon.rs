//! The balloon: what an ext4 file system that cannot shrink while it is mounted holds back.
//!
//! A file of allocated, unwritten blocks in the directory `/.balloon` of the image. Both belong to an
//! owner outside of every container's user namespace: root inside can neither open nor change them.
//! The directory is immutable, so that it can be neither renamed nor removed; to make it otherwise
//! takes CAP_LINUX_IMMUTABLE of the node. Only its file changes afterwards, so there is no moment in
//! which the container could reach it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag};
use nix::sys::stat::{Mode, SFlag};
use vz_sys::clone::{self, Request};
use vz_sys::pidfd::{self, Ended};
use vz_sys::{beneath, inode_flags, namespace};

const DIRECTORY: &str = ".balloon";
const FILE: &str = "blocks";
/// An owner that no id map has: the last but one, as the last is no id.
const OWNER: u32 = u32::MAX - 1;

/// Says whether this is the balloon: a path from the top, and its status.
pub fn is_balloon(path: &std::path::Path, status: &nix::sys::stat::FileStat) -> bool {
    path == std::path::Path::new(DIRECTORY) && status.st_uid == OWNER
}

/// How many bytes the balloon in the file system holds; `top` is its top directory.
///
/// # Errors
/// Those of open(2).
pub fn size(top: BorrowedFd<'_>) -> io::Result<u64> {
    match find(top)? {
        None => Ok(0),
        Some(directory) => Ok(open_file(&directory, OFlag::O_RDONLY)?.metadata()?.len()),
    }
}

/// Gives the balloon this size, in bytes. With 0 there is none.
///
/// # Errors
/// `ENOSPC` when the container has not as much left; the balloon is then as it was. `EEXIST` when it
/// has files of its own in that place.
pub fn set(top: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    if size == 0 {
        return remove(top);
    }
    let directory = match find(top)? {
        Some(directory) => directory,
        None => make(top)?,
    };
    let file = open_file(&directory, OFlag::O_RDWR)?;
    let before = file.metadata()?.len();
    if size <= before {
        file.set_len(size)?;
    } else if let Err(error) = inflate(&file, before, size) {
        let _ = file.set_len(before);
        if before == 0 {
            let _ = remove(top);
        }
        return Err(error);
    }
    file.sync_all()
}

/// Takes a balloon that was copied along with the files out of the copy.
///
/// # Errors
/// Those of unlink(2).
pub fn remove(top: BorrowedFd<'_>) -> io::Result<()> {
    let Some(directory) = find(top)? else { return Ok(()) };
    let flags = inode_flags::get(directory.as_fd()).unwrap_or(0);
    if flags & inode_flags::IMMUTABLE != 0 {
        inode_flags::set(directory.as_fd(), flags & !inode_flags::IMMUTABLE)?;
    }
    absent_is_fine(beneath::remove_file(directory.as_fd(), OsStr::new(FILE)))?;
    absent_is_fine(beneath::remove_directory(top, OsStr::new(DIRECTORY)))
}

fn absent_is_fine(done: nix::Result<()>) -> io::Result<()> {
    match done {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Block by block allocated and none written: the image does not grow on the node's disk.
fn inflate(file: &File, from: u64, to: u64) -> io::Result<()> {
    let offset = |bytes: u64| i64::try_from(bytes).map_err(|_| Errno::EFBIG);
    let (start, length) = (offset(from)?, offset(to - from)?);
    // Else it would take all that there is, for a moment, and give it back.
    let there_is = nix::sys::statvfs::fstatvfs(file)?;
    if to - from > there_is.blocks_free().saturating_mul(there_is.fragment_size()) {
        return Err(Errno::ENOSPC.into());
    }
    Ok(nix::fcntl::fallocate(file, FallocateFlags::empty(), start, length)?)
}

/// The balloon's directory, if it is there. One of the same name that is the container's is none, and
/// none that came with an archive, whatever its owner.
fn find(top: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let directory = match open_directory(top) {
        Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR) => return Ok(None),
        other => other?,
    };
    let is_ours = beneath::status(directory.as_fd())?.st_uid == OWNER && has_file(&directory)?;
    Ok(is_ours.then_some(directory))
}

/// Says whether the balloon's file is in its directory, and is no other's.
fn has_file(directory: &OwnedFd) -> io::Result<bool> {
    let file = match beneath::status_at(directory.as_fd(), OsStr::new(FILE)) {
        Err(Errno::ENOENT) => return Ok(false),
        other => other?,
    };
    let is_file = SFlag::from_bits_truncate(file.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
    Ok(is_file && file.st_uid == OWNER && file.st_nlink == 1)
}

fn open_directory(top: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    beneath::open_beneath_same_mount(top, OsStr::new(DIRECTORY), flags, Mode::empty())
}

fn open_file(directory: &OwnedFd, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = beneath::open_beneath_same_mount(
        directory.as_fd(),
        OsStr::new(FILE),
        flags,
        Mode::empty(),
    )?;
    Ok(File::from(file))
}

/// The container may run meanwhile, and its root own the directory above. So both are made by a child
/// whose files are the owner's from their birth: what was the container's for a moment, it could keep
/// open. That nothing of its own has come between is looked at when it cannot any more.
fn make(top: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Left empty by one that was killed here, or the container's.
    match beneath::remove_directory(top, OsStr::new(DIRECTORY)) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(_) => return Err(Errno::EEXIST.into()),
    }
    let child = clone::spawn(&Request::default(), || match make_as_owner(top) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().filter(|errno| *errno < 256).unwrap_or(255),
    })?;
    pidfd::wait_end(child.pidfd.as_fd(), None)?;
    match pidfd::reap(child.pidfd.as_fd())? {
        Ended::Code(0) => {}
        Ended::Code(errno) => return Err(io::Error::from_raw_os_error(errno)),
        Ended::Signal(_) => return Err(Errno::EINTR.into()),
    }
    let Some(directory) = find(top)? else { return Err(Errno::EEXIST.into()) };
    let flags = inode_flags::get(directory.as_fd())?;
    inode_flags::set(directory.as_fd(), flags | inode_flags::IMMUTABLE)?;
    match is_alone(top, &directory)? {
        true => Ok(directory),
        false => Err(Errno::EEXIST.into()),
    }
}

fn make_as_owner(top: BorrowedFd<'_>) -> io::Result<()> {
    namespace::take_file_ids(OWNER, OWNER)?;
    beneath::make_directory(top, OsStr::new(DIRECTORY), Mode::empty())?;
    let directory = open_directory(top)?;
    // The container may have put another in its place.
    if beneath::status(directory.as_fd())?.st_uid != OWNER {
        return Err(Errno::EEXIST.into());
    }
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    beneath::open_beneath(directory.as_fd(), OsStr::new(FILE), flags, Mode::empty())?;
    Ok(())
}

/// Says whether the directory is at its place, with nothing in it but the balloon's own file.
fn is_alone(top: BorrowedFd<'_>, directory: &OwnedFd) -> io::Result<bool> {
    let place = beneath::status_at(top, OsStr::new(DIRECTORY))?;
    let is_here = place.st_ino == beneath::status(directory.as_fd())?.st_ino;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let names = nix::dir::Dir::openat(directory, ".", flags, Mode::empty())?.into_iter().count();
    // Its own name, the one above, and the file.
    Ok(is_here && names == 3 && has_file(directory)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;

    /// A directory where this can be tried: root's, on a file system with flags.
    fn place() -> Option<tempfile::TempDir> {
        let directory = tempfile::tempdir().unwrap();
        let top = File::open(directory.path()).unwrap();
        let can = inode_flags::get(top.as_fd()).is_ok_and(|flags| {
            let done = inode_flags::set(top.as_fd(), flags | inode_flags::IMMUTABLE);
            done.and_then(|()| inode_flags::set(top.as_fd(), flags)).is_ok()
        });
        if !can {
            eprintln!("skipped: no immutable files here");
        }
        can.then_some(directory)
    }

    #[test]
    fn it_grows_shrinks_and_goes() {
        let Some(directory) = place() else { return };
        let top = File::open(directory.path()).unwrap();
        for bytes in [1 << 20, 3 << 20, 4096] {
            set(top.as_fd(), bytes).unwrap();
            assert_eq!(size(top.as_fd()).unwrap(), bytes);
            assert!(std::fs::remove_file(directory.path().join(".balloon/blocks")).is_err());
            assert!(
                std::fs::rename(directory.path().join(".balloon"), directory.path().join("x"))
                    .is_err()
            );
        }
        // More than there is: it stays as it was.
        assert!(set(top.as_fd(), 1 << 60).is_err());
        assert_eq!(size(top.as_fd()).unwrap(), 4096);
        set(top.as_fd(), 0).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_the_containers_stays() {
        let Some(directory) = place() else { return };
        let top = File::open(directory.path()).unwrap();
        let own = directory.path().join(".balloon");
        std::os::unix::fs::symlink("/etc", &own).unwrap();
        assert!(set(top.as_fd(), 4096).is_err());
        std::fs::remove_file(&own).unwrap();
        std::fs::create_dir(&own).unwrap();
        nix::unistd::mkfifo(&own.join(FILE), Mode::S_IRUSR).unwrap();
        beneath::change_owner(File::open(&own).unwrap().as_fd(), OWNER, OWNER).unwrap();
        assert!(set(top.as_fd(), 4096).is_err());
        assert_eq!(size(top.as_fd()).unwrap(), 0);
        remove(top.as_fd()).unwrap();
        assert!(own.join(FILE).exists());
        // An empty directory is nobody's loss: one that was killed leaves such.
        std::fs::remove_file(own.join(FILE)).unwrap();
        set(top.as_fd(), 4096).unwrap();
        set(top.as_fd(), 0).unwrap();
    }
}
