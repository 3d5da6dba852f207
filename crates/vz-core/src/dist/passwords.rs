//! `--userpasswd`: passwords are set by the container's own programs, also when it does not run.
//!
//! A password is nowhere but in the environment of one process inside, which its root alone can
//! read: not in an argument, nor in the log.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Distribution, Inside, State, run};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::lifecycle::{exec, start::offline};
use crate::report::Report;

/// Sets passwords, each `USER:PASSWORD`. A stopped container is entered without its init, and said
/// to be started and stopped. The lock is held by the caller.
///
/// # Errors
/// [`Exit::ChangePasswordFailed`](vz_conf::exit::Exit::ChangePasswordFailed), or the step that failed.
pub fn change(
    container: &Container<'_>,
    distribution: &Distribution,
    users: &[String],
    report: &mut dyn Report,
) -> Result<()> {
    let set = |init: BorrowedFd<'_>, report: &mut dyn Report| {
        let inside = Inside::find(container, distribution, init, State::Running)?;
        run::set_passwords(&inside, users, report)
    };
    match exec::require_running(container) {
        Ok(init) => set(init.as_fd(), report),
        Err(Error::NotRunning) => offline::run(container, true, report, set),
        Err(error) => Err(error),
    }
}
