//! `ploop`: an ext4 image on a loop device, `VE_PRIVATE/root.hdd/root.hdd`, sparse, with its
//! DiskDescriptor.xml beside it.
//!
//! The image's size, less a balloon in its file system, is the limit. The loop device lets go of the
//! image by itself when the last mount of it is gone, so nothing is left behind by whoever is killed
//! in between.

pub mod balloon;
mod copy;
mod demands;
mod descriptor;
mod frozen;
pub mod genuine;
mod image;
pub mod resize;
pub mod snapshot;
mod tools;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::config::Config;
use vz_conf::disk_descriptor::FILE_NAME;
use vz_conf::exit::Exit;
use vz_sys::beneath;
use vz_sys::quota::{self, Owner, Support};

use super::{Storage, View};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::user_quota::Wanted;

/// The size of an image whose container has no DISKSPACE, in bytes: what the samples give.
const DEFAULT_SIZE: u64 = 10 << 30;
/// An ext4 file system below this size has no room for a journal, in bytes.
const LEAST_SIZE: u64 = 16 << 20;

/// How long the kernel, and programs of the node that look at it, may have a loop device after its
/// last umount.
const A_MOMENT: Duration = Duration::from_millis(500);

/// The layout.
pub struct Ploop;

/// The directory of the image in a private area.
pub fn directory(area: &Path) -> PathBuf {
    area.join("root.hdd")
}

/// The name of the image in its directory.
pub const IMAGE: &str = "root.hdd";

/// The path of the image in a private area.
pub fn image_path(area: &Path) -> PathBuf {
    directory(area).join(IMAGE)
}

/// Makes the mount of an image, attached nowhere yet, with no options of its own.
///
/// # Errors
/// When it cannot be mounted.
pub fn mount_image(image: &Path) -> Result<OwnedFd> {
    image::mount(image, None, false)
}

/// Writes the DiskDescriptor.xml of `directory`: whole, or not at all.
///
/// # Errors
/// Those of write(2) and rename(2).
pub fn write_descriptor(directory: &Path, bytes: &[u8]) -> std::io::Result<()> {
    descriptor::write_file(directory, &directory.join(FILE_NAME), bytes)
}

impl Storage for Ploop {
    fn make(&self, container: &Container<'_>, area: &Path) -> Result<OwnedFd> {
        let image = image_path(area);
        let directory = directory(area);
        std::fs::DirBuilder::new().mode(0o700).create(&directory).at(
            Exit::CreateDirectoryFailed,
            "Cannot make",
            &directory,
        )?;
        let size = size(&container.config)?;
        image::make(&image, size)?;
        tools::make_file_system(&image)?;
        descriptor::write(&directory, size)?;
        image::mount(&image, None, false)
    }

    fn mount(&self, container: &Container<'_>, _view: View, skip_fsck: bool) -> Result<OwnedFd> {
        descriptor::check(&directory(&container.private))?;
        let image = image_path(&container.private);
        let user_quota = Wanted::of(container).is_yes();
        // One that stays attached is mounted still, out of sight: for whoever uses it there.
        if (user_quota || !skip_fsck) && image::wait_detached(&image, A_MOMENT)? {
            if !skip_fsck {
                tools::check_file_system(&image)?;
            }
            if user_quota && !image::counts_users(&image)? {
                tools::count_users(&image)?;
            }
        }
        let mounted = image::mount(&image, container.config.mount_opts.as_deref(), user_quota)?;
        if user_quota {
            require_user_quota(&mounted, &image)?;
        }
        Ok(mounted)
    }
}

/// An image that was still mounted somewhere has come as it was there.
fn require_user_quota(mounted: &OwnedFd, image: &Path) -> Result<()> {
    let limits = |owner| {
        let top = open_top(mounted)?;
        Ok::<_, io::Error>(quota::owner_support(top.as_fd(), owner)? == Support::Enforced)
    };
    let is_on = limits(Owner::User).and_then(|user| Ok(user && limits(Owner::Group)?));
    match is_on.at(Exit::SetUserQuotaFailed, "Cannot ask for user quota of", image)? {
        true => Ok(()),
        false => Err(Error::Refused(
            Exit::SetUserQuotaFailed,
            format!("Second-level disk quota is not on: {} is mounted elsewhere", image.display()),
        )),
    }
}

/// DISKSPACE is in KB; its limit is what the container may have.
fn size(config: &Config) -> Result<u64> {
    let size = match config.diskspace {
        None => DEFAULT_SIZE,
        Some(diskspace) => diskspace.hard.saturating_mul(1024),
    };
    if size < LEAST_SIZE {
        return Err(Error::Refused(
            Exit::InvalidValue,
            format!(
                "DISKSPACE {} KB is too little for an image: {} at least",
                size >> 10,
                LEAST_SIZE >> 10
            ),
        ));
    }
    Ok(size)
}

/// The top directory of a mount that is attached nowhere, to be read: such a mount comes as O_PATH.
fn open_top(mounted: &OwnedFd) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    beneath::open_beneath(mounted.as_fd(), ".".as_ref(), flags, Mode::empty())
}
