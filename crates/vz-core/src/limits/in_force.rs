//! The beancounters in force of a container that runs: a file beside its state file.
//!
//! ```text
//! kmemsize 14372700 14790164
//! numproc 240 240
//! oom_score_adj -120
//! ```
//! A beancounter without a line is limited by nothing. The kernel keeps most of these numbers in
//! other forms, or several as one.

use std::io;
use std::path::PathBuf;

use vz_conf::config::Config;
use vz_conf::ctid::Ctid;
use vz_conf::new_file;
use vz_conf::param::ParamId;
use vz_conf::ubc::{BarrierLimit, Resource, UbcSet};

use super::{Means, Missing, Write, is_enforced, table};
use crate::node::Node;

const SCORE: &str = "oom_score_adj";

/// What is in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InForce {
    /// Barriers and limits, of those that something enforces.
    pub beancounters: UbcSet,
    /// What the processes' scores for being killed were moved by.
    pub score: i64,
}

fn path(node: &Node, id: Ctid) -> PathBuf {
    node.run_dir().join(format!("{id}.ubc"))
}

impl InForce {
    /// What is in force once `writes`, made of `config`, are applied but for what is missing.
    pub fn of(config: &Config, writes: &[Write], missing: &Missing) -> InForce {
        let effective = config.ubc.with_vswap_defaults(config.vm_overcommit);
        let mut beancounters = UbcSet::default();
        for (resource, value) in effective.iter() {
            // What makes up the memory together is told by the one that must be there.
            let told_by = match table::Row::of(resource).enforced {
                table::Enforced::Memory => Resource::Privvmpages,
                _ => resource,
            };
            if is_enforced(config, resource) && !missing.has(told_by.key()) {
                beancounters.set(resource, Some(value));
            }
        }
        let score = writes.iter().find(|write| write.means == Means::OutOfMemoryScore);
        let score = score.filter(|write| !missing.has(write.parameter));
        InForce { beancounters, score: score.and_then(|it| it.value.parse().ok()).unwrap_or(0) }
    }

    /// What is in force once `writes`, of a change after which the configuration is `config`, are
    /// applied as well.
    pub fn changed_by(self, config: &Config, writes: &[Write], missing: &Missing) -> InForce {
        let new = InForce::of(config, writes, missing);
        let is_touched =
            |resource| writes.iter().any(|write| write.is_from(|id| id == ParamId::Ubc(resource)));
        let mut beancounters = self.beancounters;
        for resource in Resource::ALL.into_iter().filter(|resource| is_touched(*resource)) {
            beancounters.set(resource, new.beancounters.get(resource));
        }
        let moves = writes.iter().any(|write| write.means == Means::OutOfMemoryScore);
        InForce { beancounters, score: if moves { new.score } else { self.score } }
    }

    /// Reads them; without a file nothing is in force.
    pub fn load(node: &Node, id: Ctid) -> InForce {
        let text = std::fs::read_to_string(path(node, id)).unwrap_or_default();
        let mut found = InForce::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [SCORE, score] => found.score = score.parse().unwrap_or(0),
                [name, barrier, limit] => found.add(name, barrier, limit),
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, name: &str, barrier: &str, limit: &str) {
        let resource = Resource::ALL.into_iter().find(|it| it.key().eq_ignore_ascii_case(name));
        if let (Some(resource), Ok(barrier), Ok(limit)) = (resource, barrier.parse(), limit.parse())
        {
            self.beancounters.set(resource, Some(BarrierLimit { barrier, limit }));
        }
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// Those of making the file.
    pub fn save(&self, node: &Node, id: Ctid) -> io::Result<()> {
        let mut text = String::new();
        for (resource, BarrierLimit { barrier, limit }) in self.beancounters.iter() {
            let name = resource.key().to_ascii_lowercase();
            text.push_str(&format!("{name} {barrier} {limit}\n"));
        }
        text.push_str(&format!("{SCORE} {}\n", self.score));
        new_file::write(&path(node, id), text.as_bytes())
    }

    /// Removes the file; one that is not there is no error.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    pub fn forget(node: &Node, id: Ctid) -> io::Result<()> {
        new_file::remove(&path(node, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::without_config(Some(directory.path().to_owned()));
        std::fs::create_dir_all(node.run_dir()).unwrap();
        let id = Ctid::new(7).unwrap();
        assert_eq!(InForce::load(&node, id), InForce::default());
        let mut beancounters = UbcSet::default();
        beancounters.set(Resource::Numproc, Some(BarrierLimit { barrier: 5, limit: 6 }));
        let in_force = InForce { beancounters, score: -7 };
        in_force.save(&node, id).unwrap();
        let text = std::fs::read_to_string(path(&node, id)).unwrap();
        assert_eq!(text, "numproc 5 6\noom_score_adj -7\n");
        assert_eq!(InForce::load(&node, id), in_force);
        std::fs::write(path(&node, id), "x\nnumproc 1\nnumfile 1 x\n\u{7f} 1 2 3\n").unwrap();
        assert_eq!(InForce::load(&node, id), InForce::default());
        InForce::forget(&node, id).unwrap();
        InForce::forget(&node, id).unwrap();
    }
}
