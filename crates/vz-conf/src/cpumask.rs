//! Sets of CPUs and NUMA nodes (CPUMASK, NODEMASK).

use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;

/// Numbers in a set are below this.
const BITS: u16 = 4096;

/// A set of numbers below 4096: `0-3,5` or `all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSet {
    /// First and last of each run, ascending, no two adjacent.
    runs: Vec<(u16, u16)>,
}

impl IndexSet {
    /// Every number.
    #[must_use]
    pub fn all() -> Self {
        Self { runs: vec![(0, BITS - 1)] }
    }

    /// Whether it has every number.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.runs == [(0, BITS - 1)]
    }

    /// First and last of each run of numbers, ascending.
    #[must_use]
    pub fn runs(&self) -> &[(u16, u16)] {
        &self.runs
    }

    /// Whether it has this number.
    #[must_use]
    pub fn contains(&self, index: u16) -> bool {
        self.runs.iter().any(|(first, last)| (*first..=*last).contains(&index))
    }

    /// Sorts runs and joins those that touch.
    fn from_runs(mut runs: Vec<(u16, u16)>) -> Self {
        runs.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::with_capacity(runs.len());
        for (first, last) in runs {
            match joined.last_mut() {
                Some(previous) if first <= previous.1 + 1 => previous.1 = previous.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self { runs: joined }
    }
}

impl FromStr for IndexSet {
    type Err = ParseError;

    /// Reads `all`, or numbers and ranges joined by commas; one comma may end the list.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "all" {
            return Ok(Self::all());
        }
        let list = text.strip_suffix(',').unwrap_or(text);
        let runs: Result<Vec<_>, _> = list.split(',').map(parse_run).collect();
        Ok(Self::from_runs(runs?))
    }
}

/// Reads `N` or `N-M`.
fn parse_run(text: &str) -> Result<(u16, u16), ParseError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_index(first)?, parse_index(last)?);
    if first > last { Err(ParseError::Range) } else { Ok((first, last)) }
}

/// Reads a number below 4096, digits only.
fn parse_index(text: &str) -> Result<u16, ParseError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseError::Syntax);
    }
    text.parse().ok().filter(|index| *index < BITS).ok_or(ParseError::Range)
}

impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        for (position, (first, last)) in self.runs.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// The CPUs a container may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuMask {
    /// Those of its NUMA nodes.
    Auto,
    /// These.
    Set(IndexSet),
}

impl FromStr for CpuMask {
    type Err = ParseError;

    /// Reads `auto`, or a set.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Set) }
    }
}

impl fmt::Display for CpuMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Set(set) => set.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalised() {
        for (text, stored) in [
            ("0-4095", "all"),
            ("3,1,2", "1-3"),
            ("0-3,5,", "0-3,5"),
            ("0-2,1-4", "0-4"),
            ("all", "all"),
            ("auto", "auto"),
            ("007", "7"),
        ] {
            assert_eq!(text.parse::<CpuMask>().unwrap().to_string(), stored, "{text}");
        }
        for text in ["", "x", "4096", "3-1", "1,,2", ",", "1-2-3", " 1", "+1", "99999999999"] {
            assert!(text.parse::<CpuMask>().is_err(), "{text:?}");
        }
        assert!("1-3".parse::<IndexSet>().unwrap().contains(2));
    }

    proptest! {
        #[test]
        fn display_is_read_back(runs in prop::collection::vec((0..BITS, 0..BITS), 1..20)) {
            let set = IndexSet::from_runs(
                runs.iter().map(|(a, b)| ((*a).min(*b), (*a).max(*b))).collect(),
            );
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }

        #[test]
        fn any_text(text in "[0-9,\\-]*|.*") {
            let _ = text.parse::<CpuMask>();
        }
    }
}
