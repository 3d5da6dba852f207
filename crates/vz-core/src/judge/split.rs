//! The node's resources divided among a number of equal containers, as `vzsplit` does it.
//!
//! Limits are tried at three levels of shortage, from ample to scarce; where none of them has room
//! for the least buffers and processes, a fourth one divides what there is from the bottom up. What
//! comes out is then made valid ([`super::validate`]): at the fourth level the original could print
//! what `vzcfgvalidate` would not take.
//!
//! Some products of the original are of single precision; they are here too, so that the numbers
//! are the same.

use vz_conf::size::SoftHard;
use vz_conf::ubc::{BarrierLimit, PAGE, Resource, UNLIMITED, UbcSet};

use super::capacity::Capacity;
use super::validate::{self, Judgement, Limits};

/// Memory of the node itself, in bytes.
const OWN: u64 = 50 << 20;
/// The least memory of a container, in bytes.
const LEAST_MEMORY: u64 = 5_542_912;
/// The least low memory of a container, in bytes.
const LEAST_LOW: u64 = 1_348_608;
/// Processes of the whole node, where it has little memory; twice as many where it has much.
const PROCESSES: u64 = 8000;
/// Much low memory, in bytes.
const MUCH_LOW: u64 = 2 << 30;
/// Packet filter rules of the whole node.
const RULES: u64 = 2000;

const LEAST_PROCESSES: i64 = 30;
const LEAST_TCP_BUFFER: i64 = 65536;
const LEAST_DATAGRAM_BUFFER: i64 = 32768;
const LEAST_SOCKET_BUFFER: i64 = 2560;
const LEAST_GUARANTEE: i64 = 1024;
/// Kernel memory at the last level, as a multiple of its plan.
const LAST_KERNEL: f64 = 2.0;
/// The part of low memory that is planned for kernel memory and buffers.
const KERNEL_PART: f64 = 0.4;
/// Allocated memory a container may have at most, in pages for each byte of RAM.
const MOST_ALLOCATED: f64 = 0.6 / 4096.0;

/// Disk space of the node itself, in KiB, and inodes.
const OWN_DISK: Disk = Disk { space: 10_485_760, inodes: 100_000 };
/// Disk space of a container where the disk is not known, and the least one.
const DEFAULT_DISK: Disk = Disk { space: 225_280, inodes: 88_000 };

/// What limits are at one level of shortage.
struct Level {
    /// Kernel memory, as a multiple of its plan.
    kernel: f32,
    /// Processes, as a multiple of their share.
    processes: f32,
    /// Processes for each one on average.
    processes_of_average: f32,
    /// Kernel memory of a process, in bytes.
    kernel_of_process: i64,
    /// The TCP buffers of a container, and more for each socket, in bytes.
    buffers: (i64, i64),
    /// Directory entry cache of a file, in bytes.
    cache_of_file: f32,
    /// Allocated memory, as a multiple of what is guaranteed.
    allocated: f32,
    /// Locked memory, in 204800ths of kernel memory.
    locked: i64,
    /// Queued signals.
    signals: u64,
    /// The least kernel memory and buffers with which the level will do, in bytes.
    least: i64,
}

const LEVELS: [Level; 3] = [
    Level {
        kernel: 1.0,
        processes: 1.0,
        processes_of_average: 8.0,
        kernel_of_process: 81920,
        buffers: (262_144, 4096),
        cache_of_file: 576.0,
        allocated: 6.0,
        locked: 10,
        signals: 1024,
        least: 10_485_760,
    },
    Level {
        kernel: 1.2,
        processes: 1.5,
        processes_of_average: 5.0,
        kernel_of_process: 65536,
        buffers: (131_072, 3036),
        cache_of_file: 460.8,
        allocated: 3.0,
        locked: 3,
        signals: 512,
        least: 2_097_152,
    },
    Level {
        kernel: 1.8,
        processes: 2.0,
        processes_of_average: 3.0,
        kernel_of_process: 53248,
        buffers: (65536, 2560),
        cache_of_file: 384.0,
        allocated: 1.5,
        locked: 1,
        signals: 256,
        least: 0,
    },
];

/// Space of a disk in KiB, and its inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// In KiB.
    pub space: u64,
    /// 0 where the file system makes them as it needs them.
    pub inodes: u64,
}

/// What is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Memory.
    pub memory: Capacity,
    /// Processes and threads.
    pub threads: u64,
    /// The disk of private areas, without the node's own part; `None` where it is not known.
    pub disk: Option<Disk>,
    /// Among how many; at least 1.
    pub containers: u64,
}

