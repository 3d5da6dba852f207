//! The secure attention key: ends whatever runs on a container's console, so that what answers
//! there next is what init starts there.
//!
//! Stock kernels have no `TIOSAK`. As there, it is the processes that have the console open, and
//! those of their sessions. Never init itself, and never what is not the container's.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::fs::MetadataExt;

use nix::libc::SIGKILL;
use nix::unistd::{Pid, getsid};
use vz_sys::cgroup::Cgroup;
use vz_sys::pidfd;

use crate::container::Container;
use crate::group::{self, Place};

/// How deep in the container's own groups its processes are looked for.
const DEPTH: usize = 32;

/// Kills the users of the console `/dev/pts/NUMBER`. What has ended meanwhile, or cannot be looked
/// at, is left out: it does not answer on the console either.
pub fn kill_users(container: &Container<'_>, number: u32) {
    let Ok(console) = std::fs::metadata(format!("/dev/pts/{number}")) else { return };
    let is_console = |pid: Pid| has_open(pid, (console.st_dev(), console.st_ino()));
    let Ok(Some(state)) = container.state() else { return };
    let Some(init) = state.init else { return };
    // Held by descriptor before they are looked at: a number can be given to another.
    let processes: Vec<(Pid, OwnedFd)> = processes(container, &state.group)
        .into_iter()
        .filter(|pid| *pid != init.pid)
        .filter_map(|pid| {
            let pid = Pid::from_raw(pid);
            Some((pid, pidfd::open(pid).ok()?))
        })
        .collect();
    let users: BTreeSet<i32> = processes
        .iter()
        .map(|(pid, _)| *pid)
        .filter(|pid| is_console(*pid))
        .map(Pid::as_raw)
        .collect();
    // A daemon of init's own session may have the console open: that is not a login on it.
    let sessions: BTreeSet<Pid> = users
        .iter()
        .filter_map(|pid| getsid(Some(Pid::from_raw(*pid))).ok())
        .filter(|session| session.as_raw() != init.pid && session.as_raw() != 0)
        .collect();
    for (pid, process) in &processes {
        let in_session = getsid(Some(*pid)).is_ok_and(|session| sessions.contains(&session));
        if in_session || users.contains(&pid.as_raw()) {
            let _ = pidfd::send_signal(process.as_fd(), SIGKILL);
        }
    }
}

/// Says whether a process has this file open. What its descriptors lead to is looked at without
/// following any name of the container's.
fn has_open(pid: Pid, (device, inode): (u64, u64)) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| {
        std::fs::metadata(entry.path())
            .is_ok_and(|file| (file.st_dev(), file.st_ino()) == (device, inode))
    })
}

/// The processes of the container, by their numbers on the node.
fn processes(container: &Container<'_>, path: &std::path::Path) -> Vec<i32> {
    let found = || {
        let hierarchy = container.node.cgroup_hierarchy().ok()?;
        let top = Place::at(hierarchy, path).open().ok()?;
        top.child(group::INIT.as_ref()).ok()
    };
    found().map(|group| members(&group, DEPTH)).unwrap_or_default()
}

fn members(group: &Cgroup, depth: usize) -> Vec<i32> {
    // Threads: `cgroup.procs` of a threaded group cannot be read. Each leads to its process.
    let text = group.read("cgroup.threads").unwrap_or_default();
    let mut all: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if depth > 0 {
        let below = group.children().unwrap_or_default();
        let below = below.iter().filter_map(|name| group.child(name).ok());
        all.extend(below.flat_map(|child| members(&child, depth - 1)));
    }
    all
}
