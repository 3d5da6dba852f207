//! Where a container's files lie: one trait, one file for each layout.

mod ploop;
mod simfs;

use std::os::fd::OwnedFd;
use std::path::Path;

use vz_conf::layout::Layout;

use crate::container::Container;
use crate::error::{Error, Result};

/// What a layout has to do.
pub trait Storage {
    /// Makes the place for the files of a new container in `area`, an empty directory that becomes
    /// its private area: quota or image set up before the first byte. Returns the directory to be
    /// filled; nothing of it stays mounted on the node.
    ///
    /// # Errors
    /// The step that failed.
    fn make(&self, container: &Container<'_>, area: &Path) -> Result<OwnedFd>;

    /// Makes the mount of the files in the private area, attached nowhere yet, with its quota on.
    ///
    /// # Errors
    /// The step that failed; [`vz_conf::exit::Exit::QuotaOnFailed`] when quota cannot be enforced.
    fn mount(&self, container: &Container<'_>, skip_fsck: bool) -> Result<OwnedFd>;
}

/// The layout's storage.
///
/// # Errors
/// For a layout that this version does not have.
pub fn of(layout: Layout) -> Result<&'static dyn Storage> {
    match layout {
        Layout::Simfs => Ok(&simfs::Simfs),
        Layout::Ploop(_) => Ok(&ploop::Ploop),
        Layout::Overlay => Err(Error::Refused(
            vz_conf::exit::Exit::MountFailed,
            "Layout overlay is not supported yet: use simfs or ploop".into(),
        )),
    }
}
