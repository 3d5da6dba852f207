//! Limits that live in the container's processes and namespaces, not in its cgroup.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::unistd::Pid;
use vz_conf::config::Config;
use vz_conf::param::ParamId;
use vz_conf::ubc::{PAGE, Resource, UNLIMITED};
use vz_sys::mount::{self, Place, Setting};
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pidfd::{self, Ended};
use vz_sys::rlimit::{self, ProcessLimit};
use vz_sys::{proc, pty};

use super::table::{Enforced, ROWS};
use super::{Means, Missing, Why, Write, refused};
use crate::error::Result;
use crate::judge::capacity::Capacity;
use crate::lifecycle::console::TTY_GROUP;
use crate::sockets::{self, NodeBuffers, Sysctl};

/// `oom_score_adj` is in thousandths of all memory; at -1000 a process would never be killed, and
/// nothing would be left to kill in a container that eats its node.
const LEAST_SCORE: i64 = -999;

/// Written for a limit that is none.
const NONE: &str = "unlimited";

/// `kernel.shmall` that stands for no limit: the kernel's own default.
const ALL_SHARED_MEMORY: u64 = u64::MAX - (1 << 24);

/// `max` of a devpts that stands for no limit: the kernel's own default (NR_UNIX98_PTY_MAX).
const ALL_TERMINALS: u64 = 1 << 20;

/// What is to be written. A VSwap container has the limits that its RAM and swap imply.
pub fn writes(config: &Config) -> Vec<Write> {
    let effective = config.ubc.with_vswap_defaults(config.vm_overcommit);
    let mut writes = Vec::new();
    for row in &ROWS {
        let Some(value) = effective.get(row.resource) else { continue };
        let limit = |factor: u64| match value.limit {
            UNLIMITED.. => NONE.to_owned(),
            limit => limit.saturating_mul(factor).to_string(),
        };
        let (means, value) = match row.enforced {
            Enforced::Process(which @ ProcessLimit::LockedMemory) => {
                (Means::Process(which), limit(PAGE))
            }
            Enforced::Process(which) => (Means::Process(which), limit(1)),
            Enforced::SharedMemory => (Means::SharedMemory, limit(1)),
            Enforced::Terminals => (Means::Terminals, limit(1)),
            Enforced::OutOfMemoryGuarantee => {
                (Means::OutOfMemoryScore, score(value.barrier, total_memory()).to_string())
            }
            _ => continue,
        };
        let mut from = vec![ParamId::Ubc(row.resource)];
        if config.is_vswap() {
            let implied = [Resource::Physpages, Resource::Swappages].map(ParamId::Ubc);
            from.extend(implied);
            from.extend([ParamId::Ram, ParamId::Swap]);
        }
        let is_limit = value != NONE && means != Means::OutOfMemoryScore;
        let asked = is_limit && config.ubc.get(row.resource).is_some();
        writes.push(Write { parameter: row.resource.key(), from, means, value, asked });
    }
    writes.extend(of_buffers(config));
    writes
}

/// What bounds the buffers of TCP sockets, where it is given.
fn of_buffers(config: &Config) -> Vec<Write> {
    let given = |resource| config.ubc.get(resource).is_some();
    if !given(Resource::Tcpsndbuf) && !given(Resource::Tcprcvbuf) {
        return Vec::new();
    }
    let Ok(node) = NodeBuffers::read() else { return Vec::new() };
    let resources = [Resource::Tcpsndbuf, Resource::Tcprcvbuf];
    let sysctls = sockets::sysctls(config, &node).into_iter();
    let of = |sysctl: Sysctl| {
        let resource = resources.into_iter().find(|it| it.key() == sysctl.parameter)?;
        let value = config.ubc.get(resource)?;
        Some(Write {
            parameter: sysctl.parameter,
            from: vec![ParamId::Ubc(resource)],
            value: sysctl.value.clone(),
            means: Means::Network(sysctl),
            asked: value.barrier < UNLIMITED,
        })
    };
    sysctls.filter_map(of).collect()
}

/// The score of processes whose container has been promised so many pages, of `total` bytes that
/// the node has: each counts as that much smaller when one must be killed.
fn score(pages: u64, total: u64) -> i64 {
    let promised = pages.saturating_mul(PAGE).min(total);
    match total {
        0 => 0,
        total => (-((promised as f64 / total as f64 * 1000.0) as i64)).max(LEAST_SCORE),
    }
}

/// RAM and swap of the node, in bytes; 0 where the kernel does not tell.
fn total_memory() -> u64 {
    let node = Capacity::read(Path::new("/proc"));
    node.map_or(0, |node| node.ram.saturating_add(node.swap))
}

/// Whose limits are set.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// A pidfd of its init.
    pub init: BorrowedFd<'a>,
    /// Its processes, init among them.
    pub processes: &'a [Pid],
    /// First id of the node that its groups are mapped to.
    pub gid_base: u32,
    /// The score that was set before.
    pub score: i64,
}

