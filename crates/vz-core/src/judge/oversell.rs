//! How far RAM and swap are sold to more containers than there is: the table of `vzoversell`.

use vz_conf::ctid::Ctid;
use vz_conf::ubc::{PAGE, Resource, UNLIMITED};

use super::capacity::Capacity;
use crate::accounting::Beancounters;

/// RAM or swap: of a container, or of all. In pages, but for the failures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amounts {
    /// In use now.
    pub used: f64,
    /// The most that was ever in use.
    pub peak: f64,
    /// The limit; 0 for none.
    pub limit: f64,
    /// How often more was refused.
    pub fails: f64,
}

/// What there is to say about a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// RAM has no limit; half of what may be allocated stands in for it.
    pub ram_guessed: bool,
    /// Nothing of the kind has a limit.
    pub unlimited: bool,
    /// Swap has no limit.
    pub swap_unlimited: bool,
    /// Something was refused, RAM among it.
    pub ram_failed: bool,
    /// Something was refused, and RAM never.
    pub others_failed: bool,
}

impl Flags {
    /// Its letters. `f` and `F` are the other way round from what the legend says of them, as ever:
    /// scripts look for them.
    pub fn letters(&self) -> String {
        let all = [
            (self.unlimited, 'U'),
            (self.ram_guessed, 'R'),
            (self.swap_unlimited, 'S'),
            (self.others_failed, 'f'),
            (self.ram_failed, 'F'),
        ];
        all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect()
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The container.
    pub id: Ctid,
    /// Its RAM.
    pub ram: Amounts,
    /// Its swap.
    pub swap: Amounts,
    /// What there is to say.
    pub flags: Flags,
}

impl Row {
    /// The row of a container.
    pub fn of(id: Ctid, counters: &Beancounters) -> Row {
        let mut flags = Flags::default();
        let mut ram = amounts(counters, Resource::Physpages);
        let mut swap = amounts(counters, Resource::Swappages);
        if ram.limit == 0.0 {
            let allocatable = amounts(counters, Resource::Privvmpages).limit;
            flags.unlimited = allocatable == 0.0;
            flags.ram_guessed = !flags.unlimited;
            ram.limit = allocatable / 2.0;
        }
        flags.swap_unlimited = is_unlimited(counters.get(Resource::Swappages).limit);
        if flags.swap_unlimited {
            swap.limit = 0.0;
        }
        let fails = |resource| counters.get(resource).failcnt.unwrap_or(0);
        if Resource::ALL.into_iter().any(|resource| fails(resource) > 0) {
            flags.ram_failed = ram.fails > 0.0;
            flags.others_failed = !flags.ram_failed;
        }
        Row { id, ram, swap, flags }
    }
}

/// Sums of many rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// RAM.
    pub ram: Amounts,
    /// Swap.
    pub swap: Amounts,
}

impl Totals {
    /// The sums of these rows.
    pub fn of(rows: &[Row]) -> Totals {
        rows.iter().fold(Totals::default(), |sum, row| Totals {
            ram: add(sum.ram, row.ram),
            swap: add(sum.swap, row.swap),
        })
    }

    /// What is there and what is sold, in pages: of RAM, of swap, and of both.
    pub fn against(&self, node: &Capacity) -> [(f64, f64); 3] {
        let pages = |bytes: u64| bytes as f64 / PAGE as f64;
        let (ram, swap) = (pages(node.ram), pages(node.swap));
        let (ram_sold, swap_sold) = (self.ram.limit, self.swap.limit);
        [(ram, ram_sold), (swap, swap_sold), (ram + swap, ram_sold + swap_sold)]
    }
}

fn add(a: Amounts, b: Amounts) -> Amounts {
    Amounts {
        used: a.used + b.used,
        peak: a.peak + b.peak,
        limit: a.limit + b.limit,
        fails: a.fails + b.fails,
    }
}

fn amounts(counters: &Beancounters, resource: Resource) -> Amounts {
    let counter = counters.get(resource);
    let number = |value: Option<u64>| value.unwrap_or(0) as f64;
    Amounts {
        used: number(counter.held),
        peak: number(counter.maxheld),
        limit: if is_unlimited(counter.limit) { 0.0 } else { counter.limit as f64 },
        fails: number(counter.failcnt),
    }
}

/// LONG_MAX, that of 32 bits, or what the first comes to in pages.
fn is_unlimited(limit: u64) -> bool {
    limit >= UNLIMITED / PAGE || limit == i32::MAX as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::Counter;

    fn counter(held: u64, limit: u64, failcnt: u64) -> Counter {
        let (held, maxheld, failcnt) = (Some(held), Some(held + 1), Some(failcnt));
        Counter { held, maxheld, barrier: limit, limit, failcnt }
    }

    fn row(values: &[(Resource, Counter)]) -> Row {
        let mut counters = Beancounters::default();
        values.iter().for_each(|(resource, counter)| counters.set(*resource, *counter));
        Row::of(Ctid::new(7).unwrap(), &counters)
    }

    #[test]
    fn limits_and_what_stands_in_for_them() {
        let vswap = row(&[
            (Resource::Physpages, counter(10, 100, 0)),
            (Resource::Swappages, counter(5, 200, 0)),
        ]);
        assert_eq!((vswap.ram.limit, vswap.swap.limit), (100.0, 200.0));
        assert_eq!(vswap.flags.letters(), "");
        let classic = row(&[
            (Resource::Physpages, counter(10, UNLIMITED, 0)),
            (Resource::Privvmpages, counter(20, 300, 0)),
        ]);
        assert_eq!((classic.ram.limit, classic.swap.limit), (150.0, 0.0));
        assert_eq!(classic.flags.letters(), "RS");
        let unlimited = row(&[]);
        assert_eq!((unlimited.ram.limit, unlimited.flags.letters().as_str()), (0.0, "US"));
        let totals = Totals::of(&[vswap, classic, unlimited]);
        let node = Capacity { ram: 100 * PAGE, low: 0, swap: 400 * PAGE };
        assert_eq!(totals.against(&node), [(100.0, 250.0), (400.0, 200.0), (500.0, 450.0)]);
        assert_eq!((totals.ram.used, totals.ram.peak), (20.0, 22.0));
    }

    #[test]
    fn failures() {
        let swap = (Resource::Swappages, counter(0, 1, 0));
        let ram = |fails| (Resource::Physpages, counter(0, 1, fails));
        let files = |fails| (Resource::Numfile, counter(0, 1, fails));
        assert_eq!(row(&[swap, ram(7), files(1)]).flags.letters(), "F");
        assert_eq!(row(&[swap, ram(0), files(1)]).flags.letters(), "f");
        assert_eq!(row(&[swap, ram(0), files(0)]).flags.letters(), "");
    }
}
