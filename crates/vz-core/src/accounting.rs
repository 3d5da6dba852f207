//! What running containers hold: beancounters, CPU, uptime, disk; and whose a process is.
//!
//! There are two sources of it. [`Cgroups`] asks this kernel. [`Imitation`] reads files in the
//! form the OpenVZ kernel had under `/proc`: a dump taken on another node, or a test's.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use vz_conf::ctid::Ctid;
use vz_conf::layout::Layout;
use vz_conf::ubc::{Resource, UNLIMITED};

use crate::error::OsText;

mod cgroups;
pub mod column;
mod counting;
mod imitation;

pub use cgroups::{Cgroups, container_of, process_of};
pub use imitation::{Imitation, beancounter_table};

/// Why a source has nothing to say.
#[derive(Debug, thiserror::Error)]
#[error("Unable to open {}: {source}", path.display())]
pub struct SourceError {
    /// The file, as it is told to people.
    pub path: PathBuf,
    /// What the system answered.
    pub source: OsText,
}

impl SourceError {
    fn new(path: &Path, source: io::Error) -> SourceError {
        SourceError { path: path.to_owned(), source: source.into() }
    }
}

/// The answer of a source.
pub type Answer<T> = Result<T, SourceError>;

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: Ctid,
    /// The addresses it has, in the order they were given; `None` when the source keeps none.
    pub addresses: Option<Vec<IpAddr>>,
}

/// One beancounter, in the resource's own unit (bytes, pages of 4096 bytes, or things).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Held now; `None` where nothing counts it.
    pub held: Option<u64>,
    /// The most that was ever held.
    pub maxheld: Option<u64>,
    /// The barrier in force; [`UNLIMITED`] for none.
    pub barrier: u64,
    /// The limit in force; [`UNLIMITED`] for none.
    pub limit: u64,
    /// How often something was refused.
    pub failcnt: Option<u64>,
}

impl Counter {
    /// Nothing counts the resource, and nothing limits it.
    pub const UNCOUNTED: Counter =
        Counter { held: None, maxheld: None, barrier: UNLIMITED, limit: UNLIMITED, failcnt: None };
}

/// The beancounters of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beancounters(Box<[Counter; Resource::ALL.len()]>);

impl Default for Beancounters {
    fn default() -> Self {
        Beancounters(Box::new([Counter::UNCOUNTED; Resource::ALL.len()]))
    }
}

impl Beancounters {
    /// The beancounter of a resource.
    pub fn get(&self, resource: Resource) -> Counter {
        self.0[resource as usize]
    }

    /// Sets the beancounter of a resource.
    pub fn set(&mut self, resource: Resource, counter: Counter) {
        self.0[resource as usize] = counter;
    }
}

/// A container's part of the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuShare {
    /// Percent of one CPU; 0 for no limit.
    pub limit: u64,
    /// Its weight, in CPUUNITS.
    pub units: u64,
}

/// How long a container runs, and how busy it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activity {
    /// Processes that ran or waited for a CPU, averaged over 1, 5 and 15 minutes; `None` while
    /// nobody takes samples.
    pub load: Option<[f64; 3]>,
    /// Seconds since it was started.
    pub uptime: f64,
}

/// What is held of one disk resource, and its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskCounter {
    /// Held now.
    pub usage: u64,
    /// May be exceeded for a while; 0 for no limit.
    pub soft: u64,
    /// Is never exceeded; 0 for no limit.
    pub hard: u64,
}

/// A container's disk usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// In KiB.
    pub space: DiskCounter,
    /// In inodes.
    pub inodes: DiskCounter,
}

/// Where a container's files lie, for measuring them.
#[derive(Debug, Clone, Copy)]
pub struct DiskPlace<'p> {
    /// The container.
    pub id: Ctid,
    /// How they are kept.
    pub layout: Layout,
    /// The private area.
    pub private: &'p Path,
    /// The root area.
    pub root: &'p Path,
}

/// A process of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name, 15 bytes at most; what is not UTF-8 is replaced.
    pub name: String,
    /// The container it belongs to; [`Ctid::NODE`] for the node's own.
    pub container: Ctid,
    /// Its id inside the container.
    pub inner: i32,
}

/// Something that knows what running containers hold.
pub trait Source {
    /// The containers that run, by id.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn running(&self) -> Answer<Vec<Running>>;

    /// The beancounters of these containers. One that has stopped meanwhile is left out.
    ///
    /// # Errors
    /// When no beancounter can be read at all.
    fn beancounters(&self, running: &[Ctid]) -> Answer<BTreeMap<Ctid, Beancounters>>;

    /// The CPU limits and weights in force for these containers.
    ///
    /// # Errors
    /// When none can be read at all.
    fn cpu_shares(&self, running: &[Ctid]) -> Answer<BTreeMap<Ctid, CpuShare>>;

    /// The CPUUNITS in force for the node's own processes ([`Ctid::NODE`]), where the source knows
    /// them, and for all containers that run.
    ///
    /// # Errors
    /// When none can be read at all.
    fn cpu_units(&self) -> Answer<Vec<(Ctid, u64)>>;

    /// Whether kernel memory and socket buffers are counted in RAM as well. The OpenVZ kernel
    /// counted them beside it.
    fn counts_kernel_memory_as_ram(&self) -> bool;

    /// On how many CPUs these containers may run at once, where that is limited.
    fn cpus(&self, running: &[Ctid]) -> BTreeMap<Ctid, u64>;

    /// Since when these containers run, and how busy they are.
    fn activity(&self, running: &[Ctid]) -> BTreeMap<Ctid, Activity>;

    /// The disk usage of these containers, also of ones that do not run, where it is known.
    fn disk_usage(&self, places: &[DiskPlace<'_>]) -> BTreeMap<Ctid, DiskUsage>;

    /// The process with this id; `None` when there is none.
    fn process(&self, pid: i32) -> Option<Process>;
}
