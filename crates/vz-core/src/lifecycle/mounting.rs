//! `vzctl mount` and `vzctl umount`, and the mounting that start and stop do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_sys::beneath;
use vz_sys::mount::{self, Change, Place};
use vz_sys::mount_table;

use crate::container::Container;
use crate::error::{Context, Error, OsText, Result};
use crate::hooks::{self, Moment};
use crate::layout::{self, View};
use crate::lifecycle::start::trees;
use crate::report::Report;
use crate::vzquota::private_area;

/// How long something may look into VE_ROOT and go again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// `vzctl mount`: mounts what is not, with its scripts.
///
/// # Errors
/// The step that failed. Being mounted already is said, and is none.
pub fn mount(container: &Container<'_>, skip_fsck: bool, report: &mut dyn Report) -> Result<()> {
    container.require_private()?;
    if container.is_mounted() {
        report.error("Container is already mounted");
        return Ok(());
    }
    mount_with_scripts(container, View::Node, skip_fsck, report)
}

/// `vzctl umount`.
///
/// # Errors
/// [`Error::Running`], [`Error::NotMounted`], or the step that failed.
pub fn umount(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    container.require_places()?;
    if container.is_running()? {
        return Err(Error::Running);
    }
    if !container.is_mounted() {
        return Err(Error::NotMounted);
    }
    unmount_with_scripts(container, report)
}

/// Mounts the container with its premount and mount scripts.
///
/// # Errors
/// The step that failed; the container is then not mounted.
pub fn mount_with_scripts(
    container: &Container<'_>,
    view: View,
    skip_fsck: bool,
    report: &mut dyn Report,
) -> Result<()> {
    hooks::run(container, Moment::Premount, report)?;
    // Scripts make directories, which the node's root cannot do where owners are shifted.
    let twice =
        view == View::Container && shifts(container)? && hooks::any(container, Moment::Mount);
    mount_only(container, if twice { View::Node } else { view }, skip_fsck)?;
    let mut prepared = hooks::run(container, Moment::Mount, report);
    if twice && prepared.is_ok() {
        prepared = mount_again(container, view, report);
    }
    if let Err(error) = prepared {
        if let Err(second) = unmount_only(container, report) {
            report.error(&second.to_string());
        }
        return Err(error);
    }
    report.info("Container is mounted");
    Ok(())
}

/// Unmounts the container with its umount and postumount scripts.
///
/// # Errors
/// The step that failed.
pub fn unmount_with_scripts(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    hooks::run(container, Moment::Umount, report)?;
    unmount_only(container, report)?;
    report.info("Container is unmounted");
    hooks::run(container, Moment::Postumount, report)
}

/// Mounts the container at VE_ROOT, made if need be, without its scripts.
///
/// # Errors
/// The step that failed; the container is then not mounted.
pub(super) fn mount_only(container: &Container<'_>, view: View, skip_fsck: bool) -> Result<()> {
    let root = &container.root;
    make_mount_point(container, root).at(Exit::RootAreaFailed, "Unable to create", root)?;
    let tree = layout::of(container.layout()).mount(container, view, skip_fsck)?;
    mount::attach(tree.as_fd(), Place::Path(root)).at(Exit::MountFailed, "Cannot mount", root)?;
    // The node's root is shared as a rule: without this, each container's mounts would be copied
    // into every other container that is being started.
    let private = Change { private: true, ..Change::default() };
    mount::change(Place::Path(root), &private).at(Exit::MountFailed, "Cannot detach", root)
}

/// Mounts the container's files anew for another view, and on them what was mounted below.
fn mount_again(container: &Container<'_>, view: View, report: &mut dyn Report) -> Result<()> {
    let root = &container.root;
    let kept =
        clone_below(root).at(Exit::MountFailed, "Cannot keep what is mounted below", root)?;
    unmount_only(container, report)?;
    mount_only(container, view, true)?;
    let top = open_root(root).at(Exit::MountFailed, "Cannot open", root)?;
    for (path, tree) in kept {
        beneath::open_beneath(top.as_fd(), path.as_os_str(), OFlag::O_PATH, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|target| mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd())))
            .at(Exit::MountFailed, "Cannot mount again", &root.join(path))?;
    }
    Ok(())
}

