//! `ploop`: an ext4 image on a loop device, `VE_PRIVATE/root.hdd/root.hdd`, sparse.
//!
//! The image's size is the limit. The loop device lets go of the image by itself when the last
//! mount of it is gone, so nothing is left behind by whoever is killed in between.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vz_conf::exit::Exit;
use vz_sys::loopdev;
use vz_sys::mount::{self, Attributes, Setting};

use super::{Storage, View};
use crate::container::Container;
use crate::description::PATH;
use crate::error::{Context, Error, Result};

/// The size of an image whose container has no DISKSPACE, in bytes: what the samples give.
const DEFAULT_SIZE: u64 = 10 << 30;
/// An ext4 file system below this size has no room for a journal, in bytes.
const LEAST_SIZE: u64 = 16 << 20;

/// The layout.
pub struct Ploop;

fn image_path(area: &Path) -> PathBuf {
    area.join("root.hdd").join("root.hdd")
}

impl Storage for Ploop {
    fn make(&self, container: &Container<'_>, area: &Path) -> Result<OwnedFd> {
        let image = image_path(area);
        let directory = area.join("root.hdd");
        std::fs::DirBuilder::new().mode(0o700).create(&directory).at(
            Exit::CreateDirectoryFailed,
            "Cannot make",
            &directory,
        )?;
        make_image(&image, size(container)?)?;
        make_file_system(&image)?;
        mount_image(&image)
    }

    fn mount(&self, container: &Container<'_>, _view: View, skip_fsck: bool) -> Result<OwnedFd> {
        let image = image_path(&container.private);
        if !skip_fsck {
            check_file_system(&image)?;
        }
        mount_image(&image)
    }
}

/// DISKSPACE is in KB; its limit is what the container may have.
fn size(container: &Container<'_>) -> Result<u64> {
    let size = match container.config.diskspace {
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

fn make_image(image: &Path, size: u64) -> Result<()> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(image)
        .and_then(|file| file.set_len(size))
        .at(Exit::NoDiskSpace, "Cannot make the image", image)
}

fn make_file_system(image: &Path) -> Result<()> {
    let arguments = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-m",
        "0",
        "-I",
        "256",
        "-E",
        "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0",
    ];
    let failed = |text: String| {
        Err(Error::Refused(
            Exit::MountFailed,
            format!("Cannot make a file system in {}: {text}", image.display()),
        ))
    };
    match tool("mke2fs").args(arguments).arg(image).output() {
        Err(error) => failed(format!("mke2fs: {error} (package e2fsprogs)")),
        Ok(output) if !output.status.success() => {
            failed(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))
        }
        Ok(_) => Ok(()),
    }
}

/// `e2fsck -p` mends what can be mended without asking; its codes above 2 mean it could not
/// (e2fsck(8)). A clean file system is seen to be so from its superblock, in a few milliseconds.
fn check_file_system(image: &Path) -> Result<()> {
    let failed = |text: String| {
        Err(Error::Refused(
            Exit::MountFailed,
            format!(
                "The file system in {} cannot be mended by itself ({text}): run e2fsck on it",
                image.display()
            ),
        ))
    };
    match tool("e2fsck").arg("-p").arg(image).output() {
        Err(error) => failed(format!("e2fsck: {error}, package e2fsprogs")),
        Ok(output) => match output.status.code() {
            Some(0..=2) => Ok(()),
            code => failed(format!("e2fsck exited with {code:?}")),
        },
    }
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", PATH.strip_prefix("PATH=").unwrap_or(PATH))
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn mount_image(image: &Path) -> Result<OwnedFd> {
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(image)
        .at(Exit::MountFailed, "Cannot open the image", image)?;
    let options = loopdev::Options { autoclear: true, ..loopdev::Options::default() };
    let devices = loopdev::LoopDevices {
        devices: "/dev".into(),
        sysfs: "/sys".into(),
        private: "/run/vz".into(),
    };
    // Kept until it is mounted: the kernel detaches it when the last one who has it is gone.
    let device = devices.attach(file.as_fd(), options).map_err(|error| {
        Error::Refused(
            Exit::MountFailed,
            format!("No loop device for {}: cannot {error}", image.display()),
        )
    })?;
    // Its usual name is what df shows; where the node lacks it, the descriptor will do.
    let usual = format!("/dev/loop{}", device.number());
    let source = match Path::new(&usual).exists() {
        true => usual,
        false => format!("/proc/self/fd/{}", device.as_fd().as_raw_fd()),
    };
    let settings = [Setting::Text("source", &source), Setting::Flag("rw")];
    mount::make(c"ext4", &settings, Attributes::default()).at(
        Exit::MountFailed,
        "Cannot mount the image",
        image,
    )
}
