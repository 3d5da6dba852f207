#![allow(clippy::disallowed_methods)]

use proptest::prelude::*;
use vz_conf::ubc::BarrierLimit;

use super::*;
use crate::report::Kept;

fn vswap() -> Config {
    let mut config = Config { cpulimit: Some(50), ..Config::default() };
    set(&mut config, Resource::Physpages, 0, 65536);
    set(&mut config, Resource::Swappages, 0, UNLIMITED);
    set(&mut config, Resource::Numproc, 100, 500);
    config
}

fn set(config: &mut Config, resource: Resource, barrier: u64, limit: u64) {
    config.ubc.set(resource, Some(BarrierLimit { barrier, limit }));
}

fn all(config: &Config) -> Vec<Write> {
    writes(config, Path::new("/no/such/place"))
}

fn value<'w>(writes: &'w [Write], file: &str) -> Option<&'w str> {
    let is_it = |write: &&Write| matches!(write.means, Means::Group(name) if name == file);
    writes.iter().find(is_it).map(|write| write.value.as_str())
}

#[test]
fn vswap_configuration() {
    let found = all(&vswap());
    assert_eq!(value(&found, "memory.max"), Some("268435456"));
    assert_eq!(value(&found, "memory.high"), Some("max"));
    assert_eq!(value(&found, "memory.swap.max"), Some("max"));
    assert_eq!(value(&found, "memory.low"), None);
    assert_eq!(value(&found, "pids.max"), Some("500"));
    assert_eq!(value(&found, "cpu.max"), Some("50000 100000"));
    assert_eq!(value(&found, "cpu.weight"), Some("100"));
    // What RAM implies, and nobody asked for.
    let locked = found.iter().find(|write| write.parameter == "LOCKEDPAGES").unwrap();
    assert_eq!((locked.value.as_str(), locked.asked), ("268435456", false));
}

#[test]
fn classic_configuration() {
    let mut config = Config::default();
    set(&mut config, Resource::Physpages, 0, UNLIMITED);
    set(&mut config, Resource::Kmemsize, 1000, 2000);
    assert_eq!(value(&all(&config), "memory.max"), Some("max"));
    assert!(!is_enforced(&config, Resource::Kmemsize));
    set(&mut config, Resource::Privvmpages, 10, 20);
    set(&mut config, Resource::Tcpsndbuf, 5, 7);
    set(&mut config, Resource::Vmguarpages, 8, UNLIMITED);
    let found = all(&config);
    assert_eq!(value(&found, "memory.max"), Some("83927"));
    assert_eq!(value(&found, "memory.high"), Some("41965"));
    assert_eq!(value(&found, "memory.low"), Some("32768"));
    assert!(is_enforced(&config, Resource::Kmemsize));
    assert!(!is_enforced(&config, Resource::Physpages));
    // A barrier at the limit slows nothing down.
    set(&mut config, Resource::Privvmpages, 20, 20);
    set(&mut config, Resource::Kmemsize, 2000, 2000);
    set(&mut config, Resource::Tcpsndbuf, 7, 7);
    assert_eq!(value(&all(&config), "memory.high"), Some("max"));
    // One part without a limit: there is no sum.
    set(&mut config, Resource::Kmemsize, 2000, UNLIMITED);
    assert_eq!(value(&all(&config), "memory.max"), Some("max"));
}

#[test]
fn what_is_missing_is_said() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("init.scope")).unwrap();
    for file in ["pids.max", "init.scope/pids.max"] {
        std::fs::write(directory.path().join(file), "").unwrap();
    }
    let group = Cgroup::open(directory.path()).unwrap();
    let mut config = vswap();
    config.ioprio = Some(7);
    let writes = all(&config);
    let missing = apply(&group, directory.path(), &writes).unwrap();
    assert!(["PHYSPAGES", "CPULIMIT", "CPUUNITS"].iter().all(|name| missing.has(name)));
    assert!(!missing.has("NUMPROC"));
    let mut said = Kept::default();
    missing.tell(&mut said);
    // CPUUNITS is a default that nobody has asked for, and so is swap without a limit.
    let lines: Vec<&str> = said.0.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines[0].ends_with(": PHYSPAGES CPULIMIT"), "{lines:?}");
    assert!(lines[1].ends_with(": IOPRIO"), "{lines:?}");
    let read = |file: &str| std::fs::read_to_string(directory.path().join(file)).unwrap();
    assert_eq!((read("init.scope/pids.max").as_str(), read("pids.max").as_str()), ("500", "508"));
    let in_force = InForce::of(&config, &writes, &missing).beancounters;
    assert!(in_force.get(Resource::Numproc).is_some());
    assert!(in_force.get(Resource::Physpages).is_none());
}

#[test]
fn what_the_kernel_has_no_limit_for() {
    let mut config = vswap();
    set(&mut config, Resource::Kmemsize, 1, 1);
    set(&mut config, Resource::Numflock, 1, 1);
    set(&mut config, Resource::Numiptent, UNLIMITED, UNLIMITED);
    set(&mut config, Resource::Avnumproc, 1, 1);
    assert_eq!(unlimited_by_kernel(&config, |_| true), ["KMEMSIZE", "NUMFLOCK", "VM_OVERCOMMIT"]);
    assert_eq!(unlimited_by_kernel(&config, |id| id == ParamId::Ubc(Resource::Numproc)), [""; 0]);
}

/// A limit as the kernel reads it.
fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

proptest! {
    /// More of any beancounter never gives a container less of anything.
    #[test]
    fn the_mapping_rises(
        index in 0..Resource::ALL.len(),
        low in 0u64..=UNLIMITED,
        high in 0u64..=UNLIMITED,
        is_vswap: bool,
    ) {
        let mut config = if is_vswap { vswap() } else { Config::default() };
        if !is_vswap {
            set(&mut config, Resource::Privvmpages, 100, 200);
            set(&mut config, Resource::Physpages, 0, UNLIMITED);
        }
        let resource = Resource::ALL[index];
        // Across the two kinds of configuration nothing compares.
        prop_assume!(resource != Resource::Physpages);
        let with = |both: u64| {
            let mut config = config.clone();
            set(&mut config, resource, both, both);
            all(&config)
        };
        let (less, more) = (with(low.min(high)), with(low.max(high)));
        for file in ["memory.max", "memory.swap.max", "pids.max", "memory.low"] {
            let of = |writes: &[Write]| match (file, value(writes, file)) {
                ("memory.low", found) => found.map_or(0, |text| number(Some(text))),
                (_, found) => number(found),
            };
            prop_assert!(of(&less) <= of(&more), "{} of {}", file, resource.key());
        }
    }
}
