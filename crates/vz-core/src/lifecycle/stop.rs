//! `vzctl stop`.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use vz_conf::exit::Exit;
use vz_sys::cancel::{self, Waited};
use vz_sys::pidfd;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::hooks;
use crate::lifecycle::{exec, mounting, teardown};
use crate::report::Report;
use crate::state::{Phase, State};

/// How long a guest may take to halt when STOP_TIMEOUT does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// What tells systemd to halt (systemd(1), SIGRTMIN+3). The kernel's first real-time signal is 32,
/// of which libc keeps two for itself.
const SYSTEMD_HALT: i32 = 34 + 3;

/// How a container is to be stopped.
#[derive(Debug, Default, Clone, Copy)]
pub struct Options {
    /// Kill it instead of asking it to halt.
    pub fast: bool,
    /// Leave VE_ROOT mounted.
    pub skip_umount: bool,
}

/// Stops the container. The lock is held by the caller.
///
/// # Errors
/// The step that failed. Not running is said, and is none.
pub fn stop(container: &Container<'_>, options: Options, report: &mut dyn Report) -> Result<()> {
    container.require_places()?;
    if teardown::cancel_restart(container)? {
        report.info("Container was stopped before it restarted");
        return Ok(());
    }
    let state = container.state()?;
    let init = state.as_ref().filter(|state| state.is_running()).and_then(open_init);
    let (Some(mut state), Some(init)) = (state, init) else {
        report.error("Unable to stop: container is not running");
        return Ok(());
    };
    hooks::run_inside(container, init.as_fd(), "stop", report)?;
    // From here on a halt is a stop, also one that ends as a reboot; and whoever comes after us,
    // should we be killed, finishes it.
    state.phase = Phase::Stopping;
    container.save_state(&state)?;
    if options.fast {
        report.info("Killing container ...");
    } else {
        match halt(container, init.as_fd(), report) {
            Ok(true) => {}
            Ok(false) => report.info("Killing container ..."),
            Err(error) => return Err(give_up(container, state, error, report)),
        }
    }
    teardown::kill_everything(container)?;
    report.info("Container was stopped");
    let unmounted = match !options.skip_umount && container.is_mounted() {
        true => mounting::unmount_with_scripts(container, report),
        false => Ok(()),
    };
    // Stopped it is: what a script did not let go stays mounted, for `umount`.
    teardown::forget(container)?;
    unmounted
}

/// The wait was called off: the guest may go on halting, and vzmon sees to its end.
fn give_up(
    container: &Container<'_>,
    mut state: State,
    error: Error,
    report: &mut dyn Report,
) -> Error {
    state.phase = Phase::Running;
    if let Err(second) = container.save_state(&state) {
        report.error(&second.to_string());
    }
    if let Some(line) = error.line() {
        report.error(&line);
    }
    Error::Refused(Exit::StopFailed, "Unable to stop container".into())
}

/// A descriptor of the container's init, if it still runs.
pub fn open_init(state: &State) -> Option<std::os::fd::OwnedFd> {
    state.init?.open()
}

/// Asks the guest to halt and waits for its end; says whether it did.
fn halt(container: &Container<'_>, init: BorrowedFd<'_>, report: &mut dyn Report) -> Result<bool> {
    report.info("Stopping container ...");
    let timeout = match container.config.stop_timeout {
        None | Some(0) => DEFAULT_TIMEOUT,
        Some(seconds) => Duration::from_secs(seconds.into()),
    };
    let guest = Guest::look_at(&container.root);
    let asked = if guest.is_ok_and(|guest| guest.is_systemd()) {
        pidfd::send_signal(init, SYSTEMD_HALT).is_ok()
    } else {
        // A container that lets nobody in (no process left to it, no halt) is killed all the same.
        match exec::run_halt(container, init, timeout) {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                report.error(&error.to_string());
                false
            }
            Ok(asked) => asked,
        }
    };
    if !asked {
        return Ok(false);
    }
    match cancel::wait_readable(init, Some(timeout)) {
        Ok(Waited::Cancelled) => Err(Error::Cancelled),
        Ok(waited) => Ok(waited == Waited::Ready),
        Err(error) => Err(Error::System {
            exit: Exit::StopFailed,
            action: "Cannot wait for the container's init".into(),
            source: error.into(),
        }),
    }
}
