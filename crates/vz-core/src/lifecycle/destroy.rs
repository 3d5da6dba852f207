//! `vzctl destroy`.
//!
//! The private area is moved out of the way by one rename and its removal goes on in the
//! background: however large it is, its place is free at once, and a killed removal is finished by
//! the next destroy.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use vz_conf::exit::Exit;
use vz_sys::clone::{self, Request};

use crate::container::Container;
use crate::error::{Context, Error, OsText, Result};
use crate::lifecycle::{snapshot, teardown, temporary};
use crate::remove_tree::remove_tree;
use crate::report::Report;
use crate::template::store::{self, Version};
use crate::vzquota::private_area;
use crate::{addresses, names, old_cgroup};

/// Files of a container beside its configuration, kept under another name when it is destroyed.
const SCRIPTS: [&str; 6] = ["mount", "umount", "premount", "postumount", "start", "stop"];
/// What such a name ends with.
const SET_ASIDE: &str = ".destroyed";
/// Where areas wait for their removal, on the file system they lie on.
const WAITING: &str = "vztmp";
/// What their names there begin with.
const PREFIX: &str = "vzctl-rm-me.";

/// Destroys the container. The lock is held by the caller.
///
/// # Errors
/// [`Exit::Running`], [`Exit::Mounted`], or the step that failed.
pub fn destroy(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    require_stopped(container, report)?;
    snapshot::require_none_mounted(container, report)?;
    teardown::cancel_restart(container)?;
    let shown = container.node.shown(&container.private);
    report.info(&format!("Destroying container private area: {}", shown.display()));
    clear_quota(container, report);
    remove_private(container, report)?;
    // What a killed create left beside it.
    discard(&temporary::area(&container.private), report)?;
    set_aside_configuration(container).at(
        Exit::DeletePrivateFailed,
        "Cannot set aside the configuration of",
        &shown,
    )?;
    remove_the_rest(container, report)?;
    clean_templates(container, report);
    report.info("Container private area was destroyed");
    Ok(())
}

/// Refuses one that is not to be destroyed as it is.
pub(super) fn require_stopped(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    container.require_places()?;
    if container.is_running()? {
        report.info("Container is currently running. Stop it first.");
        return Err(Error::Reported(Exit::Running));
    }
    if container.is_mounted() {
        report.info("Container is currently mounted (umount first)");
        return Err(Error::Reported(Exit::Mounted));
    }
    Ok(())
}

/// One that was never mounted has the limits of its creation still, and maybe one that a killed
/// create left.
fn clear_quota(container: &Container<'_>, report: &mut dyn Report) {
    for area in [&container.private, &temporary::area(&container.private)] {
        if let Err(error) = private_area::clear(area, container.id) {
            report.error(&format!("Warning: failed to clear disk quota: {}", OsText(error)));
        }
    }
}

fn remove_private(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let private = &container.private;
    let shown = container.node.shown(private);
    let status = match std::fs::symlink_metadata(private) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.at(Exit::DeletePrivateFailed, "Cannot look at", private)?,
    };
    if status.is_symlink() {
        let target = std::fs::read_link(private).unwrap_or_default();
        report.error(&format!(
            "Warning: container private area {} is a symlink to {}.",
            shown.display(),
            container.node.shown(&target).display()
        ));
        report.error("Not removing link destination, you have to do it manually.");
    } else if !status.is_dir() {
        report.error(&format!(
            "Warning: container private area {} is not a directory",
            shown.display()
        ));
    } else {
        return discard(private, report);
    }
    std::fs::remove_file(private).at(Exit::DeletePrivateFailed, "Cannot remove", private)
}

/// Moves a directory out of the way and has it removed in the background.
///
/// # Errors
/// When it can be neither moved nor removed.
pub fn discard(area: &Path, report: &mut dyn Report) -> Result<()> {
    let failed = |verb| {
        move |error: io::Error| Error::System {
            exit: Exit::DeletePrivateFailed,
            action: format!("{verb} {}", area.display()),
            source: error.into(),
        }
    };
    if !area.exists() {
        return Ok(());
    }
    let waiting = file_system_top(area).map_err(failed("Cannot look at"))?.join(WAITING);
    let moved = make_waiting(&waiting).and_then(|()| move_into(area, &waiting));
    match moved {
        Ok(()) => remove_in_background(&waiting).map_err(failed("Cannot remove")),
        Err(error) => {
            report.error(&format!(
                "Warning: cannot move {} into {} ({}) - doing slow/sync removal",
                area.display(),
                waiting.display(),
                OsText(error)
            ));
            remove_now(area)
        }
    }
}

