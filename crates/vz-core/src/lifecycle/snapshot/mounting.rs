//! `vzctl snapshot-mount` and `snapshot-umount`. What is mounted where the node itself knows: nothing
//! of it is written down.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::uuid::Uuid;
use vz_sys::mount::{self, Change};

use super::{Place, image, load, of_image, refuse};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::report::Report;

/// Mounts a snapshot at the directory `target`, to be read. The lock is held by the caller.
///
/// # Errors
/// [`Exit::SnapshotMountFailed`].
pub fn mount(
    container: &Container<'_>,
    id: &Uuid,
    target: &Path,
    report: &mut dyn Report,
) -> Result<()> {
    const EXIT: Exit = Exit::SnapshotMountFailed;
    super::require_image(container, EXIT)?;
    let Some(tree) = load(container, EXIT)? else {
        let path = super::tree_path(container);
        let shown = container.node.shown(&path);
        let text = format!("Snapshot description file {} not found", shown.display());
        return refuse(EXIT, &text);
    };
    if tree.find(id).is_none() {
        return refuse(EXIT, &format!("Unable to find snapshot by uuid {id}"));
    }
    report.info(&format!("Mounting snapshot {id} to {}", target.display()));
    mount_at(container, id, target)
        .map_err(|error| of_image(error, &format!("mount snapshot {id}"), EXIT))
}

fn mount_at(container: &Container<'_>, id: &Uuid, target: &Path) -> Result<()> {
    let path = require_file(container, id, Exit::SnapshotMountFailed)?;
    if let Some(place) = image::place(&path)? {
        let text = format!("Image {} already used by device {}", path.display(), place.device);
        return refuse(Exit::SnapshotMountFailed, &text);
    }
    let directory = nix::libc::O_PATH | nix::libc::O_DIRECTORY;
    let directory = File::options().read(true).custom_flags(directory).open(target).at(
        Exit::SnapshotMountFailed,
        "Cannot open",
        target,
    )?;
    let mounted = image::mount(&path)?;
    // Not to be copied into containers that start, where it would be in use for as long as they run.
    let private = Change { private: true, ..Change::default() };
    mount::attach(mounted.as_fd(), mount::Place::Descriptor(directory.as_fd()))
        .and_then(|()| mount::change(mount::Place::Descriptor(mounted.as_fd()), &private))
        .at(Exit::SnapshotMountFailed, "Cannot mount", target)
}

fn require_file(container: &Container<'_>, id: &Uuid, exit: Exit) -> Result<PathBuf> {
    let path = image::path(container, id)?;
    path.ok_or_else(|| Error::Refused(exit, format!("Can't find snapshot by uuid {id}")))
}

/// Unmounts a snapshot, wherever it is mounted. The lock is held by the caller.
///
/// # Errors
/// [`Exit::SnapshotUmountFailed`], also when it is not mounted.
pub fn umount(container: &Container<'_>, id: &Uuid, report: &mut dyn Report) -> Result<()> {
    const EXIT: Exit = Exit::SnapshotUmountFailed;
    super::require_image(container, EXIT)?;
    report.info(&format!("Umounting snapshot {id}"));
    let unmount = || -> Result<()> {
        let path = require_file(container, id, EXIT)?;
        let targets = image::place(&path)?.map(|place| place.targets).unwrap_or_default();
        if targets.is_empty() {
            return refuse(EXIT, &format!("Image {} is not mounted", path.display()));
        }
        // The last one of several at one place is the one on top.
        targets
            .iter()
            .rev()
            .try_for_each(|target| mount::unmount(target, false).at(EXIT, "Cannot umount", target))
    };
    unmount().map_err(|error| of_image(error, &format!("umount snapshot {id}"), EXIT))
}

/// Where a snapshot is mounted; `None` when it is not.
///
/// # Errors
/// When the node cannot be asked.
pub fn place(container: &Container<'_>, id: &Uuid) -> Result<Option<Place>> {
    let path = image::path(container, id)?.filter(|path| path.exists());
    path.map_or(Ok(None), |path| image::place(&path))
}

/// None of the container's snapshots may be mounted: it is about to be destroyed.
///
/// # Errors
/// [`Exit::Mounted`] when one is; which is said.
pub fn require_none_mounted(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    if !matches!(container.layout(), Layout::Ploop(_)) || !container.private.is_dir() {
        return Ok(());
    }
    // What cannot be read has nothing mounted by these tools.
    let tree = load(container, Exit::Mounted).ok().flatten().unwrap_or_default();
    for snapshot in tree.snapshots() {
        if let Ok(Some(place)) = place(container, &snapshot.id) {
            let target = place.targets.first().cloned().unwrap_or_else(|| place.device.into());
            report.info(&format!(
                "Snapshot {} is currently mounted at {} (umount first)",
                snapshot.id,
                target.display()
            ));
            return Err(Error::Reported(Exit::Mounted));
        }
    }
    Ok(())
}
