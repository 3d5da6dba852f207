//! `/run/vz/CTID.toml`: what is known of a container that is being started, runs, or is being
//! stopped. It says what cannot be seen from the node itself; all else (mounts, cgroups, loop
//! devices) is looked up where it is, so that a lost or stale file costs nothing but itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use vz_conf::new_file;
use vz_sys::{pidfd, proc};

/// How far the container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being made: whoever finds it so, and holds the lock, clears it away.
    Starting,
    /// Its init has been let go.
    Running,
    /// Being taken down: whoever finds it so, and holds the lock, finishes that.
    Stopping,
    /// Down, and to be started again after a pause by the vzevent that is named as its monitor.
    Restarting,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its id in the node's pid namespace.
    pub pid: i32,
    /// When it started, in clock ticks after boot.
    pub start: u64,
    /// What is asked for instead, without a look into /proc, where the kernel has it: see
    /// [`pidfd::unique_number`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<u64>,
}

impl ProcessId {
    /// The process that has this id now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: Pid) -> io::Result<ProcessId> {
        let number = pidfd::unique_number(pidfd::open(pid)?.as_fd())?;
        Ok(ProcessId { pid: pid.as_raw(), start: proc::start_time(pid)?, number })
    }

    /// A descriptor of it, if it still runs.
    pub fn open(&self) -> Option<OwnedFd> {
        let descriptor = pidfd::open(Pid::from_raw(self.pid)).ok()?;
        // Checked after it is held: now the number cannot be given to another.
        self.is_running().then_some(descriptor)
    }

    /// Says whether it still runs.
    pub fn is_running(&self) -> bool {
        let pid = Pid::from_raw(self.pid);
        match self.number {
            Some(number) => pidfd::is_running(pid, number),
            None => proc::is_running(pid, self.start),
        }
    }
}

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How far the container is.
    pub phase: Phase,
    /// The container's init, once there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub init: Option<ProcessId>,
    /// The container's vzmon, once there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub monitor: Option<ProcessId>,
    /// Its cgroup below the hierarchy's mount.
    pub group: PathBuf,
    /// First id of the node that the container's ids are mapped to; 0 without a user namespace.
    pub uid_base: u32,
    /// The same for groups.
    pub gid_base: u32,
    /// Its users have quotas, and there is who answers for them: see [`crate::user_quota`].
    #[serde(default)]
    pub user_quota: bool,
    /// Where its file system is mounted on the node.
    pub root: PathBuf,
    /// Seconds since the epoch at which its init was let go; 0 before.
    #[serde(default)]
    pub since: u64,
    /// How often in a row it has restarted itself soon after its start.
    #[serde(default)]
    pub restarts: u32,
}

impl State {
    /// Reads the state file `path`. A file that is not there, or that cannot be understood (it was
    /// not written by us: ours are renamed into place whole), is no state.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load(path: &Path) -> io::Result<Option<State>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(toml::from_str(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the state file whole: a reader sees the old one or the new one. Nothing is synced:
    /// the directory is in memory and does not outlive the kernel that the state speaks of.
    ///
    /// # Errors
    /// Those of making, writing and renaming the file.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        new_file::write(path, text.as_bytes())
    }

    /// Removes the state file; one that is not there is no error.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    pub fn remove(path: &Path) -> io::Result<()> {
        new_file::remove(path)
    }

    /// Says whether the container runs: its init has been let go and is alive.
    pub fn is_running(&self) -> bool {
        self.phase != Phase::Starting && self.init.is_some_and(|init| init.is_running())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            phase: Phase::Running,
            init: Some(ProcessId::of(Pid::this()).unwrap()),
            monitor: None,
            group: "vz/101".into(),
            user_quota: false,
            uid_base: 101 << 16,
            gid_base: 101 << 16,
            root: "/var/lib/vz/root/101".into(),
            since: 5,
            restarts: 0,
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.toml");
        assert_eq!(State::load(&path).unwrap(), None);
        state().save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), Some(state()));
        State::remove(&path).unwrap();
        State::remove(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), None);
    }

    #[test]
    fn running_means_let_go_and_alive() {
        assert!(state().is_running());
        assert!(!State { phase: Phase::Starting, ..state() }.is_running());
        let gone = ProcessId { pid: Pid::this().as_raw(), start: 1, number: None };
        assert!(!State { init: Some(gone), ..state() }.is_running());
        // On kernels that give processes no numbers.
        let ours = state().init.map(|init| ProcessId { number: None, ..init });
        assert!(State { init: ours, ..state() }.is_running());
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn garbage_is_no_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.toml");
        std::fs::write(&path, "phase = [").unwrap();
        assert_eq!(State::load(&path).unwrap(), None);
    }
}