/// Sets what does not go to the cgroup; returns what this process may not do.
///
/// # Errors
/// When the kernel refuses a value for another reason than a missing capability.
pub fn apply_inside(target: Target<'_>, writes: &[Write]) -> Result<Missing> {
    let mut missing = Missing::default();
    for write in writes {
        let number = write.value.parse::<u64>().ok();
        let (file, done) = match &write.means {
            Means::Group(_) | Means::DiskWeight(_) | Means::NoDisk | Means::Sockets(_) => continue,
            Means::Process(which) => {
                // Files keep the soft limit that programs have always got; of locked memory the
                // beancounter is the whole truth.
                let soft_too = *which == ProcessLimit::LockedMemory;
                let set = |pid: &Pid| unless_gone(rlimit::set(*pid, *which, number, soft_too));
                ("the processes' limit", target.processes.iter().try_for_each(set))
            }
            Means::OutOfMemoryScore => {
                let by = write.value.parse::<i64>().unwrap_or(0) - target.score;
                let shift = |pid: &Pid| unless_gone(shift_score(*pid, by));
                ("oom_score_adj", target.processes.iter().try_for_each(shift))
            }
            Means::SharedMemory => {
                let pages = number.unwrap_or(ALL_SHARED_MEMORY).to_string();
                // Only root of the namespace's owner may.
                let (namespaces, is_mapped) = match target.gid_base {
                    0 => (Namespaces::IPC, false),
                    _ => (Namespaces::IPC | Namespaces::USER, true),
                };
                let write = || {
                    if is_mapped {
                        namespace::become_root()?;
                    }
                    write_proc("/proc/sys/kernel/shmall", &pages)
                };
                ("kernel.shmall", inside(target.init, namespaces, write))
            }
            Means::Network(sysctl) => {
                let sysctl = std::slice::from_ref(sysctl);
                ("the buffers of its network", sockets::apply_sysctls(target.init, sysctl))
            }
            Means::Terminals => {
                let most = number.unwrap_or(ALL_TERMINALS).min(ALL_TERMINALS).to_string();
                let gid = (target.gid_base + TTY_GROUP).to_string();
                ("max of devpts", limit_terminals(target.init, &most, &gid))
            }
        };
        match done {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                missing.add(write, Why::Privilege);
            }
            Err(error) => return Err(refused(write, file, error)),
        }
    }
    Ok(missing)
}

/// A process that has ended meanwhile needs no limit.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    let is_gone = |error: &io::Error| {
        error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
    };
    done.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

/// Moves a process's score: what a process of the container has chosen for itself stays relative.
fn shift_score(pid: Pid, by: i64) -> io::Result<()> {
    if by == 0 {
        return Ok(());
    }
    let old = proc::out_of_memory_score(pid)?;
    proc::set_out_of_memory_score(Some(pid), (old + by).clamp(LEAST_SCORE, 1000))
}

/// Writes a file of proc, which nobody else made.
fn write_proc(path: &str, value: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, value.as_bytes())
}

/// Runs in a child that has joined these namespaces of the container, and nothing else of it.
fn inside(
    init: BorrowedFd<'_>,
    namespaces: Namespaces,
    set: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let child = vz_sys::clone::spawn(&Default::default(), || {
        match namespace::join(init, namespaces).and_then(|()| set()) {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().filter(|errno| *errno < 256).unwrap_or(255),
        }
    })?;
    match pidfd::reap(child.pidfd.as_fd())? {
        Ended::Code(0) => Ok(()),
        Ended::Code(255) | Ended::Signal(_) => Err(io::Error::other("it has failed inside")),
        Ended::Code(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Limits the terminals of the devpts at the container's `/dev/pts`. A container that has put something
/// else there has no terminals to be limited.
fn limit_terminals(init: BorrowedFd<'_>, most: &str, gid: &str) -> io::Result<()> {
    let Some(devpts) = pty::devpts_of(pidfd::number(init)?)? else { return Ok(()) };
    let settings = [
        Setting::Text("mode", "0620"),
        Setting::Text("gid", gid),
        Setting::Text("ptmxmode", "0666"),
        Setting::Text("max", most),
    ];
    let place = Place::Descriptor(devpts.as_fd());
    inside(init, Namespaces::MOUNT, || mount::reconfigure(place, &settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores() {
        const GIB: u64 = 1 << 30;
        assert_eq!(score(0, GIB), 0);
        assert_eq!(score(GIB / PAGE / 2, GIB), -500);
        assert_eq!((score(UNLIMITED, GIB), score(1, 0)), (LEAST_SCORE, 0));
        assert!(total_memory() > 0);
    }

    proptest! {
        #[test]
        fn a_larger_promise_protects_more(one: u64, other: u64, total: u64) {
            prop_assert!(score(one.max(other), total) <= score(one.min(other), total));
            prop_assert!((LEAST_SCORE..=0).contains(&score(one, total)));
        }
    }
}
