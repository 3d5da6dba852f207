//! Applying a change at once. On a container that is stopped the first step with anything to do
//! fails, each in words of its own.

use std::os::fd::AsFd;

use nix::unistd::Pid;
use vz_conf::change::Change;
use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::param::{Applies, PARAMS, Param, ParamId};
use vz_conf::ubc::{Resource, UNLIMITED};
use vz_sys::bpf::DeviceProgram;
use vz_sys::cgroup::Cgroup;
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pidfd;

use crate::container::Container;
use crate::dist::{self, Distribution};
use crate::error::{Context, Error, Result};
use crate::group::{self, Place};
use crate::lifecycle::exec;
use crate::limits::{self, Group, InForce, Means, Missing, Target};
use crate::report::Report;
use crate::user_quota::Wanted;
use crate::vzquota::private_area;
use crate::{description, layout, sockets};

/// Applies the change, step by step.
///
/// # Errors
/// The step that failed; those before it are in effect.
pub fn apply(
    container: &Container<'_>,
    change: &Change,
    distribution: Option<&Distribution>,
    running: bool,
    report: &mut dyn Report,
) -> Result<()> {
    if !running {
        return refuse_stopped(container, change, report);
    }
    let after = change.apply_to(&container.config);
    if change.values.quotaugidlimit.is_some()
        && let Wanted::Refused(why) = Wanted::with(&after, container.layout(), true)
    {
        return Err(Error::Refused(Exit::SetUserQuotaFailed, format!("Error: {why}")));
    }
    set_beancounters(container, change, &after, report)?;
    if let Some(distribution) = distribution {
        dist::live::change_addresses(container, distribution, change, report)?;
    }
    set_cpu(container, change, &after, report)?;
    if change.values.devices.is_some() {
        set_devices(container, &after, report)?;
    }
    set_io(container, change, &after, report)?;
    if let Some(hostname) = &change.values.hostname {
        set_host_name(container, hostname)?;
    }
    if let Some(distribution) = distribution {
        dist::live::apply(container, distribution, change, report)?;
    }
    if changes_quota(container, change) {
        set_quota(container, change, &after, report)?;
    }
    tell_not_enforced(container, change, &after, report);
    Ok(())
}

/// `--reset_ub`: the beancounters as the configuration has them.
///
/// # Errors
/// [`Error::NotRunning`], and when the kernel refuses a value.
pub fn reset_beancounters(
    container: &Container<'_>,
    running: bool,
    report: &mut dyn Report,
) -> Result<()> {
    if !running {
        return Err(Error::NotRunning);
    }
    let mut writes = limits::writes(&container.config, &container.private);
    writes.retain(|write| write.group() == Group::Beancounters);
    write_beancounters(container, &container.config, &writes, report)
}

fn refuse_stopped(
    container: &Container<'_>,
    change: &Change,
    report: &mut dyn Report,
) -> Result<()> {
    let refuse = |when: bool, what: &str| match when {
        true => Err(Error::Refused(
            Exit::NotRunning,
            format!("Unable to {what}: container is not running"),
        )),
        false => Ok(()),
    };
    let values = &change.values;
    refuse(touches_beancounters(container, change), "apply UBC parameters")?;
    refuse(change.changes_addresses(), "apply network parameters")?;
    refuse(change.changes_netdevs(), "setup network devices")?;
    refuse(changes_cpu(values), "apply CPU parameters")?;
    refuse(values.devices.is_some() || values.devnodes.is_some(), "apply devperm")?;
    refuse(change.changes_pci(), "configure PCI devices")?;
    limits::tell_io(values, report);
    if values.iolimit.is_some() || values.iopslimit.is_some() {
        return Err(Error::NotRunning);
    }
    if dist::configures(change) {
        report.info("Unable to configure container: not running");
    }
    if changes_quota(container, change) {
        return Err(layout::quota_is_off());
    }
    refuse(change.adds_interfaces(), "create veth")?;
    refuse(change.changes_netif(), "remove veth")
}

