//! The commands: which options each takes, and which action of vz-core it is.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use vz_conf::change::Change;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::param::Commands;
use vz_core::container::Container;
use vz_core::dist;
use vz_core::error::{Context, Error, Result};
use vz_core::lifecycle::{
    console, create, destroy, enter, exec, mounting, set, start, stop, teardown, vzmon,
};
use vz_core::lock::Lock;
use vz_core::node::Node;
use vz_core::report::Report;

use crate::change::{self, texts};
use crate::getopt::{self, LongOption};
use crate::output::Output;

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
    fn enters(self) -> bool {
        use Command::{Enter, Exec, Exec2, Exec3, Restart, Runscript, Start, Stop};
        matches!(self, Start | Stop | Restart | Exec | Exec2 | Exec3 | Enter | Runscript)
    }

    /// It changes nothing that another command could trip over.
    fn needs_no_lock(self) -> bool {
        use Command::{Console, Enter, Exec, Exec2, Exec3, Status};
        matches!(self, Exec | Exec2 | Exec3 | Enter | Console | Status)
    }
}

/// What every command gets.
pub struct Request<'a> {
    /// The node.
    pub node: &'a Node,
    /// The container's number.
    pub id: Ctid,
    /// `--skiplock`
    pub skip_lock: bool,
}

/// Options that have been taken apart before anything is looked at.
enum Options {
    None,
    Create(Change),
    Set(Change),
    Life {
        start: start::Options,
        stop: stop::Options,
    },
    Words,
    /// The number of the terminal.
    Console(u32),
}

impl Options {
    /// They make a command that changes a container get into it.
    fn enters(&self) -> bool {
        matches!(self, Options::Set(change) if dist::is_needed_for(change))
    }

