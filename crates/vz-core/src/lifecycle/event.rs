//! A container's init has ended without a `vzctl stop`: halted or restarted from inside, or dead.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::Pid;
use vz_conf::exit::Exit;
use vz_sys::cgroup::Cgroup;
use vz_sys::pidfd;

use crate::container::Container;
use crate::error::{Context, Result};
use crate::lifecycle::{start, teardown};
use crate::lock::{self, Lock, Outcome};
use crate::report::Report;
use crate::state::{Phase, ProcessId, State};

/// How it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// For good.
    Stop,
    /// To be started again.
    Reboot,
}

/// A container that has lived this long did not restart because it cannot live.
const SETTLED: Duration = Duration::from_secs(60);
/// How many such restarts in a row are done at once.
const FREE_RESTARTS: u32 = 2;
/// What no pause is longer than.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Takes the container down, and starts it again after a reboot. When another command is at work
/// on the container, it is waited for, and nothing is left to do if it has done this already.
///
/// A container whose init restarts at once, again and again, would keep the node busy for good:
/// its restarts are put off, each for longer than the one before. Meanwhile the lock is free and
/// the container is down; what a command does then goes before the restart.
///
/// # Errors
/// The step that failed.
pub fn handle(container: &Container<'_>, event: Event, report: &mut dyn Report) -> Result<()> {
    leave_group(container)?;
    let lock = wait_for_lock(container)?;
    let Some(state) = container.state()? else { return Ok(()) };
    if state.phase == Phase::Restarting || state.init.is_some_and(|init| init.is_running()) {
        // Another has seen to it meanwhile, or started it again.
        return Ok(());
    }
    // Whoever had the lock may have changed it.
    let container = &Container::load(container.node, container.id)?;
    report.info(match event {
        Event::Stop => "The container has halted",
        Event::Reboot => "The container restarts",
    });
    teardown::all(container, report)?;
    if event == Event::Stop || state.phase != Phase::Running {
        return Ok(());
    }
    let restarts = if lived(&state) < SETTLED { state.restarts.saturating_add(1) } else { 0 };
    let pause = pause_before(restarts);
    let _lock = match pause.is_zero() {
        true => lock,
        false => match put_off(container, &state, lock, pause, report)? {
            Some(lock) => lock,
            None => return Ok(()),
        },
    };
    let container = Container::require(container.node, container.id)?;
    let options = start::Options { force: true, restarts, ..Default::default() };
    start::start(&container, options, report)
}

/// How long the container has been up, by the node's clock.
fn lived(state: &State) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(state.since))
}

/// How long the last of so many quick restarts in a row is put off: doubled each time.
fn pause_before(restarts: u32) -> Duration {
    match restarts.checked_sub(FREE_RESTARTS + 1) {
        None => Duration::ZERO,
        Some(doublings) => {
            Duration::from_secs(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
        }
    }
}

/// Lets go of the lock for the time of the pause. `None` when a command has called the restart off
/// by then.
fn put_off(
    container: &Container<'_>,
    old: &State,
    lock: Lock,
    pause: Duration,
    report: &mut dyn Report,
) -> Result<Option<Lock>> {
    report.info(&format!(
        "The container restarts too often: the next start is in {} s",
        pause.as_secs()
    ));
    let ourselves = ProcessId::of(Pid::this()).ok();
    let state = State { phase: Phase::Restarting, init: None, monitor: ourselves, ..old.clone() };
    container.save_state(&state)?;
    drop(lock);
    std::thread::sleep(pause);
    let lock = wait_for_lock(container)?;
    let still = container
        .state()?
        .is_some_and(|state| state.phase == Phase::Restarting && state.monitor == ourselves);
    if still {
        teardown::forget(container)?;
    }
    Ok(still.then_some(lock))
}

/// Out of the cgroup that is to be removed. The root group is the one place that any process may
/// be moved to, whoever manages the others.
fn leave_group(container: &Container<'_>) -> Result<()> {
    let hierarchy = container.node.cgroup_hierarchy()?;
    Cgroup::open(&hierarchy).and_then(|root| root.add(Pid::this())).at(
        Exit::ResourceError,
        "Cannot move to the cgroup",
        &hierarchy,
    )
}

fn wait_for_lock(container: &Container<'_>) -> Result<Lock> {
    let path = container.node.lock_path(container.id)?;
    loop {
        match lock::take(&path).at(Exit::SystemError, "Unable to lock container:", &path)? {
            Outcome::Taken { lock, .. } => return Ok(lock),
            Outcome::Held { pid, .. } => wait_for_release(pid, &path)?,
        }
    }
}

/// Sleeps until the lock may be free. Ours end with the flock(2) on their file; one that a script
/// has made ends when the script removes it, which is looked for once a second, or dies.
fn wait_for_release(holder: Option<i32>, path: &Path) -> Result<()> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at(Exit::SystemError, "Cannot open", path),
        Ok(file) => file.lock().at(Exit::SystemError, "Cannot wait for", path)?,
    }
    let Some(holder) = holder.and_then(|pid| pidfd::open(Pid::from_raw(pid)).ok()) else {
        return Ok(());
    };
    if path.exists() {
        pidfd::wait_end(holder.as_fd(), Some(Duration::from_secs(1))).at(
            Exit::SystemError,
            "Cannot wait for the holder of",
            path,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let seconds: Vec<u64> = (0..=13).map(|restarts| pause_before(restarts).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause_before(u32::MAX), LONGEST_PAUSE);
    }
}
