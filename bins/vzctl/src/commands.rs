//! The commands: which options each takes, and which action of vz-core it is.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use vz_conf::change::Change;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::warning::{Warning, WarningKind};
use vz_core::container::{Container, is_mounted_now};
use vz_core::dist;
use vz_core::error::{Error, Result};
use vz_core::lifecycle::{
    checkpoint, console, create, destroy, enter, exec, image, mounting, quota, set, start, stop,
    teardown, temporary, vzmon,
};
use vz_core::lock::Lock;
use vz_core::node::Node;
use vz_core::report::Report;
use vz_sys::cancel;

use crate::change::texts;
use crate::options::{self, Options, Snapshot};
use crate::output::Output;
use crate::{snapshot, snapshot_list};

/// A command word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `create`
    Create,
    /// `destroy`, `delete`
    Destroy,
    /// `start`
    Start,
    /// `stop`
    Stop,
    /// `restart`
    Restart,
    /// `mount`
    Mount,
    /// `umount`
    Umount,
    /// `status`
    Status,
    /// `set`
    Set,
    /// `exec`: any failure is code 8
    Exec,
    /// `exec2`: the command's own code
    Exec2,
    /// `exec3`: no shell
    Exec3,
    /// `enter`
    Enter,
    /// `runscript`
    Runscript,
    /// `console`
    Console,
    /// `suspend`, `chkpnt`
    Suspend,
    /// `resume`, `restore`
    Resume,
    /// `quotaon`, `quotaoff`, `quotainit`
    Quota(quota::Action),
    /// `convert`
    Convert,
    /// `compact`
    Compact,
    /// `snapshot` and those of its kind that change something
    Snapshot(Snapshot),
    /// `snapshot-list`
    SnapshotList,
}

impl Command {
    /// The command a word means.
    pub fn of(word: &str) -> Option<Command> {
        Some(match word {
            "create" => Command::Create,
            "destroy" | "delete" => Command::Destroy,
            "start" => Command::Start,
            "stop" => Command::Stop,
            "restart" => Command::Restart,
            "mount" => Command::Mount,
            "umount" => Command::Umount,
            "status" => Command::Status,
            "set" => Command::Set,
            "exec" => Command::Exec,
            "exec2" => Command::Exec2,
            "exec3" => Command::Exec3,
            "enter" => Command::Enter,
            "runscript" => Command::Runscript,
            "console" => Command::Console,
            "suspend" | "chkpnt" => Command::Suspend,
            "resume" | "restore" => Command::Resume,
            "quotaon" => Command::Quota(quota::Action::On),
            "quotaoff" => Command::Quota(quota::Action::Off),
            "quotainit" => Command::Quota(quota::Action::Init),
            "convert" => Command::Convert,
            "compact" => Command::Compact,
            "snapshot" => Command::Snapshot(Snapshot::Create),
            "snapshot-delete" => Command::Snapshot(Snapshot::Delete),
            "snapshot-switch" => Command::Snapshot(Snapshot::Switch),
            "snapshot-mount" => Command::Snapshot(Snapshot::Mount),
            "snapshot-umount" => Command::Snapshot(Snapshot::Umount),
            "snapshot-list" => Command::SnapshotList,
            _ => return None,
        })
    }

    /// It may be used on CTID 0, the node itself.
    fn is_for_node(self) -> bool {
        self == Command::Set
    }

    /// It works on a container without a configuration file.
    fn needs_no_configuration(self) -> bool {
        matches!(self, Command::Create | Command::Status | Command::Set)
    }

    /// A process of it gets into the container.
    fn enters(self, options: &Options) -> bool {
        use Command::{Enter, Exec, Exec2, Exec3, Restart, Runscript, Set, Start, Stop};
        match (self, options) {
            (Set, Options::Change(change)) => {
                change.setmode.is_some() || dist::is_needed_for(change)
            }
            _ => matches!(self, Start | Stop | Restart | Exec | Exec2 | Exec3 | Enter | Runscript),
        }
    }