    /// Nobody is to see passwords in the list of processes. After the last exec, which passes on
    /// what is left of the words.
    fn cover_passwords(&self) -> Result<()> {
        let Options::Set(change) = self else { return Ok(()) };
        change
            .userpasswd
            .iter()
            .try_for_each(|word| vz_sys::arguments::cover(word.as_bytes()))
            .context(Exit::SystemError, || "Cannot cover the passwords typed".into())
    }
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
    let options = parse_options(command, request, words, output)?;
    for warning in &request.node.warnings {
        output.log(warning.level().into(), &warning.to_string());
    }
    if request.id.is_node() && !command.is_for_node() {
        return Err(Error::Refused(
            Exit::InvalidValue,
            "Only set actions are allowed for CT0".into(),
        ));
    }
    let mut container = Container::load(request.node, request.id)?;
    for warning in &container.warnings {
        output.log(warning.level().into(), &warning.to_string());
    }
    if !container.configured && !command.needs_no_configuration() {
        return Err(Error::NoContainerConfig);
    }
    if command.enters() || options.enters() {
        seal(&container)?;
    }
    options.cover_passwords()?;
    let _lock = take_lock(command, request, &container, output)?;
    dispatch(command, &mut container, options, words, output)
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
fn take_lock(
    command: Command,
    request: &Request<'_>,
    container: &Container<'_>,
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
    if !container.root.as_os_str().is_empty() {
        teardown::recover(container, output)?;
        vzmon::ensure(container, output);
    }
    Ok(lock)
}

fn parse_options(
    command: Command,
    request: &Request<'_>,
    words: &[OsString],
    output: &mut Output,
) -> Result<Options> {
    let context = request.node.text_context(request.id);
    match command {
        Command::Create => {
            let change = change::parse(Commands::CREATE, words, &context, output)?;
            Ok(Options::Create(change))
        }
        Command::Set => {
            let change = change::parse(Commands::SET, words, &context, output)?;
            Ok(Options::Set(change))
        }
        Command::Start | Command::Stop | Command::Restart => parse_life(command, words),
        Command::Exec | Command::Exec2 | Command::Exec3 | Command::Enter | Command::Runscript => {
            Ok(Options::Words)
        }
        Command::Console => Ok(Options::Console(parse_terminal(words)?)),
        _ if words.is_empty() => Ok(Options::None),
        _ => {
            let words: String =
                words.iter().map(|word| format!("{} ", word.to_string_lossy())).collect();
            Err(Error::Refused(Exit::InvalidSyntax, format!("Invalid options: {words}")))
        }
    }
}

/// The one argument of `console`; without one it is the console itself.
fn parse_terminal(words: &[OsString]) -> Result<u32> {
    match words {
        [] => Ok(0),
        [word] => word.to_str().and_then(|word| word.parse().ok()).ok_or_else(|| {
            let text = format!("Invalid tty number: {}", word.to_string_lossy());
            Error::Refused(Exit::InvalidValue, text)
        }),
        _ => {
            Err(Error::Refused(Exit::InvalidSyntax, "Invalid syntax: too many parameters!".into()))
        }
    }
}

/// Options of `start` and `stop`; `restart` takes those of both.
fn parse_life(command: Command, words: &[OsString]) -> Result<Options> {
    const fn flag(long: &'static str) -> LongOption {
        LongOption { long, short: None, takes_value: false }
    }
    const TABLE: [LongOption; 7] = [
        flag("force"),
        flag("wait"),
        flag("skip-fsck"),
        flag("skip-remount"),
        flag("skip_ve_setup"),
        flag("fast"),
        flag("skip-umount"),
    ];
    const FIRST_OF_STOP: usize = 5;
    let parsed = getopt::parse(&TABLE, &texts(words)?).map_err(|line| {
        eprintln!("{line}");
        Error::Reported(Exit::InvalidSyntax)
    })?;
    if !parsed.others.is_empty() {
        let words: String = parsed.others.iter().map(|word| format!("{word} ")).collect();
        return Err(Error::Refused(Exit::InvalidSyntax, format!("Invalid options: {words}")));
    }
    let mut start = start::Options::default();
    let mut stop = stop::Options::default();
    for (index, _) in parsed.options {
        let (word, of_stop) = (TABLE[index].long, index >= FIRST_OF_STOP);
        let wrong = match command {
            Command::Start => of_stop.then_some("start"),
            Command::Stop => (!of_stop).then_some("stop"),
            _ => None,
        };
        if let Some(name) = wrong {
            return Err(Error::Refused(
                Exit::InvalidSyntax,
                format!("Option --{word} is not applicable to {name} command"),
            ));
        }
        match word {
            "force" => start.force = true,
            "wait" => start.wait = true,
            "skip-fsck" => start.skip_fsck = true,
            "skip-remount" => start.skip_remount = true,
            "skip_ve_setup" => start.skip_setup = true,
            "fast" => stop.fast = true,
            _ => stop.skip_umount = true,
        }
    }
    Ok(Options::Life { start, stop })
}

fn dispatch(
    command: Command,
    container: &mut Container<'_>,
    options: Options,
    words: &[OsString],
    output: &mut Output,
) -> Result<u8> {
    let done = match (command, options) {
        (Command::Create, Options::Create(change)) => create_container(container, change, output),
        (Command::Set, Options::Set(change)) => set::set(container, &change, output),
        (Command::Start, Options::Life { start: options, .. }) => {
            start_container(container, options, output)
        }
        (Command::Stop, Options::Life { stop: options, .. }) => {
            stop::stop(container, options, output)
        }
        (Command::Restart, Options::Life { start, stop }) => {
            restart(container, start, stop, output)
        }
        (Command::Destroy, _) => destroy::destroy(container, output),
        (Command::Mount, _) => mounting::mount(container, false, output),
        (Command::Umount, _) => mounting::umount(container, output),
        (Command::Status, _) => status(container),
        (Command::Console, Options::Console(number)) => {
            console::require_number(number).and_then(|()| console::attach(container, output))
        }
        (Command::Runscript, _) => return runscript(container, words, output),
        (Command::Enter, _) => return enter_container(container, words, output),
        _ => return run_inside(command, container, words, output),
    };
    done.map(|()| 0)
}

/// `CTID N exist|deleted mounted|unmounted running|down[ suspended]`: printed whatever --quiet says.
fn status(container: &Container<'_>) -> Result<()> {
    let exists = container.exists();
    let running = container.is_running()?;
    let suspended = exists && !running && container.is_suspended();
    println!(
        "CTID {} {} {} {}{}",
        container.id,
        if exists { "exist" } else { "deleted" },
        if container.is_mounted() { "mounted" } else { "unmounted" },
        if running { "running" } else { "down" },
        if suspended { " suspended" } else { "" },
    );
    Ok(())
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
    let Some(first) = words.first().filter(|word| !word.is_empty() || words.len() > 1) else {
        return Err(Error::Refused(Exit::InvalidSyntax, "No command line given for exec".into()));
    };
    let mut done = || -> Result<i32> {
        let what = match command {
            Command::Exec3 => exec::Command::direct(words)?,
            _ if first == "-" => exec::Command::shell(),
            _ => exec::Command::shell_line(words)?,
        };
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
    let typed = match words.split_first() {
        None => Vec::new(),
        Some((option, rest)) if option == "--exec" => {
            let line = texts(rest)?.join(" ");
            if line.is_empty() {
                return Err(Error::Refused(
                    Exit::InvalidSyntax,
                    "No command line given for --exec".into(),
                ));
            }
            format!("{line}\n").into_bytes()
        }
        Some((option, _)) => {
            return Err(Error::Refused(
                Exit::InvalidSyntax,
                format!("Invalid option '{}'", option.to_string_lossy()),
            ));
        }
    };
    let terminal = std::env::var("TERM").ok();
    enter::enter(container, &typed, terminal.as_deref(), output).map(|code| code as u8)
}

fn runscript(container: &Container<'_>, words: &[OsString], output: &mut Output) -> Result<u8> {
    let Some(script) = words.first() else {
        return Err(Error::Refused(Exit::InvalidSyntax, "Script not specified".into()));
    };
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
