//! `vzctl set`: changing a container's parameters, now and for good.
//!
//! The steps and their order are the original's: what is refused first, what is applied although a
//! later step fails, and what is said are things that scripts have come to depend on.

mod apply;
mod restart;

use vz_conf::change::Change;
use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::layout::Layout;
use vz_conf::param::{ParamId, Scope};

use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::layout::ploop::resize;
use crate::report::Report;
use crate::{dist, limits, names};

/// Changes the container as asked. The lock is held by the caller.
///
/// # Errors
/// One of the refusals of the original's set, or the step that failed; then nothing is saved.
pub fn set(container: &mut Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let mut change = change.clone();
    let done = match container.id.is_node() {
        true => set_node(container, &change, report),
        false => set_container(container, &mut change, report),
    };
    // Last of all: what is saved then is what the image has, whatever else was asked for.
    let done = done.and_then(|()| resize_image(container, &change, report));
    if let Err(error) = done {
        if let Some(line) = error.line() {
            report.error(&line);
        }
        if change.save {
            report.error("Error: failed to apply some parameters, not saving configuration file!");
        }
        return Err(Error::Reported(error.exit()));
    }
    match change.save {
        true => save(container, &change, report)?,
        false => warn_unsaved(container, &change, report)?,
    }
    match resizes(container, &change) {
        true => resize::settle(container),
        false => Ok(()),
    }
}

/// Says whether an image gets another size.
fn resizes(container: &Container<'_>, change: &Change) -> bool {
    let is_image = !container.id.is_node() && matches!(container.layout(), Layout::Ploop(_));
    is_image && change.values.diskspace.is_some()
}

fn resize_image(container: &Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let Some(diskspace) = change.values.diskspace.filter(|_| resizes(container, change)) else {
        return Ok(());
    };
    resize::resize(container, diskspace, change.offline_resize)?;
    if !change.offline_resize && container.is_unmapped()? && resize::is_held_back(container)? {
        report.error(
            "Warning: without a user namespace root inside can take back what the image has shrunk by",
        );
    }
    Ok(())
}

/// The node itself, CT0, takes CPU units; its processes are in no group of ours that could have
/// other limits. What is given is saved; limits are told, as ever, and that they do not hold is too.
fn set_node(container: &Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let limits = change.reset_ub || change.changes_beancounters();
    if limits {
        report.info("UB limits were set successfully");
    }
    limits::tell_io(&change.values, report);
    if change.values.iolimit.is_some() || change.values.iopslimit.is_some() {
        return Err(Error::NotRunning);
    }
    if let Some(units) = change.values.cpuunits {
        set_node_units(container, units, report)?;
    }
    if limits {
        report.error("Warning: limits of the node itself (CT0) are only saved, not enforced");
    }
    Ok(())
}

fn set_node_units(container: &Container<'_>, units: u64, report: &mut dyn Report) -> Result<()> {
    let done = limits::weigh_node(&container.group_place()?, units);
    if done.context(Exit::SetCpuFailed, || "Cannot set CPUUNITS of the node".into())? {
        report.info(&format!("Setting CPU units: {units}"));
    } else {
        report.error("Warning: not enforced, this node has no cgroup v2 controller for: CPUUNITS");
    }
    Ok(())
}

fn set_container(
    container: &mut Container<'_>,
    change: &mut Change,
    report: &mut dyn Report,
) -> Result<()> {
    let checked = change.check(&container.config);
    checked.map_err(|error| Error::Refused(error.exit(), error.to_string()))?;
    let is_image = matches!(container.layout(), Layout::Ploop(_));
    if change.offline_resize && !is_image {
        report.info("Warning: option --offline-resize only makes sense for a ploop CT");
    }
    if change.applyconfig_map {
        renew_name(container)?;
    }
    let running = container.is_running()?;
    if change.reset_ub {
        return apply::reset_beancounters(container, running, report);
    }
    assign_name(container, change, report)?;
    if running {
        refuse_moving(change)?;
    }
    let distribution = dist::for_change(container, change, report)?;
    if let (Some(distribution), false) = (&distribution, change.userpasswd.is_empty()) {
        dist::passwords::change(container, distribution, &change.userpasswd, report)?;
        if !running && !change.save {
            // It has been up for this, so what else was asked for is not refused; nor is it done.
            return Ok(());
        }
    }
    take_sample(container, change)?;
    if is_image {
        check_image(container, change, running, report)?;
    }
    if change.save && !running {
        // A stopped container is changed in its configuration alone.
        return Ok(());
    }
    if running && restart::if_needed(container, change, report)? {
        return Ok(());
    }
    apply::apply(container, change, distribution.as_ref(), running, report)
}

