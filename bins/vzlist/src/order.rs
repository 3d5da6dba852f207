//! Sorting a list.

use std::cmp::{Ordering, Reverse};

use vz_core::listing::Listed;

use crate::field::{self, CounterPart, DiskPart, DiskResource, Field, What};
use crate::text;

/// By what a list is sorted.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    /// The field.
    pub field: &'static Field,
    /// From the last to the first; also of those that are equal.
    pub reverse: bool,
}

impl Sort {
    /// Reads the values of `-s`, the last of which counts; a minus sign before any of them
    /// reverses.
    ///
    /// # Errors
    /// The line about one that names no field.
    pub fn parse(values: &[String]) -> Result<Sort, String> {
        let mut sort = Sort { field: field::id(), reverse: false };
        for value in values {
            let name = value.strip_prefix('-');
            sort.reverse |= name.is_some();
            sort.field = field::find(name.unwrap_or(value))
                .ok_or_else(|| format!("Invalid sort field name: {value}"))?;
        }
        Ok(sort)
    }
}

/// Sorts a list that is sorted by id already; equal ones keep that order.
pub fn sort(list: &mut [Listed], sort: Sort) {
    list.sort_by(|one, other| compare(&sort.field.what, one, other));
    if sort.reverse {
        list.reverse();
    }
}

/// Compares by a field; a container without the value comes before those with one.
fn compare(what: &What, one: &Listed, other: &Listed) -> Ordering {
    match what {
        What::Id => one.id.cmp(&other.id),
        What::Name | What::SmartName => by(one, other, |listed| listed.name.clone()),
        What::Text(value) => value(one).cmp(&value(other)),
        What::Setting(value) => value(&one.config).cmp(&value(&other.config)),
        What::Addresses | What::NameServers | What::SearchDomains => {
            by(one, other, |listed| text::words(what, listed).map(|words| words.join(" ")))
        }
        What::Status => one.status.cmp(&other.status),
        What::Counter(resource, part) => {
            by(one, other, |listed| counter(listed.counter(*resource), *part))
        }
        What::Disk(resource, part) => by(one, other, |listed| disk(listed, *resource, *part)),
        What::LoadAverage => by_load(one, other),
        // The one that has run longest comes first.
        What::Uptime => {
            by(one, other, |listed| listed.activity.map(|activity| Reverse(activity.uptime as u64)))
        }
        What::CpuLimit => by(one, other, |listed| listed.cpu_share.map(|share| share.limit)),
        What::CpuUnits => by(one, other, |listed| listed.cpu_share.map(|share| share.units)),
        What::Cpus => by(one, other, |listed| listed.cpus),
        What::IoPriority => by(one, other, |listed| listed.config.ioprio),
        What::IoLimit => by(one, other, |listed| listed.config.iolimit),
        What::IopsLimit => by(one, other, |listed| listed.config.iopslimit),
        // Of equal ones the last comes first, so that in reverse, which is the order in which
        // the node starts its containers, the first does.
        What::BootOrder => by(one, other, |listed| (listed.config.bootorder, Reverse(listed.id))),
        What::Layout => by(one, other, layout_rank),
        What::OnBoot
        | What::Features
        | What::Vswap
        | What::Disabled
        | What::VmOvercommit
        | What::Netfilter
        | What::Capability => Ordering::Equal,
    }
}

fn by<T: Ord>(one: &Listed, other: &Listed, value: impl Fn(&Listed) -> T) -> Ordering {
    value(one).cmp(&value(other))
}

/// A number of a beancounter, for sorting: what nothing counts is 0.
fn counter(counter: vz_core::accounting::Counter, part: CounterPart) -> u64 {
    match part {
        CounterPart::Held => counter.held.unwrap_or(0),
        CounterPart::MaxHeld => counter.maxheld.unwrap_or(0),
        CounterPart::Barrier => counter.barrier,
        CounterPart::Limit => counter.limit,
        CounterPart::FailCnt => counter.failcnt.unwrap_or(0),
    }
}

fn disk(listed: &Listed, resource: DiskResource, part: DiskPart) -> Option<u64> {
    text::disk_counter(listed, resource).map(|counter| text::disk_part(counter, part))
}

/// By the average of the last minute, then of five, then of fifteen, in hundredths.
fn by_load(one: &Listed, other: &Listed) -> Ordering {
    by(one, other, |listed| {
        let load = listed.activity.and_then(|activity| activity.load);
        load.map(|averages| averages.map(|average| (average * 100.0).round() as u64))
    })
}

fn layout_rank(listed: &Listed) -> u8 {
    match listed.layout() {
        vz_conf::layout::Layout::Simfs => 0,
        vz_conf::layout::Layout::Ploop(_) => 1,
        vz_conf::layout::Layout::Overlay => 2,
    }
}
