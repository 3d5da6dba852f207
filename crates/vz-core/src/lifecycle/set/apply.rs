//! Applying a change at once. On a container that is stopped the first step with anything to do
//! fails, each in words of its own.

use std::os::fd::AsFd;

use vz_conf::change::Change;
use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::param::{Applies, PARAMS, Param, ParamId};
use vz_sys::bpf::DeviceProgram;
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pidfd;

use crate::container::Container;
use crate::dist::{self, Distribution};
use crate::error::{Context, Error, Result};
use crate::group::Place;
use crate::lifecycle::exec;
use crate::report::Report;
use crate::{description, enforced, layout, limits};

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
    set_beancounters(container, change, &after, report)?;
    if let Some(distribution) = distribution {
        dist::live::change_addresses(container, distribution, change, report)?;
    }
    set_cpu(container, change, &after, report)?;
    if change.values.devices.is_some() {
        set_devices(container, &after, report)?;
    }
    if let Some(hostname) = &change.values.hostname {
        set_host_name(container, hostname)?;
    }
    if let Some(distribution) = distribution {
        dist::live::apply(container, distribution, change, report)?;
    }
    if changes_quota(container, change) {
        layout::set_quota(container, &after)?;
    }
    tell_not_enforced(change, report);
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
    let writes = limits::writes(&container.config);
    let writes = writes.into_iter().filter(limits::is_beancounter).collect();
    write_beancounters(container, writes, report)
}

/// Says what is set of the I/O limits; that was always said before it was tried.
pub fn tell_io(change: &Change, report: &mut dyn Report) {
    for (name, limit, unit) in [
        ("iolimit", change.values.iolimit, "bytes/sec"),
        ("iopslimit", change.values.iopslimit, "iops"),
    ] {
        match limit {
            None => {}
            Some(0) => report.info(&format!("Setting {name}: 0 (unlimited)")),
            Some(limit) => report.info(&format!("Setting {name}: {limit} {unit}")),
        }
    }
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
    tell_io(change, report);
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

fn set_beancounters(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) -> Result<()> {
    if !touches_beancounters(container, change) {
        return Ok(());
    }
    let asked = |write: &limits::Write| {
        limits::is_beancounter(write)
            && PARAMS.iter().any(|param| {
                matches!(param.id, ParamId::Ubc(_))
                    && change.values.stored(param.id).is_some()
                    && limits::is_for(write, param.id)
            })
    };
    let writes = limits::writes(after).into_iter().filter(asked).collect();
    write_beancounters(container, writes, report)
}

/// Writes them, and says that they are set unless the node could take none of them.
fn write_beancounters(
    container: &Container<'_>,
    writes: Vec<limits::Write>,
    report: &mut dyn Report,
) -> Result<()> {
    let missing = limits::apply(&group(container)?, &writes)?;
    if writes.is_empty() || writes.iter().any(|write| !missing.has(write.parameter)) {
        report.info("UB limits were set successfully");
    }
    missing.tell(report);
    Ok(())
}

fn set_cpu(
    container: &Container<'_>,
    change: &Change,
    after: &Config,
    report: &mut dyn Report,
) -> Result<()> {
    let (limit, units) = (change.values.cpulimit, change.values.cpuunits);
    let asked = |write: &limits::Write| {
        limit.is_some() && limits::is_for(write, ParamId::Cpulimit)
            || units.is_some() && limits::is_for(write, ParamId::Cpuunits)
    };
    let mut writes: Vec<_> = limits::writes(after).into_iter().filter(asked).collect();
    if writes.is_empty() {
        return Ok(());
    }
    for write in &mut writes {
        write.asked = true;
    }
    let missing = limits::apply(&group(container)?, &writes)?;
    limits::tell_cpu(limit, units, &missing, report);
    missing.tell(report);
    Ok(())
}

/// Puts a filter for the devices of now in the place of the one that is attached.
fn set_devices(container: &Container<'_>, after: &Config, report: &mut dyn Report) -> Result<()> {
    report.info("Setting devices");
    let group = group(container)?;
    DeviceProgram::load(description::DEVICE_PROGRAM, &description::devices(after))
        .and_then(|filter| filter.attach(group.as_fd()))
        .map_err(|error| Error::Refused(Exit::SetDevicesFailed, error.to_string()))
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
fn group(container: &Container<'_>) -> Result<vz_sys::cgroup::Cgroup> {
    let state = container.state()?.ok_or(Error::NotRunning)?;
    let place = Place::at(container.node.cgroup_hierarchy()?, &state.group);
    place.open().at(Exit::SetUbcFailed, "Cannot open the cgroup", &place.path())
}

/// Says which of the parameters nothing is made of yet.
fn tell_not_enforced(change: &Change, report: &mut dyn Report) {
    let is_given = |param: &&Param| {
        let needs_restart = param.applies == Applies::Restart;
        !needs_restart && (change.has(param.id) || change.values.stored(param.id).is_some())
    };
    let options: Vec<String> = PARAMS
        .iter()
        .filter(is_given)
        .filter(|param| enforced::is_saved_only(param.id))
        .filter_map(|param| param.options.first().map(|option| format!("--{option}")))
        .collect();
    if !options.is_empty() {
        report.error(&format!(
            "Warning: not enforced by this version, only saved: {}",
            options.join(" ")
        ));
    }
}
