//! All cases, some at a time.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    Error, Result,
    case::{self, Case, Group},
    cgroups,
    compare::Outcome,
    node::Sources,
    ratchet::Ratchet,
    real,
    rootless::Runner,
    scratch,
    states::States,
};

/// The suite.
#[derive(Debug)]
pub struct Suite {
    /// Its groups.
    pub groups: Vec<Group>,
    runner: Runner,
    program: PathBuf,
}

/// What runs on one node: a case, or a group whose cases follow one another.
#[derive(Debug, Clone, Copy)]
struct Unit<'a> {
    group: &'a Group,
    cases: &'a [Case],
}

impl Suite {
    /// Reads the suite; `binaries` is where our tools are, `program` is `vz-golden`.
    ///
    /// # Errors
    /// A file of the suite is not as described.
    pub fn load(binaries: PathBuf, program: &Path) -> Result<Suite> {
        let sources = Sources::new();
        let binaries = std::path::absolute(&binaries).map_err(Error::file("find", &binaries))?;
        let mut groups = case::load(&sources.suite.join("cases"))?;
        let states = States::load(&sources.suite.join("states.toml"))?;
        for case in groups.iter_mut().flat_map(|group| &mut group.cases) {
            case.rewrite(&states.of(&case.name).rewrite);
        }
        let program = program.to_owned();
        Ok(Suite { groups, runner: Runner { binaries, sources, states }, program })
    }

    /// `passing.txt`.
    pub fn passing(&self) -> PathBuf {
        self.runner.sources.suite.join("passing.txt")
    }

    /// Both files of the ratchet.
    ///
    /// # Errors
    /// They cannot be read, or name what is no case.
    pub fn ratchet(&self) -> Result<Ratchet> {
        let compat = self.runner.sources.project.join("docs/COMPAT.md");
        let ratchet = Ratchet::load(&self.passing(), &compat)?;
        let cases = self.groups.iter().flat_map(|group| &group.cases);
        let names: BTreeSet<&str> = cases.map(|case| case.name.as_str()).collect();
        match ratchet.unknown(&names).first() {
            Some(name) => Err(Error::NoSuchCase((*name).to_owned())),
            None => Ok(ratchet),
        }
    }

    /// Runs the cases whose names contain one of `filters` (all, without any): those that need no
    /// container, or with `real` the others. The outcomes are in the order of the cases.
    pub fn run(&self, real: bool, filters: &[String]) -> Vec<Outcome> {
        cgroups::sweep();
        scratch::sweep();
        let units = self.units(real, filters);
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let work = || {
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcomes = self.unit(unit, real);
                if let Ok(mut done) = done.lock() {
                    done.push(outcomes);
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let done = done.into_inner().unwrap_or_default();
        let mut outcomes: Vec<Outcome> = done.into_iter().flatten().collect();
        outcomes.retain(|outcome| is_wanted(&outcome.case, filters));
        outcomes.sort_by(|a, b| a.case.cmp(&b.case));
        outcomes
    }

    /// Runs cases of one group on the node that this process is on.
    ///
    /// # Errors
    /// There is no such case, or its node cannot be made.
    pub fn inside(&self, names: &[String]) -> Result<Vec<Outcome>> {
        let first = names.first().map_or("", String::as_str);
        let has = |group: &&Group| group.cases.iter().any(|case| case.name == first);
        let group = self.groups.iter().find(has);
        let group = group.ok_or_else(|| Error::NoSuchCase(first.to_owned()))?;
        real::inside(&self.runner, group, names)
    }

    fn units(&self, real: bool, filters: &[String]) -> Vec<Unit<'_>> {
        let units = self.groups.iter().flat_map(|group| {
            let size = if group.is_in_order() { group.cases.len() } else { 1 };
            group.cases.chunks(size.max(1)).map(move |cases| Unit { group, cases })
        });
        let is_run = |case: &Case| case.is_rootless() != real && is_wanted(&case.name, filters);
        units.filter(|unit| unit.cases.iter().any(is_run)).collect()
    }

    fn unit(&self, unit: &Unit<'_>, real: bool) -> Vec<Outcome> {
        let cases = || unit.cases.iter().filter(|case| case.is_rootless() != real);
        // What fails around a case is told as its failure: the others are of use without it.
        let not_run = |case: &Case, error: &Error| Outcome::not_run(case, error.to_string());
        if real {
            let names: Vec<&str> = cases().map(|case| case.name.as_str()).collect();
            return real::run(&self.runner, &self.program, &names)
                .unwrap_or_else(|error| cases().map(|case| not_run(case, &error)).collect());
        }
        let one = |case| match self.runner.run(unit.group, case) {
            Ok(outcome) => outcome,
            Err(error) => not_run(case, &error),
        };
        cases().map(one).collect()
    }
}

fn is_wanted(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Builds our tools beside the running program, and says where they are.
///
/// # Errors
/// cargo cannot be run, or fails.
pub fn build() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(Error::file("find", Path::new("myself")))?;
    // target/debug/vz-golden, and tests in target/debug/deps/.
    let directory = program.ancestors().skip(1).find(|path| !path.ends_with("deps"));
    let binaries = directory.unwrap_or(Path::new("/")).to_owned();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What is installed is what a build without names builds; cargo knows its target directory.
    cargo.args(["build", "--quiet"]).current_dir(Sources::new().project);
    let status = cargo.status().map_err(Error::start("cargo build"))?;
    if !status.success() {
        return Err(Error::Program { program: "cargo build".into(), reason: status.to_string() });
    }
    link_tools(&binaries)?;
    Ok(binaries)
}

/// Makes the links by which the tools of `vz-tools` are called, as `./setup` does.
fn link_tools(binaries: &Path) -> Result<()> {
    let program = binaries.join("vz-tools");
    let listed = Command::new(&program).arg("--list").output();
    let listed = listed.map_err(Error::start("vz-tools"))?;
    for name in String::from_utf8_lossy(&listed.stdout).lines() {
        let link = binaries.join(name);
        match std::os::unix::fs::symlink("vz-tools", &link) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Error::file("make", &link))?,
        }
    }
    Ok(())
}
