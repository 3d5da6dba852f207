//! CPUUNITS, CPULIMIT, CPUS, CPUMASK and NODEMASK: the `cpu` and `cpuset` controllers.

use std::fs;
use std::path::Path;

use vz_conf::config::Config;
use vz_conf::cpumask::{CpuMask, IndexSet};
use vz_conf::param::ParamId;

use super::{Means, Write};

/// CPUUNITS of a container that names none, as the original set it at start.
pub const DEFAULT_CPUUNITS: u64 = 1000;

/// CPUUNITS that one of the kernel's weights stands for: 1000, the default, is its default of 100.
const UNITS_OF_WEIGHT: u64 = 10;

/// The kernel's weights go from 1 to 10000.
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=10_000;

/// A period of 100 ms is the kernel's default.
const PERIOD: u64 = 100_000;

/// The kernel weight of a number of CPUUNITS. Ratios stay what they were, as far as the kernel's
/// span of 10000:1 goes; see [`is_beyond`].
pub fn weight(units: u64) -> u64 {
    (units.saturating_add(UNITS_OF_WEIGHT / 2) / UNITS_OF_WEIGHT)
        .clamp(*WEIGHTS.start(), *WEIGHTS.end())
}

/// The CPUUNITS of a kernel weight.
pub fn units(weight: u64) -> u64 {
    weight.saturating_mul(UNITS_OF_WEIGHT)
}

/// Says whether so many CPUUNITS are more or less than the kernel can weigh.
pub fn is_beyond(units: u64) -> bool {
    !(WEIGHTS.start() * UNITS_OF_WEIGHT..=WEIGHTS.end() * UNITS_OF_WEIGHT).contains(&units)
}

/// What is to be written for them.
pub fn writes(config: &Config) -> Vec<Write> {
    let units = config.cpuunits.or(config.cpuweight);
    let mut writes = vec![Write {
        parameter: "CPUUNITS",
        from: vec![ParamId::Cpuunits, ParamId::Cpuweight],
        means: Means::Group("cpu.weight"),
        value: weight(units.unwrap_or(DEFAULT_CPUUNITS)).to_string(),
        asked: units.is_some_and(|units| units != DEFAULT_CPUUNITS),
    }];
    let is_limited = percent(config).is_some();
    let limits = [("CPULIMIT", config.cpulimit), ("CPUS", config.cpus)];
    if let Some((parameter, _)) = limits.into_iter().find(|(_, value)| value.is_some()) {
        writes.push(Write {
            parameter,
            from: vec![ParamId::Cpulimit, ParamId::Cpus],
            means: Means::Group("cpu.max"),
            value: maximum(percent(config)),
            asked: is_limited,
        });
    }
    if let Some(nodes) = &config.nodemask {
        writes.push(set(
            "NODEMASK",
            ParamId::Nodemask,
            "cpuset.mems",
            among(nodes, online_nodes()),
        ));
    }
    if let Some(cpus) = cpus(config) {
        let mut write = set("CPUMASK", ParamId::Cpumask, "cpuset.cpus", cpus);
        write.from.push(ParamId::Nodemask);
        writes.push(write);
    }
    writes
}

fn set(parameter: &'static str, id: ParamId, file: &'static str, value: String) -> Write {
    Write { parameter, from: vec![id], means: Means::Group(file), asked: true, value }
}

/// Percent of one CPU: the lower of the limit and of what so many CPUs have; `None` for no limit.
pub fn percent(config: &Config) -> Option<u64> {
    let limit = config.cpulimit.filter(|percent| *percent > 0);
    let cpus = config.cpus.filter(|cpus| *cpus > 0).map(|cpus| cpus.saturating_mul(100));
    limit.into_iter().chain(cpus).min()
}

fn maximum(percent: Option<u64>) -> String {
    match percent {
        None => format!("max {PERIOD}"),
        Some(percent) => format!("{} {PERIOD}", percent.saturating_mul(PERIOD / 100)),
    }
}

