//! What is not compared, each with its reason. A mask replaces on both sides; a filter takes lines
//! away from what is expected, and is counted.

use std::{collections::BTreeMap, sync::LazyLock};

use regex_lite::Regex;

use crate::cgroups;

/// A part of a line that differs from run to run.
struct Mask {
    pattern: &'static str,
    replacement: &'static str,
    /// Why it cannot be the same; for the reader of this table.
    #[allow(dead_code)]
    reason: &'static str,
}

const MASKS: &[Mask] = &[
    Mask {
        pattern: r"\bpid \d+",
        replacement: "pid N",
        reason: "process numbers are given by the kernel",
    },
    Mask {
        pattern: r"\bChild \d+\b",
        replacement: "Child N",
        reason: "process numbers are given by the kernel",
    },
    Mask {
        pattern: r"\bpid=\d+",
        replacement: "pid=N",
        reason: "process numbers are given by the kernel",
    },
    Mask {
        pattern: r"(argv0=/bin/bash args=0 pwd=/) hostname=\S* pid=\S+ isCT=\S*",
        replacement: "$1",
        reason: "the recording had no UTS namespace, and a mark of its own in the container",
    },
    Mask {
        pattern: r"(\[PRE_START\]   (?:USERNS|VZ_KERNEL))=(?:yes|no)\b",
        replacement: "$1=K",
        reason: "COMPAT.md: PRE_START sees VZ_KERNEL=no and USERNS=yes",
    },
    Mask {
        pattern: r"\b(MAJOR|MINOR)=\d+",
        replacement: "$1=N",
        reason: "device numbers are given by the kernel",
    },
    Mask {
        pattern: r"\b1[789]\d{8}\b",
        replacement: "TIME",
        reason: "a time of the clock: when the grace of a quota ends",
    },
    Mask {
        pattern: r"\.lck[A-Za-z0-9]{6}\b",
        replacement: ".lckXXXXXX",
        reason: "a temporary name has random letters",
    },
];

/// Lines that the original printed and we do not.
struct Filter {
    name: &'static str,
    pattern: &'static str,
    side: Side,
    /// Why we do not print it; for the reader of this table.
    #[allow(dead_code)]
    reason: &'static str,
}

/// Which side a line is taken away from.
#[derive(PartialEq, Eq)]
enum Side {
    Expected,
    /// The same, where nothing can be limited: cgroup v2 has no controllers there.
    ExpectedWithoutControllers,
    Ours,
}

impl Side {
    fn is(&self, side: &Side) -> bool {
        match self {
            Side::ExpectedWithoutControllers => *side == Side::Expected && !cgroups::has_cpu(),
            own => own == side,
        }
    }
}

const FILTERS: &[Filter] = &[
    Filter {
        name: "module holders",
        pattern: r"^libkmod: ERROR .*/sys/module/.*/holders'",
        side: Side::Expected,
        reason: "the recording's environment said it, not the tool",
    },
    Filter {
        name: "quota script of the recording's guest",
        pattern: r"^main: line \d+: /etc/init\.d/vzquota: No such file or directory$",
        side: Side::Expected,
        reason: "the guest of the recording said it, not the tool",
    },
    Filter {
        name: "getty of the console script",
        pattern: r"^Unable to find suitable getty, console setup is skipped$",
        side: Side::Expected,
        reason: "the original's console script said it inside the container",
    },
    Filter {
        name: "CPU limits that this node cannot set",
        pattern: r"^Setting (CPU (limit|units|mask)|CPUs|NUMA node mask): [\d,-]+$",
        side: Side::ExpectedWithoutControllers,
        reason: "COMPAT.md: `Setting …` is said only of what is set",
    },
    Filter {
        name: "no search domain to inherit",
        pattern: r"^\[SET_DNS\]   SEARCHDOMAIN=\(null\)$",
        side: Side::Expected,
        reason: "COMPAT.md: SET_DNS has no SEARCHDOMAIN when the node has none to inherit",
    },
    Filter {
        name: "no network",
        pattern: r"^Warning: not set up by this version, the container has no network: ",
        side: Side::Ours,
        reason: "COMPAT.md: start names the network keys that nothing is made of",
    },
    Filter {
        name: "distribution scripts that are not shipped",
        pattern: r"^Warning: (add_ip|del_ip|set_ugid_quota) action script is not specified$",
        side: Side::Ours,
        reason: "COMPAT.md: distribution scripts for addresses and quotas: the keys work, none are shipped",
    },
    Filter {
        name: "LOCAL_UID is 0",
        pattern: r"^WARNING: LOCAL_UID is 0: ",
        side: Side::Ours,
        reason: "COMPAT.md: LOCAL_UID=0 is said in one line at each start",
    },
    Filter {
        name: "limits that are only saved",
        pattern: r"^Warning: (not enforced by this version|limits of the node itself \(CT0\) are only saved)",
        side: Side::Ours,
        reason: "COMPAT.md: nobody is told a limit holds that does not",
    },
    Filter {
        name: "limits that are not enforced",
        pattern: r"^Warning: not enforced, ",
        side: Side::Ours,
        reason: "COMPAT.md: a limit that this node cannot hold is named, never passed over",
    },
];

/// How many lines each filter has taken.
pub type Counts = BTreeMap<String, usize>;

struct Table {
    masks: Vec<(Regex, &'static str)>,
    filters: Vec<(Regex, &'static Filter)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table {
    masks: MASKS
        .iter()
        .filter_map(|mask| Some((Regex::new(mask.pattern).ok()?, mask.replacement)))
        .collect(),
    filters: FILTERS
        .iter()
        .filter_map(|filter| Some((Regex::new(filter.pattern).ok()?, filter)))
        .collect(),
});

/// What is expected, without what we do not print.
pub fn expected(text: &str, counts: &mut Counts) -> String {
    filtered(text, &Side::Expected, counts)
}

/// What we printed, without what the original had no reason to.
pub fn ours(text: &str, counts: &mut Counts) -> String {
    filtered(text, &Side::Ours, counts)
}

fn filtered(text: &str, side: &Side, counts: &mut Counts) -> String {
    let mut rest = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        let found = TABLE
            .filters
            .iter()
            .find(|(pattern, filter)| filter.side.is(side) && pattern.is_match(bare));
        match found {
            Some((_, filter)) => *counts.entry(filter.name.to_owned()).or_default() += 1,
            None => rest.push_str(line),
        }
    }
    masked(&rest)
}

/// A text without what differs from run to run.
pub fn masked(text: &str) -> String {
    TABLE.masks.iter().fold(text.to_owned(), |text, (pattern, replacement)| {
        pattern.replace_all(&text, *replacement).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        assert_eq!((TABLE.masks.len(), TABLE.filters.len()), (MASKS.len(), FILTERS.len()));
    }

    #[test]
    fn a_filter_takes_whole_lines_of_its_side_and_counts_them() {
        let text = "a\nUnable to find suitable getty, console setup is skipped\npid 12\n";
        let mut counts = Counts::new();
        assert_eq!(expected(text, &mut counts), "a\npid N\n");
        assert_eq!(counts.values().sum::<usize>(), 1);
        assert!(ours(text, &mut counts).contains("getty"));
    }
}
