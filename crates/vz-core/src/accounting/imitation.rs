//! Files in the form of the OpenVZ kernel's `/proc`, in a directory of their own.
//!
//! `vz/veinfo`, `bc/resources` or `user_beancounters`, `fairsched`, `vz/fairsched/N/cpu.nr_cpus`,
//! `vz/vzquota`, `PID/status` are as that kernel wrote them. `vz/laverage` is ours, a line
//! `CTID load1 load5 load15 uptime` for each container: there it took an ioctl.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use vz_conf::ctid::Ctid;
use vz_conf::ubc::Resource;

use super::{
    Activity, Answer, Beancounters, Counter, CpuShare, DiskCounter, DiskPlace, DiskUsage, Process,
    Running, Source, SourceError,
};

/// The sum of all containers' CPUUNITS: `fairsched` has what it is divided by.
const ALL_CPUUNITS: f64 = 500_000.0;
/// A rate in `fairsched` that stands for one whole CPU.
const WHOLE_CPU: f64 = 1024.0;

/// Accounting read from files.
#[derive(Debug)]
pub struct Imitation {
    directory: PathBuf,
}

impl Imitation {
    /// From the files in `directory`.
    pub fn new(directory: PathBuf) -> Imitation {
        Imitation { directory }
    }

    /// A file's text; what is not UTF-8 is replaced.
    fn text(&self, file: &str) -> Answer<String> {
        match fs::read(self.directory.join(file)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(SourceError::new(&Path::new("/proc").join(file), error)),
        }
    }
}

impl Source for Imitation {
    fn running(&self) -> Answer<Vec<Running>> {
        let text = self.text("vz/veinfo")?;
        let mut running: Vec<Running> = text.lines().filter_map(veinfo_line).collect();
        running.sort_by_key(|one| one.id);
        running.dedup_by_key(|one| one.id);
        Ok(running)
    }

    fn beancounters(&self, _running: &[Ctid]) -> Answer<BTreeMap<Ctid, Beancounters>> {
        // The error is about the second file, the one that every such kernel had.
        let text = self.text("bc/resources").or_else(|_| self.text("user_beancounters"))?;
        Ok(beancounter_table(&text).into_iter().collect())
    }

    fn cpu_shares(&self, _running: &[Ctid]) -> Answer<BTreeMap<Ctid, CpuShare>> {
        Ok(self.text("fairsched")?.lines().filter_map(fairsched_line).collect())
    }

    fn cpu_units(&self) -> Answer<Vec<(Ctid, u64)>> {
        Ok(fairsched_units(&self.text("fairsched")?))
    }

    fn counts_kernel_memory_as_ram(&self) -> bool {
        false
    }

    fn cpus(&self, running: &[Ctid]) -> BTreeMap<Ctid, u64> {
        let read = |id: &Ctid| {
            let text = self.text(&format!("vz/fairsched/{id}/cpu.nr_cpus")).ok()?;
            Some((*id, text.trim().parse().ok()?))
        };
        running.iter().filter_map(read).collect()
    }

    fn activity(&self, _running: &[Ctid]) -> BTreeMap<Ctid, Activity> {
        self.text("vz/laverage").unwrap_or_default().lines().filter_map(activity_line).collect()
    }

    fn disk_usage(&self, _places: &[DiskPlace<'_>]) -> BTreeMap<Ctid, DiskUsage> {
        disk_usage(&self.text("vz/vzquota").unwrap_or_default())
    }

    fn process(&self, pid: i32) -> Option<Process> {
        let status = fs::read(self.directory.join(pid.to_string()).join("status")).ok()?;
        let number = |key| status_field(&status, key)?.parse().ok();
        let container = number("envID").and_then(|id: i32| Ctid::new(u32::try_from(id).ok()?));
        Some(Process {
            name: status_field(&status, "Name").unwrap_or_default(),
            container: container.unwrap_or(Ctid::NODE),
            inner: number("VPid").unwrap_or(pid),
        })
    }
}

/// The value of a line `KEY:\tvalue` of a process's status.
pub(super) fn status_field(status: &[u8], key: &str) -> Option<String> {
    let value = status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b":"))?;
    Some(String::from_utf8_lossy(value).trim().to_owned())
}

/// The blank-separated numbers of a line, from its first word on.
fn numbers<T: FromStr>(line: &str) -> impl Iterator<Item = Option<T>> + '_ {
    line.split_ascii_whitespace().map(|word| word.parse().ok())
}

/// The id of a container; the node itself is none.
fn container(number: u64) -> Option<Ctid> {
    u32::try_from(number).ok().and_then(Ctid::new).filter(|id| !id.is_node())
}

