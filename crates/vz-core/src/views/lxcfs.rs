//! lxcfs's files over those of a container's `/proc`: `free`, `top`, `uptime` and `nproc` inside
//! show the container's own limits (lxcfs(1)). lxcfs finds them out by the group of whoever reads.
//!
//! lxcfs is one process for the whole node, and each bind of its files dies with it. So its unit
//! has `vzviews lxcfs` run when it has come and when it has gone: that one puts its files in place
//! in all containers that run, or takes the dead ones away, so that the kernel's are seen again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use vz_sys::mount::{self, Attributes, Change, Place};
use vz_sys::mount_table;

use super::mounts::{Mount, place_inside};
use crate::accounting::{Cgroups, Source};
use crate::lifecycle::stop::open_init;
use crate::node::Node;
use crate::report::Report;
use crate::state::State;

/// Where lxcfs is mounted, by every distribution's unit.
const PLACE: &str = "/var/lib/lxcfs";
/// Its type in tables of mounts.
const KIND: &str = "fuse.lxcfs";

/// Its files, as seen from the container's root.
const FILES: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/sys/devices/system/cpu/online",
];

/// How long lxcfs may take to answer: a start does not wait for one that hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to come.
const COMING: Duration = Duration::from_secs(10);

/// A file of lxcfs's, as a mount that is attached nowhere yet.
#[derive(Debug)]
pub struct Bound {
    /// Where it goes, an absolute path of the container.
    pub path: &'static str,
    /// The mount.
    pub mount: OwnedFd,
}

/// What came of asking lxcfs.
#[derive(Debug)]
pub enum Found {
    /// It does not run here.
    None,
    /// Its files.
    Files(Vec<Bound>),
    /// It has not answered.
    Hangs,
}

/// Looks for lxcfs's files on the node.
pub fn find(node: &Node) -> Found {
    let place = node.path(PLACE);
    // Without asking lxcfs itself, which may be dead or hang.
    if !mount_table::count_of(&place, KIND, None).is_ok_and(|count| count > 0) {
        return Found::None;
    }
    let (sender, receiver) = mpsc::channel();
    let asked = thread::Builder::new().spawn(move || {
        let _ = sender.send(clone_all(&place));
    });
    match asked.ok().map(|_| receiver.recv_timeout(PATIENCE)) {
        Some(Ok(files)) if files.is_empty() => Found::None,
        Some(Ok(files)) => Found::Files(files),
        _ => Found::Hangs,
    }
}

/// Those of its files that it has: older ones have fewer.
fn clone_all(place: &Path) -> Vec<Bound> {
    let one = |path: &'static str| {
        let source = place.join(path.trim_start_matches('/'));
        Some(Bound { path, mount: clone_one(&source).ok()? })
    };
    FILES.into_iter().filter_map(one).collect()
}

fn clone_one(source: &Path) -> io::Result<OwnedFd> {
    let mount = mount::clone_tree(Place::Path(source), false)?;
    let set =
        Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let change = Change { set, private: true, ..Change::default() };
    mount::change(Place::Descriptor(mount.as_fd()), &change)?;
    Ok(mount)
}

/// Waits until lxcfs is there, if it comes soon.
pub fn wait(node: &Node) {
    let (place, end) = (node.path(PLACE), Instant::now() + COMING);
    let is_there = || mount_table::count_of(&place, KIND, None).is_ok_and(|count| count > 0);
    // A change of the mounts is POLLPRI on this file (proc_pid_mountinfo(5)).
    let Ok(table) = File::open("/proc/self/mounts") else { return };
    while !is_there() && Instant::now() < end {
        let flags = nix::poll::PollFlags::POLLPRI;
        let mut wanted = [nix::poll::PollFd::new(table.as_fd(), flags)];
        let _ = nix::poll::poll(&mut wanted, 100_u8);
    }
}

/// Puts lxcfs's files in place in all containers that run; or, where there is no lxcfs any more,
/// takes them away. A container that cannot be helped is told of, and the others are.
pub fn place_everywhere(node: &Node, report: &mut dyn Report) {
    let Ok(running) = Cgroups::new(node).running() else { return };
    for one in running {
        let Ok(Some(state)) = State::load(&node.state_path(one.id)) else { continue };
        let Some(init) = open_init(&state) else { continue };
        // A mount can be attached once: each container gets clones of its own.
        let files = match find(node) {
            Found::Files(files) => files,
            Found::None => Vec::new(),
            Found::Hangs => return report.error("Warning: lxcfs does not answer"),
        };
        let mounts = FILES.map(|path| Mount {
            path,
            kind: KIND,
            tree: files.iter().find(|file| file.path == path).map(|file| file.mount.as_fd()),
        });
        if let Err(error) = place_inside(&mounts, init.as_fd(), state.uid_base != 0) {
            report.error(&format!("Warning: Cannot change the views of CT {}: {error}", one.id));
        }
    }
}
