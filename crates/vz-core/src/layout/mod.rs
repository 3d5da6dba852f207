//! Where a container's files lie: one trait, one file for each layout.

mod overlay;
pub mod ploop;
mod simfs;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;

use crate::container::Container;
use crate::error::{Context, Error, Result};

/// Whom a mount of the files is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The node's root, to work in: owners are as they are on disk.
    Node,
    /// The same, of a new area, which nobody misses until it is settled.
    NewArea,
    /// To be read.
    Reading,
    /// A start. A layout whose mount cannot be id-mapped afterwards shows its owners shifted.
    Container,
}

/// What a layout has to do.
pub trait Storage {
    /// Makes the place for the files of a new container in `area`, an empty directory that becomes
    /// its private area: quota or image set up before the first byte. Returns the directory to be
    /// filled (of overlay: the area, with nothing to be filled any more); nothing of it stays
    /// mounted on the node.
    ///
    /// # Errors
    /// The step that failed.
    fn make(&self, container: &Container<'_>, area: &Path) -> Result<OwnedFd>;

    /// Makes the mount of the files in the private area, attached nowhere yet, with its quota on.
    ///
    /// # Errors
    /// The step that failed; [`vz_conf::exit::Exit::QuotaOnFailed`] when quota cannot be enforced.
    fn mount(&self, container: &Container<'_>, view: View, skip_fsck: bool) -> Result<OwnedFd>;

    /// Puts on disk what was changed in the new area `area`, mounted for that and unmounted again.
    ///
    /// # Errors
    /// The step that failed.
    fn settle(&self, area: &Path) -> Result<()> {
        File::open(area).and_then(|directory| Ok(nix::unistd::syncfs(&directory)?)).at(
            Exit::UnpackFailed,
            "Cannot sync",
            area,
        )
    }
}

/// The layout's storage.
pub fn of(layout: Layout) -> &'static dyn Storage {
    match layout {
        Layout::Simfs => &simfs::Simfs,
        Layout::Ploop(_) => &ploop::Ploop,
        Layout::Overlay => &overlay::Overlay,
    }
}

/// The number of an error that the system has given.
fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
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