/// A share of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// How short resources are, from 0 (not) to 3 (very).
    pub level: usize,
    /// Processes and threads that were divided.
    pub threads: u64,
    /// The limits of one container.
    pub limits: Limits,
}

/// What a VSwap container has no limit of beside its RAM and swap; of guarantees, none.
const WITHOUT_LIMIT: [Resource; 17] = [
    Resource::Kmemsize,
    Resource::Dcachesize,
    Resource::Lockedpages,
    Resource::Privvmpages,
    Resource::Shmpages,
    Resource::Numproc,
    Resource::Numtcpsock,
    Resource::Numflock,
    Resource::Numpty,
    Resource::Numsiginfo,
    Resource::Tcpsndbuf,
    Resource::Tcprcvbuf,
    Resource::Othersockbuf,
    Resource::Dgramrcvbuf,
    Resource::Numothersock,
    Resource::Numfile,
    Resource::Numiptent,
];

impl Share {
    /// The share as RAM and swap of a VSwap container: as much RAM as it could allocate, twice as
    /// much swap, and neither more than the node has.
    pub fn vswap(&self, node: &Capacity) -> Limits {
        let allocated = self.limits.ubc.get(Resource::Privvmpages).map_or(0, |value| value.barrier);
        let mut ubc = UbcSet::default();
        let mut set = |resource, barrier, limit| {
            ubc.set(resource, Some(BarrierLimit { barrier, limit }));
        };
        set(Resource::Physpages, 0, allocated);
        set(Resource::Swappages, 0, allocated.saturating_mul(2).min(UNLIMITED));
        WITHOUT_LIMIT.into_iter().for_each(|resource| set(resource, UNLIMITED, UNLIMITED));
        set(Resource::Vmguarpages, 0, UNLIMITED);
        set(Resource::Oomguarpages, 0, UNLIMITED);
        let mut limits = Limits { ubc, ..self.limits };
        validate::repair(&mut limits, Judgement::Vswap(*node));
        limits
    }
}

/// Why a node cannot be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Too little memory for the node itself.
    #[error("At least {} Mb of RAM should be installed on Hardware Node", OWN >> 20)]
    NoMemory,
    /// Too many containers.
    #[error("{}The maximum allowed value is {most}", shortages(.node, *.memory, *.low))]
    TooMany {
        /// What was to be divided.
        node: Node,
        /// RAM and swap do not suffice.
        memory: bool,
        /// Low memory does not suffice.
        low: bool,
        /// How many containers there can be.
        most: u64,
    },
    /// Not even the least limits.
    #[error("Fatal resource shortage, try to decrease the number of containers")]
    Shortage,
}

fn shortages(node: &Node, memory: bool, low: bool) -> String {
    let line = |what: &str, bytes: u64| {
        let (mb, count) = (bytes >> 20, node.containers);
        format!("On node with {mb} Mb of {what} {count} containers can not be allocated\n")
    };
    let all = memory.then(|| line("memory (RAM + swap)", node.memory.all()));
    let low = low.then(|| line("Low Memory", node.memory.low));
    all.into_iter().chain(low).collect()
}

/// What the disk has for containers: all but the node's own part, or half where that is more.
/// The second value says that the disk is smaller than recommended.
pub fn disk_for_containers(disk: Disk) -> (Disk, bool) {
    let without = |all: u64, own: u64| match all / 2 < own {
        true => (all / 2, true),
        false => (all - own, false),
    };
    let (space, is_small) = without(disk.space, OWN_DISK.space);
    let (inodes, has_few) = match disk.inodes {
        0 => (0, false),
        all => without(all, OWN_DISK.inodes),
    };
    (Disk { space, inodes }, is_small || has_few)
}

/// How many containers of the least size a disk has room for, if fewer than `containers`.
pub fn disk_shortage(disk: Disk, containers: u64) -> Option<u64> {
    let by_inodes = match disk.inodes {
        0 => u64::MAX,
        inodes => inodes / DEFAULT_DISK.inodes,
    };
    let room = by_inodes.min(disk.space / DEFAULT_DISK.space);
    (room < containers).then_some(room)
}

/// The recommended size of a disk for private areas, in GiB.
pub const RECOMMENDED_DISK: u64 = (OWN_DISK.space >> 20) * 2;

