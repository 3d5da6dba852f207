//! A container's init has ended without a `vzctl stop`: halted or restarted from inside, or dead.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;
use vz_conf::exit::Exit;
use vz_sys::cgroup::Cgroup;
use vz_sys::pidfd;

use crate::container::Container;
use crate::error::{Context, Result};
use crate::lifecycle::{start, teardown};
use crate::lock::{self, Lock, Outcome};
use crate::report::Report;
use crate::state::Phase;

/// How it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// For good.
    Stop,
    /// To be started again.
    Reboot,
}

/// Takes the container down, and starts it again after a reboot. When another command is at work
/// on the container, it is waited for, and nothing is left to do if it has done this already.
///
/// # Errors
/// The step that failed.
pub fn handle(container: &Container<'_>, event: Event, report: &mut dyn Report) -> Result<()> {
    leave_group(container)?;
    let _lock = wait_for_lock(container)?;
    let Some(state) = container.state()? else { return Ok(()) };
    if state.init.is_some_and(|init| init.is_running()) {
        // Another has started it again meanwhile.
        return Ok(());
    }
    let was_running = state.phase == Phase::Running;
    report.info(match event {
        Event::Stop => "The container has halted",
        Event::Reboot => "The container restarts",
    });
    teardown::all(container, report)?;
    if event == Event::Reboot && was_running {
        start::start(container, start::Options { force: true, ..Default::default() }, report)?;
    }
    Ok(())
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