    /// It changes nothing that another command could trip over.
    fn needs_no_lock(self) -> bool {
        use Command::{Console, Enter, Exec, Exec2, Exec3, Status};
        matches!(self, Exec | Exec2 | Exec3 | Enter | Console | Status)
    }

    /// It answers, and says nothing else but what is wrong.
    pub fn is_terse(self) -> bool {
        matches!(self, Command::Status | Command::SnapshotList)
    }
}

/// What every command gets.
pub struct Request<'a> {
    /// The node.
    pub node: &'a Node,
    /// The container's number.
    pub id: Ctid,
    /// The name it was called by, if not by its number.
    pub name: Option<&'a str>,
    /// `--skiplock`
    pub skip_lock: bool,
}

/// Runs a command; the value is vzctl's exit code.
///
/// # Errors
/// What went wrong, with its code.
pub fn run(
    command: Command,
    request: &Request<'_>,
    words: &[OsString],
    output: &mut Output,
) -> Result<u8> {
    let options = options::parse(command, request, words, output)?;
    let loaded = Container::load(request.node, request.id);
    if let Ok(container) = &loaded
        && command.enters(&options)
        && container.configured
    {
        // Before anything is said: it begins anew.
        seal(container)?;
    }
    tell_global(request.node, output);
    if request.id.is_node() && !command.is_for_node() {
        eprintln!("Only set actions are allowed for CT0");
        return Err(Error::Reported(Exit::InvalidValue));
    }
    let mut container = loaded?;
    for warning in &container.warnings {
        output.log(warning.level().into(), &warning.to_string());
    }
    check_it_is_there(command, request, &container).inspect_err(|_| {
        if !container.configured && !command.needs_no_lock() && !request.skip_lock {
            // It is said below that there is no such container; what is left stays for the next one.
            let _ = temporary::remove_traces(&container, output);
        }
    })?;
    options.cover_passwords()?;
    let _lock = take_lock(command, request, &mut container, output)?;
    if !command.needs_no_lock() {
        cancel::listen().map_err(|error| {
            Error::Refused(Exit::SystemError, format!("Cannot listen for signals: {error}"))
        })?;
    }
    dispatch(command, &mut container, options, words, output)
}

/// What is odd in vz.conf: first what could not be read, then what has no effect there.
fn tell_global(node: &Node, output: &mut Output) {
    let is_last = |warning: &&Warning| warning.kind == WarningKind::GlobalNetfilter;
    let (last, first): (Vec<_>, Vec<_>) = node.warnings.iter().partition(is_last);
    for warning in first.into_iter().chain(last) {
        output.log(warning.level().into(), &warning.to_string());
    }
}

fn check_it_is_there(
    command: Command,
    request: &Request<'_>,
    container: &Container<'_>,
) -> Result<()> {
    check_name(container, request.name)?;
    match container.configured || command.needs_no_configuration() {
        true => Ok(()),
        false => Err(Error::NoContainerConfig),
    }
}

/// A name that was typed must be the one that the container's configuration has, if it has one.
fn check_name(container: &Container<'_>, typed: Option<&str>) -> Result<()> {
    match (typed, &container.own.name) {
        (Some(typed), Some(own)) if own != typed => Err(Error::Refused(
            Exit::InvalidValue,
            format!("Unable to find container by name {typed}"),
        )),
        _ => Ok(()),
    }
}

/// Where the container's root is the node's, it could write to the program that enters it.
fn seal(container: &Container<'_>) -> Result<()> {
    match container.is_unmapped()? {
        true => vz_sys::sealed::ensure().map_err(|error| {
            Error::Refused(Exit::SystemError, format!("Cannot run from a sealed copy: {error}"))
        }),
        false => Ok(()),
    }
}

