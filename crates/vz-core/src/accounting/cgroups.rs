//! What this kernel says: state files for which containers run, their cgroups for what they hold.
//!
//! A file that is not there means that its controller is not (a node whose controllers are bound
//! to cgroup v1): then nothing is counted, and nothing is shown as limited.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use vz_conf::ctid::Ctid;
use vz_conf::layout::Layout;
use vz_conf::ubc::Resource;
use vz_sys::cgroup::{self, Cgroup};
use vz_sys::load_average::LoadAverage;
use vz_sys::quota::Limits;
use vz_sys::{packet_filter, proc, quota};

use super::counting::{Counting, FileLocks};
use super::imitation::status_field;
use super::{
    Activity, Answer, Beancounters, CpuShare, DiskCounter, DiskPlace, DiskUsage, Process, Running,
    Source, SourceError,
};
use crate::addresses;
use crate::container::is_mounted;
use crate::error::OsText;
use crate::group::{self, Place};
use crate::layout::ploop::balloon;
use crate::limits::{self, InForce};
use crate::node::Node;
use crate::sockets::{self, Usage};
use crate::state::State;
use crate::vzquota::kernel;

/// The kernel's own accounting.
#[derive(Debug)]
pub struct Cgroups<'n> {
    node: &'n Node,
    /// The states of those found running, so that no column looks for them again.
    running: RefCell<BTreeMap<Ctid, State>>,
    /// The beancounters that are asked for; `None` for all.
    wanted: Option<Vec<Resource>>,
    file_locks: FileLocks,
}

impl<'n> Cgroups<'n> {
    /// Of this node.
    pub fn new(node: &'n Node) -> Cgroups<'n> {
        Cgroups {
            node,
            running: RefCell::default(),
            wanted: None,
            file_locks: FileLocks::default(),
        }
    }

    /// Counts only these beancounters: some cost a look at each process.
    #[must_use]
    pub fn counting(self, wanted: Vec<Resource>) -> Cgroups<'n> {
        Cgroups { wanted: Some(wanted), ..self }
    }

    /// The state of a container that runs, as it was when it was first asked for. That its group has
    /// processes would not do: it may be just being started or cleared away.
    fn state(&self, id: Ctid) -> Option<State> {
        if let Some(state) = self.running.borrow().get(&id) {
            return Some(state.clone());
        }
        let state = State::load(&self.node.state_path(id)).ok()?.filter(State::is_running)?;
        self.running.borrow_mut().insert(id, state.clone());
        Some(state)
    }

    /// A container's group, with the limits, and the one below it that its processes are in.
    fn groups(&self, id: Ctid) -> Option<(Cgroup, Cgroup)> {
        let hierarchy = self.node.cgroup_hierarchy().ok()?;
        let top = Place::at(hierarchy, &self.state(id)?.group).open().ok()?;
        let init = top.child(group::INIT.as_ref()).ok()?;
        Some((top, init))
    }

    /// What `value` finds for each container, for those where it finds something.
    fn each<T>(
        &self,
        running: &[Ctid],
        value: impl Fn(&Self, Ctid) -> Option<T>,
    ) -> BTreeMap<Ctid, T> {
        running.iter().filter_map(|id| Some((*id, value(self, *id)?))).collect()
    }

    /// What sock_diag says of the network namespaces of these containers, when that is asked for:
    /// the programs on the cgroup count TCP sockets by themselves.
    fn socket_usage(&self, running: &[Ctid], wanted: &[Resource]) -> BTreeMap<Ctid, Usage> {
        let asked = sockets::RESOURCES.iter().filter(|it| **it != Resource::Numtcpsock);
        if !asked.into_iter().any(|resource| wanted.contains(resource)) {
            return BTreeMap::new();
        }
        self.of_networks(running, |networks| {
            sockets::buffers(networks).unwrap_or_default().into_iter().map(Result::ok).collect()
        })
    }

    /// The rules of their packet filters, when they are asked for.
    fn rules(&self, running: &[Ctid], wanted: &[Resource]) -> BTreeMap<Ctid, u64> {
        if !wanted.contains(&Resource::Numiptent) {
            return BTreeMap::new();
        }
        self.of_networks(running, |networks| packet_filter::rules(networks).unwrap_or_default())
    }

