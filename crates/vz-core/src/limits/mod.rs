//! What each resource parameter becomes in the kernel.
//!
//! Built as plain data from the configuration first ([`writes`]), then applied: what goes to the
//! container's cgroup before anything lives there ([`apply`]), the rest to its processes and
//! namespaces ([`apply_inside`]). What holds then is kept beside the state file ([`InForce`]).

mod cpu;
mod in_force;
mod inside;
mod io;
mod memory;
mod node;
pub mod table;

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;

use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::param::{PARAMS, Param, ParamId};
use vz_conf::ubc::{Resource, UNLIMITED};
use vz_sys::cgroup::Cgroup;
use vz_sys::disk::Disk;
use vz_sys::rlimit::ProcessLimit;

pub use self::cpu::{DEFAULT_CPUUNITS, units as cpu_units};
pub use self::in_force::InForce;
pub use self::inside::{Target, apply_inside};
pub use self::io::weight_file;
pub use self::node::{sum_up_containers, weigh_node};
use self::table::{Enforced, Row};
use crate::error::{Error, Result};
use crate::report::Report;
use crate::sockets::{self, Sysctl};

/// One value to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The parameter it is told by, as in the configuration.
    pub parameter: &'static str,
    /// All the parameters that it depends on.
    pub from: Vec<ParamId>,
    /// Where it goes.
    pub means: Means,
    /// The value, in the kernel's form.
    pub value: String,
    /// It was asked for (not a default): to be missed by the admin when it cannot be had.
    pub asked: bool,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// To this file of the container's cgroup.
    Group(&'static str),
    /// To the file of the cgroup whose weights these disks honour.
    DiskWeight(Vec<Disk>),
    /// Nowhere: the private area lies on no disk.
    NoDisk,
    /// To each process.
    Process(ProcessLimit),
    /// To each process, relative to what was set before.
    OutOfMemoryScore,
    /// To the IPC namespace.
    SharedMemory,
    /// To the devpts.
    Terminals,
    /// To the programs on the cgroup.
    Sockets(sockets::Limits),
    /// To the network namespace.
    Network(Sysctl),
}

impl Means {
    fn is_of_group(&self) -> bool {
        matches!(self, Means::Group(_) | Means::DiskWeight(_) | Means::NoDisk | Means::Sockets(_))
    }
}

/// The writes that this configuration asks for; `private` is the private area, for the disks below
/// it.
pub fn writes(config: &Config, private: &Path) -> Vec<Write> {
    let mut writes = memory::writes(config);
    if let Some(numproc) = config.ubc.get(Resource::Numproc) {
        let limited = numproc.limit < UNLIMITED;
        writes.push(Write {
            parameter: Resource::Numproc.key(),
            from: vec![ParamId::Ubc(Resource::Numproc)],
            means: Means::Group("pids.max"),
            value: if limited { numproc.limit.to_string() } else { "max".to_owned() },
            asked: limited,
        });
    }
    writes.extend(inside::writes(config));
    writes.extend(of_sockets(config));
    writes.extend(cpu::writes(config));
    writes.extend(io::writes(config, private));
    writes
}

/// The limits of sockets, also where there are none: the programs count as well.
fn of_sockets(config: &Config) -> Vec<Write> {
    let limits = sockets::limits(config);
    let asked = [
        (Resource::Numtcpsock, limits.tcp < u64::MAX),
        (Resource::Numothersock, limits.other < u64::MAX),
    ];
    let write = |(resource, asked): (Resource, bool)| Write {
        parameter: resource.key(),
        from: vec![ParamId::Ubc(resource)],
        means: Means::Sockets(limits),
        value: format!("{} {}", limits.tcp, limits.other),
        asked,
    };
    asked.into_iter().map(write).collect()
}

/// Which writes a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Beancounters.
    Beancounters,
    /// CPU parameters.
    Cpu,
    /// I/O parameters.
    Io,
}

impl Write {
    /// What it belongs to.
    pub fn group(&self) -> Group {
        match self.from.first() {
            Some(
                ParamId::Cpuunits
                | ParamId::Cpuweight
                | ParamId::Cpulimit
                | ParamId::Cpus
                | ParamId::Cpumask
                | ParamId::Nodemask,
            ) => Group::Cpu,
            Some(ParamId::Ioprio | ParamId::Iolimit | ParamId::Iopslimit) => Group::Io,
            _ => Group::Beancounters,
        }
    }

    /// Says whether it depends on one of these parameters.
    pub fn is_from(&self, is_given: impl Fn(ParamId) -> bool) -> bool {
        self.from.iter().any(|id| is_given(*id))
    }
}

/// The parameters that this node could not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing(Vec<Lack>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lack {
    parameter: &'static str,
    asked: bool,
    why: Why,
}

