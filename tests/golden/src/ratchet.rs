//! Which cases are to pass (`passing.txt`), and which are to differ (`docs/COMPAT.md`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::{Error, Result, compare::Outcome};

/// The section of COMPAT.md with the cases that differ.
const SECTION: &str = "## Recorded cases that differ";

/// What the two files say.
#[derive(Debug)]
pub struct Ratchet {
    /// Cases that pass.
    pub passing: BTreeSet<String>,
    /// Cases that differ on purpose.
    pub differing: BTreeSet<String>,
}

/// What a run says against them.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Are to pass and fail.
    pub broken: Vec<String>,
    /// Pass and are in neither file.
    pub unlisted: Vec<String>,
    /// Are to differ and pass.
    pub kept: Vec<String>,
    /// Fail and are in neither file, by group.
    pub pending: BTreeMap<String, Vec<String>>,
}

impl Verdict {
    /// Both files are right.
    pub fn holds(&self) -> bool {
        self.broken.is_empty() && self.unlisted.is_empty() && self.kept.is_empty()
    }

    /// What is wrong, by lines.
    pub fn complaints(&self) -> String {
        let lines = |names: &[String], text: &str| -> String {
            names.iter().map(|name| format!("{name}: {text}\n")).collect()
        };
        lines(&self.broken, "is in passing.txt and fails")
            + &lines(&self.unlisted, "passes, add it: cargo run -p vz-golden -- --accept")
            + &lines(&self.kept, "passes, take it out of docs/COMPAT.md")
    }
}

impl Ratchet {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read, or names one case twice.
    pub fn load(passing: &Path, compat: &Path) -> Result<Ratchet> {
        let text = fs::read_to_string(passing).map_err(Error::file("read", passing))?;
        let passing_names: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        let text = fs::read_to_string(compat).map_err(Error::file("read", compat))?;
        let ratchet = Ratchet { passing: passing_names, differing: differing(&text) };
        match ratchet.passing.intersection(&ratchet.differing).next() {
            Some(both) => Err(Error::Text {
                path: compat.into(),
                reason: format!("{both} is also in {}", passing.display()),
            }),
            None => Ok(ratchet),
        }
    }

    /// Judges a run.
    pub fn judge(&self, outcomes: &[Outcome]) -> Verdict {
        let mut verdict = Verdict::default();
        for outcome in outcomes {
            let name = outcome.case.clone();
            let (passing, differing) =
                (self.passing.contains(&name), self.differing.contains(&name));
            match (outcome.passes(), passing, differing) {
                (true, true, _) | (false, false, true) => {}
                (true, false, true) => verdict.kept.push(name),
                (true, false, false) => verdict.unlisted.push(name),
                (false, true, _) => verdict.broken.push(name),
                (false, false, false) => {
                    let group = name.split('/').next().unwrap_or_default().to_owned();
                    verdict.pending.entry(group).or_default().push(name);
                }
            }
        }
        verdict
    }

    /// Takes in what passes; with `shrink` drops what was run and fails.
    pub fn accept(&mut self, outcomes: &[Outcome], shrink: bool) {
        for outcome in outcomes {
            if outcome.passes() && !self.differing.contains(&outcome.case) {
                self.passing.insert(outcome.case.clone());
            } else if shrink {
                self.passing.remove(&outcome.case);
            }
        }
    }

    /// Names that no recorded case has.
    pub fn unknown<'a>(&'a self, cases: &BTreeSet<&str>) -> Vec<&'a str> {
        let names = self.passing.iter().chain(&self.differing).map(String::as_str);
        names.filter(|name| !cases.contains(name)).collect()
    }

    /// Writes what passes.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, passing: &Path) -> Result<()> {
        let text: String = self.passing.iter().map(|name| format!("{name}\n")).collect();
        let beside = passing.with_extension("txt.new");
        fs::write(&beside, text).map_err(Error::file("write", &beside))?;
        fs::rename(&beside, passing).map_err(Error::file("rename", &beside))
    }
}

/// The names, each between backticks, of the first column of the section's table.
fn differing(text: &str) -> BTreeSet<String> {
    let section = text.lines().skip_while(|line| *line != SECTION).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## "));
    let first = rows.filter_map(|line| line.strip_prefix('|')?.split('|').next());
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(case: &str, passes: bool) -> Outcome {
        let differences = if passes { vec![] } else { vec!["rc".into()] };
        Outcome { case: case.into(), differences, filtered: BTreeMap::new() }
    }

    #[test]
    fn the_table_is_read_by_its_first_column() {
        let text = "| `no/1` | x |\n## Recorded cases that differ\n\n| cases | reason |\n|---|---|\n\
                    | `a/1`, `a/2` | `why` |\n## More\n| `b/1` | x |\n";
        assert_eq!(differing(text), ["a/1", "a/2"].map(String::from).into());
    }

    #[test]
    fn every_way_to_be_wrong_is_told() {
        let ratchet = Ratchet { passing: ["a/1".into()].into(), differing: ["a/2".into()].into() };
        let run = [outcome("a/1", false), outcome("a/2", true), outcome("a/3", true)];
        let verdict = ratchet.judge(&run);
        assert_eq!(
            (verdict.broken, verdict.kept, verdict.unlisted),
            (vec!["a/1".into()], vec!["a/2".into()], vec!["a/3".into()])
        );
        let verdict = ratchet.judge(&[outcome("a/1", true), outcome("a/2", false)]);
        assert!(verdict.holds() && verdict.pending.is_empty());
        let pending = ratchet.judge(&[outcome("a/3", false)]).pending;
        assert_eq!(pending["a"], ["a/3"]);
    }

    #[test]
    fn accepted_cases_go_only_when_asked_to() {
        let mut ratchet = Ratchet { passing: ["a/1".into()].into(), differing: [].into() };
        let run = [outcome("a/1", false), outcome("a/2", true)];
        ratchet.accept(&run, false);
        assert_eq!(ratchet.passing, ["a/1", "a/2"].map(String::from).into());
        ratchet.accept(&run, true);
        assert_eq!(ratchet.passing, ["a/2".to_string()].into());
    }
}
