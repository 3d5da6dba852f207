//! `vzctl quotaon`, `quotaoff`, `quotainit`: the disk quota of a container's private area by hand.

use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::yesno::YesNo;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::layout;
use crate::report::Report;

/// What is to be done with the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set the limits.
    On,
    /// Take them away.
    Off,
    /// Count all files of the private area anew, and set the limits.
    Init,
}

impl Action {
    fn exit(self) -> Exit {
        match self {
            Action::On => Exit::QuotaOnFailed,
            Action::Off => Exit::QuotaOffFailed,
            Action::Init => Exit::QuotaInitFailed,
        }
    }
}

/// Does it. The lock is held by the caller.
///
/// # Errors
/// With the action's own code where DISK_QUOTA is off; for limits that are not set; the step that
/// failed.
pub fn run(container: &Container<'_>, action: Action, report: &mut dyn Report) -> Result<()> {
    if container.config.disk_quota != Some(YesNo::Yes) {
        report.info("Disk quota is not enabled, skipping operation");
        return Err(Error::Reported(action.exit()));
    }
    if matches!(container.layout(), Layout::Ploop(_)) {
        report.info("CT is on ploop, disk quota is obsoleted, skipping operation");
        return Ok(());
    }
    if action != Action::Off {
        check_limits(container)?;
    }
    container.require_private()?;
    match action {
        Action::On => layout::set_quota(container, &container.config),
        Action::Off => layout::quota_off(container),
        Action::Init => layout::init_quota(container),
    }
}

fn check_limits(container: &Container<'_>) -> Result<()> {
    let missing = |exit, what| {
        let text = format!("Error: Not enough parameters, {what} quota not set");
        Err(Error::Refused(exit, text))
    };
    if container.config.diskspace.is_none() {
        return missing(Exit::DiskspaceNotSet, "diskspace");
    }
    if container.config.diskinodes.is_none() {
        return missing(Exit::DiskinodesNotSet, "diskinodes");
    }
    Ok(())
}