/// Whether that many containers can be on the node at all.
///
/// # Errors
/// When they cannot.
pub fn check(node: &Node) -> Result<(), SplitError> {
    if node.memory.ram < OWN {
        return Err(SplitError::NoMemory);
    }
    let mut most = node.containers.max(1);
    let all = node.memory.all() - OWN;
    let memory = all / most < LEAST_MEMORY;
    if memory {
        most = all / LEAST_MEMORY;
    }
    let low_memory = node.memory.low.saturating_sub(OWN);
    let low = low_memory / most.max(1) < LEAST_LOW;
    if low {
        most = most.min(low_memory / LEAST_LOW);
    }
    match memory || low {
        true => Err(SplitError::TooMany { node: *node, memory, low, most }),
        false => Ok(()),
    }
}

/// Divides the node.
///
/// # Errors
/// When it is too small for so many containers.
pub fn split(node: &Node) -> Result<Share, SplitError> {
    check(node)?;
    let most = if node.memory.low > MUCH_LOW { 2 * PROCESSES } else { PROCESSES };
    let node =
        Node { threads: node.threads.min(most), containers: node.containers.max(1), ..*node };
    let found = LEVELS.iter().enumerate().find_map(|(index, level)| {
        let part = Part::at(&node, level)?;
        Some((index, level, part))
    });
    let (index, level, part) = match found {
        Some(found) => found,
        None => (LEVELS.len(), &LEVELS[LEVELS.len() - 1], Part::from_the_bottom(&node)?),
    };
    let mut limits = limits(&node, level, &part);
    validate::repair(&mut limits, Judgement::Classic { disk: true });
    Ok(Share { level: index, threads: node.threads, limits })
}

/// What decides about all else, for one container.
#[derive(Debug)]
struct Part {
    processes: i64,
    average: i64,
    /// In bytes.
    kernel: i64,
    /// Guaranteed memory, in pages.
    guaranteed: i64,
    /// In bytes.
    sent: BarrierLimit,
    received: BarrierLimit,
    other: BarrierLimit,
    datagrams: BarrierLimit,
}

/// All memory of a container, and of that kernel memory and buffers (bytes); the rest is
/// guaranteed (pages).
fn memory(node: &Node, kernel: f64) -> (i64, i64, i64) {
    let (count, page) = (node.containers, PAGE as i64);
    let all = ((node.memory.all() - OWN) / count) as i64;
    let low = (node.memory.low as f64 * KERNEL_PART * kernel / count as f64) as i64;
    let guaranteed = (all - low) / page;
    match guaranteed < LEAST_GUARANTEE {
        true => (all, all - LEAST_GUARANTEE * page, LEAST_GUARANTEE),
        false => (all, low, guaranteed),
    }
}

impl Part {
    /// The part at a level, if there is enough for it.
    fn at(node: &Node, level: &Level) -> Option<Part> {
        let (_, low, guaranteed) = memory(node, f64::from(level.kernel));
        let kernel = low / 2;
        let average = kernel / level.kernel_of_process;
        if low < level.least || average < LEAST_PROCESSES / 2 {
            return None;
        }
        let share = (level.processes * node.threads as f32 / node.containers as f32) as i64;
        let most = (average as f32 * level.processes_of_average) as i64;
        let processes = share.max(LEAST_PROCESSES).max(2 * average).min(most);
        let tcp = (low - kernel) / 3;
        let (buffer, of_socket) = level.buffers;
        if tcp < buffer + of_socket * processes {
            return None;
        }
        let sockets = of_socket * processes;
        let (barrier, other) = (tcp - sockets, (tcp - sockets) / 2);
        Some(Part {
            processes,
            average,
            kernel,
            guaranteed,
            sent: pair(barrier, tcp),
            received: pair(barrier, tcp),
            other: pair(other, other + sockets),
            datagrams: pair(other, other),
        })
    }