/// What the node lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Controller,
    Scheduler,
    Disk,
    Programs,
    Privilege,
}

impl Why {
    fn text(self) -> &'static str {
        match self {
            Why::Controller => "this node has no cgroup v2 controller for",
            Why::Scheduler => "no disk of the private area has a scheduler with weights for",
            Why::Disk => "the private area lies on no disk, of which there could be",
            Why::Programs => "this kernel takes no programs that count sockets, for",
            Why::Privilege => "CAP_SYS_RESOURCE is missing for",
        }
    }
}

impl Missing {
    /// Says whether a parameter was not set.
    pub fn has(&self, parameter: &str) -> bool {
        self.0.iter().any(|lack| lack.parameter == parameter)
    }

    /// Adds what another part of the work has missed.
    pub fn extend(&mut self, other: Missing) {
        self.0.extend(other.0);
    }

    fn add(&mut self, write: &Write, why: Why) {
        let lack = Lack { parameter: write.parameter, asked: write.asked, why };
        if !self.0.contains(&lack) {
            self.0.push(lack);
        }
    }

    /// Says which of those that were asked for do not hold.
    pub fn tell(&self, report: &mut dyn Report) {
        for why in [Why::Controller, Why::Scheduler, Why::Disk, Why::Programs, Why::Privilege] {
            let asked = self.0.iter().filter(|lack| lack.asked && lack.why == why);
            let names: Vec<_> = asked.map(|lack| lack.parameter).collect();
            if !names.is_empty() {
                let (why, names) = (why.text(), names.join(" "));
                report.error(&format!("Warning: not enforced, {why}: {names}"));
            }
        }
    }
}

/// Writes what goes to the container's cgroup; returns the parameters that this node cannot
/// enforce. `root` is the root of its hierarchy.
///
/// # Errors
/// When the kernel refuses a value whose controller is there: the parameter, the file and the
/// value are named.
pub fn apply(group: &Cgroup, root: &Path, writes: &[Write]) -> Result<Missing> {
    let mut missing = Missing::default();
    // Both numbers of sockets are one.
    let mut attached = None;
    for write in writes.iter().filter(|write| write.means.is_of_group()) {
        let file = match &write.means {
            Means::DiskWeight(disks) => {
                let costs = Cgroup::open(root).and_then(|root| root.read("io.cost.qos")).ok();
                match self::io::weight_file(disks, costs.as_deref()) {
                    Some(file) => file,
                    None => {
                        missing.add(write, Why::Scheduler);
                        continue;
                    }
                }
            }
            Means::Group(file) => file,
            Means::Sockets(limits) => {
                // Where they cannot be had the container runs all the same.
                let attach = || sockets::attach(group.as_fd(), *limits).is_ok();
                if !*attached.get_or_insert_with(attach) {
                    missing.add(write, Why::Programs);
                }
                continue;
            }
            _ => {
                missing.add(write, Why::Disk);
                continue;
            }
        };
        let written = match file {
            "pids.max" => limit_processes(group, &write.value),
            _ => group.write(file, &write.value),
        };
        match written {
            Ok(()) if file == "memory.low" => guarantee_below(group, &write.value),
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                missing.add(write, Why::Controller);
            }
            // More are held: they are not taken away, and the limit before stays.
            Err(error)
                if file.starts_with("hugetlb.") && error.kind() == ErrorKind::ResourceBusy =>
            {
                missing.add(write, Why::Controller);
            }
            Err(error) => return Err(refused(write, file, error)),
        }
    }
    Ok(missing)
}

/// Processes of ours that may be beside the container's: vzmon, its sentinel, who serves `/dev/vz`, and
/// one that is being started.
const OURS: u64 = 8;

/// Limits the processes in the inner group. The outer one holds ours too, and cannot be written from
/// inside even by a container that has no user namespace.
fn limit_processes(group: &Cgroup, value: &str) -> std::io::Result<()> {
    group.child(crate::group::INIT.as_ref())?.write("pids.max", value)?;
    let with_ours = value.parse::<u64>().map(|limit| limit.saturating_add(OURS).to_string());
    group.write("pids.max", with_ours.as_deref().unwrap_or(value))
}

/// What a group is promised holds for those below it only where cgroup v2 is mounted with
/// `memory_recursiveprot`, or they are promised it as well: the container's processes are below.
fn guarantee_below(group: &Cgroup, value: &str) {
    let inner = group.child(crate::group::INIT.as_ref());
    let _ = inner.and_then(|inner| inner.write("memory.low", value));
}

fn refused(write: &Write, file: &str, error: std::io::Error) -> Error {
    let exit = match write.group() {
        Group::Beancounters => Exit::SetUbcFailed,
        Group::Cpu => Exit::SetCpuFailed,
        Group::Io => Exit::SetIoFailed,
    };
    let Write { parameter, value, .. } = write;
    let action = format!("Cannot set {parameter} ({file} to {value})");
    Error::System { exit, action, source: error.into() }
}

