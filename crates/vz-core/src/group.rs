//! Where a container's cgroups lie, and making and removing them.
//!
//! ```text
//! <hierarchy>/vz/101/                    limits: the container cannot write here
//!     mon/                               vzmon
//!     init.scope/                        the container; root of its cgroup namespace, delegated
//! ```
//! On a node that systemd runs, `vz/101` is `vz.slice/vz-101.scope`, asked of systemd, so that it
//! does not take the group for its own to change.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;
use vz_conf::ctid::Ctid;
use vz_sys::cgroup::{self, Cgroup};
use vz_sys::systemd;

/// The group of the container's processes. lxcfs looks through a last part of this name.
pub const INIT: &str = "init.scope";
/// The group of the container's vzmon.
pub const MONITOR: &str = "mon";
/// The group of all containers where no systemd runs.
const PARENT: &str = "vz";
/// The slice of all containers where systemd runs.
const SLICE: &str = "vz.slice";

/// Those of them that systemd never switches on (systemd.resource-control(5) has none of them).
const UNKNOWN_TO_SYSTEMD: [&str; 1] = ["hugetlb"];

/// Controllers wanted for containers; a node may lack some.
const CONTROLLERS: [&str; 8] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc"];

/// How often a scope is asked for whose predecessor systemd still holds.
const SCOPE_TRIES: u32 = 20;

/// How long systemd may take to make a scope, and a killed tree to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a container's cgroup is, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where the version 2 hierarchy is mounted.
    pub hierarchy: PathBuf,
    /// The group that holds the container's, below it.
    parent: PathBuf,
    /// The container's group, one name.
    name: OsString,
    /// systemd makes it.
    scope: bool,
}

impl Place {
    /// Where the group of container `id` belongs on a node whose hierarchy is mounted at
    /// `hierarchy`.
    pub fn of(hierarchy: PathBuf, systemd: bool, id: Ctid) -> Place {
        if systemd {
            let name = scope_name(id).into();
            Place { hierarchy, parent: SLICE.into(), name, scope: true }
        } else {
            let name = id.to_string().into();
            Place { hierarchy, parent: PARENT.into(), name, scope: false }
        }
    }

    /// The same for a group known by its path below the hierarchy, as the state file has it.
    pub fn at(hierarchy: PathBuf, group: &Path) -> Place {
        Place {
            hierarchy,
            parent: group.parent().unwrap_or(Path::new("")).to_owned(),
            name: group.file_name().unwrap_or_default().to_owned(),
            scope: group.starts_with(SLICE),
        }
    }

