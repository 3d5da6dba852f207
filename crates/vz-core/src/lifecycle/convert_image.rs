//! `vzctl convert` of images that ploop has made: into plain ones, which can be mounted here.
//!
//! The new directory is made beside the old one, as `root.hdd.tmp`, and is put in its place when it is
//! whole and on disk, by one renameat2(2) that exchanges the two. What is named `root.hdd.tmp` is
//! therefore of no use at any time but while this runs: whoever takes the lock next removes it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::RenameFlags;
use nix::sys::stat::SFlag;
use vz_conf::disk_descriptor::FILE_NAME;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_sys::beneath;

use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::layout::ploop::genuine::{self, Disk, Form};
use crate::layout::ploop::{self, IMAGE};
use crate::lifecycle::destroy::discard;
use crate::report::{Counter, Report, Silent};

/// Where the new images are made.
fn new_directory(private: &Path) -> PathBuf {
    ploop::directory(private).with_extension("hdd.tmp")
}

/// Says whether the container is on layout ploop with images that ploop itself has made.
///
/// # Errors
/// When they cannot be read.
pub fn is_needed(container: &Container<'_>) -> Result<bool> {
    if !matches!(container.layout(), Layout::Ploop(_)) {
        return Ok(false);
    }
    let directory = ploop::directory(&container.private);
    Ok(genuine::form(&directory, Exit::PloopConvertFailed)? != Form::Ours)
}

/// Turns the images of the stopped, unmounted container into plain ones: that which is written to, and
/// one for each snapshot. The lock is held by the caller.
///
/// # Errors
/// The step that failed; the images are then as they were.
pub fn convert(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    report.info("Converting ploop images to plain ones");
    let private = &container.private;
    let new = new_directory(private);
    discard(&new, report)?;
    let disk = Disk::open(private)?;
    let done = fill(container, &disk, &new, report).and_then(|()| exchange(private));
    // The old images, or what was made of the new ones.
    let removed = discard(&new, &mut Silent);
    done?;
    report.info("Container images are plain now");
    removed
}

/// Removes what a killed conversion has left. Called by each command that has just taken the lock.
///
/// # Errors
/// When it cannot be removed.
pub fn finish(container: &Container<'_>) -> Result<()> {
    if !matches!(container.layout(), Layout::Ploop(_)) {
        return Ok(());
    }
    discard(&new_directory(&container.private), &mut Silent)
}

/// The file system that is written to, mounted to be read and attached nowhere: made of ploop's images
/// for this alone. It goes with its last user.
///
/// # Errors
/// As [`convert`]; with snapshots it is refused, as only layout ploop keeps them.
pub fn mount_top(container: &Container<'_>, report: &mut dyn Report) -> Result<OwnedFd> {
    let disk = Disk::open(&container.private)?;
    let snapshots = disk.snapshots()?.len();
    if snapshots > 0 {
        let text = format!(
            "CT has snapshots ({snapshots}), which only layout ploop keeps: convert it to ploop, and \
             delete them first"
        );
        return Err(Error::Refused(Exit::PloopConvertFailed, text));
    }
    let new = new_directory(&container.private);
    discard(&new, report)?;
    let mounted = make_directory(&new)
        .and_then(|()| write_all(container, &disk, &new, report))
        .and_then(|()| ploop::mount_image(&new.join(IMAGE)));
    let removed = discard(&new, &mut Silent);
    let mounted = mounted?;
    removed.map(|()| mounted)
}

fn make_directory(path: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    made.at(Exit::CreateDirectoryFailed, "Cannot make", path)
}

/// Makes the new directory, whole and on disk.
fn fill(container: &Container<'_>, disk: &Disk, new: &Path, report: &mut dyn Report) -> Result<()> {
    let exit = Exit::PloopConvertFailed;
    let path = new.join(FILE_NAME);
    let size_of = |(_, id): &(_, _)| disk.flat(id).map(|flat| flat.size());
    let size = disk.images()?.first().map_or(Ok(0), size_of)?;
    let descriptor = disk.plain_descriptor(size)?.to_bytes();
    let descriptor = descriptor.map_err(std::io::Error::other).at(exit, "Cannot write", &path)?;
    make_directory(new)?;
    keep_others(disk, new)?;
    write_all(container, disk, new, report)?;
    ploop::write_descriptor(new, &descriptor).at(exit, "Cannot write", &path)
}