/// The CPUs of CPUMASK as the kernel takes them. `auto` is those of NODEMASK.
pub fn cpus(config: &Config) -> Option<String> {
    let all = IndexSet::all();
    Some(match config.cpumask.as_ref()? {
        CpuMask::Set(cpus) => among(cpus, online("cpu")),
        CpuMask::Auto => cpus_of(config.nodemask.as_ref().unwrap_or(&all)),
    })
}

/// A set as the kernel takes it: without the numbers this node has not, which it would refuse. One
/// that has none of the node's is left as it is: to be refused. A group that has processes cannot
/// go back to having no set, so that all is said by their numbers as well.
fn among(wanted: &IndexSet, there: Option<IndexSet>) -> String {
    let both = there.and_then(|there| {
        let numbers = there.runs().iter().flat_map(|(first, last)| *first..=*last);
        let both: Vec<String> =
            numbers.filter(|number| wanted.contains(*number)).map(|n| n.to_string()).collect();
        both.join(",").parse::<IndexSet>().ok()
    });
    both.unwrap_or_else(|| wanted.clone()).to_string()
}

fn online(kind: &str) -> Option<IndexSet> {
    let path = Path::new("/sys/devices/system").join(kind).join("online");
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A kernel without NUMA has node 0.
fn online_nodes() -> Option<IndexSet> {
    online("node").or_else(|| "0".parse().ok())
}

/// The CPUs of these NUMA nodes.
fn cpus_of(nodes: &IndexSet) -> String {
    let there = online_nodes().unwrap_or_else(IndexSet::all);
    let numbers = there.runs().iter().flat_map(|(first, last)| *first..=*last);
    let lists: Vec<String> = numbers
        .filter(|node| nodes.contains(*node))
        .filter_map(|node| {
            let path = format!("/sys/devices/system/node/node{node}/cpulist");
            Some(fs::read_to_string(path).ok()?.trim().to_owned())
        })
        .filter(|list| !list.is_empty())
        .collect();
    match lists.join(",").parse::<IndexSet>() {
        Ok(cpus) => cpus.to_string(),
        // Without NUMA all CPUs are of node 0.
        Err(_) => among(&IndexSet::all(), online("cpu")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_keep_their_ratios() {
        assert_eq!((weight(500), weight(1000), weight(2000)), (50, 100, 200));
        assert_eq!((weight(8), weight(15), weight(500_000)), (1, 2, 10_000));
        assert!(is_beyond(8) && is_beyond(500_000) && !is_beyond(10) && !is_beyond(100_000));
    }

    #[test]
    fn the_lower_limit_counts() {
        let percent = |cpulimit, cpus| percent(&Config { cpulimit, cpus, ..Config::default() });
        assert_eq!(percent(Some(150), Some(1)), Some(100));
        assert_eq!(percent(Some(50), Some(1)), Some(50));
        assert_eq!((percent(Some(0), None), percent(None, Some(0))), (None, None));
        assert_eq!(maximum(Some(50)), "50000 100000");
        assert_eq!(maximum(None), "max 100000");
    }

    #[test]
    fn sets() {
        let among =
            |wanted: &str, there: &str| super::among(&wanted.parse().unwrap(), there.parse().ok());
        assert_eq!(among("all", "0-3"), "0-3");
        assert_eq!(among("0-7", "0-3"), "0-3");
        assert_eq!(among("2,5", "0-3,5"), "2,5");
        assert_eq!(among("8", "0-3"), "8");
    }

    proptest! {
        #[test]
        fn more_units_are_never_less(units in 0u64..=u64::MAX, more in 0u64..=u64::MAX) {
            let (low, high) = (units.min(more), units.max(more));
            prop_assert!(weight(low) <= weight(high));
            prop_assert!(WEIGHTS.contains(&weight(low)));
        }
    }
}