    /// The part when there is little: the least buffers first, and as many processes as what is
    /// left will hold.
    fn from_the_bottom(node: &Node) -> Result<Part, SplitError> {
        let level = &LEVELS[LEVELS.len() - 1];
        let (_, low, guaranteed) = memory(node, LAST_KERNEL);
        let mut processes = (level.processes * node.threads as f32 / node.containers as f32) as i64;
        let (average, sockets, kernel, rest) = loop {
            processes = (processes / 2).max(LEAST_PROCESSES);
            let (average, sockets) = (processes / 2, LEAST_SOCKET_BUFFER * processes);
            let buffers = 2 * (LEAST_DATAGRAM_BUFFER + LEAST_TCP_BUFFER + sockets);
            let kernel = low - buffers;
            let rest = kernel - average * level.kernel_of_process;
            if rest >= 0 || processes <= LEAST_PROCESSES {
                break (average, sockets, kernel, rest);
            }
        };
        if rest < 0 {
            return Err(SplitError::Shortage);
        }
        let (tcp, datagram) = (LEAST_TCP_BUFFER, LEAST_DATAGRAM_BUFFER);
        Ok(Part {
            processes,
            average,
            kernel: kernel + (rest - sockets).max(0),
            guaranteed,
            sent: pair(tcp, tcp + sockets),
            received: pair(tcp, tcp + rest.min(sockets)),
            other: pair(datagram, datagram + sockets),
            datagrams: pair(datagram, datagram),
        })
    }
}

/// All limits of a container.
fn limits(node: &Node, level: &Level, part: &Part) -> Limits {
    let mut ubc = UbcSet::default();
    let mut set = |resource, value| ubc.set(resource, Some(value));
    let both = |value: i64| pair(value, value);
    let count = node.containers;
    for resource in [Resource::Numproc, Resource::Numtcpsock, Resource::Numothersock] {
        set(resource, both(part.processes));
    }
    set(Resource::Avnumproc, both(part.average));
    set(Resource::Kmemsize, pair(part.kernel, (part.kernel as f64 * 1.1) as i64));
    set(Resource::Tcpsndbuf, part.sent);
    set(Resource::Tcprcvbuf, part.received);
    set(Resource::Othersockbuf, part.other);
    set(Resource::Dgramrcvbuf, part.datagrams);

    let files = part.average * 32;
    let cache = (files as f32 * level.cache_of_file) as i64;
    let locks = ((files as f64 * 0.1) as i64).min(1000);
    let terminals = ((part.processes as f64 * 0.1) as i64).clamp(4, 512);
    set(Resource::Numfile, both(files));
    set(Resource::Dcachesize, pair((cache as f64 / 1.03) as i64, cache));
    set(Resource::Numflock, pair(locks, (locks as f64 * 1.1) as i64));
    set(Resource::Numpty, both(terminals));
    set(Resource::Numsiginfo, BarrierLimit::both(level.signals));
    set(Resource::Numiptent, BarrierLimit::both((RULES / count).clamp(4, 200)));
    set(Resource::Lockedpages, both((part.kernel * level.locked / 204_800).max(4)));

    let (guaranteed, allocated) = allocated(node, level, part);
    let guarantee = BarrierLimit { barrier: number(guaranteed), limit: UNLIMITED };
    set(Resource::Vmguarpages, guarantee);
    set(Resource::Oomguarpages, guarantee);
    set(Resource::Privvmpages, pair(allocated, (allocated as f64 * 1.1) as i64));
    set(Resource::Shmpages, both((allocated as f64 * 0.1) as i64));
    set(Resource::Physpages, BarrierLimit { barrier: 0, limit: UNLIMITED });
    let (diskspace, diskinodes) = disk(node);
    Limits { ubc, diskspace: Some(diskspace), diskinodes: Some(diskinodes) }
}

/// Pages that are guaranteed, and that may be allocated.
fn allocated(node: &Node, level: &Level, part: &Part) -> (i64, i64) {
    let (all, _, _) = memory(node, 0.0);
    let mut allocated = (part.guaranteed as f32 * level.allocated) as i64;
    if allocated > all / PAGE as i64 {
        allocated = part.guaranteed;
    }
    let most = MOST_ALLOCATED * node.memory.ram as f64;
    if node.containers > 1 && allocated as f64 > most {
        allocated = most as i64;
    }
    (part.guaranteed.min(allocated), allocated)
}

fn disk(node: &Node) -> (SoftHard, SoftHard) {
    let share = |all: Option<u64>, default: u64| {
        let hard = all.filter(|all| *all > 0).map_or(default, |all| all / (2 * node.containers));
        SoftHard { soft: (hard as f64 / 1.1) as u64, hard }
    };
    let of = |part: fn(&Disk) -> u64| node.disk.as_ref().map(part);
    (
        share(of(|disk| disk.space), DEFAULT_DISK.space),
        share(of(|disk| disk.inodes), DEFAULT_DISK.inodes),
    )
}

fn pair(barrier: i64, limit: i64) -> BarrierLimit {
    BarrierLimit { barrier: number(barrier), limit: number(limit) }
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests;
