//! Who makes a call: its memory, its rights, its view of the files.
//!
//! The call is made in a container: what is read here is hostile. It is read once, from descriptors
//! that are opened before the caller is seen to wait still, and what is done is done with the
//! copy.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::Pid;
use vz_sys::beneath;
use vz_sys::quota::Owner;

/// `CAP_SYS_ADMIN` of linux/capability.h.
const SYS_ADMIN: u32 = 21;
/// The longest path, with its end, in bytes (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// The rights of a thread, ids as the node has them.
#[derive(Debug, PartialEq, Eq)]
pub struct Rights {
    user: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

impl Rights {
    /// Parses `/proc/TID/status` (proc_pid_status(5)).
    fn parse(status: &str) -> Option<Rights> {
        let field = |name: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_ascii_whitespace())
        };
        // The second of real, effective, saved, of file systems.
        let user = field("Uid")?.nth(1)?.parse().ok()?;
        let mut groups = vec![field("Gid")?.nth(1)?.parse().ok()?];
        groups.extend(field("Groups")?.filter_map(|word| word.parse::<u32>().ok()));
        let capabilities = u64::from_str_radix(field("CapEff")?.next()?, 16).ok()?;
        Some(Rights { user, groups, capabilities })
    }

    /// The effective user, as the node has it.
    pub fn user(&self) -> u32 {
        self.user
    }

    /// Says whether they are those of this user, or of a member of this group.
    pub fn are_of(&self, owner: Owner, id: u32) -> bool {
        match owner {
            Owner::User => self.user == id,
            Owner::Group => self.groups.contains(&id),
        }
    }

    /// Says whether CAP_SYS_ADMIN of the thread's own user namespace is among them.
    pub fn have_admin(&self) -> bool {
        self.capabilities >> SYS_ADMIN & 1 == 1
    }
}

/// A thread that makes a call.
pub struct Caller {
    directory: PathBuf,
    memory: File,
    /// What it may.
    pub rights: Rights,
    /// Its user namespace: device and inode of `/proc/TID/ns/user`.
    pub user_namespace: (u64, u64),
}

impl Caller {
    /// Opens what is to be known of a thread. It counts only when the thread is seen to wait
    /// afterwards.
    ///
    /// # Errors
    /// `ESRCH` when it is gone; `EPERM` where the node forbids tracing.
    pub fn open(thread: Pid) -> Result<Caller, Errno> {
        let directory = PathBuf::from(format!("/proc/{thread}"));
        let refused = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Errno::EPERM,
            _ => Errno::ESRCH,
        };
        let memory = File::options().read(true).write(true).open(directory.join("mem"));
        let status = std::fs::read(directory.join("status")).map_err(refused)?;
        let rights = Rights::parse(&String::from_utf8_lossy(&status)).ok_or(Errno::ESRCH)?;
        let user_namespace = namespace(thread).map_err(refused)?;
        Ok(Caller { directory, memory: memory.map_err(refused)?, rights, user_namespace })
    }

    /// Reads `data` from its memory.
    ///
    /// # Errors
    /// `EFAULT`
    pub fn read(&self, address: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.memory.read_exact_at(data, address).map_err(|_| Errno::EFAULT)
    }

    /// Writes `data` into its memory.
    ///
    /// # Errors
    /// `EFAULT`
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), Errno> {
        self.memory.write_all_at(data, address).map_err(|_| Errno::EFAULT)
    }

    /// The block device that it calls by the path at `address`.
    ///
    /// # Errors
    /// `EFAULT`, `ENAMETOOLONG`, `ENOTBLK`, and those of looking a path up.
    pub fn block_device(&self, address: u64) -> Result<u64, Errno> {
        let path = self.path(address)?;
        if path.first() != Some(&b'/') {
            return Err(Errno::ENOENT);
        }
        let flags = OFlag::O_PATH;
        let root = nix::fcntl::open(&self.directory.join("root"), flags, Mode::empty())?;
        let found =
            beneath::open_in_root(root.as_fd(), OsStr::from_bytes(&path), flags, Mode::empty())?;
        let status = beneath::status(found.as_fd())?;
        match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFBLK => Ok(status.st_rdev),
            _ => Err(Errno::ENOTBLK),
        }
    }

    fn path(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let mut path = vec![0; LONGEST_PATH];
        let mut length = 0;
        // In parts: what comes after its end may be nobody's memory.
        while length < LONGEST_PATH {
            let from = address.checked_add(length as u64).ok_or(Errno::EFAULT)?;
            let read = self.memory.read_at(&mut path[length..], from).map_err(|_| Errno::EFAULT)?;
            if let Some(end) = path[length..length + read].iter().position(|byte| *byte == 0) {
                path.truncate(length + end);
                return Ok(path);
            }
            if read == 0 {
                return Err(Errno::EFAULT);
            }
            length += read;
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// The device of the file system that its descriptor is on.
    ///
    /// # Errors
    /// `EBADF`
    pub fn device_of_descriptor(&self, descriptor: i32) -> Result<u64, Errno> {
        let path = self.directory.join("fd").join(descriptor.to_string());
        std::fs::metadata(path).map(|status| status.dev()).map_err(|_| Errno::EBADF)
    }
}

/// The user namespace of a thread.
///
/// # Errors
/// When it is gone.
pub fn namespace(thread: Pid) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(format!("/proc/{thread}/ns/user")).map(|status| (status.dev(), status.ino()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn rights_of_a_status() {
        let status = "Name:\tsh\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t9 10 \n\
                      CapPrm:\tffffffffffffffff\nCapEff:\t0000000000200000\n";
        let rights = Rights::parse(status).unwrap();
        assert_eq!(rights, Rights { user: 2, groups: vec![6, 9, 10], capabilities: 1 << 21 });
        assert!(rights.have_admin());
        assert!(rights.are_of(Owner::User, 2) && !rights.are_of(Owner::User, 1));
        assert!(rights.are_of(Owner::Group, 10) && !rights.are_of(Owner::Group, 2));
        assert!(!Rights { capabilities: !(1 << 21), ..rights }.have_admin());
        assert_eq!(Rights::parse("Uid:\t1\n"), None);
    }

    #[test]
    fn memory_of_this_process() {
        let path = b"/nonexistent\0".to_vec();
        let caller = Caller::open(nix::unistd::gettid()).unwrap();
        let at = |bytes: &[u8]| bytes.as_ptr().addr() as u64;
        assert_eq!(caller.path(at(&path)).unwrap(), b"/nonexistent");
        assert_eq!(caller.block_device(at(&path)), Err(Errno::ENOENT));
        assert_eq!(caller.block_device(at(b"/dev/null\0")), Err(Errno::ENOTBLK));
        assert_eq!(caller.block_device(at(b"dev\0")), Err(Errno::ENOENT));
        assert_eq!(caller.block_device(1), Err(Errno::EFAULT));
        assert_eq!(caller.block_device(u64::MAX), Err(Errno::EFAULT));
        let long = vec![b'/'; 2 * LONGEST_PATH];
        assert_eq!(caller.block_device(at(&long)), Err(Errno::ENAMETOOLONG));
        let mut word = [0; 4];
        caller.read(at(&path), &mut word).unwrap();
        assert_eq!(&word, b"/non");
        assert_eq!(caller.read(1, &mut word), Err(Errno::EFAULT));
        assert_eq!(caller.write(1, &word), Err(Errno::EFAULT));
        assert_eq!(caller.device_of_descriptor(-1), Err(Errno::EBADF));
        assert_eq!(caller.user_namespace, namespace(nix::unistd::gettid()).unwrap());
    }
}
