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

/// To be asked where a step begins that another's failure would not keep from being done: the
/// admin has called off the whole command, not the one step that noticed.
///
/// # Errors
/// [`Error::Cancelled`] for a request that nobody has noticed yet, [`Error::Reported`] for one that
/// has been told of.
pub fn check() -> Result<()> {
    match cancel::take() {
        true => Err(Error::Cancelled),
        false if cancel::was_requested() => Err(Error::Reported(Error::Cancelled.exit())),
        false => Ok(()),
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

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};
    use vz_sys::clone::{self, Request};

    /// In a child: a request counts for a whole process.
    #[test]
    fn a_request_counts_for_all_that_follows_and_is_told_once() {
        let child = clone::spawn(&Request::default(), || {
            if cancel::listen().is_err() || check().is_err() || raise(Signal::SIGINT).is_err() {
                return 1;
            }
            let first = matches!(check(), Err(Error::Cancelled));
            let then = |_| matches!(check(), Err(Error::Reported(Exit::SystemError)));
            i32::from(!first || !(0..3).all(then))
        })
        .unwrap();
        assert_eq!(pidfd::reap(child.pidfd.as_fd()).unwrap(), pidfd::Ended::Code(0));
    }
}
