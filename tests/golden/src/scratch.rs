//! Temporary directories, named after their maker, so that those of a killed run are known.

use std::{env, fs, path::Path, process};

use nix::{sys::signal::kill, unistd::Pid};
use tempfile::TempDir;

use crate::{Error, Result};

const PREFIX: &str = "vz-golden.";

/// Makes one, gone with the value.
///
/// # Errors
/// The file system's.
pub fn directory() -> Result<TempDir> {
    let prefix = format!("{PREFIX}{}.", process::id());
    let made = tempfile::Builder::new().prefix(&prefix).tempdir();
    made.map_err(Error::file("make", Path::new("a temporary directory")))
}

/// Says whether a name is that of something whose maker is gone: `vz-golden.PID.` and more.
pub fn is_left(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse().ok());
    pid.is_some_and(|pid: i32| pid > 0 && kill(Pid::from_raw(pid), None).is_err())
}

/// Removes those of runs that are gone.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
    for entry in entries.flatten().filter(|entry| is_left(&entry.file_name().to_string_lossy())) {
        // What cannot be removed is another's.
        let _ = fs::remove_dir_all(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_not_left() {
        assert!(!is_left(&format!("{PREFIX}{}.x", process::id())));
        // No process has a number above the kernel's PID_MAX_LIMIT.
        assert!(is_left(&format!("{PREFIX}2000000000.x")));
        assert!(!is_left("vz-golden.x.y") && !is_left("other.2000000000.x"));
    }
}