/// Takes the lock, and finishes first what a killed command has left.
fn take_lock<'a>(
    command: Command,
    request: &Request<'a>,
    container: &mut Container<'a>,
    output: &mut Output,
) -> Result<Option<Lock>> {
    if command.needs_no_lock() {
        if command != Command::Status {
            vzmon::ensure_unlocked(container, output);
        }
        return Ok(None);
    }
    let lock = match request.skip_lock {
        true => None,
        false => Some(container.lock(output)?),
    };
    // Whoever had the lock may have changed the configuration, or taken it away: what was read before
    // must not be written over that. Its warnings have been given.
    *container = Container::load(request.node, request.id)?;
    check_it_is_there(command, request, container)?;
    if !container.root.as_os_str().is_empty() {
        // Without the lock nobody can tell what was left from what is under way.
        if !request.skip_lock {
            teardown::recover(container, output)?;
        }
        vzmon::ensure(container, output);
    }
    Ok(lock)
}

fn dispatch(
    command: Command,
    container: &mut Container<'_>,
    options: Options,
    words: &[OsString],
    output: &mut Output,
) -> Result<u8> {
    use Command as C;
    let done = match (command, options) {
        (C::Create, Options::Change(change)) => create_container(container, *change, output),
        (C::Set, Options::Change(change)) => set::set(container, &change, output),
        (C::Convert, Options::Change(change)) => {
            image::convert(container, change.values.ve_layout, output)
        }
        (C::Start, Options::Life { start: options, .. }) => {
            start_container(container, options, output)
        }
        (C::Stop, Options::Life { stop: options, .. }) => stop::stop(container, options, output),
        (C::Restart, Options::Life { start, stop }) => restart(container, start, stop, output),
        (C::Suspend, Options::Checkpoint(step)) => checkpoint::checkpoint(container, step, output),
        (C::Resume, Options::Checkpoint(step)) => checkpoint::restore(container, step, output),
        (C::Destroy, _) => destroy::destroy(container, output),
        (C::Mount, _) => mounting::mount(container, false, output),
        (C::Umount, _) => mounting::umount(container, output),
        (C::Quota(action), _) => quota::run(container, action, output),
        (C::Compact, _) => image::compact(container, output),
        (C::Snapshot(command), Options::Snapshot(options)) => {
            snapshot::run(command, container, &options, output)
        }
        (C::SnapshotList, _) => snapshot_list::run(container, words),
        (C::Console, _) => console(container, words, output),
        (C::Status, _) => status(container, output),
        (C::Runscript, _) => return runscript(container, words, output),
        (C::Enter, _) => return enter_container(container, words, output),
        _ => return run_inside(command, container, words, output),
    };
    done.map(|()| 0)
}

/// `CTID N exist|deleted mounted|unmounted running|down[ suspended]`: printed whatever --quiet says.
fn status(container: &Container<'_>, output: &mut Output) -> Result<()> {
    let mounted = is_mounted_now(container.node, &container.root, output);
    let exists = container.exists();
    let running = container.is_running()?;
    let suspended = exists && !running && container.is_suspended();
    println!(
        "CTID {} {} {} {}{}",
        container.id,
        if exists { "exist" } else { "deleted" },
        if mounted { "mounted" } else { "unmounted" },
        if running { "running" } else { "down" },
        if suspended { " suspended" } else { "" },
    );
    Ok(())
}

/// `console [TTY]`: without a number it is the console itself.
fn console(container: &Container<'_>, words: &[OsString], output: &mut Output) -> Result<()> {
    let number = match words {
        [] => 0,
        [word] => word.to_str().and_then(|text| text.parse::<u32>().ok()).ok_or_else(|| {
            let text = format!("Invalid tty number: {}", word.to_string_lossy());
            Error::Refused(Exit::InvalidValue, text)
        })?,
        _ => {
            let text = "Invalid syntax: too many parameters!";
            return Err(Error::Refused(Exit::InvalidSyntax, text.into()));
        }
    };
    console::require_number(number).and_then(|()| console::attach(container, output))
}

