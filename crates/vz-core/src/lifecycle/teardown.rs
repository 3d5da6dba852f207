//! Clearing away all that a container is on the node: after a stop, a start that failed, a halt
//! from inside, or a command that was killed anywhere in between.
//!
//! It asks the node what there is, not a record of what was done, and each step may be repeated:
//! so it finishes whatever another was killed in. It goes on when a step fails and reports it.

use std::time::Duration;

use vz_conf::exit::Exit;
use vz_sys::pidfd;

use crate::container::Container;
use crate::error::{Context, Error, OsText, Result};
use crate::group::Place;
use crate::lifecycle::mounting;
use crate::old_cgroup;
use crate::report::Report;
use crate::state::{Phase, State};

/// How long the processes of a killed container may take to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills what lives, unmounts, and forgets the container's state.
///
/// # Errors
/// The first step that failed; all others have been tried.
pub fn all(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let processes = kill_everything(container);
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
///
/// # Errors
/// When something would not die or the cgroup cannot be removed.
pub fn kill_everything(container: &Container<'_>) -> Result<()> {
    let state = container.state()?;
    // Its init first, by descriptor: with it dies all of its pid namespace, also what somebody
    // moved out of the cgroup.
    if let Some(state) = &state {
        kill_init(state)?;
    }
    for place in places(container, state.as_ref())? {
        place.clear().at(Exit::StopFailed, "Cannot clear the cgroup", &place.path())?;
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

fn kill_init(state: &State) -> Result<()> {
    let Some(init) = state.init else { return Ok(()) };
    let Ok(descriptor) = pidfd::open(nix::unistd::Pid::from_raw(init.pid)) else { return Ok(()) };
    // Checked after it is held: now the number cannot be given to another.
    if !init.is_running() {
        return Ok(());
    }
    use std::os::fd::AsFd;
    let _ = pidfd::send_signal(descriptor.as_fd(), nix::libc::SIGKILL);
    match pidfd::wait_end(descriptor.as_fd(), Some(PATIENCE)) {
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

/// Removes the state file: last of all, because whoever finds it cleans up.
fn forget(container: &Container<'_>) -> Result<()> {
    let path = container.node.state_path(container.id);
    State::remove(&path).at(Exit::SystemError, "Cannot remove", &path)
}

/// Finishes what a killed command has left: called by each command that has just taken the lock.
/// Returns whether there was anything.
///
/// # Errors
/// As [`all`].
pub fn recover(container: &Container<'_>, report: &mut dyn Report) -> Result<bool> {
    let Some(state) = container.state()? else { return Ok(false) };
    if state.phase == Phase::Running && state.is_running() {
        return Ok(false);
    }
    report.log(
        1,
        match state.phase {
            Phase::Starting => "Clearing away what an unfinished start has left",
            Phase::Running => "Clearing away a container whose init has ended",
            Phase::Stopping => "Finishing an unfinished stop",
        },
    );
    all(container, report)?;
    Ok(true)
}
