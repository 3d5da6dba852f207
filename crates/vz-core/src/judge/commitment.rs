//! How much of the node's memory a container holds, is promised and could take: the columns of
//! `vzmemcheck` and `vzcalc`.
//!
//! *Kernel memory* is KMEMSIZE and the four kinds of socket buffers. Beside it stand, page by page,
//! RAM (PHYSPAGES), RAM and swap in use (OOMGUARPAGES) and allocated memory (PRIVVMPAGES), of which
//! VMGUARPAGES is guaranteed.
//!
//! A value that is unlimited promises what there is, and no more: the container's own limit of RAM
//! (and swap), which on a kernel that has one bounds kernel memory too, or else all that the node
//! has. So a container without any limit counts as 100 % of each column. The original added up
//! LONG_MAX and came to millions of times the node's memory, of which nothing can be concluded.
//!
//! cgroup v2 counts no allocated memory and no guarantees: what is used of RAM and swap stands in
//! for both, which is what the guarantees were about.

use vz_conf::ubc::{PAGE, Resource, UNLIMITED, UbcSet, Unit};

use super::capacity::Capacity;
use crate::accounting::Beancounters;

/// What kernel memory is made of.
const KERNEL: [Resource; 5] = [
    Resource::Kmemsize,
    Resource::Tcprcvbuf,
    Resource::Tcpsndbuf,
    Resource::Dgramrcvbuf,
    Resource::Othersockbuf,
];

/// What a container holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Held {
    /// Kernel memory.
    pub low: f64,
    /// RAM, with kernel memory.
    pub ram: f64,
    /// RAM and swap, with kernel memory.
    pub mem_swap: f64,
    /// Allocated memory, with kernel memory.
    pub alloc: f64,
}

/// What a container is promised, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Promised {
    /// Kernel memory it may take.
    pub low: f64,
    /// RAM and swap up to which none of its processes is killed.
    pub mem_swap: f64,
    /// Memory it can certainly allocate.
    pub alloc: f64,
    /// Memory it may allocate.
    pub alloc_limit: f64,
}

impl Held {
    /// What these counters say. `ram_has_kernel`: kernel memory is counted in RAM already
    /// ([`crate::accounting::Source::counts_kernel_memory_as_ram`]).
    pub fn of(counters: &Beancounters, ram_has_kernel: bool) -> Held {
        let held = |resource| counters.get(resource).held;
        let bytes = |resource| held(resource).map(|held| bytes(resource, held));
        let low: f64 = KERNEL.into_iter().filter_map(bytes).sum();
        let (ram, swap) = (bytes(Resource::Physpages), bytes(Resource::Swappages));
        let ram = ram.unwrap_or(0.0);
        let used = ram + swap.unwrap_or(0.0);
        let beside = if ram_has_kernel { 0.0 } else { low };
        let with = |own: Option<f64>| own.unwrap_or(used) + beside;
        Held {
            low,
            ram: ram + beside,
            mem_swap: with(bytes(Resource::Oomguarpages)),
            alloc: with(bytes(Resource::Privvmpages)),
        }
    }
}

impl Promised {
    /// What these barriers and limits say on a node of this capacity. Resources that are not set
    /// promise nothing.
    pub fn of(ubc: &UbcSet, node: &Capacity) -> Promised {
        let bounds = Bounds::of(ubc, node);
        let kernel = kernel_limit(ubc);
        // Kernel memory without a limit of its own is a part of RAM, not beside it.
        let with_kernel = |amount: Amount, everything: f64| match (amount, kernel) {
            (Amount::Unlimited, _) => everything,
            (Amount::Bytes(bytes), Amount::Bytes(kernel)) => bytes + kernel,
            (Amount::Bytes(bytes), Amount::Unlimited) => bytes.max(bounds.ram),
        };
        let barrier = |resource| barrier(ubc, resource);
        Promised {
            low: match kernel {
                Amount::Bytes(bytes) => bytes,
                Amount::Unlimited => bounds.ram.min(node.for_kernel() as f64),
            },
            mem_swap: with_kernel(barrier(Resource::Oomguarpages), bounds.ram),
            alloc: with_kernel(barrier(Resource::Vmguarpages), bounds.all()),
            alloc_limit: with_kernel(limit(ubc, Resource::Privvmpages), bounds.all()),
        }
    }
}

/// What these counters have in force, as a configuration would say it.
pub fn in_force(counters: &Beancounters) -> UbcSet {
    let mut ubc = UbcSet::default();
    for resource in Resource::ALL {
        let counter = counters.get(resource);
        let value = vz_conf::ubc::BarrierLimit { barrier: counter.barrier, limit: counter.limit };
        ubc.set(resource, Some(value));
    }
    ubc
}

/// An amount of memory, or no limit.
#[derive(Debug, Clone, Copy)]
enum Amount {
    Bytes(f64),
    Unlimited,
}

/// What bounds a container that has no limit of its own, in bytes.
struct Bounds {
    ram: f64,
    swap: f64,
}

impl Bounds {
    fn of(ubc: &UbcSet, node: &Capacity) -> Bounds {
        let within = |resource, all: u64| match ubc.get(resource).map(|_| limit(ubc, resource)) {
            Some(Amount::Bytes(bytes)) => bytes.min(all as f64),
            _ => all as f64,
        };
        Bounds {
            ram: within(Resource::Physpages, node.ram),
            swap: within(Resource::Swappages, node.swap),
        }
    }

    fn all(&self) -> f64 {
        self.ram + self.swap
    }
}

