//! What is set up inside before init runs: distribution actions, and the container's own script.

use std::os::fd::BorrowedFd;

use crate::container::Container;
use crate::description::Description;
use crate::dist::{self, Distribution, Inside, State};
use crate::error::Result;
use crate::hooks;
use crate::report::Report;

/// Runs the scripts, in the original's order. Those that set something may fail: the container
/// starts all the same.
///
/// # Errors
/// [`Exit::ActionScriptFailed`](vz_conf::exit::Exit::ActionScriptFailed) when SET_CONSOLE, PRE_START
/// or CTID.start fails.
pub fn run(
    container: &Container<'_>,
    description: &Description,
    distribution: &Distribution,
    init: BorrowedFd<'_>,
    report: &mut dyn Report,
) -> Result<()> {
    let inside = Inside::find(container, distribution, init, State::Starting)?;
    let config = &container.config;
    dist::add_addresses(&inside, report);
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
    hooks::run_inside(container, init, "start", report)
}
