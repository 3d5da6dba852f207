//! `vzdump`: a container's files and configuration as one archive.
//!
//! Consistent means: what a crash of the node at one moment would have left of the files, and no file
//! caught in the middle of a change of two. So a running container is frozen (cgroup.freeze) while
//! its files are read: it loses time, no connection. Whoever is killed meanwhile leaves a small shell
//! that waits for just that, and lets the container go on.
//!
//! The archive is that of OpenVZ's and Proxmox VE's vzdump: members `./` and below, with the
//! configuration as `./etc/vzdump/vps.conf` and the action scripts beside it. Those come first here,
//! so that a restore need not read all to find them; what the container itself has in that place is
//! left out.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use nix::sys::stat::FileStat;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_sys::cgroup::Cgroup;
use vz_sys::mount::{self, Place};

use crate::container::Container;
use crate::copy_tree::CopyError;
use crate::error::{Context, Error, Result};
use crate::group;
use crate::layout::ploop::balloon;
use crate::layout::{self, View};
use crate::pack::{Packer, Shift, Summary, Tree};
use crate::unpack::survey::{CONFIG, DUMP};

/// What a container's action scripts end in.
pub const SCRIPTS: [&str; 6] = ["start", "stop", "mount", "umount", "premount", "postumount"];
/// How long a container's processes may take to stand: one that waits for a disk stands after that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the archive. A running container is frozen meanwhile, unless it is to be read as it moves.
/// `excluded` says of paths from the container's top which are left out, with all below; `unread` is
/// told of each file that could not be read, without which the archive is made. The lock is held by
/// the caller.
///
/// # Errors
/// The step that failed; the container is as it was.
pub fn write(
    container: &Container<'_>,
    output: &mut dyn Write,
    excluded: &dyn Fn(&Path) -> bool,
    unread: &mut dyn FnMut(&CopyError),
) -> Result<Summary> {
    container.require_private()?;
    let state = container.state()?.filter(|state| state.is_running());
    let _frozen = match &state {
        None => None,
        Some(state) => Some(Frozen::begin(&group_of(container, &state.group)?)?),
    };
    let files = files(container)?;
    // Its mount cannot be id-mapped: the layers below are, and what it shows is shifted.
    let shift = match (&state, container.layout()) {
        (Some(state), Layout::Overlay) => Shift { uid: state.uid_base, gid: state.gid_base },
        _ => Shift::default(),
    };
    let is_image = matches!(container.layout(), Layout::Ploop(_));
    let excluded = |path: &Path, status: &FileStat| {
        path == Path::new(DUMP) || is_image && balloon::is_balloon(path, status) || excluded(path)
    };
    let mut packer = Packer::new(output, unread);
    add_configuration(container, &mut packer)?;
    let tree = Tree { top: files.as_fd(), shift, excluded: &excluded };
    packer.add_tree(&tree).and_then(|()| packer.finish()).map_err(failed)
}

/// Where it is mounted, that mount without what lies on it; else one of its own, to be read.
fn files(container: &Container<'_>) -> Result<OwnedFd> {
    if !container.is_mounted() {
        return layout::of(container.layout()).mount(container, View::Reading, false);
    }
    let root = &container.root;
    mount::clone_tree(Place::Path(root), false).at(Exit::MountFailed, "Cannot clone", root)
}

fn group_of(container: &Container<'_>, group: &Path) -> Result<std::path::PathBuf> {
    let place = group::Place::at(container.node.cgroup_hierarchy()?, group);
    Ok(place.path().join(group::INIT))
}

fn add_configuration(container: &Container<'_>, packer: &mut Packer<'_>) -> Result<()> {
    let directory = Path::new(DUMP);
    let text = container.file.to_bytes();
    packer.add_file(&directory.join(CONFIG), 0o644, &text).map_err(failed)?;
    for kind in SCRIPTS {
        let path = container.node.conf_dir().join(format!("{}.{kind}", container.id));
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.at(Exit::SystemError, "Cannot read", &path)?,
        };
        packer.add_file(&directory.join(format!("vps.{kind}")), 0o755, &text).map_err(failed)?;
    }
    Ok(())
}

fn failed(error: CopyError) -> Error {
    match error {
        CopyError::Cancelled => Error::Cancelled,
        other => Error::Refused(Exit::SystemError, format!("Backup failed: {other}")),
    }
}

/// A container that stands still until this is dropped, or this process is gone.
struct Frozen {
    group: Cgroup,
    guard: Child,
    line: Option<ChildStdin>,
}

impl Frozen {
    fn begin(path: &Path) -> Result<Frozen> {
        let exit = Exit::SystemError;
        let group = Cgroup::open(path).at(exit, "Cannot open", path)?;
        let mut guard = guard(path).spawn().context(exit, || "Cannot run /bin/sh".into())?;
        let line = guard.stdin.take();
        let frozen = Frozen { group, guard, line };
        match frozen.group.freeze(PATIENCE).at(exit, "Cannot freeze", path)? {
            true => Ok(frozen),
            false => {
                Err(Error::Refused(exit, format!("Cannot freeze {}: timed out", path.display())))
            }
        }
    }
}

/// Waits for the end of its standard input. In a process group of its own, so that what ends this
/// process from a terminal does not end it.
fn guard(group: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "read -r end; echo 0 >\"$1\"", "sh"]).arg(group.join("cgroup.freeze"));
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0);
    command
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // The guard does the same; this does not wait for it.
        let _ = self.group.write("cgroup.freeze", "0");
        drop(self.line.take());
        let _ = self.guard.wait();
    }
}
