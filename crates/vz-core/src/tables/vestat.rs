//! `/proc/vz/vestat`: the CPU time of containers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroU64;

use vz_conf::ctid::Ctid;
use vz_sys::cgroup::{Cgroup, value_of};
use vz_sys::proc;

use crate::accounting::Activity;
use crate::group::Place;
use crate::node::Node;
use crate::state::State;

/// The CPU time a container has used, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In its processes.
    pub user: u64,
    /// In its processes that run at a lower priority; a part of `user`.
    pub nice: u64,
    /// In the kernel, for them.
    pub system: u64,
}

/// The CPU time of these containers since their start: the `cpu.stat` of their groups
/// (Documentation/admin-guide/cgroup-v2.rst), which every kernel keeps. One that has stopped
/// meanwhile is left out.
pub fn cpu_times(node: &Node, running: &[Ctid]) -> BTreeMap<Ctid, CpuTime> {
    let one = |id: &Ctid| {
        let state = State::load(&node.state_path(*id)).ok()??;
        let group = Place::at(node.cgroup_hierarchy().ok()?, &state.group).open().ok()?;
        Some((*id, cpu_time(&group)?))
    };
    running.iter().filter_map(one).collect()
}

fn cpu_time(group: &Cgroup) -> Option<CpuTime> {
    let text = group.read("cpu.stat").ok()?;
    let value = |key: &str| value_of(&text, key);
    Some(CpuTime {
        user: value("user_usec")?,
        // Since Linux 6.12.
        nice: value("nice_usec").unwrap_or(0),
        system: value("system_usec")?,
    })
}

/// The table: user, nice, system and uptime in clock ticks, the rest in nanoseconds. No latencies
/// are kept, so they are 0. `cpus` is how many the node has: their idle time is what was not used.
pub fn vestat(
    running: &[Ctid],
    times: &BTreeMap<Ctid, CpuTime>,
    activity: &BTreeMap<Ctid, Activity>,
    cpus: u64,
) -> String {
    let mut text = format!("{:<251}\n", "Version: 2.2");
    let names = [
        "VEID", "user", "nice", "system", "uptime", "idle", "strv", "uptime", "used", "maxlat",
        "totlat", "numsched",
    ];
    line(&mut text, names);
    let ticks = NonZeroU64::new(proc::ticks_per_second()).unwrap_or(NonZeroU64::MIN);
    for id in running {
        let time = times.get(id).copied().unwrap_or_default();
        let uptime = activity.get(id).map_or(0.0, |activity| activity.uptime);
        line(&mut text, values(*id, time, uptime, ticks, cpus));
    }
    text
}

fn values(id: Ctid, time: CpuTime, uptime: f64, ticks: NonZeroU64, cpus: u64) -> [u64; 12] {
    let in_ticks = |microseconds: u64| microseconds / (1_000_000 / ticks).max(1);
    let used = (time.user.saturating_add(time.system)).saturating_mul(1000);
    let up = (uptime * 1e9) as u64;
    [
        u64::from(id.get()),
        in_ticks(time.user.saturating_sub(time.nice)),
        in_ticks(time.nice),
        in_ticks(time.system),
        (uptime * ticks.get() as f64) as u64,
        up.saturating_mul(cpus).saturating_sub(used),
        0,
        up,
        used,
        0,
        0,
        0,
    ]
}

fn line<T: std::fmt::Display>(text: &mut String, fields: [T; 12]) {
    for (index, field) in fields.iter().enumerate() {
        let _ = write!(text, "{}{field:>20}", if index == 0 { "" } else { " " });
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_group() {
        let directory = tempfile::tempdir().unwrap();
        let stat = "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnice_usec 5\nnr_periods 0\n";
        #[allow(clippy::disallowed_methods)]
        std::fs::write(directory.path().join("cpu.stat"), stat).unwrap();
        let group = Cgroup::open(directory.path()).unwrap();
        assert_eq!(cpu_time(&group), Some(CpuTime { user: 20, nice: 5, system: 10 }));
    }

    #[test]
    fn ticks_and_nanoseconds() {
        let id = Ctid::new(101).unwrap();
        let time = CpuTime { user: 2_500_000, nice: 500_000, system: 1_000_000 };
        let ticks = NonZeroU64::new(100).unwrap();
        assert_eq!(
            values(id, time, 10.0, ticks, 2),
            [101, 200, 50, 100, 1000, 16_500_000_000, 0, 10_000_000_000, 3_500_000_000, 0, 0, 0]
        );
    }
}
