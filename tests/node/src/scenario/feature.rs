//! What a machine can: features by name, each found out by a command on the machine itself.

use std::{collections::BTreeMap, io};

use crate::{
    Result,
    machine::{Kind, Machine},
};

/// A feature and the command that succeeds where it is there.
const FEATURES: &[(&str, &str)] = &[
    ("quota", "findmnt -no OPTIONS /var/lib/vz | grep -qw prjquota"),
    (
        "cgroup2-controllers",
        "group=$(findmnt -nt cgroup2 -o TARGET | head -n 1) && for name in cpu io memory pids; do \
         grep -qw \"$name\" \"$group/cgroup.subtree_control\" || exit 1; done",
    ),
    ("cgroup2", "findmnt -nt cgroup2 > /dev/null"),
    ("userns", "unshare --user --map-root-user true"),
    ("systemd", "test -d /run/systemd/system"),
    ("criu", "criu check"),
    ("lxcfs", "test -r /var/lib/lxcfs/proc/meminfo"),
    ("overlay", "grep -qw overlay /proc/filesystems"),
    ("fuse", "test -c /dev/fuse"),
    ("loop", "test -b /dev/loop0 && losetup -f > /dev/null"),
    ("nft", "nft list tables > /dev/null"),
    ("fuse", "test -c /dev/fuse"),
    ("vz", "command -v vzctl > /dev/null"),
];

/// Beginnings of names that end in the scenario's own word.
const FAMILIES: &[(&str, &str)] = &[
    ("command:", "command -v \"$1\" > /dev/null"),
    ("template:", "ls \"$TEMPLATES/$1\"* > /dev/null"),
];

/// Whether a machine can what a scenario needs, remembered from the first time it was asked.
#[derive(Debug, Default)]
pub struct Features(BTreeMap<String, bool>);

/// A need that no machine can fill: the scenario's mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

impl Features {
    /// The first of the needs that the machine lacks.
    ///
    /// # Errors
    /// The machine is gone. A name that is no feature is the inner error.
    pub fn lacking(
        &mut self,
        machine: &dyn Machine,
        needs: &[String],
    ) -> Result<std::result::Result<Option<String>, Unknown>> {
        for need in needs {
            let Some((probe, word)) = probe(need) else { return Ok(Err(Unknown(need.clone()))) };
            let known = self.0.get(need).copied();
            let there = match known {
                Some(there) => there,
                None => ask(machine, need, probe, word)?,
            };
            self.0.insert(need.clone(), there);
            if !there {
                return Ok(Ok(Some(need.clone())));
            }
        }
        Ok(Ok(None))
    }
}

fn ask(machine: &dyn Machine, need: &str, probe: &str, word: &str) -> Result<bool> {
    // The flavour is what it was asked to be, not what it looks like.
    if need == Kind::Plain.name() {
        return Ok(machine.kind() == Kind::Plain);
    }
    let script = format!(
        "export PATH='{}' TEMPLATES='{}'\n{probe}",
        machine.path(),
        machine.templates().display()
    );
    let argv = ["bash", "-c", &script, "bash", word];
    match machine.connect()?.call(&argv, io::empty()) {
        Ok(_) => Ok(true),
        Err(crate::Error::Remote { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The command that finds a feature, and the word it gets.
fn probe(need: &str) -> Option<(&'static str, &str)> {
    if need == Kind::Plain.name() {
        return Some(("", ""));
    }
    let feature = FEATURES.iter().find(|(name, _)| *name == need).map(|(_, probe)| (*probe, ""));
    feature.or_else(|| {
        FAMILIES.iter().find_map(|(family, probe)| {
            let word = need.strip_prefix(family).filter(|word| !word.is_empty())?;
            Some((*probe, word))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_features() {
        assert!(probe("quota").is_some() && probe("plain").is_some());
        assert_eq!(probe("command:criu").unwrap().1, "criu");
        assert!(probe("qouta").is_none() && probe("command:").is_none() && probe("").is_none());
    }
}
