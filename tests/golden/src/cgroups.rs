//! A group of the cgroup v2 hierarchy that a run takes for the whole: containers of two runs have
//! the same CTID.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result, scratch};

/// Where cgroup v2 may be mounted.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Groups are `vz-golden.PID.N`, so that those of a killed run are known.
const PREFIX: &str = "vz-golden.";
/// How long the killed may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The group; with it all in it ends.
#[derive(Debug)]
pub struct Group {
    /// Where cgroup v2 is mounted.
    pub hierarchy: PathBuf,
    /// The group's directory.
    pub path: PathBuf,
}

impl Group {
    /// Makes one; `None` where cgroup v2 is not mounted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make() -> Result<Option<Group>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let is_hierarchy = |place: &&str| Path::new(place).join("cgroup.procs").exists();
        let Some(hierarchy) = HIERARCHIES.into_iter().find(is_hierarchy).map(PathBuf::from) else {
            return Ok(None);
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = hierarchy.join(format!("{PREFIX}{}.{number}", std::process::id()));
        fs::create_dir(&path).map_err(Error::file("make", &path))?;
        Ok(Some(Group { hierarchy, path }))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        end(&self.path);
    }
}

/// Says whether cgroup v2 can limit CPU here: on a node whose controllers cgroup v1 has, it cannot.
pub fn has_cpu() -> bool {
    // Asked for every line of output.
    static HAS_CPU: LazyLock<bool> = LazyLock::new(|| {
        HIERARCHIES.iter().any(|hierarchy| {
            let controllers = fs::read_to_string(Path::new(hierarchy).join("cgroup.controllers"));
            controllers.is_ok_and(|names| names.split_whitespace().any(|name| name == "cpu"))
        })
    });
    *HAS_CPU
}

/// Ends the groups of runs that are gone.
pub fn sweep() {
    for hierarchy in HIERARCHIES {
        let Ok(entries) = fs::read_dir(hierarchy) else { continue };
        for entry in entries.flatten() {
            if scratch::is_left(&entry.file_name().to_string_lossy()) {
                end(&entry.path());
            }
        }
    }
}

/// Kills what is in a group and removes it; what cannot be is left for the next sweep.
fn end(group: &Path) {
    let _ = fs::write(group.join("cgroup.kill"), "1");
    let until = Instant::now() + PATIENCE;
    while remove(group).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        && Instant::now() < until
    {
        thread::sleep(Duration::from_millis(10));
    }
}

fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
