//! What the memory beancounters become: one limit of all memory, one of swap, and guarantees.
//!
//! A VSwap configuration says it outright: PHYSPAGES is RAM, SWAPPAGES swap. A classic one limits
//! what may be allocated, kind by kind; cgroup v2 counts all kinds together, so their sum is the
//! most that the container could ever use, and the sum of the barriers is where it is slowed down.

use vz_conf::config::Config;
use vz_conf::param::ParamId;
use vz_conf::ubc::{PAGE, Resource, UNLIMITED, Unit};

use super::table::{Enforced, ROWS, Row};
use super::{Means, Write};

/// Pages of these sizes come from a pool of the node's and count for no container's memory, so that they
/// are limited by themselves: what is reserved, and what is used without that (Documentation/
/// admin-guide/cgroup-v2.rst, HugeTLB).
const HUGE_PAGES: [&str; 4] =
    ["hugetlb.2MB.rsvd.max", "hugetlb.2MB.max", "hugetlb.1GB.rsvd.max", "hugetlb.1GB.max"];

/// What the kernel is told of a container's memory; `None` is no limit, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// `memory.max`.
    pub max: Option<u64>,
    /// `memory.high`.
    pub high: Option<u64>,
    /// `memory.swap.max`.
    pub swap: Option<u64>,
    /// `memory.low`.
    pub low: u64,
}

impl Memory {
    /// As this configuration says.
    pub fn of(config: &Config) -> Memory {
        let (max, high) = match config.is_vswap() {
            true => (limit(config, Resource::Physpages), None),
            false => (sum(config, |value| value.limit), sum(config, |value| value.barrier)),
        };
        let guarantee = config.ubc.get(Resource::Vmguarpages).map_or(0, |value| value.barrier);
        Memory {
            max,
            high: high.filter(|high| max.is_none_or(|max| *high < max)),
            swap: limit(config, Resource::Swappages),
            low: bytes(guarantee, Unit::Pages).unwrap_or(u64::MAX).min(max.unwrap_or(u64::MAX)),
        }
    }
}

/// Says whether this beancounter, one of those that make up the memory, is enforced with them.
pub fn is_part(config: &Config, resource: Resource) -> bool {
    !config.is_vswap()
        && limit(config, Resource::Privvmpages).is_some()
        && is_summed(Row::of(resource))
}

/// Says whether this beancounter is a part of a classic container's memory.
fn is_summed(row: &Row) -> bool {
    matches!(row.enforced, Enforced::Memory | Enforced::TcpBuffer)
}

/// The limit of a beancounter in bytes; `None` for none.
fn limit(config: &Config, resource: Resource) -> Option<u64> {
    bytes(config.ubc.get(resource)?.limit, resource.unit())
}

fn bytes(value: u64, unit: Unit) -> Option<u64> {
    if value >= UNLIMITED {
        return None;
    }
    let factor = if unit == Unit::Pages { PAGE } else { 1 };
    // RAM without a limit was also written as LONG_MAX bytes, in pages.
    value.checked_mul(factor).filter(|bytes| *bytes < UNLIMITED / PAGE * PAGE)
}

/// All that makes up a classic container's memory, together; `None` when what processes allocate
/// has no limit, or another part that is set has none.
fn sum(config: &Config, part: impl Fn(vz_conf::ubc::BarrierLimit) -> u64) -> Option<u64> {
    config.ubc.get(Resource::Privvmpages)?;
    let parts = ROWS.iter().filter(|row| is_summed(row));
    let values = parts.filter_map(|row| Some((row.resource, config.ubc.get(row.resource)?)));
    values
        .map(|(resource, value)| bytes(part(value), resource.unit()))
        .try_fold(0u64, |sum, bytes| sum.checked_add(bytes?))
}

/// What is to be written for them.
pub fn writes(config: &Config) -> Vec<Write> {
    let memory = Memory::of(config);
    let text =
        |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    let main = if config.is_vswap() { Resource::Physpages } else { Resource::Privvmpages };
    let is_set = |resource| config.ubc.get(resource).is_some();
    // What tells one kind of configuration from the other changes all of it.
    let mut parts = vec![ParamId::Ubc(Resource::Physpages), ParamId::Ram];
    if !config.is_vswap() {
        let rows = ROWS.iter().filter(|row| is_summed(row));
        parts.extend(rows.map(|row| ParamId::Ubc(row.resource)));
    }
    let write = |resource: Resource, file, value, from: Vec<ParamId>, asked| Write {
        parameter: resource.key(),
        from,
        means: Means::Group(file),
        value,
        asked,
    };
    let mut writes = Vec::new();
    // One that has never had a limit needs none taken away.
    if is_set(main) || is_set(Resource::Physpages) {
        let limited = memory.max.is_some();
        // First down to where it is slowed, then the end: memory comes free on the way.
        let high = text(memory.high);
        writes.push(write(
            main,
            "memory.high",
            high,
            parts.clone(),
            limited && memory.high.is_some(),
        ));
        writes.push(write(main, "memory.max", text(memory.max), parts.clone(), limited));
        // Nobody has asked for these, and a kernel without such pages has none of the files.
        writes.extend(HUGE_PAGES.map(|file| Write {
            parameter: "huge pages",
            ..write(main, file, text(memory.max), parts.clone(), false)
        }));
    }
    if is_set(Resource::Swappages) {
        let asked = memory.swap.is_some();
        let from = vec![ParamId::Ubc(Resource::Swappages), ParamId::Swap];
        writes.push(write(Resource::Swappages, "memory.swap.max", text(memory.swap), from, asked));
    }
    if is_set(Resource::Vmguarpages) {
        let from = [&parts[..], &[ParamId::Ubc(Resource::Vmguarpages)]].concat();
        writes.push(write(
            Resource::Vmguarpages,
            "memory.low",
            memory.low.to_string(),
            from,
            memory.low > 0,
        ));
    }
    writes
}