/// Says which CPU limits are set, in the order in which that was always said. `set` names the
/// parameters that are given.
pub fn tell_cpu(
    config: &Config,
    set: impl Fn(ParamId) -> bool,
    missing: &Missing,
    report: &mut dyn Report,
) {
    let units = config.cpuunits.or(config.cpuweight);
    let lines = [
        (
            ParamId::Cpulimit,
            "CPULIMIT",
            "CPU limit",
            config.cpulimit.map(|limit| limit.to_string()),
        ),
        (
            ParamId::Cpuunits,
            "CPUUNITS",
            "CPU units",
            Some(units.unwrap_or(DEFAULT_CPUUNITS).to_string()),
        ),
        (ParamId::Cpus, "CPULIMIT", "CPUs", config.cpus.map(|cpus| cpus.to_string())),
        (
            ParamId::Nodemask,
            "NODEMASK",
            "NUMA node mask",
            config.nodemask.as_ref().map(ToString::to_string),
        ),
        (
            ParamId::Cpumask,
            "CPUMASK",
            "CPU mask",
            config.cpumask.as_ref().map(|mask| shown(mask, config)),
        ),
    ];
    for (id, parameter, what, value) in lines {
        let fails = missing.has(parameter) || id == ParamId::Cpus && missing.has("CPUS");
        if let Some(value) = value.filter(|_| set(id) && !fails) {
            report.info(&format!("Setting {what}: {value}"));
        }
    }
    let beyond = units.filter(|units| set(ParamId::Cpuunits) && cpu::is_beyond(*units));
    if let Some(units) = beyond.filter(|_| !missing.has("CPUUNITS")) {
        let nearest = cpu::units(cpu::weight(units));
        report.error(&format!(
            "Warning: the kernel weighs CPUs from 10 to 100000 CPUUNITS: {units} counts as {nearest}"
        ));
    }
}

/// `auto` is shown as what it comes to.
fn shown(mask: &vz_conf::cpumask::CpuMask, config: &Config) -> String {
    let is_auto = matches!(mask, vz_conf::cpumask::CpuMask::Auto);
    let cpus = cpu::cpus(config).filter(|_| is_auto);
    cpus.unwrap_or_else(|| mask.to_string())
}

/// Says what is set of the I/O limits.
pub fn tell_io(config: &Config, report: &mut dyn Report) {
    for (name, limit, unit) in
        [("iolimit", config.iolimit, "bytes/sec"), ("iopslimit", config.iopslimit, "iops")]
    {
        match limit {
            None => {}
            Some(0) => report.info(&format!("Setting {name}: 0 (unlimited)")),
            Some(limit) => report.info(&format!("Setting {name}: {limit} {unit}")),
        }
    }
}

/// Says whether a beancounter of this configuration is enforced by something, where the node has
/// all that it takes.
pub fn is_enforced(config: &Config, resource: Resource) -> bool {
    match Row::of(resource).enforced {
        Enforced::Memory => memory::is_part(config, resource),
        // RAM without a limit is what tells a classic container.
        Enforced::Group("memory.max") => config.is_vswap(),
        Enforced::Nothing => false,
        _ => true,
    }
}

/// The parameters among those given (by the configuration's keys) that are limits, and that no
/// kernel of today has: they are kept, and counted.
pub fn unlimited_by_kernel(
    config: &Config,
    is_given: impl Fn(ParamId) -> bool,
) -> Vec<&'static str> {
    let is_it = |param: &&Param| match param.id {
        // AVNUMPROC was never a limit, only a hint for checking the others.
        ParamId::Ubc(Resource::Avnumproc) => false,
        ParamId::Ubc(resource) => {
            config.ubc.get(resource).is_some_and(|value| value.limit < UNLIMITED)
                && !is_enforced(config, resource)
        }
        ParamId::VmOvercommit => true,
        _ => false,
    };
    let given = PARAMS.iter().filter(|param| is_given(param.id));
    given.filter(is_it).filter_map(|param| param.key).collect()
}

/// Says whether a parameter is kept in the configuration and nothing else: neither the kernel nor
/// a tool acts on it yet.
pub fn is_saved_only(id: ParamId) -> bool {
    matches!(
        id,
        ParamId::Iptables
            | ParamId::Netfilter
            | ParamId::IpAddress
            | ParamId::IpDel
            | ParamId::Netdev
            | ParamId::NetdevDel
            | ParamId::Netif
            | ParamId::NetifDel
            | ParamId::Devnodes
            | ParamId::Pci
            | ParamId::PciDel
            | ParamId::Quotaugidlimit
            | ParamId::Meminfo
            | ParamId::Features
    )
}

#[cfg(test)]
mod tests;
