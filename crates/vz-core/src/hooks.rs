//! Action scripts: `vps.*` and `CTID.*` beside the configurations, on the node and inside.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vz_conf::exit::Exit;

use crate::cancel;
use crate::container::Container;
use crate::description::PATH;
use crate::error::{Context, Error, Result};
use crate::lifecycle::exec;
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

/// Runs the node's scripts of this moment, those that are there.
///
/// # Errors
/// [`Exit::ActionScriptFailed`] for the first that fails; those after it are not run.
pub fn run(container: &Container<'_>, moment: Moment, report: &mut dyn Report) -> Result<()> {
    let own = format!("{}.{}", container.id, moment.name());
    let global = format!("vps.{}", moment.name());
    let order = if moment.global_first() { [global, own] } else { [own, global] };
    for name in order {
        let path = container.node.conf_dir().join(name);
        if path.is_file() && !run_on_node(container, &path, report)? {
            let shown = container.node.shown(&path);
            return Err(Error::Refused(
                Exit::ActionScriptFailed,
                format!("Error executing {} script {}", moment.name(), shown.display()),
            ));
        }
    }
    Ok(())
}

fn run_on_node(container: &Container<'_>, path: &Path, report: &mut dyn Report) -> Result<bool> {
    let conf = container.node.shown(&container.node.conf_path(container.id));
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs([("HOME", "/"), ("TERM", "linux")])
        .env("PATH", PATH.strip_prefix("PATH=").unwrap_or(PATH))
        .env("VEID", container.id.to_string())
        .env("VE_CONFFILE", conf)
        .stdin(Stdio::null());
    match cancel::run(&mut command) {
        Err(error) => {
            let text = crate::error::OsText(error);
            report.error(&format!("Error exec {}: {text}", container.node.shown(path).display()));
            Ok(false)
        }
        Ok(None) => {
            report.error(&Error::Cancelled.to_string());
            Ok(false)
        }
        Ok(Some(status)) => {
            if let Some(signal) = status.signal() {
                report.error(&format!("Got signal {signal}"));
            }
            Ok(status.success())
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
