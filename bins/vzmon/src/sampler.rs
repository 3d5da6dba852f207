//! Samples what the container holds and the kernel keeps no maximum of.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use vz_sys::cgroup::{self, Cgroup};
use vz_sys::cgroup_peaks::Peaks;

/// How often. What rises and falls between two samples is seen by nobody.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Where cgroup v2 has its controllers on any node that has them there at all.
const HIERARCHY: &str = "/sys/fs/cgroup";

/// The container's group, and what it has held.
pub struct Sampler {
    group: Cgroup,
    peaks: Peaks,
    next: Instant,
}

impl Sampler {
    /// Of the container whose vzmon this is: its group is the one above vzmon's own. `None` where
    /// there is nothing to sample.
    pub fn of_own_container() -> Option<Sampler> {
        let own = cgroup::of_process(Pid::this()).ok()??;
        let group = Cgroup::open(&Path::new(HIERARCHY).join(own.parent()?)).ok()?;
        if !group.has("memory.stat") {
            return None;
        }
        let peaks = Peaks::load(&group);
        Some(Sampler { group, peaks, next: Instant::now() + PERIOD })
    }

    /// Takes a sample when it is time. A group that is going away is nothing to tell of.
    pub fn wake(&mut self) {
        if Instant::now() >= self.next {
            let _ = self.peaks.sample(&self.group);
            self.next = Instant::now() + PERIOD;
        }
    }
}
