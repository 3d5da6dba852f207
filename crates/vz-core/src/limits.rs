//! What each resource parameter becomes in the container's cgroup.
//!
//! Built as plain data from the configuration first, then written: see [`writes`] and [`apply`].

use std::io;

use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::param::ParamId;
use vz_conf::ubc::{Resource, UNLIMITED};
use vz_sys::cgroup::Cgroup;

use crate::error::{Context, Result};
use crate::report::Report;

/// Bytes in a page: the unit of `*PAGES` parameters on this architecture.
const PAGE: u64 = 4096;

/// CPUUNITS of a container that names none, as the original set it at start.
pub const DEFAULT_CPUUNITS: u64 = 1000;

/// One value to be written to a file of the container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The parameter it comes from, as in the configuration.
    pub parameter: &'static str,
    /// The file of the cgroup v2 interface.
    pub file: &'static str,
    /// The value, in the kernel's form.
    pub value: String,
    /// It was asked for (not a default): to be missed by the admin when it cannot be had.
    pub asked: bool,
}

/// The writes that this configuration asks for.
pub fn writes(config: &Config) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut add = |parameter, file, value: String| {
        writes.push(Write { parameter, file, value, asked: true });
    };
    let pages = |limit: u64| match limit {
        UNLIMITED => "max".to_owned(),
        pages => pages.saturating_mul(PAGE).to_string(),
    };
    let count = |limit: u64| if limit == UNLIMITED { "max".to_owned() } else { limit.to_string() };
    if config.is_vswap() {
        if let Some(physpages) = config.ubc.get(Resource::Physpages) {
            add("PHYSPAGES", "memory.max", pages(physpages.limit));
        }
        if let Some(swappages) = config.ubc.get(Resource::Swappages) {
            add("SWAPPAGES", "memory.swap.max", pages(swappages.limit));
        }
    }
    if let Some(numproc) = config.ubc.get(Resource::Numproc) {
        add("NUMPROC", "pids.max", count(numproc.limit));
    }
    if let Some(percent) = config.cpulimit {
        add("CPULIMIT", "cpu.max", cpu_max(percent));
    }
    let units = config.cpuunits;
    writes.push(Write {
        parameter: "CPUUNITS",
        file: "cpu.weight",
        value: cpu_weight(units.unwrap_or(DEFAULT_CPUUNITS)).to_string(),
        asked: units.is_some_and(|units| units != DEFAULT_CPUUNITS),
    });
    writes
}

/// Says whether `write` is what parameter `id` becomes.
pub fn is_for(write: &Write, id: ParamId) -> bool {
    match id {
        ParamId::Ubc(resource) => resource.key() == write.parameter,
        ParamId::Ram => write.parameter == "PHYSPAGES",
        ParamId::Swap => write.parameter == "SWAPPAGES",
        ParamId::Cpuunits => write.parameter == "CPUUNITS",
        ParamId::Cpulimit => write.parameter == "CPULIMIT",
        _ => false,
    }
}

/// Says whether `write` comes from a beancounter, not from a CPU parameter.
pub fn is_beancounter(write: &Write) -> bool {
    !write.parameter.starts_with("CPU")
}

/// CPUUNITS 1000, the default, is the kernel's default weight of 100; ratios stay what they were.
/// The kernel's weights go from 1 to 10000.
fn cpu_weight(units: u64) -> u64 {
    (units / 10).clamp(1, 10_000)
}

/// CPULIMIT is in percent of one CPU; 0 is no limit. A period of 100 ms is the kernel's default.
fn cpu_max(percent: u64) -> String {
    match percent {
        0 => "max 100000".to_owned(),
        percent => format!("{} 100000", percent.saturating_mul(1000)),
    }
}

/// The parameters that this node could not set: it lacks their controllers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing(Vec<(&'static str, bool)>);

impl Missing {
    /// Says whether a parameter was not set.
    pub fn has(&self, parameter: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == parameter)
    }

    /// Says which of those that were asked for do not hold.
    pub fn tell(&self, report: &mut dyn Report) {
        let asked: Vec<_> =
            self.0.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name).collect();
        if !asked.is_empty() {
            report.error(&format!(
                "Warning: not enforced, this node has no cgroup v2 controller for: {}",
                asked.join(" ")
            ));
        }
    }
}

/// Writes them; returns the parameters that this node cannot enforce, each once.
///
/// # Errors
/// When the kernel refuses a value whose controller is there: the parameter, the file and the
/// value are named.
pub fn apply(group: &Cgroup, writes: &[Write]) -> Result<Missing> {
    let mut missing = Missing::default();
    for write in writes {
        match group.write(write.file, &write.value) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.0.push((write.parameter, write.asked));
            }
            Err(error) => {
                let Write { parameter, file, value, .. } = write;
                let action = || format!("Cannot set {parameter} ({file} to {value})");
                return Err(error).context(Exit::SetUbcFailed, action);
            }
        }
    }
    Ok(missing)
}

/// Says which CPU limits are set: CPULIMIT and CPUUNITS, each where it is given.
pub fn tell_cpu(
    limit: Option<u64>,
    units: Option<u64>,
    missing: &Missing,
    report: &mut dyn Report,
) {
    if let Some(limit) = limit.filter(|_| !missing.has("CPULIMIT")) {
        report.info(&format!("Setting CPU limit: {limit}"));
    }
    if let Some(units) = units.filter(|_| !missing.has("CPUUNITS")) {
        report.info(&format!("Setting CPU units: {units}"));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use vz_conf::ubc::BarrierLimit;

    fn config() -> Config {
        let mut config = Config { cpulimit: Some(50), ..Config::default() };
        let mut set = |resource, barrier, limit| {
            config.ubc.set(resource, Some(BarrierLimit { barrier, limit }));
        };
        set(Resource::Physpages, 0, 65536);
        set(Resource::Swappages, 0, UNLIMITED);
        set(Resource::Numproc, 100, 500);
        config
    }

    #[test]
    fn vswap() {
        let found = writes(&config());
        let value = |file: &str| {
            found.iter().find(|write| write.file == file).map(|write| write.value.as_str())
        };
        assert_eq!(value("memory.max"), Some("268435456"));
        assert_eq!(value("memory.swap.max"), Some("max"));
        assert_eq!(value("pids.max"), Some("500"));
        assert_eq!(value("cpu.max"), Some("50000 100000"));
        assert_eq!(value("cpu.weight"), Some("100"));
    }

    #[test]
    fn weights_keep_their_ratios() {
        assert_eq!((cpu_weight(500), cpu_weight(1000), cpu_weight(2000)), (50, 100, 200));
        assert_eq!((cpu_weight(8), cpu_weight(500_000)), (1, 10_000));
    }

    #[test]
    fn what_is_missing_is_said() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("pids.max"), "").unwrap();
        let group = Cgroup::open(directory.path()).unwrap();
        let missing = apply(&group, &writes(&config())).unwrap();
        assert!(["PHYSPAGES", "CPULIMIT", "CPUUNITS"].iter().all(|name| missing.has(name)));
        assert!(!missing.has("NUMPROC"));
        let mut said = crate::report::Kept::default();
        missing.tell(&mut said);
        // CPUUNITS is a default that nobody has asked for.
        assert!(said.0[0].1.ends_with(": PHYSPAGES SWAPPAGES CPULIMIT"), "{:?}", said.0);
        let text = std::fs::read_to_string(directory.path().join("pids.max")).unwrap();
        assert_eq!(text, "500");
    }
}
