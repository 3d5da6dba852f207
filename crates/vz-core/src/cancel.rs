//! Waits that an admin's Ctrl-C, or a SIGTERM, calls off: see [`vz_sys::cancel`].
//!
//! The step that was waiting fails with [`Error::Cancelled`] or with its own error, and what fails
//! is cleared away as after any other failure.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::unistd::Pid;
use vz_conf::exit::Exit;
use vz_sys::cancel::{self, Waited};
use vz_sys::pidfd;

use crate::error::{Context, Error, Result};

/// How long a script may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits until `descriptor` is readable.
///
/// # Errors
/// [`Error::Cancelled`], and those of `poll(2)`.
pub fn wait_readable(descriptor: BorrowedFd<'_>) -> Result<()> {
    match cancel::wait_readable(descriptor, None) {
        Ok(Waited::Cancelled) => Err(Error::Cancelled),
        other => other.map(|_| ()).context(Exit::SystemError, || "Cannot wait".into()),
    }
}

/// Runs a program of the node to its end; `None` when it was called off: then it has been ended
/// with SIGTERM, or killed.
///
/// # Errors
/// When it cannot be executed, or waited for.
pub fn run(command: &mut Command) -> io::Result<Option<ExitStatus>> {
    let mut child = command.spawn()?;
    let process = pidfd::open(Pid::from_raw(child.id() as i32))?;
    let waited = cancel::wait_readable(process.as_fd(), None)?;
    if waited == Waited::Cancelled {
        pidfd::send_signal(process.as_fd(), nix::libc::SIGTERM)?;
        if !pidfd::wait_end(process.as_fd(), Some(PATIENCE))? {
            pidfd::send_signal(process.as_fd(), nix::libc::SIGKILL)?;
        }
    }
    let status = child.wait()?;
    Ok((waited != Waited::Cancelled).then_some(status))
}