fn kernel_limit(ubc: &UbcSet) -> Amount {
    KERNEL.into_iter().fold(Amount::Bytes(0.0), |sum, resource| match (sum, limit(ubc, resource)) {
        (Amount::Bytes(sum), Amount::Bytes(bytes)) => Amount::Bytes(sum + bytes),
        _ => Amount::Unlimited,
    })
}

fn barrier(ubc: &UbcSet, resource: Resource) -> Amount {
    amount(resource, ubc.get(resource).map_or(0, |value| value.barrier))
}

fn limit(ubc: &UbcSet, resource: Resource) -> Amount {
    amount(resource, ubc.get(resource).map_or(0, |value| value.limit))
}

/// More than LONG_MAX bytes is what `unlimited` comes to in pages.
fn amount(resource: Resource, value: u64) -> Amount {
    match bytes(resource, value) {
        bytes if bytes < UNLIMITED as f64 => Amount::Bytes(bytes),
        _ => Amount::Unlimited,
    }
}

fn bytes(resource: Resource, value: u64) -> f64 {
    match resource.unit() {
        Unit::Pages => value as f64 * PAGE as f64,
        Unit::Bytes | Unit::Count => value as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::Counter;
    use proptest::prelude::*;
    use vz_conf::ubc::BarrierLimit;

    const NODE: Capacity = Capacity { ram: 8 << 30, low: 8 << 30, swap: 4 << 30 };

    fn vswap(ram: u64, swap: u64) -> UbcSet {
        let mut ubc = UbcSet::default();
        for resource in Resource::ALL {
            ubc.set(resource, Some(BarrierLimit::UNLIMITED));
        }
        ubc.set(Resource::Physpages, Some(BarrierLimit { barrier: 0, limit: ram }));
        ubc.set(Resource::Swappages, Some(BarrierLimit { barrier: 0, limit: swap }));
        ubc
    }

    #[test]
    fn without_limits_it_is_all_of_the_node() {
        let all = Promised::of(&vswap(UNLIMITED, UNLIMITED), &NODE);
        assert_eq!(all.low, NODE.for_kernel() as f64);
        assert_eq!(all.mem_swap, NODE.ram as f64);
        assert_eq!((all.alloc, all.alloc_limit), (NODE.all() as f64, NODE.all() as f64));
    }

    #[test]
    fn with_a_limit_of_ram_it_is_that() {
        let ubc = vswap(1 << 17, 1 << 18).with_vswap_defaults(None);
        let half = Promised::of(&ubc, &NODE);
        assert_eq!(half.low, (1u64 << 29) as f64);
        assert_eq!(half.mem_swap, (1u64 << 29) as f64);
        assert_eq!(half.alloc_limit, (3u64 << 29) as f64);
        // `--ram unlimited` is stored as so many pages.
        let all = Promised::of(&vswap(UNLIMITED / PAGE + 1, 0), &NODE);
        assert_eq!((all.mem_swap, all.alloc), (NODE.ram as f64, NODE.ram as f64));
    }

    #[test]
    fn kernel_memory_of_cgroups_is_in_ram() {
        let mut counters = Beancounters::default();
        let held = |held| Counter { held: Some(held), ..Counter::UNCOUNTED };
        counters.set(Resource::Physpages, held(1000));
        counters.set(Resource::Swappages, held(10));
        counters.set(Resource::Kmemsize, held(4096));
        let pages = |held: f64| held / PAGE as f64;
        let here = Held::of(&counters, true);
        assert_eq!((pages(here.low), pages(here.ram)), (1.0, 1000.0));
        assert_eq!((pages(here.mem_swap), pages(here.alloc)), (1010.0, 1010.0));
        counters.set(Resource::Oomguarpages, held(20));
        let there = Held::of(&counters, false);
        assert_eq!((pages(there.ram), pages(there.mem_swap)), (1001.0, 21.0));
    }

    proptest! {
        /// More is never promised by a smaller value, and nothing is ever without bounds.
        #[test]
        fn grows_with_its_limits(
            values in proptest::collection::vec((0..=UNLIMITED, 0..=UNLIMITED), 22),
            index in 0..22usize,
        ) {
            let mut ubc = UbcSet::default();
            for (resource, (barrier, limit)) in Resource::ALL.into_iter().zip(&values) {
                ubc.set(resource, Some(BarrierLimit { barrier: *barrier, limit: *limit }));
            }
            let more = Promised::of(&ubc, &NODE);
            for part in [more.low, more.mem_swap, more.alloc, more.alloc_limit] {
                prop_assert!((0.0..=UNLIMITED as f64 * 6.0).contains(&part));
            }
            // RAM and swap bound the others, so that a smaller one can promise less only.
            let resource = Resource::ALL[index];
            let value = ubc.get(resource).unwrap();
            let half = BarrierLimit { barrier: value.barrier / 2, limit: value.limit / 2 };
            let was_unlimited = matches!(limit(&ubc, resource), Amount::Unlimited)
                || matches!(barrier(&ubc, resource), Amount::Unlimited)
                || matches!(kernel_limit(&ubc), Amount::Unlimited);
            if !was_unlimited {
                ubc.set(resource, Some(half));
                let less = Promised::of(&ubc, &NODE);
                prop_assert!(less.low <= more.low && less.mem_swap <= more.mem_swap);
                prop_assert!(less.alloc <= more.alloc && less.alloc_limit <= more.alloc_limit);
            }
        }
    }
}