    /// What is found by the network namespaces of these containers, by a pidfd of each one's init.
    fn of_networks<T>(
        &self,
        running: &[Ctid],
        find: impl Fn(&[BorrowedFd<'_>]) -> Vec<Option<T>>,
    ) -> BTreeMap<Ctid, T> {
        let inits: Vec<(Ctid, OwnedFd)> =
            running.iter().filter_map(|id| Some((*id, self.state(*id)?.init?.open()?))).collect();
        let descriptors: Vec<_> = inits.iter().map(|(_, init)| init.as_fd()).collect();
        let ids = inits.iter().map(|(id, _)| *id);
        ids.zip(find(&descriptors)).filter_map(|(id, found)| Some((id, found?))).collect()
    }

    fn unopened(&self, path: &Path, source: impl Into<OsText>) -> SourceError {
        SourceError { path: self.node.shown(path), source: source.into() }
    }
}

impl Source for Cgroups<'_> {
    fn running(&self) -> Answer<Vec<Running>> {
        let directory = self.node.run_dir();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            // Nothing has run since the node was started.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unopened(&directory, error)),
        };
        let mut ids: Vec<Ctid> =
            entries.flatten().filter_map(|entry| state_file_id(&entry.file_name())).collect();
        ids.sort_unstable();
        self.running.borrow_mut().clear();
        ids.retain(|id| self.state(*id).is_some());
        Ok(ids
            .into_iter()
            .map(|id| Running { id, addresses: addresses::read(self.node, id) })
            .collect())
    }

    fn beancounters(&self, running: &[Ctid]) -> Answer<BTreeMap<Ctid, Beancounters>> {
        let wanted = self.wanted.as_deref().unwrap_or(&Resource::ALL);
        let mut usage = self.socket_usage(running, wanted);
        let mut rules = self.rules(running, wanted);
        let mut found = BTreeMap::new();
        for id in running {
            // One that runs has beancounters, also where nothing can be read of them.
            let counters = match self.groups(*id) {
                None => Beancounters::default(),
                Some((top, inner)) => {
                    let in_force = InForce::load(self.node, *id).beancounters;
                    let init = self.state(*id).and_then(|state| state.init);
                    Counting::new(&top, &inner, in_force, init.map(|init| init.pid))
                        .with_sockets(usage.remove(id))
                        .with_rules(rules.remove(id))
                        .beancounters(wanted, &self.file_locks)
                }
            };
            found.insert(*id, counters);
        }
        Ok(found)
    }

    fn cpu_shares(&self, running: &[Ctid]) -> Answer<BTreeMap<Ctid, CpuShare>> {
        Ok(self.each(running, |source, id| source.groups(id).map(|(top, _)| cpu_share(&top))))
    }

    fn cpu_units(&self) -> Answer<Vec<(Ctid, u64)>> {
        let running: Vec<Ctid> = self.running()?.into_iter().map(|one| one.id).collect();
        let shares = self.cpu_shares(&running)?;
        Ok(shares.into_iter().map(|(id, share)| (id, share.units)).collect())
    }

    fn counts_kernel_memory_as_ram(&self) -> bool {
        true
    }

    fn cpus(&self, _running: &[Ctid]) -> BTreeMap<Ctid, u64> {
        // A limit of CPUs is part of the CPU limit here; the kernel knows no number of its own.
        BTreeMap::new()
    }

    fn activity(&self, running: &[Ctid]) -> BTreeMap<Ctid, Activity> {
        let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from) else {
            return BTreeMap::new();
        };
        let ticks = proc::ticks_per_second() as f64;
        self.each(running, |source, id| {
            let started = source.state(id)?.init?.start as f64 / ticks;
            let load = source.groups(id).and_then(|(top, _)| LoadAverage::load(&top, now));
            Some(Activity {
                load: load.map(|load| load.averages()),
                uptime: (now.as_secs_f64() - started).max(0.0),
            })
        })
    }

    fn disk_usage(&self, places: &[DiskPlace<'_>]) -> BTreeMap<Ctid, DiskUsage> {
        places.iter().filter_map(|place| Some((place.id, disk_usage(place)?))).collect()
    }

    fn process(&self, pid: i32) -> Option<Process> {
        process_of(pid)
    }
}