/// `ctid class nproc [addresses…]`, the address that was given last first.
fn veinfo_line(line: &str) -> Option<Running> {
    let mut fields = numbers::<u64>(line);
    let id = container(fields.next()??)?;
    let (_class, _processes) = (fields.next()??, fields.next()??);
    let words = line.split_ascii_whitespace().skip(3);
    let mut addresses: Vec<IpAddr> = words.filter_map(|word| word.parse().ok()).collect();
    addresses.reverse();
    Some(Running { id, addresses: Some(addresses) })
}

/// The containers of a text like `/proc/user_beancounters`, in its order: lines
/// `resource held maxheld barrier limit failcnt`, of which the first of a container begins with its
/// id and a colon.
pub fn beancounter_table(text: &str) -> Vec<(Ctid, Beancounters)> {
    let mut found: Vec<(Option<Ctid>, Beancounters)> = Vec::new();
    for line in text.lines() {
        let mut line = line;
        if let Some((head, rest)) = line.split_once(':') {
            let Ok(number) = head.trim().parse() else { continue };
            found.push((container(number), Beancounters::default()));
            line = rest;
        }
        if let (Some((_, counters)), Some((resource, counter))) =
            (found.last_mut(), resource_line(line))
        {
            counters.set(resource, counter);
        }
    }
    found.into_iter().filter_map(|(id, counters)| Some((id?, counters))).collect()
}

fn resource_line(line: &str) -> Option<(Resource, Counter)> {
    let name = line.split_ascii_whitespace().next()?;
    let resource = Resource::ALL.into_iter().find(|one| one.key().eq_ignore_ascii_case(name))?;
    let values: Vec<u64> = numbers(line).skip(1).collect::<Option<_>>()?;
    let [held, maxheld, barrier, limit, failcnt] = values.try_into().ok()?;
    let counter = Counter {
        held: Some(held),
        maxheld: Some(maxheld),
        barrier,
        limit,
        failcnt: Some(failcnt),
    };
    Some((resource, counter))
}

/// `veid id parent weight rate …`; a container's own node has veid 0 and its id in the second.
fn fairsched_line(line: &str) -> Option<(Ctid, CpuShare)> {
    let mut fields = numbers::<u64>(line);
    let (veid, id) = (fields.next()??, fields.next()??);
    let (_parent, weight, rate) = (fields.next()??, fields.next()??, fields.next()??);
    if veid != 0 || weight == 0 {
        return None;
    }
    let share = CpuShare {
        limit: (rate as f64 * 100.0 / WHOLE_CPU).round_ties_even() as u64,
        units: (ALL_CPUUNITS / weight as f64).round_ties_even() as u64,
    };
    Some((container(id)?, share))
}

/// The id of the node's own processes in `fairsched`.
const FAIRSCHED_NODE: u64 = i32::MAX as u64;

/// CPUUNITS by the columns `id` and `weight`, cut to whole ones, in the order of the table. Rows of
/// a container's own groups have their parent in the first column.
fn fairsched_units(text: &str) -> Vec<(Ctid, u64)> {
    let mut lines = text.lines().skip_while(|line| line.starts_with("Version:"));
    let header: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let column = |name| header.iter().position(|one| *one == name);
    let (Some(id), Some(weight)) = (column("id"), column("weight")) else { return Vec::new() };
    let row = |line: &str| {
        let fields: Vec<Option<u64>> = numbers(line).collect();
        let field = |index: usize| fields.get(index).copied().flatten();
        let (parent, id, weight) = (field(0)?, field(id)?, field(weight)?);
        let owner = if id == FAIRSCHED_NODE { Some(Ctid::NODE) } else { container(id) };
        let units = ALL_CPUUNITS as u64 / weight.max(1);
        (parent == 0).then_some((owner?, units))
    };
    lines.filter_map(row).collect()
}

fn activity_line(line: &str) -> Option<(Ctid, Activity)> {
    let id = container(numbers(line).next()??)?;
    let values: Vec<f64> = numbers(line).skip(1).collect::<Option<_>>()?;
    let [one, five, fifteen, uptime] = values.try_into().ok()?;
    // The original kept the uptime as a float: what scripts saw had that precision.
    let uptime = f64::from(uptime as f32);
    Some((id, Activity { load: Some([one, five, fifteen]), uptime }))
}

/// `qid: path`, then a line of space and one of inodes: `what usage soft hard time expire`.
fn disk_usage(text: &str) -> BTreeMap<Ctid, DiskUsage> {
    let mut found: BTreeMap<Ctid, DiskUsage> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some((head, _)) = line.split_once(':') {
            current = head.trim().parse().ok().and_then(container);
            if let Some(id) = current {
                found.insert(id, DiskUsage::default());
            }
            continue;
        }
        let Some(usage) = current.and_then(|id| found.get_mut(&id)) else { continue };
        let Some((what, counter)) = quota_line(line) else { continue };
        match what {
            "1k-blocks" => usage.space = counter,
            "inodes" => usage.inodes = counter,
            _ => {}
        }
    }
    found
}

