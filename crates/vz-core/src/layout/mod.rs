//! Where a container's files lie: one trait, one file for each layout.

mod ploop;
mod simfs;

use std::os::fd::OwnedFd;
use std::path::Path;

use vz_conf::config::Config;
use vz_conf::exit::Exit;
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

/// That disk quota is off, in the words of `set`.
pub fn quota_is_off() -> Error {
    let text = "Error: Unable to apply new quota values: quota not running";
    Error::Refused(Exit::QuotaSetFailed, text.into())
}

/// Sets the disk limits of `config` for a container whose files are a directory, at once.
///
/// # Errors
/// [`quota_is_off`] where there is no quota, and those of quotactl(2).
pub fn set_quota(container: &Container<'_>, config: &Config) -> Result<()> {
    simfs::apply_quota(container, config)
}

/// Takes the disk limits of such a container away.
///
/// # Errors
/// As [`set_quota`].
pub fn quota_off(container: &Container<'_>) -> Result<()> {
    simfs::lift_quota(container)
}

/// Makes all files of such a container count, and sets its limits.
///
/// # Errors
/// As [`set_quota`].
pub fn init_quota(container: &Container<'_>) -> Result<()> {
    simfs::init_quota(container)
}
