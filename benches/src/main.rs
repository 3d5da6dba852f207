//! Times the tools beside their peers and prints a table; `benches/run` starts it on a node of
//! its own.
//!
//! `vz-bench --work DIR [--quick] [--runs N] [--cycles N] [--only WORD]`. The exit code is 0 when
//! all could be measured, whether the targets were reached or not; the table says which were.
#![forbid(unsafe_code)]

mod cases;
mod census;
mod disks;
mod measure;
mod ours;
mod peers;
mod table;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use cases::Amount;

/// What was typed.
#[derive(Debug)]
struct Options {
    work: PathBuf,
    amount: Amount,
    only: Option<String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Options> {
        let mut work = None;
        let mut only = None;
        let mut amount = Amount { runs: 50, long_runs: 9, cycles: 1000 };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--work" => work = Some(PathBuf::from(value()?)),
                "--quick" => amount = Amount { runs: 3, long_runs: 1, cycles: 5 },
                "--runs" => amount.runs = value()?.parse().context("--runs takes a number")?,
                "--cycles" => {
                    amount.cycles = value()?.parse().context("--cycles takes a number")?
                }
                "--only" => only = Some(value()?),
                _ => bail!("There is no option {word}"),
            }
        }
        Ok(Options { work: work.context("--work is missing")?, amount, only })
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vz-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let node = ours::Node::at(&options.work);
    let rows = cases::run(&node, options.amount, options.only.as_deref())?;
    println!("Medians, the least in brackets. {}\n", machine());
    print!("{}", table::render(&rows));
    if rows.iter().any(|row| row.ours.is_empty()) {
        bail!("not everything could be measured");
    }
    Ok(())
}

/// The machine and the peers, in one line.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = read("/proc/cpuinfo");
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name))
        .unwrap_or("unknown processor");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{cpus} x {model}, Linux {}, load {load}; {}, lxc {}, {}.",
        read("/proc/sys/kernel/osrelease").trim(),
        first_line("/usr/bin/crun"),
        first_line("/usr/bin/lxc-start"),
        first_line("/bin/tar"),
    )
}

fn first_line(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn options() {
        let all = parse(&["--work", "/w", "--quick", "--runs", "7", "--only", "exec"]).unwrap();
        assert_eq!((all.amount.runs, all.amount.cycles), (7, 5));
        assert_eq!(all.only.as_deref(), Some("exec"));
        for wrong in [&["--quick"][..], &["--work"], &["--work", "/w", "--runs", "many"], &["-x"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
