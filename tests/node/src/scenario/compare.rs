//! What was expected against what was seen, as a unified diff of the scenario's file.

use super::{
    parse::{Block, Scenario},
    pattern::{Line, lines},
};

/// Lines shown around a difference.
const CONTEXT: usize = 3;

/// Characters shown of a line.
const WIDTH: usize = 400;

/// Lines shown of all differences.
const LENGTH: usize = 400;

/// What one command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It ended: all it wrote, and its exit code.
    Ended {
        /// Standard output and error.
        output: Vec<u8>,
        /// The exit code.
        code: i32,
    },
    /// It did not: all it wrote, and why there is no end.
    Broken {
        /// Standard output and error.
        output: Vec<u8>,
        /// The reason, in words.
        reason: String,
    },
    /// An earlier one broke.
    NotRun,
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    Keep(String),
    Remove(String),
    Add(String),
}

/// The file as it stands against the file that would have passed.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    edits: Vec<Edit>,
}

impl Comparison {
    /// Compares each command of a scenario with what it did.
    pub fn new(scenario: &Scenario, seen: &[Seen]) -> Self {
        let mut edits = Vec::new();
        let mut seen = seen.iter();
        for block in &scenario.blocks {
            match block {
                Block::Prose(lines) => edits.extend(lines.iter().cloned().map(Edit::Keep)),
                Block::Command(command) => {
                    let text = command.to_string();
                    edits.extend(text.lines().map(|line| Edit::Keep(line.into())));
                    let seen = lines_of(seen.next().unwrap_or(&Seen::NotRun));
                    align(command, seen.as_deref(), &mut edits);
                }
            }
        }
        Self { edits }
    }

    /// Whether all was as expected.
    pub fn is_equal(&self) -> bool {
        self.edits.iter().all(|edit| matches!(edit, Edit::Keep(_)))
    }

    /// The file that would have passed.
    pub fn accepted(&self) -> String {
        let lines = self.edits.iter().filter_map(|edit| match edit {
            Edit::Keep(line) | Edit::Add(line) => Some(line.as_str()),
            Edit::Remove(_) => None,
        });
        lines.fold(String::new(), |text, line| text + line + "\n")
    }

    /// The differences, unified, with the numbers of the file's lines.
    pub fn diff(&self) -> String {
        let mut text = String::new();
        let mut place = 0;
        while let Some(hunk) = self.next_hunk(place) {
            text.push_str(&self.show(&hunk));
            place = hunk.end;
        }
        match text.match_indices('\n').nth(LENGTH) {
            Some((end, _)) => format!("{}\n(and more)\n", &text[..end]),
            None => text,
        }
    }

    /// Differences nearer to each other than the context around them go together.
    fn next_hunk(&self, from: usize) -> Option<std::ops::Range<usize>> {
        let changed = |edit: &Edit| !matches!(edit, Edit::Keep(_));
        let first = from + self.edits[from..].iter().position(changed)?;
        let mut last = first;
        while let Some(gap) = self.edits[last + 1..].iter().position(changed) {
            if gap > 2 * CONTEXT {
                break;
            }
            last += gap + 1;
        }
        Some(first.saturating_sub(CONTEXT).max(from)..(last + 1 + CONTEXT).min(self.edits.len()))
    }

    fn show(&self, hunk: &std::ops::Range<usize>) -> String {
        let edits = &self.edits[hunk.clone()];
        let old =
            |edits: &[Edit]| edits.iter().filter(|edit| !matches!(edit, Edit::Add(_))).count();
        let new =
            |edits: &[Edit]| edits.iter().filter(|edit| !matches!(edit, Edit::Remove(_))).count();
        let before = &self.edits[..hunk.start];
        let (old_start, new_start) = (old(before) + 1, new(before) + 1);
        let mut text = format!("@@ -{old_start},{} +{new_start},{} @@\n", old(edits), new(edits));
        for edit in edits {
            let (mark, line) = match edit {
                Edit::Keep(line) => (' ', line),
                Edit::Remove(line) => ('-', line),
                Edit::Add(line) => ('+', line),
            };
            text.push(mark);
            match line.char_indices().nth(WIDTH) {
                Some((end, _)) => text.push_str(&format!("{}...\n", &line[..end])),
                None => text.push_str(&format!("{line}\n")),
            }
        }
        text
    }
}

/// What was seen as the lines expected of a command; `None` where it did not run.
fn lines_of(seen: &Seen) -> Option<Vec<Line>> {
    let last = |text: String| Line { bytes: text.into_bytes(), eol: true };
    match seen {
        Seen::Ended { output, code: 0 } => Some(lines(output)),
        Seen::Ended { output, code } => {
            let code = last(format!("[{code}]"));
            Some(lines(output).into_iter().chain([code]).collect())
        }
        Seen::Broken { output, reason } => {
            let reason = last(format!("({reason})"));
            Some(lines(output).into_iter().chain([reason]).collect())
        }
        Seen::NotRun => None,
    }
}

