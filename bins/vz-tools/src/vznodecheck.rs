//! vznodecheck: which parameters this node enforces, which not, and the cure of each.
//!
//! Exit code 0 when all that a kernel of today can enforce is, 1 when something is not, 2 when the
//! command line is wrong. It changes nothing.

use vz_core::node::Node;
use vz_core::node_check::{self, Facts, Finding, Verdict};

use crate::console::{Console, err, err_text, out};

pub const USAGE: &str = "\
Usage: vznodecheck [-j|--json] [-q|--quiet]
  -j, --json     show the findings as JSON
  -q, --quiet    show nothing: the exit code says whether all is enforced
  -h, --help     show this
";

/// Text is broken at this column.
const WIDTH: usize = 100;

pub fn run(words: &[String]) -> u8 {
    let (mut json, mut quiet) = (false, false);
    for word in words {
        match word.as_str() {
            "-j" | "--json" => json = true,
            "-q" | "--quiet" => quiet = true,
            "-h" | "--help" => {
                out(USAGE);
                return 0;
            }
            other => {
                err(&format!("vznodecheck: unknown argument: {other}"));
                err_text(USAGE);
                return 2;
            }
        }
    }
    let prefix = std::env::var_os("VZ_SYSROOT").filter(|value| !value.is_empty());
    let node = Node::load_or_without(prefix.map(Into::into), &mut Console);
    let findings = node_check::judge(&Facts::look(&node));
    match (quiet, json) {
        (true, _) => {}
        (false, false) => out(&table(&findings)),
        (false, true) => match serde_json::to_string_pretty(&findings) {
            Ok(text) => out(&format!("{text}\n")),
            Err(error) => err(&format!("Cannot write the findings as JSON: {error}")),
        },
    }
    u8::from(findings.iter().any(|finding| finding.enforced == Verdict::Missing))
}

fn table(findings: &[Finding]) -> String {
    let mut table = String::from("ENFORCED  WHAT\n");
    for finding in findings {
        let mut line = |left: &str, text: &str| {
            for (index, part) in broken(text, WIDTH - 10).into_iter().enumerate() {
                let left = if index == 0 { left } else { "" };
                table.push_str(format!("{left:<10}{part}").trim_end());
                table.push('\n');
            }
        };
        line(finding.enforced.word(), &finding.parameters.join(" "));
        line("", &format!("  {}", finding.by));
        if !finding.cure.is_empty() {
            line("", &format!("  cure: {}", finding.cure));
        }
    }
    table
}

/// A text in lines of at most so many columns, broken at blanks; those that follow keep its indent.
fn broken(text: &str, width: usize) -> Vec<String> {
    let indent = &text[..text.len() - text.trim_start().len()];
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty()
            && indent.len() + line.chars().count() + 1 + word.chars().count() > width
        {
            lines.push(format!("{indent}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{indent}{line}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let findings = [
            Finding {
                parameters: vec!["NUMPROC"],
                enforced: Verdict::Enforced,
                by: "pids".to_owned(),
                cure: String::new(),
            },
            Finding {
                parameters: vec!["IOPRIO"],
                enforced: Verdict::Missing,
                by: "none".to_owned(),
                cure: "more ".repeat(30),
            },
        ];
        let table = table(&findings);
        assert!(table.starts_with(
            "ENFORCED  WHAT\nyes       NUMPROC\n            pids\nno        IOPRIO\n"
        ));
        assert!(table.lines().all(|line| line.len() <= WIDTH), "{table}");
        assert_eq!(table.matches("more").count(), 30);
    }

    #[test]
    fn a_word_longer_than_a_line() {
        assert_eq!(broken("  ab cdefgh i", 5), ["  ab", "  cdefgh", "  i"]);
        assert_eq!(broken("", 5), [""]);
    }
}
