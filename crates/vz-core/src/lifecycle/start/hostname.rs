//! HOSTNAME where the guest's boot looks for it (hostname(5)), so that it does not take it back.
//!
//! Done by the container's first process with the container's rights, below the container's root,
//! and no link is followed: what the process still holds open of the node could be reached through
//! one (`/etc` -> `/proc/self/fd/N/..`, CVE-2024-21626). What is there is looked at before it is
//! opened: a FIFO would hold the start up for good.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags};
use nix::sys::stat::Mode;
use vz_sys::beneath;

/// The file, and the name under which its new text is written first.
const NAME: &str = "hostname";
const TEMPORARY: &str = ".hostname.vzctl";

/// Writes `name` to `etc/hostname` below `root`, unless that is what it says. A guest whose `etc`
/// is no plain directory keeps its host name elsewhere, if anywhere: nothing is written. Nor is it where
/// there is no room: a container whose disk is full must start, if only to be cleared.
///
/// # Errors
/// Those of making and renaming a file.
pub fn write(root: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match put(root, name) {
        Err(error) if has_no_room(&error) => Ok(()),
        other => other,
    }
}

fn has_no_room(error: &io::Error) -> bool {
    use nix::libc::{EDQUOT, ENOSPC, EROFS};
    matches!(error.raw_os_error(), Some(ENOSPC | EDQUOT | EROFS))
}

fn put(root: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let etc = match beneath::open_directory(root, OsStr::new("etc")) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        other => other?,
    };
    let text = format!("{name}\n");
    if says(etc.as_fd(), text.as_bytes()) {
        return Ok(());
    }
    let (temporary, place) = (OsStr::new(TEMPORARY), OsStr::new(NAME));
    match beneath::remove_file(etc.as_fd(), temporary) {
        Err(Errno::ENOENT) => {}
        other => other?,
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mode = Mode::from_bits_truncate(0o644);
    let mut file = File::from(beneath::open_beneath(etc.as_fd(), temporary, flags, mode)?);
    // Whatever umask the admin has.
    beneath::change_mode(file.as_fd(), mode)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| {
        let no_flags = RenameFlags::empty();
        Ok(beneath::rename(etc.as_fd(), temporary, etc.as_fd(), place, no_flags)?)
    });
    written.inspect_err(|_| {
        let _ = beneath::remove_file(etc.as_fd(), temporary);
    })
}

/// Says whether the file is a plain one of just this text.
fn says(etc: BorrowedFd<'_>, text: &[u8]) -> bool {
    let read = || -> io::Result<Vec<u8>> {
        let path = beneath::open_beneath(etc, OsStr::new(NAME), OFlag::O_PATH, Mode::empty())?;
        let mode = beneath::status(path.as_fd())?.st_mode;
        if mode & nix::libc::S_IFMT != nix::libc::S_IFREG {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut found = Vec::new();
        File::from(beneath::reopen(path.as_fd(), OFlag::O_RDONLY)?)
            .take(text.len() as u64 + 1)
            .read_to_end(&mut found)?;
        Ok(found)
    };
    read().is_ok_and(|found| found == text)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn write_in(tree: &tempfile::TempDir) -> io::Result<()> {
        write(File::open(tree.path()).unwrap().as_fd(), "ct.example")
    }

    #[test]
    fn traps_are_replaced_and_not_opened() {
        let tree = tempfile::tempdir().unwrap();
        let (etc, secret) = (tree.path().join("etc"), tree.path().join("secret"));
        let file = etc.join("hostname");
        fs::create_dir(&etc).unwrap();
        fs::write(&secret, "secret\n").unwrap();
        nix::unistd::mkfifo(&file, Mode::from_bits_truncate(0o600)).unwrap();
        write_in(&tree).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ct.example\n");
        fs::remove_file(&file).unwrap();
        symlink(&secret, &file).unwrap();
        symlink(&secret, etc.join(TEMPORARY)).unwrap();
        write_in(&tree).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"ct.example\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read(&secret).unwrap(), b"secret\n");
        assert!(fs::symlink_metadata(etc.join(TEMPORARY)).is_err());
    }

    #[test]
    fn a_link_in_place_of_etc_leads_nowhere() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), tree.path().join("etc")).unwrap();
        write_in(&tree).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_in_its_place_is_an_error_and_leaves_nothing() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("etc/hostname")).unwrap();
        assert!(write_in(&tree).is_err());
        assert_eq!(fs::read_dir(tree.path().join("etc")).unwrap().count(), 1);
    }
}
