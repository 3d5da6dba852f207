//! What a change of a running container's parameters has its distribution's scripts do.

use std::os::fd::AsFd;

use vz_conf::change::Change;

use super::{Distribution, Inside, State, run};
use crate::cancel;
use crate::container::Container;
use crate::error::Result;
use crate::lifecycle::exec;
use crate::report::Report;

/// Sets the host name and the name servers given. That a script fails is its own to tell.
///
/// # Errors
/// When the container does not run, there is no way in, or the change has been called off.
pub fn apply(
    container: &Container<'_>,
    distribution: &Distribution,
    change: &Change,
    report: &mut dyn Report,
) -> Result<()> {
    let given = &change.values;
    if given.hostname.is_none() && given.nameserver.is_none() && given.searchdomain.is_none() {
        return Ok(());
    }
    let init = exec::require_running(container)?;
    let inside = Inside::find(container, distribution, init.as_fd(), State::Running)?;
    let after = change.apply_to(&container.config);
    let named = match given.hostname.as_deref() {
        Some(name) => run::set_hostname(&inside, &after, name, report),
        None => true,
    };
    if named {
        run::set_name_servers(&inside, given, report);
    }
    // Called off in a script: then nothing is saved.
    cancel::check()
}
