//! Clearing away all that a container is on the node: after a stop, a start that failed, a halt
//! from inside, or a command that was killed anywhere in between.
//!
//! It asks the node what there is, not a record of what was done, and each step may be repeated:
//! so it finishes whatever another was killed in. It goes on when a step fails and reports it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use vz_conf::exit::Exit;
use vz_sys::cgroup::Cgroup;
use vz_sys::pidfd;

use crate::addresses;
use crate::container::Container;
use crate::error::{Context, Error, OsText, Result};
use crate::group::{self, Place};
use crate::layout::ploop::resize;
use crate::lifecycle::stop::open_init;
use crate::lifecycle::{console, convert, mounting, snapshot, temporary};
use crate::limits::{self, InForce};
use crate::old_cgroup;
use crate::report::Report;
use crate::state::{Phase, State};
use crate::user_quota;

/// How long the processes of a killed container may take to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills what lives, unmounts, and forgets the container's state.
///
/// # Errors
/// The first step that failed; all others have been tried.
pub fn all(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    after_killing(container, kill_everything(container), report)
}

/// What [`all`] does after [`kill_everything`], which has come to `processes`.
///
/// # Errors
/// As [`all`].
pub fn after_killing(
    container: &Container<'_>,
    processes: Result<()>,
    report: &mut dyn Report,
) -> Result<()> {
    let mounts = if container.is_mounted() {
        // Out of the way of the container's own: the umount scripts may want to look at it.
        mounting::unmount_with_scripts(container, report)
    } else {
        mounting::unmount_only(container, report)
    };
    let state = processes.and_then(|()| forget(container));
    state.and(mounts)
}

/// Kills every process of the container, its vzmon and its cgroup, and waits until they are gone.
/// init can end only when all of its pid namespace are gone and those of its processes that are
/// children of the node's (a sentinel of vzmon, a command of `vzctl exec`) are reaped; so it is
/// waited for last.
///
/// # Errors
/// When something would not die or the cgroup cannot be removed.
pub fn kill_everything(container: &Container<'_>) -> Result<()> {
    let state = container.state()?;
    // Its init first, by descriptor: with it dies all of its pid namespace, also what somebody
    // moved out of the cgroup.
    let init = state.as_ref().and_then(open_init);
    if let Some(init) = &init {
        let _ = pidfd::send_signal(init.as_fd(), nix::libc::SIGKILL);
    }
    for place in places(container, state.as_ref())? {
        place.clear().at(Exit::StopFailed, "Cannot clear the cgroup", &place.path())?;
        limits::sum_up_containers(&place);
    }
    if let Some(init) = &init {
        wait_for_end(init.as_fd())?;
    }
    if let Err(error) = old_cgroup::remove(container.node, container.id) {
        return Err(Error::System {
            exit: Exit::StopFailed,
            action: "Cannot remove the v1 systemd group".into(),
            source: OsText(error),
        });
    }
    Ok(())
}

fn wait_for_end(process: BorrowedFd<'_>) -> Result<()> {
    match pidfd::wait_end(process, Some(PATIENCE)) {
        Ok(true) => Ok(()),
        _ => Err(Error::Refused(
            Exit::StopFailed,
            "Unable to stop container: operation timed out".into(),
        )),
    }
}

/// Where its cgroup may be: where its state says, and where a start would put it now.
fn places(container: &Container<'_>, state: Option<&State>) -> Result<Vec<Place>> {
    let mut places = vec![container.group_place()?];
    if let Some(state) = state {
        let recorded = Place::at(container.node.cgroup_hierarchy()?, &state.group);
        if !places.contains(&recorded) {
            places.push(recorded);
        }
    }
    Ok(places)
}

/// Calls off a restart that vzevent has put off (see [`super::event`]). Says whether there was one.
/// The lock is held by the caller, so vzevent does nothing but wait.
///
/// # Errors
/// When vzevent does not die, or the state file cannot be removed.
pub fn cancel_restart(container: &Container<'_>) -> Result<bool> {
    let Some(state) = container.state()?.filter(|state| state.phase == Phase::Restarting) else {
        return Ok(false);
    };
    if let Some(vzevent) = state.monitor.and_then(|monitor| monitor.open()) {
        let _ = pidfd::send_signal(vzevent.as_fd(), nix::libc::SIGKILL);
        wait_for_end(vzevent.as_fd())?;
    }
    forget(container)?;
    Ok(true)
}

/// Removes the state file: last of all, because whoever finds it cleans up.
pub(super) fn forget(container: &Container<'_>) -> Result<()> {
    console::remove_socket(container);
    user_quota::remove_socket(container);
    addresses::forget(container.node, container.id)?;
    let limits = InForce::forget(container.node, container.id);
    limits.context(Exit::SystemError, || "Cannot remove the limits in force".into())?;
    let path = container.node.state_path(container.id);
    State::remove(&path).at(Exit::SystemError, "Cannot remove", &path)
}

/// Lets a container go on that a killed backup, whose guard was killed as well, has left frozen: who has
/// the lock knows that there is none under way.
fn thaw(container: &Container<'_>, state: &State) {
    let Ok(hierarchy) = container.node.cgroup_hierarchy() else { return };
    let path = Place::at(hierarchy, &state.group).path().join(group::INIT);
    // Where there is nothing to thaw there may be no such file either.
    let _ = Cgroup::open(&path).and_then(|group| group.write("cgroup.freeze", "0"));
}

/// Finishes what a killed command has left: called by each command that has just taken the lock.
/// Returns whether there was anything.
///
/// # Errors
/// As [`all`].
pub fn recover(container: &Container<'_>, report: &mut dyn Report) -> Result<bool> {
    convert::finish(container)?;
    // Without a configuration it is a create's to find, which says so.
    let unfinished = match container.configured {
        true => temporary::discard_unfinished(container, report),
        false => Ok(()),
    };
    for finished in [unfinished, snapshot::recover(container), resize::finish(container)] {
        if let Err(error) = finished {
            // It stays as it is; whatever was called may still be done.
            report.error(&error.to_string());
        }
    }
    let Some(state) = container.state()? else { return Ok(false) };
    let pending = state.phase == Phase::Restarting
        && state.monitor.is_some_and(|vzevent| vzevent.is_running());
    if pending || state.phase == Phase::Running && state.is_running() {
        thaw(container, &state);
        return Ok(false);
    }
    report.log(
        1,
        match state.phase {
            Phase::Starting => "Clearing away what an unfinished start has left",
            Phase::Running => "Clearing away a container whose init has ended",
            Phase::Stopping => "Finishing an unfinished stop",
            Phase::Restarting => "Clearing away what a killed restart has left",
        },
    );
    all(container, report)?;
    Ok(true)
}
