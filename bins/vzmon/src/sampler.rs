//! Samples what the kernel keeps no maximum or average of.

use std::ffi::OsStr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use vz_sys::cgroup::{self, Cgroup};
use vz_sys::cgroup_peaks::Peaks;
use vz_sys::load_average::LoadAverage;
use vz_sys::proc;

/// How often. What rises and falls between two samples is seen by nobody.
pub const PERIOD: Duration = Duration::from_secs(10);

/// The group that the container's processes are in, beside vzmon's own.
const INIT: &str = "init.scope";

/// The container's groups, and what was seen of them.
pub struct Sampler {
    /// The one with the limits.
    group: Cgroup,
    /// Its processes'.
    inner: Cgroup,
    peaks: Peaks,
    load: LoadAverage,
    /// What the last sample has found.
    last: Last,
    /// After the node's start.
    next: Duration,
}

/// While no CPU time is used nothing changes, except that what waited for a disk may have ended.
#[derive(Default, Clone, Copy)]
struct Last {
    cpu_time: Option<u64>,
    active: u64,
    open_files: u64,
}

impl Sampler {
    /// Of the container whose vzmon this is: its group is the one above vzmon's own. `None` where
    /// there is nothing to sample.
    pub fn of_own_container() -> Option<Sampler> {
        let own = cgroup::of_process(Pid::this()).ok()??;
        let group = Cgroup::open(&cgroup::usual_hierarchy()?.join(own.parent()?)).ok()?;
        let inner = group.child(OsStr::new(INIT)).ok()?;
        let (peaks, now) = (Peaks::load(&group), now()?);
        let load = LoadAverage::load(&group, now).unwrap_or(LoadAverage::begin(now));
        Some(Sampler { group, inner, peaks, load, last: Last::default(), next: now + PERIOD })
    }

    /// Takes a sample when it is time. A group that is going away is nothing to tell of.
    pub fn wake(&mut self) {
        let Some(now) = now().filter(|now| *now >= self.next) else { return };
        self.next = now + PERIOD;
        self.last = self.look();
        self.load.advance(self.last.active, now);
        let _ = self.load.save(&self.group);
        let _ = self.peaks.sample(&self.group, self.last.open_files);
    }

    /// A container that does nothing costs one file to read.
    fn look(&self) -> Last {
        let cpu_time = self.inner.cpu_time();
        if cpu_time.is_some() && cpu_time == self.last.cpu_time && self.last.active == 0 {
            return self.last;
        }
        let threads = self.inner.all_threads();
        let active = threads.into_iter().filter(|thread| proc::is_active(*thread)).count() as u64;
        let processes = self.inner.all_processes();
        let open_files = processes.into_iter().filter_map(proc::open_files).sum();
        Last { cpu_time, active, open_files }
    }
}

/// The time since the node's start.
fn now() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}
