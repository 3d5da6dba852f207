//! What a start and stop could leave behind on the node, counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Everything that is there, by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Census(BTreeSet<String>);

impl Census {
    /// Looks around.
    ///
    /// # Errors
    /// When something cannot be looked at.
    pub fn take(node: &Path) -> Result<Census> {
        let mut all = BTreeSet::new();
        for group in tree("/sys/fs/cgroup".as_ref())? {
            all.insert(format!("cgroup {group}"));
        }
        for directory in ["run/vz", "var/lib/vz/lock", "var/lib/vz/root", "etc/vz/conf"] {
            for name in names(&node.join(directory))? {
                all.insert(format!("file {directory}/{name}"));
            }
        }
        for process in names("/proc".as_ref())?.filter(|name| name.parse::<u32>().is_ok()) {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            all.insert(format!("process {process} {}", name.trim_end()));
        }
        for link in names("/sys/class/net".as_ref())? {
            all.insert(format!("link {link}"));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        all.extend(mounts.lines().map(|line| format!("mount {line}")));
        for device in names("/sys/block".as_ref())?.filter(|name| name.starts_with("loop")) {
            let file = format!("/sys/block/{device}/loop/backing_file");
            if let Ok(backing) = fs::read_to_string(file) {
                all.insert(format!("loop device {device} {}", backing.trim_end()));
            }
        }
        Ok(Census(all))
    }

    /// What is here and was not in `before`.
    pub fn since(&self, before: &Census) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

/// The names in a directory; none when it is not there.
fn names(directory: &Path) -> Result<impl Iterator<Item = String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(error).context(format!("Cannot look into {}", directory.display()));
        }
    };
    Ok(entries.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned()))
}

/// All directories below `top`.
fn tree(top: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut ahead = vec![top.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.push(entry.path().display().to_string());
                ahead.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_was_left() {
        let set = |names: &[&str]| Census(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(set(&["a", "b"]).since(&set(&["a", "c"])), ["b"]);
        let lines = Census::take("/no/such/node".as_ref()).unwrap();
        let own = format!("process {} ", std::process::id());
        assert!(lines.0.iter().any(|line| line.starts_with(&own)));
    }
}
