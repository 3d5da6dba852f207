//! A recorded case beside what our tool did.

use serde::{Deserialize, Serialize};

use crate::{
    case::Case,
    files::{self, Snapshot},
    masks::{self, Counts},
    quota_file,
};

/// Stands for a usage text that was cut.
const USAGE_CUT: &str = "[usage text follows]";
/// What a usage text of the original opens with: name and version, notice, licence.
const USAGE_OPENING: [&str; 4] =
    ["(notice)", "This program may be distributed", "vzctl version", ""];

/// What our tool did.
#[derive(Debug)]
pub struct Actual {
    /// Its exit code, below 0 the signal that ended it.
    pub rc: i32,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote there.
    pub stderr: String,
    /// The files before.
    pub before: Snapshot,
    /// The files after.
    pub after: Snapshot,
}

/// How a case went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The case.
    pub case: String,
    /// What differs, told by lines; a case without differences passes.
    pub differences: Vec<String>,
    /// Lines that filters have taken away.
    pub filtered: Counts,
}

impl Outcome {
    /// A case whose command could not even be started.
    pub fn not_run(case: &Case, reason: String) -> Outcome {
        Outcome { case: case.name.clone(), differences: vec![reason], filtered: Counts::new() }
    }

    /// Nothing differs.
    pub fn passes(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares.
pub fn compare(case: &Case, actual: &Actual) -> Outcome {
    let mut outcome =
        Outcome { case: case.name.clone(), differences: Vec::new(), filtered: Counts::new() };
    if case.rc != actual.rc {
        outcome.differences.push(format!("rc: {} expected, {} came", case.rc, actual.rc));
    }
    let tool = case.argv.first().map_or("", String::as_str);
    stream(tool, "stdout", &case.stdout, &actual.stdout, &mut outcome);
    stream(tool, "stderr", &case.stderr, &actual.stderr, &mut outcome);
    contents(case, actual, &mut outcome);
    changes(case, actual, &mut outcome);
    outcome
}

fn stream(tool: &str, name: &str, expected: &str, ours: &str, outcome: &mut Outcome) {
    let expected = masks::expected(expected, &mut outcome.filtered);
    let ours = masks::ours(ours, &mut outcome.filtered);
    if expected.contains(USAGE_CUT) {
        return usage(tool, name, &expected, &ours, outcome);
    }
    difference(name, &expected, &ours, outcome);
}

/// Of a usage text only the lines before it, and that it is one, can be compared: it is written
/// anew.
fn usage(tool: &str, name: &str, expected: &str, ours: &str, outcome: &mut Outcome) {
    let is_usage = |line: &&str| {
        let line = line.trim_start().to_ascii_lowercase();
        line.starts_with("usage") || line.starts_with(&format!("{tool} ["))
    };
    let opens = |line: &&str| {
        USAGE_OPENING.iter().any(|text| match *text {
            "" => line.is_empty(),
            text => line.starts_with(text),
        })
    };
    let lead = |text: &str| -> String {
        let lines = text.lines().take_while(|line| !is_usage(line) && *line != USAGE_CUT);
        lines.filter(|line| !opens(line)).map(|line| format!("{line}\n")).collect()
    };
    difference(name, &lead(expected), &lead(ours), outcome);
    if expected.lines().any(|line| is_usage(&line)) && !ours.lines().any(|line| is_usage(&line)) {
        outcome.differences.push(format!("{name}: a usage text expected, none came"));
    }
}

/// Only recorded files: others may be there.
fn contents(case: &Case, actual: &Actual, outcome: &mut Outcome) {
    for (path, content) in &case.after {
        if path.ends_with(".appended") {
            continue;
        }
        let expected = quota_file::masked(content.bytes());
        match files::content(&actual.after, path).map(quota_file::masked) {
            None => outcome.differences.push(format!("{path}: expected, is not there")),
            Some(ours) if ours == expected => {}
            Some(ours) => difference(
                path,
                &masks::masked(&String::from_utf8_lossy(&expected)),
                &masks::masked(&String::from_utf8_lossy(&ours)),
                outcome,
            ),
        }
    }
}

/// Every change, where the recording has them.
fn changes(case: &Case, actual: &Actual, outcome: &mut Outcome) {
    let Some(expected) = &case.changed else { return };
    let ours = files::changes(&actual.before, &actual.after);
    let lines = |changes: &[String]| {
        let mut changes = changes.to_vec();
        changes.sort();
        changes.iter().map(|change| format!("{change}\n")).collect::<String>()
    };
    difference("changed", &lines(expected), &lines(&ours), outcome);
}

/// Tells the lines that differ, without those that both begin and end with.
fn difference(what: &str, expected: &str, ours: &str, outcome: &mut Outcome) {
    if expected == ours {
        return;
    }
    let split = |text: &str| -> Vec<String> {
        text.split_inclusive('\n').map(|line| format!("{line:?}")).collect()
    };
    let (expected, ours) = (split(expected), split(ours));
    let start = expected.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    let (expected, ours) = (&expected[start..], &ours[start..]);
    let end = expected.iter().rev().zip(ours.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut told = format!("{what}, from line {}:", start + 1);
    for (sign, lines) in [('-', expected), ('+', ours)] {
        for line in &lines[..lines.len() - end] {
            told.push_str(&format!("\n{sign} {line}"));
        }
    }
    outcome.differences.push(told);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome { case: String::new(), differences: Vec::new(), filtered: Counts::new() }
    }

    #[test]
    fn a_difference_is_told_by_its_lines() {
        let mut told = outcome();
        difference("stdout", "a\nb\nc\n", "a\nx\nc\n", &mut told);
        assert_eq!(told.differences, ["stdout, from line 2:\n- \"b\\n\"\n+ \"x\\n\""]);
    }

    #[test]
    fn a_missing_newline_is_a_difference() {
        let mut told = outcome();
        difference("stdout", "a\n", "a", &mut told);
        assert!(!told.passes());
    }

    #[test]
    fn of_a_usage_text_the_lines_before_it_count() {
        let cut = "x: bad\nUsage: x [options]\n[usage text follows]\n";
        let same = |ours| {
            let mut told = outcome();
            stream("x", "stderr", cut, ours, &mut told);
            told.passes()
        };
        assert!(same("x: bad\nUsage: x ...\n more\n"));
        assert!(!same("Usage: x ...\n"));
        assert!(!same("x: bad\n"));
    }
}