/// For a container of the VSwap kind the original set beancounters whatever was asked for.
fn touches_beancounters(container: &Container<'_>, change: &Change) -> bool {
    container.config.is_vswap() || change.changes_beancounters()
}

fn changes_cpu(values: &Config) -> bool {
    values.cpuunits.is_some()
        || values.cpuweight.is_some()
        || values.cpulimit.is_some()
        || values.cpus.is_some()
        || values.cpumask.is_some()
        || values.nodemask.is_some()
}

fn changes_quota(container: &Container<'_>, change: &Change) -> bool {
    let values = &change.values;
    let is_image = matches!(container.layout(), Layout::Ploop(_));
    !is_image
        && values.disk_quota != Some(vz_conf::yesno::YesNo::No)
        && (values.diskspace.is_some()
            || values.diskinodes.is_some()
            || values.quotatime.is_some()
            || values.quotaugidlimit.is_some())
}

/// Sets the disk quota. A kernel has one grace time for all quotas of a file system.
fn set_quota(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) -> Result<()> {
    let before = private_area::grace(container);
    layout::set_quota(container, after)?;
    if change.values.quotatime.is_some() && private_area::grace(container) != before {
        report
            .error("Warning: QUOTATIME is from now on that of all containers on this file system");
    }
    Ok(())
}

fn set_beancounters(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) -> Result<()> {
    if !touches_beancounters(container, change) {
        return Ok(());
    }
    let mut writes = limits::writes(after, &container.private);
    writes.retain(|write| {
        write.group() == Group::Beancounters && write.is_from(|id| is_given(change, id))
    });
    write_beancounters(container, after, &writes, report)
}

/// Says whether the change gives this parameter a value.
fn is_given(change: &Change, id: ParamId) -> bool {
    change.has(id) || change.values.stored(id).is_some()
}

/// Sets them, and says that they are set unless the node could take none of them.
fn write_beancounters(
    container: &Container<'_>,
    after: &Config,
    writes: &[limits::Write],
    report: &mut dyn Report,
) -> Result<()> {
    let state = container.state()?.ok_or(Error::NotRunning)?;
    let hierarchy = container.node.cgroup_hierarchy()?;
    let place = Place::at(hierarchy.clone(), &state.group);
    let group = open(&place)?;
    let mut missing = limits::apply(&group, &hierarchy, writes)?;
    let before = InForce::load(container.node, container.id);
    let init = exec::require_running(container)?;
    let processes = processes(&group);
    let target = Target {
        init: init.as_fd(),
        processes: &processes,
        gid_base: state.gid_base,
        score: before.score,
    };
    missing.extend(limits::apply_inside(target, writes)?);
    if writes.iter().any(|write| write.means == Means::Group("memory.low")) {
        limits::sum_up_containers(&place);
    }
    let in_force = before.changed_by(after, writes, &missing);
    in_force
        .save(container.node, container.id)
        .context(Exit::SystemError, || "Cannot write down the limits in force".into())?;
    if writes.is_empty() || writes.iter().any(|write| !missing.has(write.parameter)) {
        report.info("UB limits were set successfully");
    }
    missing.tell(report);
    Ok(())
}

/// The container's processes, in whatever groups it has made of them.
fn processes(group: &Cgroup) -> Vec<Pid> {
    group
        .child(crate::group::INIT.as_ref())
        .map_or_else(|_| Vec::new(), |init| init.all_processes())
}

fn set_cpu(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) -> Result<()> {
    let missing = write_group(container, change, after, Group::Cpu)?;
    if let (Some(_), Some(state)) = (change.values.cpuunits, container.state()?) {
        let hierarchy = container.node.cgroup_hierarchy()?;
        limits::sum_up_containers(&Place::at(hierarchy, &state.group));
    }
    let given = |id| match id {
        ParamId::Cpuunits => is_given(change, id) || is_given(change, ParamId::Cpuweight),
        id => is_given(change, id),
    };
    limits::tell_cpu(after, given, &missing, report);
    missing.tell(report);
    Ok(())
}