fn create_container(
    container: &mut Container<'_>,
    change: Change,
    output: &mut Output,
) -> Result<()> {
    // Hidden by itself where standard error is no terminal.
    let bar = if output.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {percent:>3}% {binary_bytes_per_sec}")
    {
        bar.set_style(style);
    }
    let created = create::create(container, &change, output, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.read);
    });
    bar.finish_and_clear();
    created
}

fn start_container(
    container: &mut Container<'_>,
    options: start::Options,
    output: &mut Output,
) -> Result<()> {
    let started = start::start(container, options, output);
    let refused = matches!(
        started,
        Err(Error::StartDisabled | Error::AlreadyRunning | Error::NoPrivateArea(_))
    );
    if container.own.ve_layout.is_none() && !refused {
        save_layout(container, output)?;
    }
    started
}

/// A container of an old node may not say its layout: from now on it does.
fn save_layout(container: &mut Container<'_>, output: &mut Output) -> Result<()> {
    let layout = container.layout();
    output.info(&format!("Saving VE layout '{}' to the VE config file", layout.stored()));
    let mut change = Change::new();
    change.values.ve_layout = Some(layout);
    container.store(&change)?;
    let path = container.node.shown(&container.node.conf_path(container.id));
    output.info(&format!("CT configuration saved to {}", path.display()));
    Ok(())
}

fn restart(
    container: &mut Container<'_>,
    start: start::Options,
    stop: stop::Options,
    output: &mut Output,
) -> Result<()> {
    output.info("Restarting container");
    if container.is_running()? {
        stop::stop(container, stop, output)?;
    }
    start_container(container, start, output)
}

fn run_inside(
    command: Command,
    container: &Container<'_>,
    words: &[OsString],
    output: &mut Output,
) -> Result<u8> {
    let first = words.first().map(OsString::as_os_str).unwrap_or_default();
    let mut done = || -> Result<i32> {
        let what = match command {
            Command::Exec3 => exec::Command::direct(words)?,
            _ if first == "-" => exec::Command::shell(),
            _ => exec::Command::shell_line(words)?,
        };
        if command != Command::Exec3 && first != "-" {
            let line: String = words.iter().map(|word| word.to_string_lossy() + " ").collect();
            output.log(1, &format!("Executing command: {line}"));
        }
        let ended = enter::run(container, &what)?;
        exec::outcome(ended, &what, output)
    };
    match (command, done()) {
        (Command::Exec, Ok(0)) => Ok(0),
        (Command::Exec, Ok(_)) => Ok(Exit::ExecFailed.code()),
        (Command::Exec, Err(error)) => {
            if let Some(line) = error.line() {
                output.error(&line);
            }
            Ok(Exit::ExecFailed.code())
        }
        (_, Ok(code)) => Ok(code as u8),
        (_, Err(error)) => Err(error),
    }
}

fn enter_container(
    container: &Container<'_>,
    words: &[OsString],
    output: &mut Output,
) -> Result<u8> {
    // Without `--exec`, which has been checked.
    let typed = match words.get(1..).unwrap_or_default() {
        [] => Vec::new(),
        rest => format!("{}\n", texts(rest)?.join(" ")).into_bytes(),
    };
    let terminal = std::env::var("TERM").ok();
    enter::enter(container, &typed, terminal.as_deref(), output).map(|code| code as u8)
}

fn runscript(container: &Container<'_>, words: &[OsString], output: &mut Output) -> Result<u8> {
    let script = words.first().map(OsString::as_os_str).unwrap_or_default();
    let not_found = || {
        let text = format!("Script not found: {}", Path::new(script).display());
        Error::Refused(Exit::NoScript, text)
    };
    let file = File::open(script).map_err(|_| not_found())?;
    if !file.metadata().is_ok_and(|status| status.is_file()) {
        return Err(not_found());
    }
    let code = match exec::require_running(container) {
        Ok(init) => exec::run_script(container, init.as_fd(), file, None, output),
        Err(Error::NotRunning) => start::offline::run(container, false, output, |init, output| {
            exec::run_script(container, init, file, None, output)
        }),
        Err(error) => Err(error),
    };
    code.map(|code| code as u8)
}
