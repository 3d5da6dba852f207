//! vzctl: arguments in, messages and exit code out. What happens is in vz-core.
#![forbid(unsafe_code)]

mod change;
mod commands;
mod getopt;
mod output;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_core::error::Error;
use vz_core::log::LogFile;
use vz_core::names;
use vz_core::node::Node;
use vz_core::report::Report;

use output::Output;

/// Options before the command.
#[derive(Debug, Default)]
struct Global {
    verbose: Option<i32>,
    quiet: bool,
    skip_lock: bool,
}

fn main() -> ExitCode {
    // What is made for a container must not depend on the admin's shell.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let mut words: std::collections::VecDeque<OsString> = std::env::args_os().skip(1).collect();
    let mut global = Global::default();
    while let Some(word) = words.front().and_then(|word| word.to_str()) {
        match word {
            "--verbose" => global.verbose = Some(global.verbose.unwrap_or(0) + 1),
            "--quiet" => global.quiet = true,
            "--skiplock" => global.skip_lock = true,
            "--version" => {
                println!("vzctl version {}", usage::VERSION);
                return ExitCode::SUCCESS;
            }
            "--help" => {
                print!("{}", usage::text());
                return ExitCode::SUCCESS;
            }
            _ => break,
        }
        words.pop_front();
    }
    let Some(command) = words.pop_front() else {
        eprint!("{}", usage::text());
        return Exit::InvalidSyntax.into();
    };
    let command = command.to_string_lossy().into_owned();
    let Some(command) = commands::Command::of(&command) else {
        eprintln!("Bad command: {command}");
        return Exit::InvalidSyntax.into();
    };
    let mut output = Output::new();
    output.quiet = global.quiet;
    let code = run(command, &global, words.into(), &mut output);
    ExitCode::from(code)
}

/// Does the command; an error becomes its line and its code here.
fn run(
    command: commands::Command,
    global: &Global,
    words: Vec<OsString>,
    output: &mut Output,
) -> u8 {
    let done = prepare(command, global, words, output);
    match done {
        Ok(code) => code,
        Err(error) => {
            if let Some(line) = error.line() {
                output.error(&line);
            }
            error.code()
        }
    }
}

fn prepare(
    command: commands::Command,
    global: &Global,
    mut words: Vec<OsString>,
    output: &mut Output,
) -> Result<u8, Error> {
    if words.is_empty() {
        return Err(Error::Refused(Exit::InvalidValue, "CT ID missing".into()));
    }
    let name = words.remove(0).to_string_lossy().into_owned();
    let prefix = std::env::var_os("VZ_SYSROOT").map(PathBuf::from);
    // A name is looked up where names are, before vz.conf is read: as ever.
    let node = Node::load(prefix);
    let id = match (name.parse::<Ctid>(), &node) {
        (Ok(id), _) => id,
        (Err(_), Ok(node)) => find_name(node, &name)?,
        (Err(_), Err(_)) => return Err(bad_id(&name)),
    };
    let node = node?;
    output.verbosity = verbosity(command, global, &node);
    output.log = LogFile::of(&node, "vzctl", Some(id));
    commands::run(
        command,
        &commands::Request { node: &node, id, skip_lock: global.skip_lock },
        &words,
        output,
    )
}

fn bad_id(name: &str) -> Error {
    Error::Refused(Exit::InvalidValue, format!("Bad CT ID {name}"))
}

fn find_name(node: &Node, name: &str) -> Result<Ctid, Error> {
    let id = names::find(node, name).ok_or_else(|| bad_id(name))?;
    // The name must be the one that the container's configuration has, if it has one.
    let own = vz_core::container::Container::load(node, id)?.own.name;
    match own {
        Some(own) if own != name => Err(Error::Refused(
            Exit::InvalidValue,
            format!("Unable to find container by name {name}"),
        )),
        _ => Ok(id),
    }
}

/// `--verbose`, counted, else VERBOSE, else LOG_LEVEL; `status` answers and says nothing else.
fn verbosity(command: commands::Command, global: &Global, node: &Node) -> i32 {
    if command == commands::Command::Status {
        return -1;
    }
    let configured = node.config.verbose.map(|verbose| verbose.max(-1));
    global.verbose.or(configured).or(node.config.log_level).unwrap_or(0)
}