/// Pairs expected lines with seen ones, as many as possible in order. A command that did not run
/// has no line of its own wrong but one that says so.
fn align(command: &super::parse::Command, seen: Option<&[Line]>, edits: &mut Vec<Edit>) {
    let expected = &command.expected;
    let shown = |text: &str| format!("  {text}");
    let Some(seen) = seen else {
        edits.extend(expected.iter().map(|pattern| Edit::Remove(shown(pattern.text()))));
        edits.push(Edit::Add(shown("(not run)")));
        return;
    };
    // longest[i][j]: pairs possible among expected[i..] and seen[j..].
    let mut longest = vec![vec![0usize; seen.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..seen.len()).rev() {
            longest[i][j] = if expected[i].matches(&seen[j]) {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < expected.len() || j < seen.len() {
        let pair = i < expected.len() && j < seen.len() && expected[i].matches(&seen[j]);
        if pair {
            edits.push(Edit::Keep(shown(expected[i].text())));
            (i, j) = (i + 1, j + 1);
        } else if j == seen.len() || (i < expected.len() && longest[i + 1][j] >= longest[i][j + 1])
        {
            edits.push(Edit::Remove(shown(expected[i].text())));
            i += 1;
        } else {
            edits.push(Edit::Add(shown(&seen[j].to_pattern())));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const TEXT: &str = "Prose.\n\n  $ first\n  a\n  b* (glob)\n  c\n\nMore.\n\n  $ second\n  [2]\n";

    fn compare(text: &str, seen: &[(&str, i32)]) -> Comparison {
        let scenario = Scenario::parse(Path::new("case.t"), text).unwrap();
        let seen: Vec<_> = seen
            .iter()
            .map(|(output, code)| Seen::Ended { output: output.as_bytes().into(), code: *code })
            .collect();
        Comparison::new(&scenario, &seen)
    }

    #[test]
    fn what_is_as_expected_is_equal() {
        let comparison = compare(TEXT, &[("a\nbee\nc\n", 0), ("", 2)]);
        assert!(comparison.is_equal());
        assert_eq!(comparison.diff(), "");
        assert_eq!(comparison.accepted(), TEXT);
    }

    #[test]
    fn a_difference_is_shown_in_its_place() {
        let comparison = compare(TEXT, &[("a\nnew\nbee\n", 0), ("", 0)]);
        assert!(!comparison.is_equal());
        assert_eq!(
            comparison.diff(),
            "@@ -2,10 +2,9 @@\n \n   $ first\n   a\n+  new\n   b* (glob)\n-  c\n \n More.\n \n   $ second\n-  [2]\n"
        );
        assert_eq!(
            comparison.accepted(),
            "Prose.\n\n  $ first\n  a\n  new\n  b* (glob)\n\nMore.\n\n  $ second\n"
        );
    }

    #[test]
    fn differences_far_apart_are_two_hunks() {
        let prose = "x\n".repeat(20);
        let text = format!("  $ first\n{prose}  $ second\n");
        let comparison = compare(&text, &[("1\n", 0), ("2\n", 0)]);
        let diff = comparison.diff();
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
        assert!(diff.contains("@@ -20,3 +21,4 @@"), "{diff}");
    }

    #[test]
    fn a_flood_is_shown_in_part() {
        let flood = format!("{}\n", "x".repeat(WIDTH * 2)).repeat(LENGTH * 2);
        let diff = compare("  $ a\n", &[(&flood, 0)]).diff();
        assert!(diff.ends_with("\n(and more)\n") && diff.len() < (WIDTH + 10) * (LENGTH + 10));
    }

    #[test]
    fn an_unexpected_code_or_output_fails() {
        assert!(!compare("  $ a\n", &[("", 1)]).is_equal());
        assert!(!compare("  $ a\n", &[("x\n", 0)]).is_equal());
        assert!(!compare("  $ a\n  [1]\n", &[("", 2)]).is_equal());
        assert!(!compare("  $ a\n  x\n", &[("x", 0)]).is_equal());
    }

    #[test]
    fn a_command_that_did_not_end_never_passes() {
        let scenario = Scenario::parse(Path::new("case.t"), "  $ a\n  $ b\n").unwrap();
        let broken = Seen::Broken { output: Vec::new(), reason: "timed out".into() };
        let comparison = Comparison::new(&scenario, &[broken]);
        assert!(!comparison.is_equal());
        assert_eq!(
            comparison.diff(),
            "@@ -1,2 +1,4 @@\n   $ a\n+  (timed out)\n   $ b\n+  (not run)\n"
        );
    }
}
