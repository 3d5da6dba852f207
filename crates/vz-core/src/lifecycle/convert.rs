//! `vzctl convert`: the files of a stopped container in another layout.
//!
//! The new area is made beside the old one, as `VE_PRIVATE.tmp`, and becomes
//! `VE_PRIVATE.convert-to-LAYOUT` when it is whole and on disk. Then the configuration says the new
//! layout: that is the moment from which the new area counts. Last it takes the old one's place, and
//! the old one is removed. Whoever takes the lock next finishes what a killed conversion has left,
//! by what the configuration says.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::change::Change;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_sys::beneath;
use vz_sys::mount;
use vz_sys::overlay::UPPER;

use crate::container::Container;
use crate::copy_tree::{self, CopyError};
use crate::error::{Context, Error, OsText, Result};
use crate::layout::ploop::balloon;
use crate::layout::{self, View};
use crate::lifecycle::destroy::discard;
use crate::lifecycle::{convert_image, temporary};
use crate::report::{Counter, Report, Silent};
use crate::template;
use crate::template::store::{self, Held, Version};

/// The layouts there are, as they are stored.
const LAYOUTS: [Layout; 3] = [Layout::Simfs, Layout::Ploop(None), Layout::Overlay];

/// Where a whole new area waits for the configuration to name its layout.
fn ready_area(private: &Path, layout: Layout) -> PathBuf {
    beside(private, &format!(".convert-to-{}", layout.stored()))
}

/// Where the old area waits for its removal.
fn old_area(private: &Path) -> PathBuf {
    beside(private, ".convert-old")
}

fn beside(private: &Path, suffix: &str) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Moves the files of the stopped, unmounted container into `layout`. The lock is held by the caller.
///
/// # Errors
/// The step that failed; the container is then as it was.
pub fn convert(
    container: &mut Container<'_>,
    layout: Layout,
    report: &mut dyn Report,
) -> Result<()> {
    check_place(container)?;
    let (from, to) = (container.layout().stored(), layout.stored());
    report.info(&format!("Converting container files from {from} to {to}"));
    let before = container.own.overlay_template.clone();
    let area = temporary::area(&container.private);
    discard(&area, report)?;
    let shared = match build(container, layout, &area, report) {
        Ok(shared) => shared,
        Err(error) => {
            let _ = discard(&area, &mut Silent);
            return Err(error);
        }
    };
    let ready = ready_area(&container.private, layout);
    let named = temporary::finish(&area, &ready);
    named.at(Exit::SystemError, "Cannot rename the new private area to", &ready)?;
    sync_parent(&container.private)?;
    let saved = save(container, layout, shared.as_ref());
    // Forward or back, as the configuration says.
    finish(container)?;
    saved?;
    drop(shared);
    if let Some(version) = before.as_deref().and_then(Version::parse) {
        // Converted it is.
        if let Err(error) = store::clean(container.node, version.name()) {
            report.error(&format!("Warning: what is unused of {version} stays: {error}"));
        }
    }
    report.info(&format!("Container is on {to} now"));
    Ok(())
}

/// Areas change places by renames.
fn check_place(container: &Container<'_>) -> Result<()> {
    let private = &container.private;
    if private.is_symlink() || mount::is_mount_point(private).unwrap_or(false) {
        let shown = container.node.shown(private);
        let text = format!("{} is a link or a mount point: it cannot be replaced", shown.display());
        return Err(Error::Refused(Exit::InvalidValue, text));
    }
    Ok(())
}

