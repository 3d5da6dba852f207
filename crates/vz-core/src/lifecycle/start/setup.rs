//! What is set up inside before init runs: distribution actions, and the container's own script.

use std::os::fd::AsFd;

use super::Made;
use crate::container::Container;
use crate::description::Description;
use crate::dist::{self, Distribution, Inside, State};
use crate::error::Result;
use crate::hooks;
use crate::limits;
use crate::report::Report;

/// Runs the scripts, in the original's order, and says what has been set between them. Those that
/// set something may fail: the container starts all the same. Without a distribution nothing runs.
///
/// # Errors
/// [`Exit::ActionScriptFailed`](vz_conf::exit::Exit::ActionScriptFailed) when SET_CONSOLE, PRE_START
/// or CTID.start fails; when the file of the addresses cannot be written.
pub fn run(
    container: &Container<'_>,
    description: &Description,
    distribution: Option<&Distribution>,
    made: &Made,
    report: &mut dyn Report,
) -> Result<()> {
    let Some(distribution) = distribution else {
        tell_limits(container, made, report);
        return Ok(());
    };
    let inside = Inside::find(container, distribution, made.init.as_fd(), State::Starting)?;
    let config = &container.config;
    dist::addresses::give(&inside, report)?;
    tell_limits(container, made, report);
    dist::set_console(&inside, report)?;
    let named = match config.hostname.as_deref() {
        Some(name) => dist::set_hostname(&inside, config, name, report),
        None => true,
    };
    if named {
        dist::set_name_servers(&inside, config, report);
        dist::set_user_quota(&inside, config, report);
    }
    dist::pre_start(&inside, description.user_namespace, report)?;
    hooks::run_inside(container, made.init.as_fd(), "start", report)
}

/// Says which limits are set, and which parameters are not enforced.
fn tell_limits(container: &Container<'_>, made: &Made, report: &mut dyn Report) {
    limits::tell_cpu(&container.config, |_| true, &made.missing, report);
    if container.config.devices.is_some() {
        report.info("Setting devices");
    }
    limits::tell_io(&container.config, report);
    made.missing.tell(report);
}
