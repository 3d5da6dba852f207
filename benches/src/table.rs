//! The table that comes out.

use crate::measure::{Pairs, Samples};

/// One line of it.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Ours, with its unit.
    pub ours: String,
    /// The peer's, with its unit; empty where there is none.
    pub peer: String,
    /// Ours by the peer's, where there is one.
    pub ratio: Option<f64>,
    /// What was to be reached; empty for a line that only informs.
    pub target: String,
    /// Whether it was.
    pub reached: Option<bool>,
}

impl Row {
    /// Ours alone, reached when the median is at most `limit` milliseconds.
    pub fn of_samples(what: String, taken: &Samples, limit: f64) -> Row {
        let median = taken.median();
        Row {
            what,
            ours: format!("{median:.2} ({:.2}) ms", taken.least()),
            peer: String::new(),
            ratio: None,
            target: format!("<= {limit} ms"),
            reached: Some(median <= limit),
        }
    }

    /// A comparison: the medians, the least in brackets; reached when the ratio of the medians is
    /// at most `limit`.
    pub fn of_pairs(what: &str, pairs: &Pairs, limit: Option<f64>) -> Row {
        let (ours, peer) = (pairs.ours.median(), pairs.peer.median());
        let ratio = ours / peer;
        Row {
            what: what.to_owned(),
            ours: format!("{ours:.2} ({:.2}) ms", pairs.ours.least()),
            peer: format!("{peer:.2} ({:.2}) ms", pairs.peer.least()),
            ratio: Some(ratio),
            target: limit.map(|limit| format!("ratio <= {limit}")).unwrap_or_default(),
            reached: limit.map(|limit| ratio <= limit),
        }
    }
}

/// The rows as a table that reads as text and as Markdown.
pub fn render(rows: &[Row]) -> String {
    let mut cells = vec![["what", "ours", "peer", "ratio", "target", "reached"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let reached = match row.reached {
            None => "",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        [
            row.what.clone(),
            row.ours.clone(),
            row.peer.clone(),
            row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            row.target.clone(),
            reached.to_owned(),
        ]
    }));
    let width = |column: usize| cells.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for (number, line) in cells.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("| {cell:width$} "));
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                text.push_str(&format!("|{}", "-".repeat(width + 2)));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_target_that_is_missed_is_said() {
        let mut pairs = Pairs::default();
        pairs.ours.push(Duration::from_millis(3));
        pairs.peer.push(Duration::from_millis(2));
        let missed = Row::of_pairs("exec", &pairs, Some(1.0));
        assert_eq!(missed.reached, Some(false));
        assert_eq!(Row::of_pairs("exec", &pairs, Some(1.5)).reached, Some(true));
        let text = render(&[missed]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[2],
            "| exec | 3.00 (3.00) ms | 2.00 (2.00) ms | 1.50  | ratio <= 1 | NO      |"
        );
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    }
}
