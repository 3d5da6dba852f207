//! Control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst): finding the hierarchy, and
//! one directory of it as a descriptor. Every path is below a descriptor, so tests use fixtures.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::poll::PollFlags;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::{Gid, Pid, Uid, UnlinkatFlags, fchownat, unlinkat};

use crate::pidfd::wait_ready;

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// Files of a delegated group that its owner must be able to write, as the kernel lists them in
/// `/sys/kernel/cgroup/delegate`.
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// A directory deep in which a guest may put groups of its own; none is followed any deeper.
const DEPTH: usize = 32;

/// Finds where the version 2 hierarchy is mounted: the usual two places first, one `statfs(2)`
/// each, then whatever `/proc/self/mountinfo` says. `None` where it is not mounted at all.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn find_hierarchy() -> io::Result<Option<PathBuf>> {
    if let Some(usual) = usual_hierarchy() {
        return Ok(Some(usual.into()));
    }
    let mounts = procfs::process::Process::myself()
        .and_then(|process| process.mountinfo())
        .map_err(io::Error::other)?;
    Ok(mounts.into_iter().find(|mount| mount.fs_type == "cgroup2").map(|mount| mount.mount_point))
}

/// The number behind a key in a file of one key on each line (Documentation/admin-guide/cgroup-v2.rst,
/// "flat keyed").
pub fn value_of(text: &str, key: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

/// Where the version 2 hierarchy is mounted, if that is one of the usual two places: for who must stay
/// small.
pub fn usual_hierarchy() -> Option<&'static Path> {
    let is_there = |path: &&str| {
        nix::sys::statfs::statfs(*path)
            .is_ok_and(|status| status.filesystem_type().0 == CGROUP2_MAGIC)
    };
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().find(is_there).map(Path::new)
}

/// One group: its directory.
#[derive(Debug)]
pub struct Cgroup {
    directory: OwnedFd,
}

