//! Commands for containers whose files are in an image: `convert`, `compact`. What is checked before.

use vz_conf::exit::Exit;
use vz_conf::layout::Layout;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::layout::ploop::resize;
use crate::lifecycle::{convert, convert_image, snapshot};
use crate::report::Report;
use crate::user_quota::Wanted;

fn refuse(exit: Exit, text: &str) -> Result<()> {
    Err(Error::Refused(exit, text.to_owned()))
}

fn is_image(container: &Container<'_>) -> bool {
    matches!(container.layout(), Layout::Ploop(_))
}

/// `convert`: moves the files into this `layout` (ploop without a word). On ploop already, images that
/// ploop itself has made become plain ones.
///
/// # Errors
/// What stands in its way; for ploop, else [`Exit::PloopConvertFailed`].
pub fn convert(
    container: &mut Container<'_>,
    layout: Option<Layout>,
    report: &mut dyn Report,
) -> Result<()> {
    let layout = layout.unwrap_or(Layout::Ploop(None));
    let is_there = container.layout().stored() == layout.stored();
    if is_there && !has_genuine_images(container)? {
        report.info(&format!("CT is already on {}", layout.stored()));
        return Ok(());
    }
    if container.is_running()? {
        return refuse(Exit::Running, "CT is running (stop it first)");
    }
    if container.is_mounted() {
        return refuse(Exit::Mounted, "CT is mounted (umount it first)");
    }
    if is_there {
        return convert_image::convert(container, report);
    }
    if matches!(layout, Layout::Ploop(_)) && container.config.diskspace.is_none() {
        return refuse(Exit::DiskspaceNotSet, "Error: diskspace not set");
    }
    container.require_private()?;
    if is_image(container) && snapshot::has_any(container) {
        return refuse(Exit::PloopConvertFailed, "CT has snapshots (delete them first)");
    }
    if Wanted::of(container).is_yes() {
        report.error("Warning: limits of users and groups inside stay behind with the image");
    }
    convert::convert(container, layout, report)
}

/// Without a private area there are none.
fn has_genuine_images(container: &Container<'_>) -> Result<bool> {
    Ok(!container.private.as_os_str().is_empty() && convert_image::is_needed(container)?)
}

/// `compact`: gives unused blocks of an image back to the node.
///
/// # Errors
/// Without a private area; [`Exit::CompactFailed`] for an image.
pub fn compact(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    if container.root.as_os_str().is_empty() {
        return Err(Error::RootNotSet);
    }
    container.require_private()?;
    if !is_image(container) {
        report.info("Compact only makes sense for ploop containers");
        return Ok(());
    }
    resize::compact(container).map_err(|error| match error.line() {
        None => error,
        Some(line) => Error::Refused(Exit::CompactFailed, line),
    })
}
