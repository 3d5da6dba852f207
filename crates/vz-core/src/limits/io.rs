//! IOPRIO, IOLIMIT and IOPSLIMIT: the `io` controller, on the disks that carry the private area.

use std::path::Path;

use vz_conf::config::Config;
use vz_conf::param::ParamId;
use vz_sys::disk::{self, Disk};

use super::{Means, Write};

/// IOPRIO of a container that names none.
const DEFAULT_IOPRIO: u8 = 4;

/// The kernel's weight of an IOPRIO of 0 to 7, higher for more: 4 is its default of 100.
fn weight(priority: u8) -> u64 {
    (u64::from(priority) + 1) * 20
}

/// What is to be written for them. `private` is looked at only where there is something.
pub fn writes(config: &Config, private: &Path) -> Vec<Write> {
    let mut writes = Vec::new();
    if config.ioprio.is_none() && config.iolimit.is_none() && config.iopslimit.is_none() {
        return writes;
    }
    let disks = disk::disks_below(private).unwrap_or_default();
    if let Some(priority) = config.ioprio {
        writes.push(Write {
            parameter: "IOPRIO",
            from: vec![ParamId::Ioprio],
            means: Means::DiskWeight(disks.clone()),
            value: weight(priority).to_string(),
            asked: priority != DEFAULT_IOPRIO,
        });
    }
    let limits = [
        ("IOLIMIT", ParamId::Iolimit, config.iolimit, ["rbps", "wbps"]),
        ("IOPSLIMIT", ParamId::Iopslimit, config.iopslimit, ["riops", "wiops"]),
    ];
    for (parameter, id, limit, [read, write]) in limits {
        let Some(limit) = limit else { continue };
        let asked = limit != 0;
        let value = if asked { limit.to_string() } else { "max".to_owned() };
        let add = |means, value| Write { parameter, from: vec![id], means, value, asked };
        match disks.is_empty() {
            true => writes.push(add(Means::NoDisk, value)),
            false => writes.extend(disks.iter().map(|disk| {
                add(Means::Group("io.max"), format!("{disk} {read}={value} {write}={value}"))
            })),
        }
    }
    writes
}

/// The file of a group whose weights these disks honour; `None` when none of them honours any.
pub fn weight_file(disks: &[Disk], cost_model: Option<&str>) -> Option<&'static str> {
    if disks.iter().any(|disk| disk.scheduler().as_deref() == Some("bfq")) {
        return Some("io.bfq.weight");
    }
    let has_costs = |disk: &Disk| {
        let name = disk.to_string();
        let lines = cost_model.into_iter().flat_map(str::lines);
        let mut words = lines.filter_map(|line| line.split_once(' '));
        words.any(|(disk, settings)| disk == name && settings.contains("enable=1"))
    };
    disks.iter().any(has_costs).then_some("io.weight")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_rise() {
        assert_eq!(weight(DEFAULT_IOPRIO), 100);
        assert!((0..7).all(|priority| weight(priority) < weight(priority + 1)));
    }

    #[test]
    fn which_weights_are_honoured() {
        // A number that no disk has: it has no scheduler either.
        let disk = Disk { major: 4095, minor: 77 };
        assert_eq!(weight_file(&[disk], None), None);
        assert_eq!(weight_file(&[disk], Some("4095:77 enable=0 ctrl=auto\n")), None);
        assert_eq!(weight_file(&[disk], Some("4095:77 enable=1 ctrl=auto\n")), Some("io.weight"));
    }

    #[test]
    fn limits_are_of_the_disk_below() {
        let none = writes(&Config::default(), Path::new("/no/such/place"));
        assert!(none.is_empty());
        let config = Config { iolimit: Some(1000), iopslimit: Some(0), ..Config::default() };
        let nowhere = writes(&config, Path::new("/no/such/place"));
        assert!(nowhere.iter().all(|write| write.means == Means::NoDisk));
        let program = std::env::current_exe().unwrap();
        for write in writes(&config, &program) {
            if write.means != Means::NoDisk {
                let value =
                    if write.asked { " rbps=1000 wbps=1000" } else { " riops=max wiops=max" };
                assert!(write.value.ends_with(value), "{write:?}");
            }
        }
    }
}
