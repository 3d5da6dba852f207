//! Images of snapshots: whole ones beside the container's own, `root.hdd.{UUID}`, which nobody writes
//! to any more. DiskDescriptor.xml lists them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vz_conf::disk_descriptor::{DiskDescriptor, Format};
use vz_conf::exit::Exit;
use vz_conf::new_file::remove_if_there;
use vz_conf::uuid::Uuid;
use vz_sys::file_system;

use super::copy::{Copying, too_large};
use super::frozen::{self, Frozen};
use super::resize::Mounted;
use super::{A_MOMENT, IMAGE, descriptor, directory, image, image_path, tools};
use crate::container::Container;
use crate::error::{Context, Error, OsText, Result};
use crate::remove_tree::remove_path;

/// The name of a snapshot's image in its directory.
pub(super) fn name(id: &Uuid) -> String {
    format!("{IMAGE}.{id}")
}

/// Where the image waits that is to take the place of the container's own.
fn waiting_path(container: &Container<'_>) -> PathBuf {
    directory(&container.private).join("root.hdd.switch")
}

fn read(container: &Container<'_>) -> Result<DiskDescriptor> {
    descriptor::check(&directory(&container.private))?;
    let image = image_path(&container.private);
    let length = std::fs::metadata(&image).at(Exit::PloopMountFailed, "Cannot look at", &image)?;
    descriptor::load_or_plain(&directory(&container.private), length.len())
}

/// Says whether `id` is taken: by an image, or by what stands for none.
///
/// # Errors
/// When the descriptor cannot be read.
pub fn is_taken(container: &Container<'_>, id: &Uuid) -> Result<bool> {
    Ok(read(container)?.has(id))
}

/// The image of the snapshot `id`; `None` when there is none.
///
/// # Errors
/// When the descriptor cannot be read.
pub fn path(container: &Container<'_>, id: &Uuid) -> Result<Option<PathBuf>> {
    let disk = read(container)?;
    let is_own = disk.top_image().is_ok_and(|top| top.id == *id);
    let image = disk.image(id).filter(|image| !is_own && image.format == Format::Plain);
    Ok(image.map(|image| directory(&container.private).join(&image.file)))
}

/// Makes the image of a snapshot: the state of this moment, on disk. Nothing lists it yet.
///
/// # Errors
/// The step that failed. What was made of the image is left for [`forget`].
pub fn take(container: &Container<'_>, id: &Uuid) -> Result<()> {
    let path = directory(&container.private).join(name(id));
    let own = image_path(&container.private);
    // Once the snapshot counts it must be possible to list it.
    descriptor::bytes(&directory(&container.private), &listed(container, id)?)?;
    let (source, copy) = (image::open(&own)?, make(&path)?);
    let both = Copying { source: &source, copy: &copy };
    let patience = if container.is_mounted() { Duration::ZERO } else { A_MOMENT };
    if image::wait_detached(&own, patience)? {
        tools::check_file_system(&own)?;
        copy_still(&both)?;
    } else {
        copy_mounted(&both, &Mounted::of(container)?)?;
    }
    copy.sync_all().and_then(|()| sync_directory(container)).at(
        Exit::NoDiskSpace,
        "Cannot sync",
        &path,
    )
}

fn make(path: &Path) -> Result<File> {
    let options = &mut File::options();
    let options = options.read(true).write(true).create_new(true).mode(0o600);
    remove_if_there(path).and_then(|()| options.open(path)).at(
        Exit::NoDiskSpace,
        "Cannot make",
        path,
    )
}

fn sync_directory(container: &Container<'_>) -> io::Result<()> {
    File::open(directory(&container.private))?.sync_all()
}

/// Of an image that nobody writes to.
fn copy_still(both: &Copying<'_>) -> Result<()> {
    match both.share()? {
        true => Ok(()),
        false => both.fill(),
    }
}