/// Makes the new area.
fn build(
    container: &Container<'_>,
    layout: Layout,
    area: &Path,
    report: &mut dyn Report,
) -> Result<Option<Held>> {
    let shared = match layout {
        Layout::Overlay => Some(hold_template(container, report)?),
        _ => None,
    };
    // The container as it is going to be.
    let mut after = Container::load(container.node, container.id)?;
    after.own.ve_layout = Some(layout);
    after.own.overlay_template = shared.as_ref().map(|held| held.version.to_string());
    after.refresh();

    let files = match convert_image::is_needed(container)? {
        true => convert_image::mount_top(container, report)?,
        false => layout::of(container.layout()).mount(container, View::Reading, false)?,
    };
    temporary::make(area)?;
    let place = layout::of(layout).make(&after, area)?;
    if matches!(layout, Layout::Ploop(_)) {
        // Of a new file system's own making: the container has one when it had one.
        let _ = beneath::remove_directory(place.as_fd(), "lost+found".as_ref());
    }
    let total = used(container, files.as_fd()).filter(|_| shared.is_none());
    let mut counter = Counter::new(report, total);
    let progress = &mut |bytes| counter.add(bytes);
    let copied = match &shared {
        None => copy_tree::copy_tree(files.as_fd(), place.as_fd(), progress),
        Some(held) => {
            let below = held.version.path(container.node)?;
            let below = File::open(&below).at(Exit::MountFailed, "Cannot open", &below)?;
            let upper = area.join(UPPER);
            let upper = File::open(&upper).at(Exit::MountFailed, "Cannot open", &upper)?;
            copy_tree::copy_difference(files.as_fd(), below.as_fd(), upper.as_fd(), progress)
        }
    };
    drop(counter);
    copied.map_err(|error| copy_failed(error, layout))?;
    if matches!(container.layout(), Layout::Ploop(_)) {
        let copy = if shared.is_some() { area.join(UPPER) } else { PathBuf::new() };
        remove_balloon(place.as_fd(), &copy).at(Exit::UnpackFailed, "Cannot clean", area)?;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    beneath::open_beneath(place.as_fd(), ".".as_ref(), flags, Mode::empty())
        .and_then(nix::unistd::syncfs)
        .at(Exit::UnpackFailed, "Cannot sync", area)?;
    if matches!(layout, Layout::Ploop(_)) {
        // The image lies on another file system than the files in it.
        drop(place);
        layout::of(layout).settle(area)?;
    }
    Ok(shared)
}

/// How many bytes the files have, where that is known without looking at each: of an image.
fn used(container: &Container<'_>, files: BorrowedFd<'_>) -> Option<u64> {
    if !matches!(container.layout(), Layout::Ploop(_)) {
        return None;
    }
    let status = nix::sys::statvfs::fstatvfs(files).ok()?;
    let blocks = status.blocks().saturating_sub(status.blocks_free());
    Some(blocks.saturating_mul(status.fragment_size()))
}

/// What held blocks of an image back is no file of the container.
fn remove_balloon(place: BorrowedFd<'_>, upper: &Path) -> io::Result<()> {
    if upper.as_os_str().is_empty() {
        return balloon::remove(place);
    }
    balloon::remove(File::open(upper)?.as_fd())
}

fn hold_template(container: &Container<'_>, report: &mut dyn Report) -> Result<Held> {
    let name = container.config.ostemplate.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or(Error::OsTemplateNotSet)?;
    let template = template::find(container.node, name, report)?;
    store::hold(container.node, &template, report, &mut |_| {})
}

fn copy_failed(error: CopyError, layout: Layout) -> Error {
    let exit = match layout {
        Layout::Ploop(_) => Exit::PloopConvertFailed,
        _ => Exit::UnpackFailed,
    };
    let is_full = |source: &OsText| source.0.raw_os_error() == Some(nix::libc::ENOSPC);
    match &error {
        CopyError::Cancelled => Error::Cancelled,
        CopyError::File { source, .. } if is_full(source) && exit == Exit::UnpackFailed => {
            Error::Refused(Exit::NoDiskSpace, format!("Conversion failed: {error}"))
        }
        _ => Error::Refused(exit, format!("Conversion failed: {error}")),
    }
}

/// Both keys with one write.
fn save(container: &mut Container<'_>, layout: Layout, shared: Option<&Held>) -> Result<()> {
    let mut change = Change::new();
    change.values.ve_layout = Some(layout);
    change.values.overlay_template = shared.map(|held| held.version.to_string());
    if shared.is_none() {
        container.file.remove("OVERLAY_TEMPLATE");
        container.own.overlay_template = None;
    }
    container.store(&change)?;
    // Before the areas change places: after a crash of the node it must still say so.
    let directory = container.node.conf_dir();
    sync(&directory)
}

/// Finishes what a killed conversion has left, or takes it back when the configuration does not say
/// the new layout yet. Called by each command that has just taken the lock.
///
/// # Errors
/// The step that failed.
pub fn finish(container: &Container<'_>) -> Result<()> {
    let private = &container.private;
    if private.as_os_str().is_empty() {
        return Ok(());
    }
    convert_image::finish(container)?;
    let old = old_area(private);
    let ready = LAYOUTS.map(|layout| (layout, ready_area(private, layout)));
    if !is_there(&old) && !ready.iter().any(|(_, path)| is_there(path)) {
        return Ok(());
    }
    // What was read before the lock was taken may have been changed until then.
    let layout = Container::load(container.node, container.id)?.layout().stored();
    for (other, path) in ready {
        if !is_there(&path) {
            continue;
        }
        if other.stored() != layout {
            discard(&path, &mut Silent)?;
            continue;
        }
        if is_there(private) {
            discard(&old, &mut Silent)?;
            rename(private, &old)?;
        }
        rename(&path, private)?;
        sync_parent(private)?;
    }
    discard(&old, &mut Silent)
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    let done = std::fs::rename(from, to);
    done.context(Exit::SystemError, || {
        format!("Cannot rename {} to {}", from.display(), to.display())
    })
}

fn sync_parent(path: &Path) -> Result<()> {
    sync(path.parent().unwrap_or(path))
}

fn sync(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.at(Exit::SystemError, "Cannot sync", directory)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