/// The mounts below `root`, outer ones first, attached nowhere.
fn clone_below(root: &Path) -> io::Result<Vec<(PathBuf, OwnedFd)>> {
    let top = open_root(root)?;
    let device = beneath::status(top.as_fd())?.st_dev;
    let mut kept = Vec::new();
    for path in mount_table::mounts_below(root)? {
        let Ok(relative) = path.strip_prefix(root) else { continue };
        let found = trees::open_mount(top.as_fd(), relative)?;
        if beneath::status(found.as_fd())?.st_dev == device {
            // It would keep the mount that has to go.
            let text = format!("the mount at /{} is of the container's own", relative.display());
            return Err(io::Error::other(text));
        }
        let tree = mount::clone_tree(Place::Descriptor(found.as_fd()), false)?;
        kept.push((relative.to_owned(), tree));
    }
    Ok(kept)
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(root, flags, Mode::empty())?)
}

/// Says whether a mount for a start shows owners shifted.
fn shifts(container: &Container<'_>) -> Result<bool> {
    Ok(container.layout() == Layout::Overlay && container.id_bases()?.0 != 0)
}

/// Says whether what is mounted at VE_ROOT is owned by the container's ids as the node numbers
/// them, and so needs no id map: of layout overlay, a mount for a start.
///
/// # Errors
/// When no ids can be had for it, or VE_ROOT cannot be looked at.
pub(super) fn is_shifted(container: &Container<'_>) -> Result<bool> {
    if !shifts(container)? {
        return Ok(false);
    }
    let (base, _) = container.id_bases()?;
    let root = &container.root;
    let status = std::fs::metadata(root).at(Exit::MountFailed, "Cannot look at", root)?;
    // The ids on disk lie below every base: a container can give no file another.
    Ok(status.uid() >= base)
}

/// Says whether the container can be started with what is mounted at VE_ROOT.
///
/// # Errors
/// As [`is_shifted`].
pub(super) fn suits_start(container: &Container<'_>) -> Result<bool> {
    Ok(!shifts(container)? || is_shifted(container)?)
}

/// The directories above VE_ROOT are for root alone: set-id programs of containers must not be
/// within reach of the node's users (CVE-2016-1582).
fn make_mount_point(container: &Container<'_>, root: &Path) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        container.node.make_directory(parent, 0o700)?;
    }
    container.node.make_directory(root, 0o755)
}

/// Unmounts VE_ROOT and what is mounted below it, inner ones first, and switches disk quota off. What
/// is in use goes out of sight all the same, and is gone when its last user is; but not an image or
/// an overlay.
///
/// # Errors
/// When VE_ROOT itself cannot be unmounted.
pub fn unmount_only(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let root = &container.root;
    if root.as_os_str().is_empty() {
        return Ok(());
    }
    container.check_places()?;
    let below = mount_table::mounts_below(root).at(
        Exit::UmountFailed,
        "Cannot look for mounts below",
        root,
    )?;
    for path in below.iter().rev() {
        if let Err(error) = unmount_inner(root, path) {
            report.error(&format!("Cannot umount {}: {}", path.display(), OsText(error)));
        }
    }
    // Mounted over more than once: all of them.
    while container.is_mounted() {
        let unmounted = match container.layout() {
            Layout::Simfs => unmount_one(root),
            Layout::Ploop(_) | Layout::Overlay => unmount_when_free(root),
        };
        unmounted.at(Exit::UmountFailed, "Cannot umount", root)?;
    }
    if !matches!(container.layout(), Layout::Ploop(_))
        && let Err(error) = private_area::off(container)
    {
        report.error(&format!("Cannot switch disk quota off: {}", OsText(error)));
    }
    Ok(())
}

/// Below VE_ROOT names are the container's, or another's that shares a directory with it.
fn unmount_inner(root: &Path, path: &Path) -> io::Result<()> {
    let Ok(relative) = path.strip_prefix(root) else { return Ok(()) };
    let top = open_root(root)?;
    or_detach(|detach| mount::unmount_below(top.as_fd(), relative, detach))
}

fn unmount_one(path: &Path) -> io::Result<()> {
    or_detach(|detach| mount::unmount(path, detach))
}

/// Out of sight only, it would still be there: with the next mount the same image or upper directory
/// would be written to by two file systems, which know nothing of each other.
fn unmount_when_free(path: &Path) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match mount::unmount(path, false) {
            Err(error)
                if error.raw_os_error() == Some(nix::libc::EBUSY) && Instant::now() < end =>
            {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

fn or_detach(unmount: impl Fn(bool) -> io::Result<()>) -> io::Result<()> {
    match unmount(false) {
        Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => unmount(true),
        other => other,
    }
}
