//! `vzctl set`: changing a container's parameters, now and for good.

use std::os::fd::AsFd;

use vz_conf::change::Change;
use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::param::{Applies, PARAMS, ParamId, Scope};
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pidfd;

use crate::container::Container;
use crate::dist::{self, Distribution};
use crate::error::{Context, Error, Result};
use crate::group::Place;
use crate::lifecycle::exec;
use crate::report::Report;
use crate::{enforced, limits, names};

/// Changes the container as asked. The lock is held by the caller.
///
/// # Errors
/// One of the refusals of the original's set, or the step that failed; then nothing is saved.
pub fn set(container: &mut Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let running = container.is_running()?;
    let mut change = change.clone();
    let applied = take_sample(container, &mut change)
        .and_then(|()| apply(container, &change, running, report));
    let change = &change;
    if let Err(error) = applied {
        if let Some(line) = error.line() {
            report.error(&line);
        }
        if change.save {
            report.error("Error: failed to apply some parameters, not saving configuration file!");
        }
        return Err(Error::Reported(error.exit()));
    }
    if change.save {
        return save(container, change, report);
    }
    if change.reset_ub || change.given() == [ParamId::Userpasswd] {
        return Ok(());
    }
    let lost = if running { " and will be lost after CT restart" } else { "" };
    report.info(&format!("WARNING: Settings were not saved to config{lost} (use --save flag)"));
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

fn apply(
    container: &mut Container<'_>,
    change: &Change,
    running: bool,
    report: &mut dyn Report,
) -> Result<()> {
    change
        .check(&container.config)
        .map_err(|error| Error::Refused(error.exit(), error.to_string()))?;
    refuse_unsupported(change)?;
    if change.reset_ub && !running {
        return Err(Error::NotRunning);
    }
    if running {
        refuse_moving(change)?;
    }
    if let Some(name) = &change.values.name {
        let old = container.own.name.clone();
        let same =
            old.as_deref() == Some(name) && names::find(container.node, name) == Some(container.id);
        if !same {
            names::assign(container.node, container.id, name, old.as_deref())?;
            report.info(&format!("Name {name} assigned"));
        }
    }
    let distribution = dist::for_change(container, change, report)?;
    if let (Some(distribution), false) = (&distribution, change.userpasswd.is_empty()) {
        dist::passwords::change(container, distribution, &change.userpasswd, report)?;
        if change.given().iter().all(|id| *id == ParamId::Userpasswd) && !change.save {
            return Ok(());
        }
    }
    match (running, change.save) {
        (true, _) => apply_live(container, change, distribution.as_ref(), report),
        // A stopped container is changed in its configuration alone.
        (false, true) => Ok(()),
        (false, false) => Err(Error::Refused(
            Exit::NotRunning,
            "Unable to apply UBC parameters: container is not running".into(),
        )),
    }
}

/// What would be said to be done and is not: refused instead.
fn refuse_unsupported(change: &Change) -> Result<()> {
    let refused = |exit, option: &str| {
        Err(Error::Refused(exit, format!("Option {option} is not supported by this version")))
    };
    if change.offline_resize {
        return refused(Exit::InvalidSyntax, "--offline-resize");
    }
    if change.setmode.is_some() {
        return refused(Exit::InvalidSyntax, "--setmode");
    }
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

fn apply_live(
    container: &Container<'_>,
    change: &Change,
    distribution: Option<&Distribution>,
    report: &mut dyn Report,
) -> Result<()> {
    let after = change.apply_to(&container.config);
    let state = container.state()?.ok_or(Error::NotRunning)?;
    let place = Place::at(container.node.cgroup_hierarchy()?, &state.group);
    let group = place.open().at(Exit::SetUbcFailed, "Cannot open the cgroup", &place.path())?;
    let writes: Vec<_> = limits::writes(&after)
        .into_iter()
        .filter(|write| {
            change.reset_ub && limits::is_beancounter(write)
                || change.given().iter().any(|id| limits::is_for(write, *id))
        })
        .collect();
    let missing = limits::apply(&group, &writes)?;
    if writes
        .iter()
        .any(|write| limits::is_beancounter(write) && !missing.contains(&write.parameter))
    {
        report.info("UB limits were set successfully");
    }
    limits::tell_missing(&missing, report);
    if let Some(hostname) = &change.values.hostname {
        set_host_name(container, hostname)?;
    }
    if let Some(distribution) = distribution {
        dist::live::apply(container, distribution, change, report)?;
    }
    tell_later(change, &writes, report);
    Ok(())
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

/// Says which of the given parameters wait for the next start, and which nothing is made of yet.
fn tell_later(change: &Change, writes: &[limits::Write], report: &mut dyn Report) {
    let (mut later, mut never) = (Vec::new(), Vec::new());
    for param in PARAMS.iter().filter(|param| change.given().contains(&param.id)) {
        let now = dist::live::sets(param.id)
            || writes.iter().any(|write| limits::is_for(write, param.id));
        let Some(option) = param.options.first().filter(|_| !now) else { continue };
        if enforced::is_saved_only(param.id) {
            never.push(format!("--{option}"));
        } else if param.applies != Applies::Never {
            later.push(format!("--{option}"));
        }
    }
    if !later.is_empty() {
        report.error(&format!("Warning: takes effect at the next start: {}", later.join(" ")));
    }
    if !never.is_empty() {
        report.error(&format!(
            "Warning: not enforced by this version, only saved: {}",
            never.join(" ")
        ));
    }
}

fn save(container: &mut Container<'_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let path = container.node.conf_path(container.id);
    let shown = container.node.shown(&path);
    if !container.configured {
        report.error(&format!("WARNING: {} not found: No such file or directory", shown.display()));
    }
    container.store(change)?;
    report.info(&format!("CT configuration saved to {}", shown.display()));
    Ok(())
}