/// Files of root.hdd that are no part of the disk are the admin's: they get a name in the new
/// directory as well. Locks, and empty directories that were mount points, do not.
fn keep_others(disk: &Disk, new: &Path) -> Result<()> {
    let exit = Exit::PloopConvertFailed;
    let place = File::open(new).at(exit, "Cannot open", new)?;
    let old = ploop::directory(new.parent().unwrap_or(new));
    for entry in std::fs::read_dir(&old).at(exit, "Cannot read", &old)? {
        let name = entry.at(exit, "Cannot read", &old)?.file_name();
        let text = name.to_string_lossy();
        let is_ploops = text.starts_with(FILE_NAME) || text.ends_with(".lck") || text == ".statfs";
        if is_ploops || disk.files().any(|file| OsStr::new(file) == name) {
            continue;
        }
        keep(disk, &name, place.as_fd()).context(exit, || {
            format!("Cannot keep {}, which is no image: move it away", old.join(&name).display())
        })?;
    }
    Ok(())
}

fn keep(disk: &Disk, name: &OsStr, place: std::os::fd::BorrowedFd<'_>) -> nix::Result<()> {
    let status = beneath::status_at(disk.directory(), name)?;
    match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => beneath::make_hard_link(disk.directory(), name, place, name),
        // Of its own name and that above: nothing is in it.
        SFlag::S_IFDIR => {
            let directory = beneath::open_directory(disk.directory(), name)?;
            let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
            let mode = nix::sys::stat::Mode::empty();
            match nix::dir::Dir::openat(directory, ".", flags, mode)?.into_iter().count() {
                2 => Ok(()),
                _ => Err(Errno::ENOTEMPTY),
            }
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Writes the images, has their file systems mended, and puts them on disk.
fn write_all(
    container: &Container<'_>,
    disk: &Disk,
    new: &Path,
    report: &mut dyn Report,
) -> Result<()> {
    let total = check_space(disk, new)?;
    let images = disk.images()?;
    let mut counter = Counter::new(report, Some(total));
    for (name, id) in &images {
        let path = new.join(name);
        let options = &mut File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&path).at(
            Exit::PloopConvertFailed,
            "Cannot make",
            &path,
        )?;
        disk.flat(id)?.write(&file, &mut |bytes| counter.add(bytes))?;
    }
    drop(counter);
    let limit = container.config.diskspace.as_ref().map(|space| space.hard.saturating_mul(1024));
    for (name, _) in &images {
        settle(&new.join(name), limit, report)?;
    }
    Ok(())
}

fn settle(path: &Path, limit: Option<u64>, report: &mut dyn Report) -> Result<()> {
    let held = genuine::tidy(path, limit).map_err(|error| match error.line() {
        None => error,
        Some(line) => Error::Refused(Exit::PloopConvertFailed, line),
    })?;
    if !held {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        report.error(&format!("Warning: {name} is too full to be held to DISKSPACE"));
    }
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.at(Exit::PloopConvertFailed, "Cannot sync", path)
}

/// Whether there is room for all data, where it cannot be shared with the old images. Returns how much
/// data there is, in bytes. All images are looked through for that: what cannot be read is told here.
fn check_space(disk: &Disk, new: &Path) -> Result<u64> {
    let exit = Exit::PloopConvertFailed;
    let probe = tempfile::tempfile_in(new).at(exit, "Cannot make a file in", new)?;
    let (mut total, mut shares) = (0_u64, false);
    for (_, id) in disk.images()? {
        let mut flat = disk.flat(&id)?;
        total = total.saturating_add(flat.data()?);
        shares |= flat.can_share(&probe);
    }
    if shares {
        return Ok(total);
    }
    let status = nix::sys::statvfs::statvfs(new).at(exit, "Cannot look at", new)?;
    let free = status.blocks_available().saturating_mul(status.fragment_size());
    match total <= free {
        true => Ok(total),
        false => Err(Error::Refused(
            Exit::NoDiskSpace,
            format!(
                "Conversion needs {} MiB beside the old images, and {} has {} MiB free",
                total.div_ceil(1 << 20),
                new.parent().unwrap_or(new).display(),
                free >> 20
            ),
        )),
    }
}

/// Puts the new directory in the place of the old one, which has its name then.
fn exchange(private: &Path) -> Result<()> {
    let exit = Exit::PloopConvertFailed;
    let new = new_directory(private);
    File::open(&new).and_then(|new| new.sync_all()).at(exit, "Cannot sync", &new)?;
    let place = File::open(private).at(exit, "Cannot open", private)?;
    let (old, name) = (ploop::directory(private), new.file_name().unwrap_or_default());
    let old_name = old.file_name().unwrap_or_default();
    let (from, flags) = (place.as_fd(), RenameFlags::RENAME_EXCHANGE);
    beneath::rename(from, name, from, old_name, flags)
        .context(exit, || format!("Cannot exchange {} and {}", old.display(), new.display()))?;
    place.sync_all().at(exit, "Cannot sync", private)
}