    /// The group of all containers below the hierarchy's mount.
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// The container's group below the hierarchy's mount.
    pub fn relative(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// The container's group as a path of the node.
    pub fn path(&self) -> PathBuf {
        self.hierarchy.join(&self.parent).join(&self.name)
    }

    /// Says whether systemd has to be asked for it.
    pub fn is_scope(&self) -> bool {
        self.scope
    }

    /// Opens the container's group.
    ///
    /// # Errors
    /// Those of `open(2)`; `NotFound` when the container has none.
    pub fn open(&self) -> io::Result<Cgroup> {
        Cgroup::open(&self.path())
    }

    /// Makes the group that the container's vzmon is born into. `None` where systemd makes it,
    /// which does so only around a process that is there.
    ///
    /// Born into it, because moving a process that runs costs milliseconds: the kernel waits for
    /// an RCU grace period, and holds up every fork and exit of the node meanwhile.
    ///
    /// # Errors
    /// Those of making groups.
    pub fn make_birthplace(&self) -> io::Result<Option<Cgroup>> {
        if self.scope {
            return Ok(None);
        }
        self.make_top()?.make_child(MONITOR.as_ref()).map(Some)
    }

    fn make_top(&self) -> io::Result<Cgroup> {
        let root = Cgroup::open(&self.hierarchy)?;
        root.enable_controllers(&CONTROLLERS)?;
        let parent = root.make_child(self.parent.as_os_str())?;
        parent.enable_controllers(&CONTROLLERS)?;
        let top = parent.make_child(&self.name)?;
        // While nothing lives below: switched on later, it would move what does.
        top.enable_controllers(&CONTROLLERS)?;
        Ok(top)
    }

    /// Switches on what systemd does not know of and therefore leaves alone. Without it a container's
    /// huge pages have no limit, and all else is as ever.
    fn enable_above(&self) {
        for path in [&self.hierarchy, &self.hierarchy.join(&self.parent)] {
            let _ = Cgroup::open(path).and_then(|group| {
                group.enable_controllers(&UNKNOWN_TO_SYSTEMD)?;
                Ok(())
            });
        }
    }

    /// Makes the group and the two below it, ready for limits and for processes. `first` is the
    /// process born into [`Place::make_birthplace`], or the one that systemd puts into the scope
    /// (it must not be the caller's own): it ends up in the monitor's group either way.
    ///
    /// # Errors
    /// Those of making groups; systemd's refusal as `Other`.
    pub fn make(&self, id: Ctid, first: Pid) -> io::Result<Groups> {
        let top = if self.scope {
            make_scope(id, first)?;
            let top = self.open()?;
            top.make_child(MONITOR.as_ref())?.add(first)?;
            self.enable_above();
            top.enable_controllers(&CONTROLLERS)?;
            top
        } else {
            self.open()?
        };
        let init = top.make_child(INIT.as_ref())?;
        Ok(Groups { top, init })
    }

    /// Kills what lives in the group, waits for its end, and removes it with all below. One that
    /// is not there is no error.
    ///
    /// # Errors
    /// `TimedOut` when something would not die; those of reading and removing groups.
    pub fn clear(&self) -> io::Result<()> {
        let parent = match Cgroup::open(&self.hierarchy.join(&self.parent)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let group = match parent.child(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        match empty(&group) {
            // systemd removes a scope as soon as it is empty, and may be faster.
            Err(error) if cgroup::is_gone(&error) => {}
            other => other?,
        }
        parent.remove_child(&self.name)
    }
}

/// Kills what lives in the group and waits for its end.
fn empty(group: &Cgroup) -> io::Result<()> {
    if !group.is_populated()? {
        return Ok(());
    }
    // A frozen group would never die in a hierarchy without cgroup.kill.
    let _ = group.write("cgroup.freeze", "0");
    group.kill()?;
    if group.wait_empty(PATIENCE)? { Ok(()) } else { Err(io::Error::from(io::ErrorKind::TimedOut)) }
}

/// The groups of a container being started.
#[derive(Debug)]
pub struct Groups {
    /// The container's group: limits go here.
    pub top: Cgroup,
    /// Where its init is born.
    pub init: Cgroup,
}

/// The name of a container's scope unit.
fn scope_name(id: Ctid) -> String {
    format!("vz-{id}.scope")
}

fn make_scope(id: Ctid, first: Pid) -> io::Result<()> {
    let name = scope_name(id);
    let scope = systemd::Scope {
        name: &name,
        slice: SLICE,
        description: &format!("OpenVZ container {id}"),
        processes: &[first.as_raw() as u32],
        properties: systemd::DELEGATED,
    };
    let mut manager =
        systemd::Manager::connect(Path::new("/run"), PATIENCE).map_err(io::Error::other)?;
    let mut tries = 0;
    loop {
        tries += 1;
        match manager.start_scope(&scope, PATIENCE) {
            Ok(()) => return Ok(()),
            // The scope of the run before: empty, but systemd has not let go of it yet.
            Err(error) if error.is_unit_exists() && tries < SCOPE_TRIES => {
                match manager.stop_unit(&name, PATIENCE) {
                    Err(error) if !error.is_no_such_unit() => return Err(io::Error::other(error)),
                    _ => {}
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let id = Ctid::new(101).unwrap();
        let plain = Place::of("/sys/fs/cgroup".into(), false, id);
        assert_eq!(plain.path(), Path::new("/sys/fs/cgroup/vz/101"));
        let scope = Place::of("/sys/fs/cgroup".into(), true, id);
        assert_eq!(scope.relative(), Path::new("vz.slice/vz-101.scope"));
        assert_eq!(Place::at("/sys/fs/cgroup".into(), &scope.relative()), scope);
        assert_eq!(Place::at("/sys/fs/cgroup".into(), &plain.relative()), plain);
    }
}
