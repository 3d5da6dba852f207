//! What a change of a running container's parameters has its distribution's scripts do.

use std::os::fd::AsFd;

use vz_conf::change::Change;

use super::{Distribution, Inside, State, addresses, run};
use crate::cancel;
use crate::container::Container;
use crate::error::Result;
use crate::lifecycle::exec;
use crate::report::Report;

/// Gives and takes addresses.
///
/// # Errors
/// When the container does not run, there is no way in, [`addresses::change`] fails, or the change
/// has been called off.
pub fn change_addresses(
    container: &Container<'_>,
    distribution: &Distribution,
    change: &Change,
    report: &mut dyn Report,
) -> Result<()> {
    if !change.changes_addresses() {
        return Ok(());
    }
    enter(container, distribution, |inside| addresses::change(inside, change, report))
}

/// Sets the host name, the name servers and the users' quotas given. That a script fails is its
/// own to tell.
///
/// # Errors
/// When the container does not run, there is no way in, or the change has been called off.
pub fn apply(
    container: &Container<'_>,
    distribution: &Distribution,
    change: &Change,
    report: &mut dyn Report,
) -> Result<()> {
    if !super::configures(change) {
        return Ok(());
    }
    let given = &change.values;
    enter(container, distribution, |inside| {
        let after = change.apply_to(&container.config);
        let named = match given.hostname.as_deref() {
            Some(name) => run::set_hostname(inside, &after, name, report),
            None => true,
        };
        if named {
            run::set_name_servers(inside, given, report);
            // Whether it has a quota is the next step's concern.
            run::set_user_quota(inside, given, report);
        }
        Ok(())
    })
}

/// Does `work` in the container. Called off in one of its scripts, it fails: then nothing is saved.
fn enter(
    container: &Container<'_>,
    distribution: &Distribution,
    work: impl FnOnce(&Inside<'_, '_>) -> Result<()>,
) -> Result<()> {
    let init = exec::require_running(container)?;
    work(&Inside::find(container, distribution, init.as_fd(), State::Running)?)?;
    cancel::check()
}