impl Cgroup {
    /// Opens the group at `path`.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open(path: &Path) -> io::Result<Cgroup> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        Ok(Cgroup { directory: nix::fcntl::open(path, flags, Mode::empty())? })
    }

    /// Opens the group `name` (one path component) below this one.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn child(&self, name: &OsStr) -> io::Result<Cgroup> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY | OFlag::O_NOFOLLOW;
        Ok(Cgroup { directory: openat(&self.directory, name, flags, Mode::empty())? })
    }

    /// Opens the group `name` below this one, made if it is not there.
    ///
    /// # Errors
    /// Those of `mkdirat(2)` and `openat(2)`.
    pub fn make_child(&self, name: &OsStr) -> io::Result<Cgroup> {
        match mkdirat(&self.directory, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => self.child(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the file `name` of the group.
    ///
    /// # Errors
    /// Those of `openat(2)` and `read(2)`; `ENOENT` when its controller is not there.
    pub fn read(&self, name: &str) -> io::Result<String> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let mut file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Writes `value` to the file `name` of the group, in one write as the kernel wants it.
    ///
    /// # Errors
    /// Those of `openat(2)` and `write(2)`; `ENOENT` when its controller is not there.
    pub fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let mut file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
        file.write_all(value.as_bytes())
    }

    /// The number in the file `name`; `None` for `max` and when its controller is not there.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.read(name).ok()?.trim().parse().ok()
    }

    /// Says whether the group has the file `name`.
    pub fn has(&self, name: &str) -> bool {
        nix::sys::stat::fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Switches on, for the groups below, each controller of `wanted` that there is; returns those
    /// that could not be had.
    ///
    /// # Errors
    /// When `cgroup.controllers` cannot be read.
    pub fn enable_controllers<'a>(&self, wanted: &[&'a str]) -> io::Result<Vec<&'a str>> {
        let there = self.read("cgroup.controllers")?;
        let enabled = self.read("cgroup.subtree_control")?;
        let lists = |list: &str, name: &str| list.split_ascii_whitespace().any(|one| one == name);
        let mut missing = Vec::new();
        for controller in wanted {
            if lists(&enabled, controller) {
                continue;
            }
            let ready = lists(&there, controller)
                && self.write("cgroup.subtree_control", &format!("+{controller}")).is_ok();
            if !ready {
                missing.push(*controller);
            }
        }
        Ok(missing)
    }

    /// Gives the group to `uid`:`gid`, so that groups can be made below and processes moved among
    /// them. Its limits stay the owner's above: they are not among the files handed over.
    ///
    /// # Errors
    /// Those of `fchownat(2)`.
    pub fn delegate(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        nix::unistd::fchown(&self.directory, uid, gid)?;
        for name in DELEGATED {
            fchownat(&self.directory, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Moves a process into the group.
    ///
    /// # Errors
    /// Those of writing `cgroup.procs`: `EBUSY` when controllers are on for the groups below.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// The processes of this group alone, in the caller's pid namespace; 0 stands for one outside it.
    ///
    /// # Errors
    /// When `cgroup.procs` cannot be read.
    pub fn processes(&self) -> io::Result<Vec<Pid>> {
        self.listed("cgroup.procs")
    }

    fn listed(&self, file: &str) -> io::Result<Vec<Pid>> {
        let text = self.read(file)?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect())
    }

    /// The processes in the group and in those below it, [`DEPTH`] levels down. A group whose
    /// list cannot be read (it has just gone, or is threaded: its processes stand in the group
    /// above) adds none.
    pub fn all_processes(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        self.add_listed("cgroup.procs", DEPTH, &mut found);
        found
    }

    /// The threads in the group and in those below it, likewise; threaded groups tell theirs.
    pub fn all_threads(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        self.add_listed("cgroup.threads", DEPTH, &mut found);
        found
    }

    fn add_listed(&self, file: &str, depth: usize, found: &mut Vec<Pid>) {
        found.extend(self.listed(file).unwrap_or_default());
        let Some(depth) = depth.checked_sub(1) else { return };
        for name in self.children().unwrap_or_default() {
            if let Ok(child) = self.child(&name) {
                child.add_listed(file, depth, found);
            }
        }
    }

    /// The CPU time that the group has used, in microseconds; `None` where the kernel does not tell.
    pub fn cpu_time(&self) -> Option<u64> {
        value_of(&self.read("cpu.stat").ok()?, "usage_usec")
    }

    /// Says whether any process lives in the group or below it.
    ///
    /// # Errors
    /// When `cgroup.events` cannot be read.
    pub fn is_populated(&self) -> io::Result<bool> {
        Ok(self.read("cgroup.events")?.lines().any(|line| line == "populated 1"))
    }

    /// Sends SIGKILL to all processes in the group and below it, new ones included. Before Linux
    /// 5.14, which has no `cgroup.kill`, it freezes nothing but goes over the tree until it is empty.
    ///
    /// # Errors
    /// Those of writing `cgroup.kill`, or of reading the tree.
    pub fn kill(&self) -> io::Result<()> {
        match self.write("cgroup.kill", "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.kill_each(),
            other => other,
        }
    }

    fn kill_each(&self) -> io::Result<()> {
        for pid in self.processes()? {
            if pid.as_raw() > 0 {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
        for name in self.children()? {
            self.child(&name)?.kill_each()?;
        }
        Ok(())
    }

    /// Waits until no process lives in the group or below it, `timeout` at most; says whether so.
    /// Sleeps in `poll(2)` on `cgroup.events`, which wakes on a change.
    ///
    /// # Errors
    /// When `cgroup.events` cannot be read or polled.
    pub fn wait_empty(&self, timeout: Duration) -> io::Result<bool> {
        self.wait_event(b"populated 0", timeout)
    }

    /// Stops all processes in the group and below it where they are, new ones included, and waits
    /// until they stand, `timeout` at most; says whether they do. They go on when `0` is written to
    /// `cgroup.freeze`.
    ///
    /// # Errors
    /// Those of writing `cgroup.freeze` (`NotFound` before Linux 5.2), or of `cgroup.events`.
    pub fn freeze(&self, timeout: Duration) -> io::Result<bool> {
        self.write("cgroup.freeze", "1")?;
        self.wait_event(b"frozen 1", timeout)
    }

    fn wait_event(&self, line: &[u8], timeout: Duration) -> io::Result<bool> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let events = File::from(openat(&self.directory, "cgroup.events", flags, Mode::empty())?);
        let end = Instant::now() + timeout;
        loop {
            // The poll reports what changed since the last read of this very descriptor.
            let mut text = [0; 256];
            let length = std::os::unix::fs::FileExt::read_at(&events, &mut text, 0)?;
            if text[..length].split(|byte| *byte == b'\n').any(|found| found == line) {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !wait_ready(events.as_fd(), PollFlags::POLLPRI, Some(left))? {
                return Ok(false);
            }
        }
    }

    /// The names of the groups right below this one.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn children(&self) -> io::Result<Vec<std::ffi::OsString>> {
        use std::os::unix::ffi::OsStrExt;
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        // A descriptor of its own: reading a directory moves its offset.
        let mut directory = nix::dir::Dir::openat(&self.directory, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if entry.file_type() == Some(nix::dir::Type::Directory) && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Removes the group `name` and all below it; one that is not there is no error.
    ///
    /// # Errors
    /// `EBUSY` while processes live in it; else those of `unlinkat(2)`.
    pub fn remove_child(&self, name: &OsStr) -> io::Result<()> {
        // The usual group has none below it: try that first.
        if self.try_remove(name)? { Ok(()) } else { self.remove_nested(name) }
    }

    /// Climbs down and up with one descriptor at a time: a container can nest groups deeper than a
    /// process may have files open, or has stack for. In a cgroup hierarchy nothing can be moved
    /// meanwhile, so `..` is where it came from. systemd may be removing the same tree.
    fn remove_nested(&self, name: &OsStr) -> io::Result<()> {
        let mut group = match self.child(name) {
            Err(error) if is_gone(&error) => return Ok(()),
            other => other?,
        };
        // For each group above the one at hand, what is left to remove in it; the last is at work.
        let mut left = vec![group.children_if_there()?];
        while let Some(names) = left.last_mut() {
            if let Some(below) = names.last() {
                if group.try_remove(below)? {
                    names.pop();
                    continue;
                }
                let inner = match group.child(below) {
                    Err(error) if is_gone(&error) => continue,
                    other => other?,
                };
                let names_inside = inner.children_if_there()?;
                // Nothing below it, and yet busy: processes live in it.
                if names_inside.is_empty() && !group.try_remove(below)? {
                    return Err(nix::errno::Errno::EBUSY.into());
                }
                group = inner;
                left.push(names_inside);
            } else {
                left.pop();
                if !left.is_empty() {
                    group = Cgroup { directory: crate::beneath::open_parent(group.as_fd())? };
                }
            }
        }
        match self.try_remove(name)? {
            true => Ok(()),
            false => Err(nix::errno::Errno::EBUSY.into()),
        }
    }

    /// Removes the group `name`; says whether it is gone, which it is not while processes or
    /// groups are in it.
    fn try_remove(&self, name: &OsStr) -> io::Result<bool> {
        match unlinkat(&self.directory, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(true),
            Err(nix::errno::Errno::EBUSY | nix::errno::Errno::ENOTEMPTY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The groups right below this one; none when it has been removed since it was opened.
    fn children_if_there(&self) -> io::Result<Vec<std::ffi::OsString>> {
        match self.children() {
            Err(error) if is_gone(&error) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Lets only its owner look into the group's directory.
    ///
    /// # Errors
    /// Those of `fchmodat(2)`.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(&self.directory, ".", mode, FchmodatFlags::FollowSymlink).map_err(Into::into)
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// The version 2 group of a process, as a path below the hierarchy's mount (`/proc/PID/cgroup`).
/// `None` when the process has none there.
///
/// # Errors
/// When the file cannot be read; `ESRCH` or `ENOENT` when the process is gone.
pub fn of_process(pid: Pid) -> io::Result<Option<PathBuf>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        // Seen through another cgroup namespace or removed: no path to follow.
        .filter(|path| !path.starts_with("..") && !path.ends_with(" (deleted)"))
        .map(PathBuf::from))
}

/// Says whether an error means that the group has been removed: `ENODEV` is what its open files
/// say then.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn fixture() -> (tempfile::TempDir, Cgroup) {
        let directory = tempfile::tempdir().unwrap();
        let group = Cgroup::open(directory.path()).unwrap();
        (directory, group)
    }

    #[allow(clippy::disallowed_methods)]
    fn put(directory: &tempfile::TempDir, name: &str, text: &str) {
        fs::write(directory.path().join(name), text).unwrap();
    }

    #[test]
    fn reads_and_writes() {
        let (directory, group) = fixture();
        put(&directory, "pids.max", "");
        group.write("pids.max", "500").unwrap();
        assert_eq!(group.read("pids.max").unwrap(), "500");
        assert!(group.has("pids.max") && !group.has("memory.max"));
        assert_eq!(group.write("memory.max", "1").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn controllers_that_are_missing() {
        let (directory, group) = fixture();
        put(&directory, "cgroup.controllers", "cpu memory pids\n");
        put(&directory, "cgroup.subtree_control", "cpu\n");
        assert_eq!(group.enable_controllers(&["cpu", "pids", "io"]).unwrap(), ["io"]);
        assert!(
            fs::read_to_string(directory.path().join("cgroup.subtree_control"))
                .unwrap()
                .starts_with("+pids")
        );
    }

    #[test]
    fn populated_and_processes() {
        let (directory, group) = fixture();
        put(&directory, "cgroup.events", "populated 1\nfrozen 0\n");
        put(&directory, "cgroup.procs", "12\n345\n");
        assert!(group.is_populated().unwrap());
        assert_eq!(group.processes().unwrap(), [Pid::from_raw(12), Pid::from_raw(345)]);
        put(&directory, "cgroup.events", "populated 0\nfrozen 0\n");
        assert!(group.wait_empty(Duration::from_secs(1)).unwrap());
    }

    #[test]
    fn links_are_not_followed() {
        let (directory, group) = fixture();
        std::os::unix::fs::symlink("/etc", directory.path().join("trap")).unwrap();
        assert!(group.child(OsStr::new("trap")).is_err());
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("file")).unwrap();
        assert!(group.read("file").is_err());
    }

    #[test]
    fn groups_nested_deeper_than_files_may_be_open_are_removed() {
        let (directory, group) = fixture();
        let mut innermost = group.make_child("deep".as_ref()).unwrap();
        innermost.make_child("beside".as_ref()).unwrap();
        for _ in 0..3000 {
            innermost = innermost.make_child("g".as_ref()).unwrap();
        }
        innermost.make_child("one".as_ref()).unwrap();
        innermost.make_child("two".as_ref()).unwrap();
        drop(innermost);
        let child = crate::clone::spawn(&Default::default(), || {
            let few = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
            // SAFETY: the limit lives across the call.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const few) } == 0;
            i32::from(!limited || group.remove_child("deep".as_ref()).is_err())
        })
        .unwrap();
        let ended = crate::pidfd::reap(child.pidfd.as_fd()).unwrap();
        assert_eq!(ended, crate::pidfd::Ended::Code(0));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn real_group_is_killed_and_removed() {
        let Some(hierarchy) = find_hierarchy().unwrap() else {
            eprintln!("skipped: real_group_is_killed_and_removed: no cgroup2 hierarchy");
            return;
        };
        let root = Cgroup::open(&hierarchy).unwrap();
        let name = format!("vz-sys-test-{}", std::process::id());
        let Ok(group) = root.make_child(OsStr::new(&name)) else {
            eprintln!("skipped: real_group_is_killed_and_removed: cannot make a group");
            return;
        };
        let below = group.make_child(OsStr::new("below")).unwrap();
        let request = crate::clone::Request { cgroup: Some(below.as_fd()), ..Default::default() };
        let child = crate::clone::spawn(&request, || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        })
        .unwrap();
        assert_eq!(below.processes().unwrap(), [child.pid]);
        assert!(!group.wait_empty(Duration::from_millis(10)).unwrap());
        group.kill().unwrap();
        assert!(group.wait_empty(Duration::from_secs(10)).unwrap());
        crate::pidfd::reap(child.pidfd.as_fd()).unwrap();
        root.remove_child(OsStr::new(&name)).unwrap();
        root.remove_child(OsStr::new(&name)).unwrap();
    }
}
