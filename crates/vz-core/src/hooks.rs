//! Action scripts: `vps.*` and `CTID.*` beside the configurations, on the node and inside.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use vz_conf::exit::Exit;

use crate::cancel;
use crate::container::Container;
use crate::description::PATH;
use crate::error::{Context, Error, OsText, Result};
use crate::lifecycle::exec;
use crate::node::Node;
use crate::report::Report;

/// How long a script inside a container may take, as long as the original's: the shell that runs it
/// is the container's, and must not hold a start or a stop up for good.
const PATIENCE: Duration = Duration::from_secs(300);

/// When a script of the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the container is mounted.
    Premount,
    /// After.
    Mount,
    /// Before it is unmounted.
    Umount,
    /// After.
    Postumount,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Moment::Premount => "premount",
            Moment::Mount => "mount",
            Moment::Umount => "umount",
            Moment::Postumount => "postumount",
        }
    }

    /// The global script comes first on the way up, the container's own on the way down.
    fn global_first(self) -> bool {
        matches!(self, Moment::Premount | Moment::Mount)
    }
}

/// The node's scripts of this moment that are there, in their order.
fn scripts(container: &Container<'_>, moment: Moment) -> impl Iterator<Item = PathBuf> + use<> {
    let own = format!("{}.{}", container.id, moment.name());
    let global = format!("vps.{}", moment.name());
    let order = if moment.global_first() { [global, own] } else { [own, global] };
    let directory = container.node.conf_dir();
    order.into_iter().map(move |name| directory.join(name)).filter(|path| path.is_file())
}

/// Says whether the node has scripts of this moment.
pub fn any(container: &Container<'_>, moment: Moment) -> bool {
    scripts(container, moment).next().is_some()
}

/// Runs the node's scripts of this moment, those that are there.
///
/// # Errors
/// [`Exit::ActionScriptFailed`] for the first that fails; those after it are not run.
pub fn run(container: &Container<'_>, moment: Moment, report: &mut dyn Report) -> Result<()> {
    for path in scripts(container, moment) {
        if !run_on_node(container, &path, report) {
            let shown = container.node.shown(&path);
            return Err(Error::Refused(
                Exit::ActionScriptFailed,
                format!("Error executing {} script {}", moment.name(), shown.display()),
            ));
        }
    }
    Ok(())
}

/// Runs `vps.create`, if there is one, after a container has been created.
///
/// # Errors
/// [`Exit::ActionScriptFailed`] when it fails.
pub fn run_after_create(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let path = container.node.conf_dir().join("vps.create");
    if !path.is_file() || run_on_node(container, &path, report) {
        return Ok(());
    }
    let shown = container.node.shown(&path);
    report.info(&format!("User create script {} exited with error", shown.display()));
    Err(Error::Reported(Exit::ActionScriptFailed))
}

/// Says whether the script succeeded.
fn run_on_node(container: &Container<'_>, path: &Path, report: &mut dyn Report) -> bool {
    let node = container.node;
    let conf = node.shown(&node.conf_path(container.id));
    let environment =
        [("VEID", OsString::from(container.id.to_string())), ("VE_CONFFILE", conf.into())];
    execute(node, Command::new(path).envs(environment), report) == Some(0)
}

/// Runs a program of the node's with its arguments and variables and HOME, TERM and PATH, as all
/// scripts have them, and nothing to read. `None` when it could not be executed or a signal ended
/// it, which is reported; else its exit code.
pub(crate) fn execute(node: &Node, command: &mut Command, report: &mut dyn Report) -> Option<i32> {
    let shown = node.shown(Path::new(command.get_program()));
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    report.log(2, &format!("Running: {} {}", shown.display(), words.join(" ")));
    let usual = [("HOME", "/"), ("TERM", "linux"), ("PATH", PATH.trim_start_matches("PATH="))];
    let given: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    match cancel::run(command.env_clear().envs(usual).envs(given).stdin(Stdio::null())) {
        Err(error) => {
            report.error(&format!("Error exec {}: {}", shown.display(), OsText(error)));
            None
        }
        Ok(None) => {
            report.error(&Error::Cancelled.to_string());
            None
        }
        Ok(Some(status)) => {
            if let Some(signal) = status.signal() {
                report.error(&format!("Got signal {signal}"));
            }
            status.code()
        }
    }
}

/// Runs CTID.`name` (`start` or `stop`) inside the container, as input of its own shell.
///
/// # Errors
/// [`Exit::ActionScriptFailed`] when it fails.
pub fn run_inside(
    container: &Container<'_>,
    init: BorrowedFd<'_>,
    name: &str,
    report: &mut dyn Report,
) -> Result<()> {
    let path = container.node.conf_dir().join(format!("{}.{name}", container.id));
    let script = match std::fs::File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.at(Exit::ActionScriptFailed, "Cannot open", &path)?,
    };
    let code = match exec::run_script(container, init, script, Some(PATIENCE), report) {
        Err(Error::Cancelled) => {
            report.error(&Error::Cancelled.to_string());
            return Err(Error::Reported(Exit::ActionScriptFailed));
        }
        other => other?,
    };
    if code == 0 { Ok(()) } else { Err(Error::Reported(Exit::ActionScriptFailed)) }
}
