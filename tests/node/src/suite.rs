//! `vz-node test`: all scenarios on all machines that they ask for.
//!
//! A node waits for much of its time, so two of them, fresh from one snapshot, share the scenarios; those
//! that measure time come last, one after the other, on a node that has the machine to itself.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::ArgMatches;
use vz_node::{
    host::Host,
    install,
    machine::{Kind, Machine},
    node::{Home, Node},
    project::Project,
    scenario::{
        parse::Scenario,
        plan::{self, Count, Entry, Report, Runner, Verdict},
        run::Settings,
    },
    snapshot::{self, Snapshot},
};

/// What is said of the scenarios, and how often.
#[derive(Default)]
struct Results {
    count: Count,
}

impl Results {
    fn tell(&mut self, report: &Report) -> Result<()> {
        self.count.add(&report.verdict);
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{report}")?;
        stdout.flush().context("write to standard output")
    }
}

/// How scenarios are run.
#[derive(Clone, Copy)]
struct How {
    settings: Settings,
    accept: bool,
    /// Nodes at a time.
    jobs: usize,
}

/// A scenario and its file.
type Item<'a> = (&'a Path, &'a Scenario);

/// Runs what the command line names.
pub fn test(project: &Project, home: &Home, matches: &ArgMatches) -> Result<ExitCode> {
    let filters = matches.get_many::<String>("filters").into_iter().flatten().cloned();
    let entries = plan::read(&project.scenarios(), &filters.collect::<Vec<_>>())?;
    let how = How {
        settings: Settings { ctid: matches.get_one("ctid").copied().unwrap_or(1000) },
        accept: matches.get_flag("accept"),
        jobs: matches.get_one::<u32>("jobs").copied().unwrap_or(1) as usize,
    };
    let mut results = Results::default();
    for entry in &entries {
        if let Err(problem) = &entry.scenario {
            let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let verdict = Verdict::Failed(problem.clone());
            results.tell(&Report { name, verdict, took: std::time::Duration::ZERO })?;
        }
    }
    for kind in kinds(matches.get_one::<String>("on").map(String::as_str)) {
        test_on(project, home, kind, &entries, how, &mut results)?;
    }
    let count = results.count;
    writeln!(io::stdout(), "{count}")?;
    if count == Count::default() {
        bail!("no scenario has such a name");
    }
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn kinds(on: Option<&str>) -> Vec<Kind> {
    match on {
        Some("host") => vec![Kind::Host],
        Some(_) => vec![Kind::Systemd, Kind::Plain],
        None => vec![Kind::Host, Kind::Systemd, Kind::Plain],
    }
}

fn test_on(
    project: &Project,
    home: &Home,
    kind: Kind,
    entries: &[Entry],
    how: How,
    results: &mut Results,
) -> Result<()> {
    let wanted = entries.iter().filter_map(|entry| {
        let scenario = entry.scenario.as_ref().ok()?;
        plan::wants(scenario, kind).then_some((entry.path.as_path(), scenario))
    });
    let wanted: Vec<Item<'_>> = wanted.collect();
    if wanted.is_empty() {
        return Ok(());
    }
    if kind == Kind::Host {
        snapshot::build_agent(project)?;
        let start = |_| Ok(Box::new(Host::start(project)?) as Box<dyn Machine>);
        return share(&start, wanted, 1, how, results);
    }
    let scratch = home.scratch(&format!("test-{}-{kind}-installed", std::process::id()))?;
    let snapshot = installed(project, home, kind, scratch.path(), &wanted)?;
    let start = |number| {
        let name = format!("test-{}-{kind}-{number}", std::process::id());
        Ok(Box::new(Node::restore(home, &name, &snapshot, false)?) as Box<dyn Machine>)
    };
    let (alone, together) = wanted.into_iter().partition(|(_, scenario)| scenario.alone);
    share(&start, together, how.jobs, how, results)?;
    share(&start, alone, 1, how, results)
}

/// A node with our tree and the templates that the scenarios need.
fn installed(
    project: &Project,
    home: &Home,
    kind: Kind,
    directory: &Path,
    wanted: &[Item<'_>],
) -> Result<Snapshot> {
    // Pushing a template to a node takes longer than many a scenario.
    let needs = wanted.iter().flat_map(|(_, scenario)| &scenario.needs);
    let templates: BTreeSet<&str> =
        needs.filter_map(|need| need.strip_prefix("template:")).collect();
    let base = Snapshot::get(project, home, kind)?;
    let name = format!("test-{}-{kind}", std::process::id());
    let node = Node::restore(home, &name, &base, false)?;
    install::install(project, &node, &directory.join("stage"), &templates)?;
    Ok(Snapshot::take(node, directory)?)
}

/// Runs the scenarios on so many machines, each taking the next one when it is done with its last.
fn share(
    start: &(dyn Fn(usize) -> Result<Box<dyn Machine>> + Sync),
    scenarios: Vec<Item<'_>>,
    jobs: usize,
    how: How,
    results: &mut Results,
) -> Result<()> {
    let jobs = jobs.min(scenarios.len());
    let (queue, results) = (Mutex::new(scenarios.into_iter()), Mutex::new(results));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = |number| -> Result<()> {
        let mut machine = start(number)?;
        let mut runner = Runner::new(how.accept);
        while let Some((path, scenario)) = next() {
            let report = runner.run(&mut *machine, path, scenario, how.settings)?;
            results.lock().unwrap_or_else(PoisonError::into_inner).tell(&report)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|number| {
                scope.spawn({
                    let work = &work;
                    move || work(number)
                })
            })
            .collect();
        let ended = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("a thread of the runner has panicked")))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}
