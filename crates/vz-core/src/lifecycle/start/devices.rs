//! A container's `/dev`: a small tmpfs made by the node, attached nowhere until the container's
//! init takes it over. Made by the node because in a user namespace nobody can make device nodes;
//! owned by the container's root, who can add links, files and sockets but no device.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, makedev};
use vz_sys::beneath;
use vz_sys::mount::{self, Attributes, Setting};

use crate::lifecycle::console::TTY_GROUP;

/// Character devices every container has: name, major, minor. Linux's devices.txt numbers.
const NODES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Links every container has: name and where it leads.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Directories every container has; other file systems come to lie on some of them.
const DIRECTORIES: [&str; 6] = ["pts", "shm", "mqueue", "net", "vz", ".vz"];

/// Makes the file system; everything in it belongs to `uid`:`gid` of the node.
///
/// `root` is the block device of the container's own file system and its name, to be seen and not
/// to be opened.
///
/// # Errors
/// Those of mounting a tmpfs and of making files in it.
pub fn make(uid: u32, gid: u32, root: Option<&(CString, u64)>) -> io::Result<OwnedFd> {
    let tree = mount::make(
        c"tmpfs",
        &[
            Setting::Text("source", "dev"),
            Setting::Text("mode", "0755"),
            Setting::Text("size", "4m"),
            Setting::Text("nr_inodes", "64k"),
            Setting::Text("uid", &uid.to_string()),
            Setting::Text("gid", &gid.to_string()),
        ],
        Attributes::NO_SUID | Attributes::NO_EXEC,
    )?;
    let directory = tree.as_fd();
    let own = |name: &str| beneath::change_owner_at(directory, name.as_ref(), uid, gid);
    for (name, major, minor) in NODES {
        make_device(directory, name.as_ref(), makedev(major, minor), 0o666)?;
        own(name)?;
    }
    for name in DIRECTORIES {
        beneath::make_directory(directory, name.as_ref(), Mode::from_bits_truncate(0o755))?;
        own(name)?;
    }
    for (name, target) in LINKS {
        beneath::make_symlink(target.as_ref(), directory, name.as_ref())?;
        own(name)?;
    }
    // Where the console's terminal will lie.
    make_file(directory, "console".as_ref())?;
    own("console")?;
    if let Some((name, device)) = root {
        let name = OsStr::from_bytes(name.as_bytes());
        beneath::make_node(directory, name, SFlag::S_IFBLK, Mode::empty(), *device)?;
    }
    Ok(tree)
}

/// Makes the container's devpts, for its `/dev/pts`. The node's: scripts of a guest's boot mount it
/// anew with settings of their own, and would lift the limit of terminals and shut others than root
/// out of `ptmx`. They are told that they may not, and it stays as it is.
///
/// # Errors
/// Those of mounting a devpts.
pub fn make_terminals(uid: u32, gid: u32) -> io::Result<OwnedFd> {
    let tree = mount::make(
        c"devpts",
        &[
            Setting::Text("source", "devpts"),
            Setting::Text("mode", "0620"),
            Setting::Text("gid", &(gid + TTY_GROUP).to_string()),
            Setting::Text("ptmxmode", "0666"),
        ],
        Attributes::NO_SUID | Attributes::NO_EXEC,
    )?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let root = beneath::open_beneath(tree.as_fd(), ".".as_ref(), flags, Mode::empty())?;
    beneath::change_owner(root.as_fd(), uid, gid)?;
    beneath::change_owner_at(root.as_fd(), "ptmx".as_ref(), uid, gid)?;
    Ok(tree)
}

/// Makes a character device with exactly this mode, whatever the umask.
fn make_device(parent: BorrowedFd<'_>, name: &OsStr, device: u64, mode: u32) -> io::Result<()> {
    let mode = Mode::from_bits_truncate(mode);
    beneath::make_node(parent, name, SFlag::S_IFCHR, mode, device)?;
    let flags = nix::sys::stat::FchmodatFlags::FollowSymlink;
    nix::sys::stat::fchmodat(parent, name, mode, flags).map_err(Into::into)
}

fn make_file(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let mode = Mode::from_bits_truncate(0o600);
    beneath::make_node(parent, name, SFlag::S_IFREG, mode, 0).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_by_the_container() {
        let tree = match make(6_619_136, 6_619_137, Some(&(c"loop77".to_owned(), makedev(7, 77)))) {
            Ok(tree) => tree,
            Err(error) => {
                eprintln!("skipped: owned_by_the_container: {error}");
                return;
            }
        };
        let null = beneath::status_at(tree.as_fd(), "null".as_ref()).unwrap();
        assert_eq!((null.st_uid, null.st_gid, null.st_rdev), (6_619_136, 6_619_137, makedev(1, 3)));
        assert_eq!(null.st_mode & 0o7777, 0o666);
        let root = beneath::status_at(tree.as_fd(), "loop77".as_ref()).unwrap();
        assert_eq!((root.st_uid, root.st_mode, root.st_rdev), (0, 0o060_000, makedev(7, 77)));
        let top = beneath::status(tree.as_fd()).unwrap();
        assert_eq!((top.st_uid, top.st_mode & 0o7777), (6_619_136, 0o755));
    }
}