/// The container may write meanwhile: it holds still for the last step only.
fn copy_mounted(both: &Copying<'_>, mounted: &Mounted) -> Result<()> {
    let shares = both.share()?;
    if !shares {
        both.fill()?;
        // What has changed until then is in memory, and on disk, before the container has to wait.
        let begin = Instant::now();
        both.refresh(None)?;
        require_time(begin.elapsed())?;
    }
    let frozen = |done: io::Result<_>| {
        done.context(Exit::PloopMountFailed, || "Cannot freeze the file system".into())
    };
    frozen(sync(both, mounted))?;
    let still = Frozen::new(mounted.top().as_fd())
        .context(Exit::PloopMountFailed, || "Cannot freeze the file system".into())?;
    match shares {
        true if both.share()? => {}
        _ => both.refresh(Some(still.until()))?,
    }
    frozen(still.thaw())
}

/// The container does not have to wait for what would not come to its end: once more all of the image is
/// looked through, and that has just taken so long.
fn require_time(taken: Duration) -> Result<()> {
    match taken < frozen::LIMIT {
        true => Ok(()),
        false => Err(too_large()),
    }
}

fn sync(both: &Copying<'_>, mounted: &Mounted) -> io::Result<()> {
    nix::unistd::syncfs(mounted.top())?;
    both.source.sync_all()?;
    both.copy.sync_all()
}

/// Lets the container go on that a killed command has frozen.
pub fn thaw(container: &Container<'_>) {
    let attached = image::wait_detached(&image_path(&container.private), Duration::ZERO);
    if attached.is_ok_and(|detached| !detached)
        && let Ok(mounted) = Mounted::of(container)
    {
        // As a rule it is not frozen.
        let _ = file_system::thaw(mounted.top().as_fd());
    }
}

/// Lists the image of the new snapshot `id`.
///
/// # Errors
/// When the descriptor cannot be read or written.
pub fn list(container: &Container<'_>, id: &Uuid) -> Result<()> {
    descriptor::store(&directory(&container.private), &listed(container, id)?)
}

/// The descriptor with the snapshot `id`.
fn listed(container: &Container<'_>, id: &Uuid) -> Result<DiskDescriptor> {
    let mut disk = read(container)?;
    if disk.image(id).is_none() {
        let refused = |error| Error::Refused(Exit::PloopCreateFailed, format!("{id}: {error}"));
        disk.add_snapshot(id, &name(id)).map_err(refused)?;
    }
    Ok(disk)
}

/// Takes the image of a snapshot away, if there is one.
///
/// # Errors
/// When the descriptor cannot be written, or the image not be removed.
pub fn forget(container: &Container<'_>, id: &Uuid) -> Result<()> {
    let mut disk = read(container)?;
    if disk.top_image().is_ok_and(|top| top.id == *id) {
        return Ok(());
    }
    let listed = disk.image(id).map(|image| image.file.clone());
    let before = disk.clone();
    disk.remove_snapshot(id);
    // The files first: on a full disk it is they that make room for the rest, and a note says that it is
    // to be done again where it has been broken off.
    for file in listed.into_iter().chain([name(id)]) {
        // A descriptor that was written by hand may name it twice.
        if disk.images.iter().all(|image| image.file != file) {
            let path = directory(&container.private).join(file);
            remove_path(&path).at(Exit::SnapshotDeleteFailed, "Cannot remove", &path)?;
        }
    }
    if disk == before {
        return Ok(());
    }
    descriptor::store(&directory(&container.private), &disk)
}

/// Makes what [`put_in_place`] needs: a copy of the snapshot's image, on disk.
///
/// # Errors
/// The step that failed.
pub fn prepare(container: &Container<'_>, snapshot: &Path) -> Result<()> {
    let path = waiting_path(container);
    let source = image::open(snapshot)?;
    require_whole(snapshot, &source)?;
    let copy = make(&path)?;
    copy_still(&Copying { source: &source, copy: &copy })?;
    // What cannot be mounted is found out while the container still has what it had.
    tools::check_copy(&path, snapshot)?;
    copy.sync_all().and_then(|()| sync_directory(container)).at(
        Exit::NoDiskSpace,
        "Cannot sync",
        &path,
    )
}

