//! `vzctl suspend` (`chkpnt`) and `vzctl resume` (`restore`): what is checked before. The action
//! itself is refused: this version cannot.

use vz_conf::exit::Exit;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::report::Report;

/// A part of checkpointing or restoring, or all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step {
    /// All of them.
    #[default]
    Whole,
    /// Freeze the container.
    Suspend,
    /// Write the dump.
    Dump,
    /// Make the container's processes from the dump.
    Undump,
    /// Let the container go on.
    Resume,
    /// Kill the frozen container.
    Kill,
}

/// `suspend`.
///
/// # Errors
/// [`Exit::NotRunning`], [`Exit::CheckpointFailed`].
pub fn checkpoint(container: &Container<'_>, step: Step, report: &mut dyn Report) -> Result<()> {
    if matches!(step, Step::Kill | Step::Resume) {
        return finish(container, Exit::CheckpointFailed);
    }
    if container.root.as_os_str().is_empty() {
        return refuse(Exit::RootNotSet, "Container root (VE_ROOT) is not set");
    }
    if !container.is_running()? {
        return refuse(Exit::NotRunning, "Unable to setup checkpointing: container is not running");
    }
    report.info("Setting up checkpoint...");
    unsupported(Exit::CheckpointFailed)
}

/// `resume`.
///
/// # Errors
/// [`Exit::Running`], [`Exit::RestoreFailed`].
pub fn restore(container: &Container<'_>, step: Step, report: &mut dyn Report) -> Result<()> {
    if matches!(step, Step::Kill | Step::Resume) {
        return finish(container, Exit::RestoreFailed);
    }
    if container.is_running()? {
        return refuse(Exit::Running, "Unable to perform restore: container already running");
    }
    report.info("Restoring container ...");
    unsupported(Exit::RestoreFailed)
}

/// The last step of a checkpoint or a restore that was made step by step.
fn finish(container: &Container<'_>, exit: Exit) -> Result<()> {
    match container.is_running()? {
        true => unsupported(exit),
        false => Err(Error::NotRunning),
    }
}

fn unsupported(exit: Exit) -> Result<()> {
    refuse(exit, "Error: No checkpointing support in this version")
}

fn refuse(exit: Exit, text: &str) -> Result<()> {
    Err(Error::Refused(exit, text.to_owned()))
}
