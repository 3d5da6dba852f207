//! vzctl: arguments in, messages and exit code out. What happens is in vz-core.
#![forbid(unsafe_code)]

mod change;
mod commands;
mod options;
mod output;
mod snapshot;
mod snapshot_list;
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
        eprintln!("CT ID missing");
        return Err(Error::Reported(Exit::InvalidValue));
    }
    let typed = words.remove(0).to_string_lossy().into_owned();
    let directory = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut node = Node::without_config(directory("VZ_SYSROOT").map(PathBuf::from));
    // `VZ_PROC` shows another kernel, and whether that one had VSwap.
    node.has_vswap =
        directory("VZ_PROC").is_none_or(|proc| PathBuf::from(proc).join("vz/vswap").exists());
    // A name is looked up where names are, before vz.conf is read: as ever.
    let (id, name) = match typed.parse::<Ctid>() {
        Ok(id) => (id, None),
        Err(_) => match names::find(&node, &typed) {
            Some(id) => (id, Some(typed.as_str())),
            None => {
                eprintln!("Bad CT ID {typed}");
                return Err(Error::Reported(Exit::InvalidValue));
            }
        },
    };
    node.read_config()?;
    output.verbosity = verbosity(command, global, &node);
    output.log = LogFile::of(&node, "vzctl", Some(id));
    let request = commands::Request { node: &node, id, name, skip_lock: global.skip_lock };
    commands::run(command, &request, &words, output)
}

/// `--verbose`, counted, else VERBOSE, else LOG_LEVEL; a command that answers says nothing else.
fn verbosity(command: commands::Command, global: &Global, node: &Node) -> i32 {
    let configured = node.config.verbose.map(|verbose| verbose.max(-1));
    match command.is_terse() {
        true => -1,
        false => global.verbose.or(configured).or(node.config.log_level).unwrap_or(0),
    }
}
