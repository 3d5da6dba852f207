//! The place beside the private area where a new one is filled, until it is whole and takes its place
//! by a rename.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use vz_conf::exit::Exit;
use vz_sys::{mount, xattr};

use crate::container::Container;
use crate::error::{Context, Result};
use crate::lifecycle::destroy::discard;
use crate::lifecycle::mounting;
use crate::lock;
use crate::report::{Report, Silent};

/// The attribute that such a place has: a directory of the same name that an admin has made is not
/// to be taken for one. No container can set it, or see it.
const MARK: &str = "trusted.vz.unfinished";

/// Where a private area is filled before it is there.
pub fn area(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Makes it, an empty directory. Where a file system has no attributes, what is left of it when this
/// process is killed goes with the next create or destroy, not with any command.
///
/// # Errors
/// When it cannot be made.
pub fn make(area: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().mode(0o755).create(area);
    made.at(Exit::CreateDirectoryFailed, "Cannot make", area)?;
    let marked = open(area).map(|opened| xattr::set(opened.as_fd(), MARK.as_ref(), b""));
    match marked.at(Exit::CreateDirectoryFailed, "Cannot open", area)? {
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM) => Ok(()),
        Err(error) => Err(error).at(Exit::CreateDirectoryFailed, "Cannot mark", area),
    }
}

/// Gives a whole one the name `place`, which is free or an empty directory.
///
/// # Errors
/// Those of `rename(2)`.
pub fn finish(area: &Path, place: &Path) -> io::Result<()> {
    std::fs::rename(area, place)?;
    // Under this name it says nothing to anybody.
    let _ = open(place).map(|opened| xattr::remove(opened.as_fd(), MARK.as_ref()));
    Ok(())
}

fn open(area: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(flags).open(area)
}

/// Removes what a killed create or convert has left beside the private area, unmounted where a create
/// had come to mount it. Called by each command that has just taken the lock: who makes such an area has
/// it.
///
/// # Errors
/// When it cannot be unmounted, or removed.
pub fn discard_unfinished(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let private = &container.private;
    if !has_unfinished(container) {
        return Ok(());
    }
    let area = area(private);
    report.log(
        1,
        &format!("Removing {}, which is unfinished", container.node.shown(&area).display()),
    );
    // A create mounts it at VE_ROOT for postcreate actions; beside what a convert makes lie files.
    let is_create = match std::fs::read_dir(private) {
        Ok(mut names) => names.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_create && !container.is_running()? {
        mounting::unmount_only(container, report)?;
    }
    discard(&area, &mut Silent)
}

/// Says whether something lies where a private area is filled before it is there that was made for that:
/// it has [`MARK`], or nothing in it. Anything else of that name is the admin's.
fn has_unfinished(container: &Container<'_>) -> bool {
    if container.private.as_os_str().is_empty() || container.check_places().is_err() {
        return false;
    }
    let area = area(&container.private);
    let Ok(opened) = open(&area) else { return false };
    let is_ours = match xattr::get(opened.as_fd(), MARK.as_ref()) {
        Ok(_) => true,
        Err(_) => std::fs::read_dir(&area).is_ok_and(|mut names| names.next().is_none()),
    };
    is_ours && !mount::is_mount_point(&area).unwrap_or(true)
}

/// Removes the traces of a number without a configuration that nobody is at work on: the lock of a killed
/// destroy, and what a killed create has left.
///
/// # Errors
/// As [`discard_unfinished`]. What else cannot be removed is said by the command that next wants it.
pub fn remove_traces(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let Ok(path) = container.node.lock_path(container.id) else { return Ok(()) };
    if !has_unfinished(container) {
        let _ = lock::remove_stale(&path);
        return Ok(());
    }
    let Ok(lock::Outcome::Taken { lock: _lock, .. }) = lock::take(&path) else { return Ok(()) };
    // A create may have come to its end until then.
    if container.node.conf_path(container.id).exists() {
        return Ok(());
    }
    discard_unfinished(container, report)?;
    // Empty, it held the place.
    let _ = std::fs::remove_dir(&container.private);
    let _ = std::fs::remove_dir(&container.root);
    Ok(())
}
