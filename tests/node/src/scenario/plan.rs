//! All scenarios on all machines they ask for, and the count of what became of them.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    compare::{Comparison, Seen},
    feature::{Features, Unknown},
    leak,
    parse::Scenario,
    run::{self, Settings},
};
use crate::{
    Error, Result, cache,
    machine::{Kind, Machine, picture},
};

/// A scenario's file, read or not.
#[derive(Debug)]
pub struct Entry {
    /// The file.
    pub path: std::path::PathBuf,
    /// What it says, or why it cannot be read.
    pub scenario: std::result::Result<Scenario, String>,
}

/// What became of a scenario on a machine.
#[derive(Debug)]
pub struct Report {
    /// The scenario's name and the machine's.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// A verdict.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was as expected, and nothing was left behind.
    Passed,
    /// Something was not: what.
    Failed(String),
    /// The machine lacks something: what.
    Skipped(String),
}

/// How many there were of each verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

impl Count {
    /// Counts a verdict.
    pub fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads the scenarios of a directory whose names contain one of the filters (or all, without).
///
/// # Errors
/// The directory or a file cannot be read.
pub fn read(directory: &Path, filters: &[String]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for path in cache::sorted_entries(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
        if wanted && name.ends_with(".t") {
            let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            let scenario = Scenario::parse(&path, &text).map_err(|error| error.to_string());
            entries.push(Entry { path, scenario });
        }
    }
    Ok(entries)
}

/// The machine a scenario wants of those that are nodes or the host.
pub fn wants(scenario: &Scenario, kind: Kind) -> bool {
    let plain = scenario.needs.iter().any(|need| need == Kind::Plain.name());
    match kind {
        Kind::Host => scenario.on_host,
        Kind::Systemd => scenario.on_node && !plain,
        Kind::Plain => scenario.on_node && plain,
    }
}

/// Runs scenarios one after the other on a machine.
#[derive(Debug, Default)]
pub struct Runner {
    features: Features,
    /// Whether the machine must be made anew before the next scenario.
    dirty: bool,
    accept: bool,
}

impl Runner {
    /// A runner for one machine; `accept` rewrites a file that failed as it would have passed.
    pub fn new(accept: bool) -> Self {
        Self { accept, ..Self::default() }
    }

    /// Runs a scenario and looks at what it left.
    ///
    /// # Errors
    /// The machine cannot be made anew. A machine that is lost meanwhile fails the scenario.
    pub fn run(
        &mut self,
        machine: &mut dyn Machine,
        path: &Path,
        scenario: &Scenario,
        settings: Settings,
    ) -> Result<Report> {
        let start = Instant::now();
        if self.dirty {
            machine.reset()?;
            self.dirty = false;
        }
        let verdict = self.judge(machine, path, scenario, settings).unwrap_or_else(|error| {
            self.dirty = true;
            Verdict::Failed(error.to_string())
        });
        let name = format!("{}@{}", scenario.name, machine.kind());
        Ok(Report { name, verdict, took: start.elapsed() })
    }

    fn judge(
        &mut self,
        machine: &dyn Machine,
        path: &Path,
        scenario: &Scenario,
        settings: Settings,
    ) -> Result<Verdict> {
        match self.features.lacking(machine, &scenario.needs)? {
            Ok(None) => {}
            Ok(Some(need)) => return Ok(Verdict::Skipped(format!("the machine lacks {need}"))),
            Err(Unknown(need)) => return Ok(Verdict::Failed(format!("unknown feature {need}"))),
        }
        let before = picture(machine)?;
        let seen = run::run(machine, scenario, settings)?;
        let left = leak::find(machine, &before)?;
        let broken = !seen.iter().all(|seen| matches!(seen, Seen::Ended { .. }));
        self.dirty = broken || !left.is_empty();
        let comparison = Comparison::new(scenario, &seen);
        if self.accept && !broken && !comparison.is_equal() {
            fs::write(path, comparison.accepted()).map_err(Error::file("write", path))?;
        }
        Ok(verdict(path, &comparison, &left))
    }
}

fn verdict(path: &Path, comparison: &Comparison, left: &[String]) -> Verdict {
    let mut text = String::new();
    if !comparison.is_equal() {
        let path = path.display();
        text.push_str(&format!("--- {path}\n+++ what was seen\n{}", comparison.diff()));
    }
    if !left.is_empty() {
        text.push_str("the machine is not as it was before:\n");
        text.extend(left.iter().map(|line| format!("  {line}\n")));
    }
    if text.is_empty() { Verdict::Passed } else { Verdict::Failed(text) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, took) = (&self.name, self.took.as_secs_f32());
        match &self.verdict {
            Verdict::Passed => write!(f, "ok {name} ({took:.1} s)"),
            Verdict::Skipped(reason) => write!(f, "skipped {name}: {reason}"),
            Verdict::Failed(text) => {
                write!(f, "FAILED {name} ({took:.1} s)")?;
                text.lines().try_for_each(|line| write!(f, "\n    {line}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(head: &str) -> Scenario {
        Scenario::parse(Path::new("case.t"), &format!("{head}\n  $ true\n")).unwrap()
    }

    #[test]
    fn a_scenario_runs_where_it_asks_to() {
        let kinds = |head: &str| {
            let scenario = scenario(head);
            let all = [Kind::Host, Kind::Systemd, Kind::Plain].into_iter();
            all.filter(|kind| wants(&scenario, *kind)).collect::<Vec<_>>()
        };
        assert_eq!(kinds(""), [Kind::Systemd]);
        assert_eq!(kinds("# where: both"), [Kind::Host, Kind::Systemd]);
        assert_eq!(kinds("# where: host"), [Kind::Host]);
        assert_eq!(kinds("# needs: quota plain"), [Kind::Plain]);
    }

    #[test]
    fn something_left_fails_a_scenario_that_is_as_expected() {
        let scenario = scenario("");
        let seen = [Seen::Ended { output: Vec::new(), code: 0 }];
        let comparison = Comparison::new(&scenario, &seen);
        let path = Path::new("case.t");
        assert_eq!(verdict(path, &comparison, &[]), Verdict::Passed);
        let left = ["+ mount /x type tmpfs from tmpfs root /".to_string()];
        let Verdict::Failed(text) = verdict(path, &comparison, &left) else { panic!() };
        assert!(text.contains("mount /x"), "{text}");
    }

    #[test]
    fn a_report_names_the_scenario_and_the_reason() {
        let report = |verdict| Report { name: "a@host".into(), verdict, took: Duration::ZERO };
        let skipped = report(Verdict::Skipped("the machine lacks quota".into()));
        assert_eq!(skipped.to_string(), "skipped a@host: the machine lacks quota");
        let failed = report(Verdict::Failed("x\ny\n".into()));
        assert_eq!(failed.to_string(), "FAILED a@host (0.0 s)\n    x\n    y");
    }
}
