//! vzpid: which container a process of the node belongs to.
//!
//! `VZ_PROC=DIR` reads processes from `DIR/PID/status` files in the OpenVZ kernel's form instead
//! of from this kernel.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use vz_core::accounting::{Imitation, Process, Source, process_of};

/// How to use the tool.
const USAGE: &str = "Usage: vzpid [-p] <pid> ...\n       vzpid [-p] -\n";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Say how to use the tool: because that was asked for, or because nothing was.
    Usage { asked: bool },
    /// Look these processes up.
    Look {
        /// Show their ids inside their containers too.
        inner: bool,
        /// The processes; `None` to read them from standard input.
        words: Option<Vec<String>>,
    },
}

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = match parse(&arguments) {
        Action::Usage { asked: true } => print(io::stdout(), USAGE).map(|()| true),
        Action::Usage { asked: false } => print(io::stderr(), USAGE).map(|()| false),
        Action::Look { inner, words: Some(words) } => look_up(&words, inner),
        Action::Look { inner, words: None } => {
            read_words().and_then(|words| look_up(&words, inner))
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vzpid: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Action {
    let inner = arguments.first().is_some_and(|word| word == "-p");
    let words = &arguments[usize::from(inner)..];
    match words {
        [] => Action::Usage { asked: false },
        [word] if word == "-h" || word == "--help" => Action::Usage { asked: true },
        [word] if word == "-" => Action::Look { inner, words: None },
        words => Action::Look { inner, words: Some(words.to_vec()) },
    }
}

/// The words of standard input.
fn read_words() -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Prints a line for each process that there is; says whether the last one was there, as the
/// original's exit code does.
fn look_up(words: &[String], inner: bool) -> io::Result<bool> {
    let imitation = std::env::var_os("VZ_PROC")
        .filter(|directory| !directory.is_empty())
        .map(|directory| Imitation::new(PathBuf::from(directory)));
    let process = |pid| match &imitation {
        Some(imitation) => imitation.process(pid),
        None => process_of(pid),
    };
    let mut table =
        String::from(if inner { "Pid\tCT/Pid\tCTID\tName\n" } else { "Pid\tCTID\tName\n" });
    let mut is_last_there = true;
    for word in words {
        let pid = word.parse().ok().filter(|pid: &i32| *pid > 0);
        let found = pid.and_then(|pid| Some((pid, process(pid)?)));
        is_last_there = found.is_some();
        if let Some((pid, process)) = found {
            table.push_str(&line(pid, &process, inner));
        }
    }
    print(io::stdout(), &table).map(|()| is_last_there)
}

/// The line of a process. Its name may hold anything: what would break the line becomes `?`.
fn line(pid: i32, process: &Process, inner: bool) -> String {
    let name = process.name.replace(char::is_control, "?");
    let container = process.container;
    match inner {
        true => format!("{pid}\t{}\t{container}\t{name}\n", process.inner),
        false => format!("{pid}\t{container}\t{name}\n"),
    }
}

/// Prints; a reader that has gone away wants no more.
fn print(mut stream: impl Write, text: &str) -> io::Result<()> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let parse = |line: &str| {
            super::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let look = |inner, words: &[&str]| Action::Look {
            inner,
            words: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        };
        assert_eq!(parse(""), Action::Usage { asked: false });
        assert_eq!(parse("-p"), Action::Usage { asked: false });
        assert_eq!(parse("-p -h"), Action::Usage { asked: true });
        assert_eq!(parse("-p -"), Action::Look { inner: true, words: None });
        assert_eq!(parse("1 2"), look(false, &["1", "2"]));
        assert_eq!(parse("-p 1"), look(true, &["1"]));
    }

    #[test]
    fn a_name_cannot_break_the_table() {
        let process =
            Process { name: "a\tb\u{1b}".into(), container: Default::default(), inner: 5 };
        assert_eq!(line(7, &process, true), "7\t5\t0\ta?b?\n");
    }
}