/// `--applyconfig_map name`: makes the link of the name that the configuration has anew.
fn renew_name(container: &Container<'_>) -> Result<()> {
    match &container.own.name {
        Some(name) => names::assign(container.node, container.id, name, Some(name)),
        None => Ok(()),
    }
}

fn assign_name(container: &Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let Some(name) = &change.values.name else { return Ok(()) };
    let old = container.own.name.as_deref();
    if old == Some(name) && names::find(container.node, name) == Some(container.id) {
        return Ok(());
    }
    names::assign(container.node, container.id, name, old)?;
    report.info(&format!("Name {name} assigned"));
    Ok(())
}

fn refuse_moving(change: &Change) -> Result<()> {
    for (given, key) in
        [(change.has(ParamId::VePrivate), "VE_PRIVATE"), (change.has(ParamId::VeRoot), "VE_ROOT")]
    {
        if given {
            return Err(Error::Refused(
                Exit::Running,
                format!("Unable to change {key} on a running container"),
            ));
        }
    }
    Ok(())
}

/// `--applyconfig`: a sample's values, before those of the command line.
fn take_sample(container: &Container<'_>, change: &mut Change) -> Result<()> {
    let Some(name) = change.applyconfig.clone() else { return Ok(()) };
    let node = container.node;
    let path = node.sample_path(&name);
    let shown = node.shown(&path);
    let bytes = std::fs::read(&path).map_err(|_| {
        let text = format!("Sample config file not found: {}", shown.display());
        Error::Refused(Exit::ApplyConfigFailed, text)
    })?;
    let context = node.text_context(container.id);
    let file = ConfFile::parse(&bytes);
    let (sample, _) = Config::read(&file, &shown, Scope::Container, &context);
    change.apply_sample(&name, &sample);
    Ok(())
}

/// What is different for a container whose files are in an image.
fn check_image(
    container: &Container<'_>,
    change: &Change,
    running: bool,
    report: &mut dyn Report,
) -> Result<()> {
    if change.values.diskspace.is_some() {
        let state = if running { "running" } else { "mounted" };
        if change.offline_resize && (running || container.is_mounted()) {
            let text = format!("Option --offline-resize can't be used on a {state} container");
            return Err(Error::Refused(Exit::InvalidValue, text));
        }
    }
    if change.values.diskinodes.is_some() {
        report.info("Warning: --diskinodes is ignored for ploop-based container");
    }
    Ok(())
}

fn save(container: &mut Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let path = container.node.conf_path(container.id);
    let shown = container.node.shown(&path);
    if !container.configured {
        report.error(&format!("WARNING: {} not found: No such file or directory", shown.display()));
    }
    match container.store_changes(change)? {
        0 => report.info("No changes in CT configuration, not saving"),
        _ => report.info(&format!("CT configuration saved to {}", shown.display())),
    }
    Ok(())
}

fn warn_unsaved(container: &Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let only_password = change.given() == [ParamId::Userpasswd];
    if change.reset_ub || only_password {
        return Ok(());
    }
    let running = container.id.is_node() || container.is_running()?;
    let lost = if running { " and will be lost after CT restart" } else { "" };
    report.info(&format!("WARNING: Settings were not saved to config{lost} (use --save flag)"));
    Ok(())
}
