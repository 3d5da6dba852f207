//! What kind of guest lies in a root area: which init, and what it needs of the node.
//!
//! Everything is looked at below the root with openat2(2), as the container itself would see it,
//! so that no link in it leads out. Nothing of the guest is run.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::exit::Exit;
use vz_sys::beneath;

use crate::error::{Context, Result};

/// The first systemd that knows a pure cgroup v2 node.
const UNIFIED_SINCE: u32 = 230;
/// Where distributions keep systemd's private libraries, which carry its version in their names.
const SYSTEMD_LIBRARIES: [&str; 4] =
    ["usr/lib/systemd", "lib/systemd", "usr/lib64/systemd", "usr/lib/x86_64-linux-gnu/systemd"];
/// The longest inittab that is read, in bytes.
const LONGEST_INITTAB: u64 = 1 << 20;

/// Which init a guest has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    /// systemd; its version where it can be told (231 and later).
    Systemd {
        /// The number its library carries; `None` before 231.
        version: Option<u32>,
    },
    /// sysvinit or busybox: told what to do by an inittab.
    Inittab {
        /// The file as it is.
        text: Vec<u8>,
    },
    /// Something else, or nothing.
    Other,
}

/// A guest as found in its root area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its init.
    pub init: Init,
}

impl Guest {
    /// Looks at the root area `root`.
    ///
    /// # Errors
    /// When the root area itself cannot be opened.
    pub fn look_at(root: &Path) -> Result<Guest> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = nix::fcntl::open(root, flags, Mode::empty()).at(
            Exit::MountFailed,
            "Cannot open",
            root,
        )?;
        Ok(Guest { init: find_init(root.as_fd()) })
    }

    /// The guest's systemd is too old for cgroup v2: it gets the v1 hierarchy named `systemd`.
    pub fn wants_old_cgroup(&self) -> bool {
        match self.init {
            Init::Systemd { version } => version.is_none_or(|version| version < UNIFIED_SINCE),
            _ => false,
        }
    }

    /// The guest's init is systemd, which is told to halt by a signal.
    pub fn is_systemd(&self) -> bool {
        matches!(self.init, Init::Systemd { .. })
    }
}

fn find_init(root: BorrowedFd<'_>) -> Init {
    if is_systemd(root) {
        return Init::Systemd { version: systemd_version(root) };
    }
    match read_inittab(root) {
        Ok(text) => Init::Inittab { text },
        Err(_) => Init::Other,
    }
}

/// The name that `/sbin/init` leads to ends in `systemd`, whatever links are on the way.
fn is_systemd(root: BorrowedFd<'_>) -> bool {
    let found = ["sbin/init", "usr/lib/systemd/systemd", "lib/systemd/systemd"]
        .map(|path| open(root, path).and_then(|file| identity(file.as_fd())));
    match found {
        [Ok(init), systemd, old] => {
            systemd.is_ok_and(|systemd| systemd == init) || old.is_ok_and(|old| old == init)
        }
        _ => false,
    }
}

fn open(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    beneath::open_in_root(root, path.as_ref(), OFlag::O_PATH, Mode::empty()).map_err(Into::into)
}

fn identity(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let status = beneath::status(file)?;
    Ok((status.st_dev, status.st_ino))
}

/// `libsystemd-shared-NNN.so` has carried the version since 231, with a suffix of the
/// distribution's in some (`libsystemd-shared-252.30-1.so`).
fn systemd_version(root: BorrowedFd<'_>) -> Option<u32> {
    SYSTEMD_LIBRARIES.iter().find_map(|directory| {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let opened = beneath::open_in_root(root, directory.as_ref(), flags, Mode::empty()).ok()?;
        let mut entries = nix::dir::Dir::from_fd(opened).ok()?;
        entries.iter().flatten().find_map(|entry| version_in(entry.file_name().to_str().ok()?))
    })
}

fn version_in(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("libsystemd-shared-")?.split_once(".so")?.0;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn read_inittab(root: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    // A FIFO planted there must not hold the start up: looked at before it is opened to be read.
    let path = beneath::open_beneath(root, "etc/inittab".as_ref(), OFlag::O_PATH, Mode::empty())?;
    let mode = beneath::status(path.as_fd())?.st_mode;
    if mode & nix::libc::S_IFMT != nix::libc::S_IFREG {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = std::fs::File::from(beneath::reopen(path.as_fd(), OFlag::O_RDONLY)?);
    let mut text = Vec::new();
    file.take(LONGEST_INITTAB).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for directory in ["sbin", "etc", "usr/lib/systemd"] {
            fs::create_dir_all(tree.path().join(directory)).unwrap();
        }
        tree
    }

    #[test]
    fn systemd_old_and_new() {
        let tree = tree();
        fs::write(tree.path().join("usr/lib/systemd/systemd"), "").unwrap();
        symlink("/usr/lib/systemd/systemd", tree.path().join("sbin/init")).unwrap();
        let guest = Guest::look_at(tree.path()).unwrap();
        assert_eq!(guest.init, Init::Systemd { version: None });
        assert!(guest.wants_old_cgroup());
        fs::write(tree.path().join("usr/lib/systemd/libsystemd-shared-252.30-1.so"), "").unwrap();
        let guest = Guest::look_at(tree.path()).unwrap();
        assert_eq!(guest.init, Init::Systemd { version: Some(252) });
        assert!(!guest.wants_old_cgroup() && guest.is_systemd());
    }

    #[test]
    fn inittab_and_nothing() {
        let tree = tree();
        assert_eq!(Guest::look_at(tree.path()).unwrap().init, Init::Other);
        fs::write(tree.path().join("etc/inittab"), "::sysinit:/rc\n").unwrap();
        assert_eq!(
            Guest::look_at(tree.path()).unwrap().init,
            Init::Inittab { text: b"::sysinit:/rc\n".to_vec() }
        );
    }

    #[test]
    fn traps_are_not_followed() {
        let tree = tree();
        symlink("/etc/hostname", tree.path().join("etc/inittab")).unwrap();
        symlink("/../../../bin/sh", tree.path().join("sbin/init")).unwrap();
        assert_eq!(Guest::look_at(tree.path()).unwrap().init, Init::Other);
        fs::remove_file(tree.path().join("etc/inittab")).unwrap();
        nix::unistd::mkfifo(&tree.path().join("etc/inittab"), Mode::from_bits_truncate(0o600))
            .unwrap();
        assert_eq!(Guest::look_at(tree.path()).unwrap().init, Init::Other);
    }

    #[test]
    fn versions() {
        assert_eq!(version_in("libsystemd-shared-257.so"), Some(257));
        assert_eq!(version_in("libsystemd-shared-249.el9.so"), Some(249));
        assert_eq!(version_in("libsystemd-core-257.so"), None);
        assert_eq!(version_in("libsystemd-shared-.so"), None);
    }
}
