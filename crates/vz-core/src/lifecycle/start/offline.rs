//! A stopped container entered without its init: its files mounted, its namespaces made, and a
//! process in them; nothing of its own runs but what is run there.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Options, make};
use crate::container::Container;
use crate::description::Description;
use crate::error::Result;
use crate::layout::View;
use crate::lifecycle::{mounting, teardown};
use crate::report::{Report, Silent};

/// Does `work` in the stopped container, whose first process is behind the descriptor it gets, and
/// stops it again. The lock is held by the caller. Action scripts are not run. With `told`, it is
/// reported like a start and a stop.
///
/// # Errors
/// The step that failed, or those of `work`; nothing is left behind.
pub fn run<T>(
    container: &Container<'_>,
    told: bool,
    report: &mut dyn Report,
    work: impl FnOnce(BorrowedFd<'_>, &mut dyn Report) -> Result<T>,
) -> Result<T> {
    container.require_private()?;
    teardown::cancel_restart(container)?;
    tell(told, "Starting container...", report);
    let mounted = container.is_mounted();
    // What `vzctl mount` has mounted for the node's root may not be what a container can live in.
    let covered = mounted && !mounting::suits_start(container)?;
    if covered {
        mounting::unmount_only(container, report)?;
    }
    if !mounted || covered {
        mounting::mount_only(container, View::Container, false)?;
    }
    tell(told && !mounted, "Container is mounted", report);
    let done = work_inside(container, told, report, work);
    tell(told, "Killing container ...", report);
    let stopped = teardown::kill_everything(container);
    tell(told && stopped.is_ok(), "Container was stopped", report);
    let mut unmounted = Ok(());
    if !mounted || covered {
        unmounted = mounting::unmount_only(container, report);
    }
    if covered {
        unmounted = unmounted.and_then(|()| mounting::mount_only(container, View::Node, false));
    }
    tell(told && !mounted && unmounted.is_ok(), "Container is unmounted", report);
    let forgotten = stopped.and_then(|()| teardown::forget(container));
    let done = done?;
    forgotten.and(unmounted).map(|()| done)
}

fn work_inside<T>(
    container: &Container<'_>,
    told: bool,
    report: &mut dyn Report,
    work: impl FnOnce(BorrowedFd<'_>, &mut dyn Report) -> Result<T>,
) -> Result<T> {
    let description = Description::of(container)?;
    // What it has to say is about containers that run.
    let made = make(container, &description, Options::default(), &mut Silent)?;
    tell(told, "Container start in progress...", report);
    work(made.init.as_fd(), report)
}

fn tell(told: bool, text: &str, report: &mut dyn Report) {
    if told {
        report.info(text);
    }
}
