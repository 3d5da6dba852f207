//! Whether a set of limits makes sense: barriers against limits, and the resources against each
//! other, as `vzcfgvalidate` judges them.
//!
//! A container with a limit of RAM (VSwap) is judged by its RAM and swap alone; another one by the
//! rules of the classic beancounters. Each rule that does not hold is a [`Finding`], most with a
//! [`Repair`]. Repairs go on until no error or warning is left: one that raises NUMFILE makes the
//! rule for DCACHESIZE, which was looked at before, hold no longer.

use std::fmt;

use vz_conf::size::SoftHard;
use vz_conf::ubc::{BarrierLimit, Resource, UNLIMITED, UbcSet};

use super::capacity::Capacity;

mod rules;

use rules::Rule;

/// How often all rules are gone through: a repair touches rules of two others at most.
const PASSES: usize = 4;

/// Resources without which a classic container cannot be judged, in the order they are told.
const NEEDED: [Resource; 15] = [
    Resource::Numproc,
    Resource::Numtcpsock,
    Resource::Numothersock,
    Resource::Oomguarpages,
    Resource::Vmguarpages,
    Resource::Kmemsize,
    Resource::Tcpsndbuf,
    Resource::Tcprcvbuf,
    Resource::Othersockbuf,
    Resource::Dgramrcvbuf,
    Resource::Privvmpages,
    Resource::Numfile,
    Resource::Dcachesize,
    Resource::Physpages,
    Resource::Numpty,
];

/// What is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The beancounters.
    pub ubc: UbcSet,
    /// DISKSPACE.
    pub diskspace: Option<SoftHard>,
    /// DISKINODES.
    pub diskinodes: Option<SoftHard>,
}

/// By which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// RAM and swap, against those of the node.
    Vswap(Capacity),
    /// The classic beancounters, and with `disk` the disk limits.
    Classic {
        /// DISK_QUOTA is on.
        disk: bool,
    },
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Could be better; the limits are valid all the same.
    Recommendation,
    /// Programs of the container will fail sooner than it seems.
    Warning,
    /// The values contradict each other, or one is not there.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recommendation => "Recommendation",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, for people; it does not begin with the severity.
    pub text: String,
    /// What would make the rule hold; `None` where a value is not there.
    pub repair: Option<Repair>,
}

/// A value that makes a rule hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The value as it is told: `N`, or `BARRIER:LIMIT`.
    pub shown: String,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Ubc(Resource, BarrierLimit),
    Diskspace(SoftHard),
    Diskinodes(SoftHard),
}

impl Repair {
    fn apply(&self, limits: &mut Limits) {
        match self.value {
            Value::Ubc(resource, value) => limits.ubc.set(resource, Some(value)),
            Value::Diskspace(value) => limits.diskspace = Some(value),
            Value::Diskinodes(value) => limits.diskinodes = Some(value),
        }
    }
}

/// Judges `limits`. `decide` is shown each finding in turn and says whether to repair it; the
/// rules after it see the repaired value. Says whether the limits are valid in the end.
pub fn judge(limits: &mut Limits, by: Judgement, decide: &mut dyn FnMut(&Finding) -> bool) -> bool {
    if let Judgement::Classic { .. } = by
        && !has_needed(&limits.ubc, decide)
    {
        return false;
    }
    let rules = rules::of(by);
    let mut done = pass(limits, &rules, Severity::Recommendation, decide);
    for _ in 1..PASSES {
        if done.refused || !done.repaired {
            break;
        }
        done = pass(limits, &rules, Severity::Warning, decide);
    }
    !done.refused
}

/// Makes limits valid, as far as all needed ones are there. Says whether they are.
pub fn repair(limits: &mut Limits, by: Judgement) -> bool {
    judge(limits, by, &mut |finding| finding.repair.is_some())
}

/// What is the matter with limits, without a change.
pub fn findings(limits: &Limits, by: Judgement) -> Vec<Finding> {
    let mut found = Vec::new();
    judge(&mut limits.clone(), by, &mut |finding| {
        found.push(finding.clone());
        false
    });
    found
}

fn has_needed(ubc: &UbcSet, decide: &mut dyn FnMut(&Finding) -> bool) -> bool {
    let missing = NEEDED.into_iter().filter(|resource| ubc.get(*resource).is_none());
    let told = missing.map(|resource| decide(&rules::not_found(&rules::name(resource))));
    told.count() == 0
}

/// What one pass over the rules came to.
struct Pass {
    /// Something that matters stays as it is.
    refused: bool,
    /// Something was changed.
    repaired: bool,
}

fn pass(
    limits: &mut Limits,
    rules: &[Rule],
    least: Severity,
    decide: &mut dyn FnMut(&Finding) -> bool,
) -> Pass {
    let mut done = Pass { refused: false, repaired: false };
    for rule in rules {
        let Some(finding) = rule.finding(limits).filter(|finding| finding.severity >= least) else {
            continue;
        };
        match (decide(&finding), &finding.repair) {
            (true, Some(repair)) => {
                repair.apply(limits);
                done.repaired = true;
            }
            _ => done.refused |= finding.severity > Severity::Recommendation,
        }
    }
    done
}

/// A sum or product of limits that is never more than "unlimited".
fn at_most_unlimited(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(UNLIMITED).min(UNLIMITED)
}

#[cfg(test)]
mod tests;
