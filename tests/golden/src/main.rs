//! `vz-golden [--real] [--bin DIR] [--verbose] [--accept [--shrink]] [FILTER...]`: runs recorded
//! cases, prints how each went and what is pending.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use vz_golden::{Error, Result, compare::Outcome, masks::Counts, ratchet::Verdict, suite};

fn main() -> ExitCode {
    match run(&arguments().get_matches()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vz-golden: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("vz-golden")
        .about("Recorded cases of the original, asked of our tools")
        .arg(flag("real").help("The groups that start or mount containers (as root)"))
        .arg(flag("inside").hide(true))
        .arg(flag("verbose").help("Show what differs"))
        .arg(flag("accept").help("Write what passes to passing.txt"))
        .arg(flag("shrink").help("With --accept: drop what fails from it").requires("accept"))
        .arg(
            Arg::new("bin")
                .long("bin")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Our tools; they are built when it is not given"),
        )
        .arg(Arg::new("FILTER").num_args(0..).help("A part of the names of cases"))
}

/// Says whether the ratchet holds.
fn run(matches: &ArgMatches) -> Result<bool> {
    let binaries = match matches.get_one::<PathBuf>("bin") {
        Some(directory) => directory.clone(),
        None => suite::build()?,
    };
    let program = std::env::current_exe().map_err(Error::file("find", Path::new("myself")))?;
    let suite = suite::Suite::load(binaries, &program)?;
    let filters: Vec<String> =
        matches.get_many("FILTER").map_or_else(Vec::new, |words| words.cloned().collect());
    if matches.get_flag("inside") {
        return inside(&suite, &filters);
    }
    let mut ratchet = suite.ratchet()?;
    let outcomes = suite.run(matches.get_flag("real"), &filters);
    print(&outcomes, matches.get_flag("verbose"));
    if matches.get_flag("accept") {
        ratchet.accept(&outcomes, matches.get_flag("shrink"));
        ratchet.save(&suite.passing())?;
    }
    let verdict = ratchet.judge(&outcomes);
    conclude(&outcomes, &verdict);
    Ok(verdict.holds())
}

/// What `--real` starts on a node: the outcomes for it to read.
fn inside(suite: &suite::Suite, names: &[String]) -> Result<bool> {
    let outcomes = suite.inside(names)?;
    let text = serde_json::to_string(&outcomes);
    let failed = |error: serde_json::Error| Error::Text {
        path: "outcomes".into(),
        reason: error.to_string(),
    };
    println!("{}", text.map_err(failed)?);
    Ok(true)
}

fn print(outcomes: &[Outcome], verbose: bool) {
    for outcome in outcomes {
        println!("{} {}", if outcome.passes() { "ok" } else { "FAILED" }, outcome.case);
        if verbose {
            for difference in &outcome.differences {
                println!("    {}", difference.replace('\n', "\n    "));
            }
        }
    }
}

fn conclude(outcomes: &[Outcome], verdict: &Verdict) {
    let mut filtered = Counts::new();
    for (name, count) in outcomes.iter().flat_map(|outcome| &outcome.filtered) {
        *filtered.entry(name.clone()).or_default() += count;
    }
    for (name, count) in &filtered {
        println!("not compared: {count} lines of \"{name}\"");
    }
    print!("{}", verdict.complaints());
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for outcome in outcomes {
        let group = groups.entry(outcome.case.split('/').next().unwrap_or_default()).or_default();
        group.0 += usize::from(outcome.passes());
        group.1 += 1;
    }
    for (group, (passed, all)) in &groups {
        let pending = verdict.pending.get(*group).map_or(0, Vec::len);
        println!("{group}: {passed} of {all} pass, {pending} pending");
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passes()).count();
    let pending: usize = verdict.pending.values().map(Vec::len).sum();
    println!("{passed} of {} pass, {pending} pending", outcomes.len());
}