/// The process with this id, as [`Source::process`] of [`Cgroups`]: it takes no node to tell.
pub fn process_of(pid: i32) -> Option<Process> {
    let pid = Pid::from_raw(pid);
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    // A thread has such a file too, and is no process.
    if status_field(&status, "Tgid")? != pid.to_string() {
        return None;
    }
    let container = cgroup::of_process(pid).ok()?.and_then(|path| owner(&path));
    // A guest may have pid namespaces of its own below the container's, the second one.
    let inner = container.and_then(|_| proc::namespace_pids(pid).ok()?.get(1).copied());
    Some(Process {
        name: status_field(&status, "Name").unwrap_or_default(),
        container: container.unwrap_or(Ctid::NODE),
        inner: inner.unwrap_or(pid.as_raw()),
    })
}

/// The container of a state file's name.
fn state_file_id(name: &std::ffi::OsStr) -> Option<Ctid> {
    let id: Ctid = name.to_str()?.strip_suffix(".toml")?.parse().ok()?;
    (!id.is_node()).then_some(id)
}

/// The container whose processes are in this group, a path below the hierarchy's mount. A
/// container's vzmon, in a group beside theirs, is the node's.
fn owner(path: &Path) -> Option<Ctid> {
    let name = path.iter().nth(1)?.to_str()?;
    let number = name.strip_prefix("vz-").and_then(|name| name.strip_suffix(".scope"));
    let id: Ctid = number.unwrap_or(name).parse().ok()?;
    [false, true]
        .into_iter()
        .map(|systemd| Place::of(PathBuf::new(), systemd, id).relative().join(group::INIT))
        .any(|group| path.starts_with(group))
        .then_some(id)
}

/// The container a process belongs to, [`Ctid::NODE`] for the node's own; `None` when it is gone.
pub fn container_of(pid: i32) -> Option<Ctid> {
    match cgroup::of_process(Pid::from_raw(pid)) {
        Ok(group) => Some(group.and_then(|path| owner(&path)).unwrap_or(Ctid::NODE)),
        Err(_) => None,
    }
}

/// The CPU limit and weight in force.
fn cpu_share(top: &Cgroup) -> CpuShare {
    let percent = |text: String| {
        let (quota, period) = text.trim().split_once(' ')?;
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        quota.saturating_mul(100).checked_div(period)
    };
    CpuShare {
        limit: top.read("cpu.max").ok().and_then(percent).unwrap_or(0),
        // A weight of 100 is the default of 1000 units.
        units: top.number("cpu.weight").map_or(limits::DEFAULT_CPUUNITS, limits::cpu_units),
    }
}

/// The quota of the container's project, or what its image holds.
fn disk_usage(place: &DiskPlace<'_>) -> Option<DiskUsage> {
    match place.layout {
        Layout::Ploop(_) => image_usage(place.root),
        Layout::Simfs | Layout::Overlay => project_usage(place.private, place.id),
    }
}

fn image_usage(root: &Path) -> Option<DiskUsage> {
    if !is_mounted(root) {
        return None;
    }
    let status = statvfs(root).ok()?;
    let kib = |blocks: u64| blocks.saturating_mul(status.fragment_size()) / 1024;
    // What an image was shrunk by is neither the container's to use nor used by it.
    let held_back = File::open(root).and_then(|top| balloon::size(top.as_fd())).unwrap_or(0) / 1024;
    let blocks = kib(status.blocks()).saturating_sub(held_back);
    let counter =
        |all: u64, free: u64| DiskCounter { usage: all.saturating_sub(free), soft: all, hard: all };
    Some(DiskUsage {
        space: counter(blocks, kib(status.blocks_free())),
        inodes: counter(status.files(), status.files_free()),
    })
}