fn set_io(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) -> Result<()> {
    limits::tell_io(&change.values, report);
    write_group(container, change, after, Group::Io)?.tell(report);
    Ok(())
}

/// Sets what the change gives of CPU or I/O parameters. All of it was asked for.
fn write_group(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    group: Group,
) -> Result<Missing> {
    let mut writes = limits::writes(after, &container.private);
    writes.retain(|write| write.group() == group && write.is_from(|id| is_given(change, id)));
    if writes.is_empty() {
        return Ok(Missing::default());
    }
    writes.iter_mut().for_each(|write| write.asked = true);
    limits::apply(&self::group(container)?, &container.node.cgroup_hierarchy()?, &writes)
}

/// Puts a filter for the devices of now in the place of the one that is attached.
fn set_devices(container: &Container<'_>, after: &Config, report: &mut dyn Report) -> Result<()> {
    report.info("Setting devices");
    let refused = |reason: String| Error::Refused(Exit::SetDevicesFailed, reason);
    let group = group(container)?;
    let init = group.child(group::INIT.as_ref()).map_err(|error| refused(error.to_string()))?;
    DeviceProgram::load(description::DEVICE_PROGRAM, &description::devices(after))
        .and_then(|filter| filter.attach(init.as_fd()))
        .map_err(|error| refused(error.to_string()))
}

/// Sets the running container's host name, in its UTS namespace.
fn set_host_name(container: &Container<'_>, hostname: &str) -> Result<()> {
    let init = exec::require_running(container)?;
    let failed = || "Cannot set the container's host name".to_owned();
    let child = vz_sys::clone::spawn(&Default::default(), || {
        let done = namespace::join(init.as_fd(), Namespaces::UTS)
            .and_then(|()| namespace::set_host_name(hostname.as_ref()));
        i32::from(done.is_err())
    })
    .context(Exit::SystemError, failed)?;
    match pidfd::reap(child.pidfd.as_fd()).context(Exit::SystemError, failed)? {
        pidfd::Ended::Code(0) => Ok(()),
        _ => Err(Error::Refused(Exit::SystemError, failed())),
    }
}

/// The container's cgroup.
fn group(container: &Container<'_>) -> Result<Cgroup> {
    let state = container.state()?.ok_or(Error::NotRunning)?;
    open(&Place::at(container.node.cgroup_hierarchy()?, &state.group))
}

fn open(place: &Place) -> Result<Cgroup> {
    place.open().at(Exit::SetUbcFailed, "Cannot open the cgroup", &place.path())
}

/// Says which of the parameters nothing is made of yet, and which no kernel has a limit for.
fn tell_not_enforced(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) {
    let is_given = |param: &&Param| {
        let needs_restart = param.applies == Applies::Restart;
        !needs_restart && is_given(change, param.id)
    };
    let options: Vec<String> = PARAMS
        .iter()
        .filter(is_given)
        .filter(|param| limits::is_saved_only(param.id))
        .filter_map(|param| param.options.first().map(|option| format!("--{option}")))
        .collect();
    if !options.is_empty() {
        report.error(&format!(
            "Warning: not enforced by this version, only saved: {}",
            options.join(" ")
        ));
    }
    tell_sockets(container, change, after, report);
    let unlimited = limits::unlimited_by_kernel(after, |id| self::is_given(change, id));
    if !unlimited.is_empty() {
        report.error(&format!(
            "Warning: not enforced, this kernel has no limit for: {}",
            unlimited.join(" ")
        ));
    }
}

/// Says for which kinds of sockets a limit of their number does not hold.
fn tell_sockets(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) {
    let resource = Resource::Numothersock;
    let is_limited = after.ubc.get(resource).is_some_and(|value| value.limit < UNLIMITED);
    if !is_limited || !is_given(change, ParamId::Ubc(resource)) {
        return;
    }
    let Ok(group) = group(container) else { return };
    let kinds = sockets::families(group.as_fd(), resource).accounted.join(", ");
    if !kinds.is_empty() {
        let name = resource.key();
        report
            .error(&format!("Warning: not enforced, for sockets of these kinds: {kinds}: {name}"));
    }
}