/// An image that was cut off is not worth copying.
fn require_whole(path: &Path, image: &File) -> Result<()> {
    let refused = |why: &str| {
        let text = format!("The image {} cannot be used: {why}", path.display());
        Err(Error::Refused(Exit::SnapshotSwitchFailed, text))
    };
    let length = image.metadata().at(Exit::SnapshotSwitchFailed, "Cannot look at", path)?.len();
    match file_system::ext4_size(image) {
        Ok(size) if size.bytes() <= length => Ok(()),
        Ok(_) => refused("its end is missing"),
        Err(error) => refused(&OsText(error).to_string()),
    }
}

/// Takes back what [`prepare`] has made.
///
/// # Errors
/// Those of unlink(2).
pub fn discard_prepared(container: &Container<'_>) -> Result<()> {
    let path = waiting_path(container);
    remove_if_there(&path).at(Exit::SnapshotSwitchFailed, "Cannot remove", &path)
}

/// Says whether [`put_in_place`] has yet to replace the image, and the image is in use: it has been
/// mounted since all was prepared, and what is written to it would be lost.
///
/// # Errors
/// When the devices cannot be looked at.
pub fn is_too_late(container: &Container<'_>) -> Result<bool> {
    let is_due = waiting_path(container).exists();
    Ok(is_due && !image::wait_detached(&image_path(&container.private), A_MOMENT)?)
}

/// Puts the copy of the image of `id` in the place of the container's own, which is not mounted.
/// Done a second time it changes nothing. Returns the size of the image.
///
/// # Errors
/// The step that failed.
pub fn put_in_place(container: &Container<'_>, id: &Uuid) -> Result<u64> {
    let (waiting, own) = (waiting_path(container), image_path(&container.private));
    match std::fs::rename(&waiting, &own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && own.exists() => Ok(()),
        other => other,
    }
    .and_then(|()| sync_directory(container))
    .at(Exit::SnapshotSwitchFailed, "Cannot replace", &own)?;
    let size = std::fs::metadata(&own).at(Exit::SnapshotSwitchFailed, "Cannot look at", &own)?;
    let mut disk = read(container)?;
    let refused = |error| Error::Refused(Exit::SnapshotSwitchFailed, format!("{id}: {error}"));
    disk.put_top_on(id).map_err(refused)?;
    disk.sectors = size.len() / vz_conf::disk_descriptor::SECTOR;
    descriptor::store(&directory(&container.private), &disk)?;
    Ok(size.len())
}

/// Waits until the container's own image, just unmounted, is in use nowhere.
///
/// # Errors
/// When it stays in use.
pub fn wait_unused(container: &Container<'_>) -> Result<()> {
    let own = image_path(&container.private);
    match image::wait_detached(&own, super::resize::PATIENCE)? {
        true => Ok(()),
        false => {
            let text = format!("{} is in use", own.display());
            Err(Error::Refused(Exit::SnapshotSwitchFailed, text))
        }
    }
}

/// Makes the mount of a snapshot's image, attached nowhere yet: to be read, by the node's own
/// programs.
///
/// # Errors
/// When it cannot be mounted.
pub fn mount(snapshot: &Path) -> Result<OwnedFd> {
    // The image of an old node may have work in its journal, which a mount for reading cannot do.
    tools::check_file_system(snapshot)?;
    image::mount_read_only(snapshot)
}

/// Where a snapshot's image is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The loop device.
    pub device: String,
    /// The mount points.
    pub targets: Vec<PathBuf>,
}

/// Where the image is mounted; `None` when it is not.
///
/// # Errors
/// When the devices or the mounts cannot be looked at.
pub fn place(snapshot: &Path) -> Result<Option<Place>> {
    let file = image::open(snapshot)?;
    let Some(device) = image::attached(snapshot, &file)?.into_iter().next() else {
        return Ok(None);
    };
    let targets = device
        .device_number()
        .map_err(|error| error.source)
        .and_then(vz_sys::mount_table::mounts_of_device)
        .at(Exit::SnapshotMountFailed, "Cannot look for mounts of", snapshot)?;
    Ok(Some(Place { device: format!("/dev/loop{}", device.number()), targets }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_not_frozen_for_what_takes_too_long() {
        assert!(require_time(frozen::LIMIT / 2).is_ok());
        assert!(require_time(frozen::LIMIT).is_err_and(|error| {
            error.to_string().contains("120 s") && error.exit() == Exit::PloopMountFailed
        }));
    }
}