fn quota_line(line: &str) -> Option<(&str, DiskCounter)> {
    let what = line.split_ascii_whitespace().next()?;
    let mut values = numbers(line).skip(1);
    let counter =
        DiskCounter { usage: values.next()??, soft: values.next()??, hard: values.next()?? };
    Some((what, counter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn beancounter_map(text: &str) -> BTreeMap<Ctid, Beancounters> {
        beancounter_table(text).into_iter().collect()
    }

    fn id(number: u32) -> Ctid {
        Ctid::new(number).unwrap()
    }

    #[test]
    fn addresses_come_in_the_order_they_were_given() {
        let running = veinfo_line("       7     0    15       10.0.0.2  2001:DB8:0::1").unwrap();
        assert_eq!(running.id, id(7));
        let addresses = ["2001:db8::1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        assert_eq!(running.addresses.as_deref(), Some(&addresses[..]));
        assert_eq!(veinfo_line("7 0 5").unwrap().addresses, Some(Vec::new()));
        for line in ["0 0 130", "", "7", "7 0", "x 0 1", "2147483645 0 1"] {
            assert_eq!(veinfo_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn beancounters_of_two() {
        let text = "Version: 2.5\n uid resource held maxheld barrier limit failcnt\n\
             \x20 8: kmemsize 1 2 3 4 5\n dummy 0 0 0 0 0\n numproc 6 7 8 9 10\n\
             \x20 9: numproc 11 12 13 14 15\n physpages 1 2 3 4\n\
             \x20 0: numproc 1 1 1 1 1\n";
        let found = beancounter_map(text);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [id(8), id(9)]);
        let counter = found[&id(8)].get(Resource::Numproc);
        assert_eq!((counter.held, counter.maxheld, counter.failcnt), (Some(6), Some(7), Some(10)));
        assert_eq!((counter.barrier, counter.limit), (8, 9));
        assert_eq!(found[&id(9)].get(Resource::Physpages), Counter::UNCOUNTED);
        assert_eq!(found[&id(9)].get(Resource::Kmemsize).held, None);
    }

    #[test]
    fn cpu_units_are_rounded_to_even() {
        let share = |line| fairsched_line(line).map(|(_, share)| (share.limit, share.units));
        assert_eq!(share(" 0 101 0 333 1024 9 0 2"), Some((100, 1502)));
        assert_eq!(share(" 0 101 0 500 512"), Some((50, 1000)));
        assert_eq!(share(" 1 101 101 500 0 15"), None);
        assert_eq!(share(" 0 101 0 0 0"), None);
        assert_eq!(share(" 0 2147483647 0 500 0"), None);
    }

    #[test]
    fn cpu_units_of_the_node_and_all_others() {
        let text = "Version: 2.6 debug\n veid id parent weight rate\n 0 2147483647 0 500 0\n\
                    0 107 0 333 0\n 0 108 0 0 0\n 1 101 101 500 0\n 0 0 0 5 0\n x\n";
        let found = fairsched_units(text);
        assert_eq!(found, [(Ctid::NODE, 1000), (id(107), 1501), (id(108), 500_000)]);
        assert_eq!(fairsched_units("id other\n0 1 2\n"), []);
    }

    #[test]
    fn quotas() {
        let text = "qid: path usage\n103: /a\n 1k-blocks 1 2 3 0 0\n inodes 4 5 6 0 0\n104: /b\n";
        let found = disk_usage(text);
        assert_eq!(found[&id(103)].space, DiskCounter { usage: 1, soft: 2, hard: 3 });
        assert_eq!(found[&id(103)].inodes, DiskCounter { usage: 4, soft: 5, hard: 6 });
        assert_eq!(found[&id(104)], DiskUsage::default());
    }

    #[test]
    fn status_fields() {
        let status = b"Name:\ta b\nNamespace:\t1\nenvID:\t101\nVPid:\t55\n";
        assert_eq!(status_field(status, "Name").as_deref(), Some("a b"));
        assert_eq!(status_field(status, "envID").as_deref(), Some("101"));
        assert_eq!(status_field(status, "Pid"), None);
    }

    proptest! {
        #[test]
        fn any_text(text in "[-0-9a-z: .\n]*") {
            let _ = (beancounter_map(&text), disk_usage(&text), fairsched_units(&text));
            for line in text.lines() {
                let _ = (veinfo_line(line), fairsched_line(line), activity_line(line));
                let _ = status_field(line.as_bytes(), "a");
            }
        }
    }
}