fn project_usage(private: &Path, id: Ctid) -> Option<DiskUsage> {
    let directory = File::open(private).ok()?;
    // Usage that was counted for another project, or none, says nothing about this container.
    if quota::project(directory.as_fd()).ok()?.id != id.get() {
        return None;
    }
    let quota = quota::quota(directory.as_fd(), id.get()).ok()?;
    let Limits { space, inodes } = kernel::limits(&quota);
    Some(DiskUsage {
        space: DiskCounter {
            usage: quota.space_held.div_ceil(1024),
            soft: space.soft / 1024,
            hard: space.hard / 1024,
        },
        inodes: DiskCounter { usage: quota.inodes_held, soft: inodes.soft, hard: inodes.hard },
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::accounting::counting::tests::group;
    use crate::state::{Phase, ProcessId};

    #[test]
    fn cpu_in_the_units_of_the_configuration() {
        let share = |files| cpu_share(&group(files).1);
        assert_eq!(
            share(&[("cpu.max", "50000 100000\n"), ("cpu.weight", "50\n")]),
            CpuShare { limit: 50, units: 500 }
        );
        assert_eq!(share(&[("cpu.max", "max 100000\n")]), CpuShare { limit: 0, units: 1000 });
        assert_eq!(share(&[("cpu.max", "5 0\n")]).limit, 0);
    }

    #[test]
    fn owners() {
        let id = Ctid::new(101);
        for path in ["vz/101/init.scope", "vz/101/init.scope/system.slice/a.service"] {
            assert_eq!(owner(Path::new(path)), id, "{path}");
        }
        assert_eq!(owner(Path::new("vz.slice/vz-101.scope/init.scope")), id);
        for path in [
            "",
            "vz",
            "vz/101",
            "vz/101/mon",
            "vz.slice/vz-101.scope/mon",
            "vz.slice/101/init.scope",
            "vz/0101/init.scope",
            "user.slice/101/init.scope",
            "user.slice/vz/101/init.scope",
            "vz/-1/init.scope",
        ] {
            assert_eq!(owner(Path::new(path)), None, "{path}");
        }
    }

    fn node(directory: &Path) -> Node {
        std::fs::create_dir_all(directory.join("etc/vz")).unwrap();
        std::fs::create_dir_all(directory.join("var/lib/vzctl/veip")).unwrap();
        std::fs::create_dir_all(directory.join("run/vz")).unwrap();
        std::fs::write(directory.join("etc/vz/vz.conf"), "").unwrap();
        Node::load(Some(directory.to_owned())).unwrap()
    }

    #[test]
    fn only_live_containers_run() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path());
        let alive = ProcessId::of(Pid::this()).unwrap();
        let state = |init| State {
            phase: Phase::Running,
            init: Some(init),
            monitor: None,
            group: "vz/7".into(),
            user_quota: false,
            uid_base: 0,
            gid_base: 0,
            root: "/nonexistent".into(),
            since: 0,
            restarts: 0,
        };
        let save = |id: u32, init| {
            state(init).save(&node.state_path(Ctid::new(id).unwrap())).unwrap();
        };
        save(7, alive);
        save(20, alive);
        save(8, ProcessId { start: alive.start + 1, number: None, ..alive });
        std::fs::write(directory.path().join("run/vz/9.toml"), "not ours").unwrap();
        std::fs::write(directory.path().join("run/vz/lock"), "").unwrap();
        let veip = directory.path().join("var/lib/vzctl/veip/7");
        std::fs::write(veip, "10.0.0.1 2001:db8::1 ").unwrap();

        let source = Cgroups::new(&node);
        let running = source.running().unwrap();
        let shown: Vec<_> = running.iter().map(|one| one.id.get()).collect();
        assert_eq!(shown, [7, 20]);
        let addresses = ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(running[0].addresses.as_deref(), Some(&addresses[..]));
        assert_eq!(running[1].addresses, None);

        let activity = source.activity(&[running[0].id])[&running[0].id];
        assert!(activity.load.is_none() && activity.uptime < 86400.0, "{activity:?}");
    }

    #[test]
    fn nothing_ever_ran() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path());
        std::fs::remove_dir(directory.path().join("run/vz")).unwrap();
        assert_eq!(Cgroups::new(&node).running().unwrap(), []);
    }

    #[test]
    fn ourselves() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path());
        let source = Cgroups::new(&node);
        let pid = Pid::this().as_raw();
        let process = source.process(pid).unwrap();
        assert_eq!((process.container, process.inner), (Ctid::NODE, pid));
        assert!(!process.name.is_empty());
        assert_eq!(source.process(i32::MAX), None);
    }
}