fn make_waiting(waiting: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // Only root may look into what is being removed: set-id programs lie in there.
    match std::fs::DirBuilder::new().mode(0o700).create(waiting) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn move_into(area: &Path, waiting: &Path) -> io::Result<()> {
    let place = tempfile::Builder::new().prefix(PREFIX).tempdir_in(waiting)?.keep();
    std::fs::rename(area, &place).inspect_err(|_| {
        let _ = std::fs::remove_dir(&place);
    })
}

/// The topmost directory of the file system that `path` lies on.
fn file_system_top(path: &Path) -> io::Result<PathBuf> {
    let device = std::fs::symlink_metadata(path)?.dev();
    let mut top = path.parent().unwrap_or(path).to_owned();
    while let Some(parent) = top.parent() {
        if std::fs::symlink_metadata(parent)?.dev() != device {
            break;
        }
        top = parent.to_owned();
    }
    Ok(top)
}

fn remove_now(area: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (area.parent(), area.file_name()) else { return Ok(()) };
    let parent = File::open(parent).at(Exit::DeletePrivateFailed, "Cannot open", parent)?;
    remove_tree(parent.as_fd(), name)
        .map_err(|error| Error::Refused(Exit::DeletePrivateFailed, error.to_string()))
}

/// A child of init's removes whatever waits there; one at a time does so on a file system.
fn remove_in_background(waiting: &Path) -> io::Result<()> {
    let first = clone::spawn(&Request::default(), || {
        let second = clone::spawn(&Request::default(), || {
            // The container's lock above all: it must end with the command that holds it.
            clone::close_in_child_all_but(&[]);
            let _ = nix::unistd::setsid();
            let _ = clone::detach_streams();
            let _ = nix::unistd::chdir("/");
            match File::open(waiting) {
                Ok(directory) => remove_waiting(&directory),
                Err(_) => return 1,
            }
            0
        });
        i32::from(second.is_err())
    })?;
    vz_sys::pidfd::reap(first.pidfd.as_fd())?;
    Ok(())
}

fn remove_waiting(directory: &File) {
    let lock = nix::fcntl::openat(
        directory,
        "rm.lck",
        nix::fcntl::OFlag::O_RDWR
            | nix::fcntl::OFlag::O_CREAT
            | nix::fcntl::OFlag::O_CLOEXEC
            | nix::fcntl::OFlag::O_NOFOLLOW,
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    );
    // Waited for: what was put there while another was at the end of its list must go too.
    let Ok(_lock) = lock.map_err(io::Error::from).and_then(|file| {
        Flock::lock(File::from(file), FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }) else {
        return;
    };
    for name in waiting_names(directory) {
        let _ = remove_tree(directory.as_fd(), &name);
    }
}

fn waiting_names(directory: &File) -> Vec<OsString> {
    use std::os::unix::ffi::OsStrExt;
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY;
    let opened = nix::dir::Dir::openat(directory, ".", flags, nix::sys::stat::Mode::empty());
    let Ok(mut entries) = opened else { return Vec::new() };
    entries
        .iter()
        .flatten()
        .map(|entry| std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .filter(|name| name.as_bytes().starts_with(PREFIX.as_bytes()))
        .collect()
}

/// The names that the scripts and, last, the configuration of a container are set aside under.
pub fn set_aside_names(container: &Container<'_>) -> impl Iterator<Item = String> {
    let id = container.id;
    SCRIPTS.into_iter().chain(["conf"]).map(move |name| format!("{id}.{name}{SET_ASIDE}"))
}

/// `ID.conf` and the scripts beside it become `….destroyed`, over older ones. The configuration
/// goes last: with it the container would be out of reach of another destroy.
fn set_aside_configuration(container: &Container<'_>) -> io::Result<()> {
    let directory = container.node.conf_dir();
    addresses::forget(container.node, container.id).map_err(io::Error::other)?;
    names::remove_all(container.node, container.id).map_err(io::Error::other)?;
    for name in set_aside_names(container) {
        let from = directory.join(name.trim_end_matches(SET_ASIDE));
        match std::fs::rename(&from, directory.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The container may have been the last of what is unpacked of a template for layout overlay.
fn clean_templates(container: &Container<'_>, report: &mut dyn Report) {
    let below = container.own.overlay_template.as_deref().and_then(Version::parse);
    let of = container.own.ostemplate.as_deref().filter(|name| store::has(container.node, name));
    let below = below.as_ref().map(Version::name);
    for name in below.into_iter().chain(of.filter(|name| below != Some(*name))) {
        if let Err(error) = store::clean(container.node, name) {
            report.error(&format!("Warning: failed to remove what is unused of {name}: {error}"));
        }
    }
}

fn remove_the_rest(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let dump = container.node.dump_path(container.id);
    if let Err(error) = std::fs::remove_file(&dump)
        && error.kind() != io::ErrorKind::NotFound
    {
        report.error(&format!("Warning: failed to remove {}: {}", dump.display(), OsText(error)));
    }
    if let Err(error) = std::fs::remove_dir(&container.root)
        && error.kind() != io::ErrorKind::NotFound
    {
        let shown = container.node.shown(&container.root);
        report.error(&format!("Warning: failed to remove {}: {}", shown.display(), OsText(error)));
    }
    if let Err(error) = private_area::forget(container.node, container.id) {
        report.error(&format!("Warning: failed to remove the quota file: {}", OsText(error)));
    }
    let _ = old_cgroup::remove(container.node, container.id);
    Ok(())
}
