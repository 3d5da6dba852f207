//! The image, its loop device and its mount.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use vz_conf::exit::Exit;
use vz_conf::mount_options::{MountAttribute, MountOptions};
use vz_sys::file_system;
use vz_sys::loopdev::{self, Device, LoopDevices};
use vz_sys::mount::{self, Attributes, Setting};

use super::demands::refuse_harmful;
use crate::error::{Context, Error, Result};

/// Makes the empty image: a hole of `size` bytes.
///
/// # Errors
/// When it is there already, or cannot be made.
pub fn make(image: &Path, size: u64) -> Result<()> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(image)
        .and_then(|file| file.set_len(size))
        .at(Exit::NoDiskSpace, "Cannot make the image", image)
}

/// Opens the image for writing; a link there is not followed.
///
/// # Errors
/// Those of open(2).
pub fn open(image: &Path) -> Result<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let opened = File::options().read(true).write(true).custom_flags(flags).open(image);
    let file = opened.at(Exit::PloopMountFailed, "Cannot open the image", image)?;
    let is_file = file.metadata().is_ok_and(|status| status.is_file());
    // An area may come from another node, with anything in it.
    let is_below = image.parent().is_some_and(|parent| {
        std::fs::symlink_metadata(parent).is_ok_and(|status| status.is_dir())
    });
    match is_file && is_below {
        true => Ok(file),
        false => Err(Error::Refused(
            Exit::PloopMountFailed,
            format!("{} is no file in a directory of its own", image.display()),
        )),
    }
}

fn is_attached(image: &Path) -> Result<bool> {
    Ok(!attached(image, &open(image)?)?.is_empty())
}

/// Waits, as long as `patience`, until the image is on no loop device: the kernel takes it off a moment after the umount, and
/// later while a program of the node looks at it, or a mount out of sight is in use.
///
/// # Errors
/// When the devices cannot be looked at.
pub fn wait_detached(image: &Path, patience: Duration) -> Result<bool> {
    let end = Instant::now() + patience;
    while is_attached(image)? {
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}

/// The loop devices that the image is on.
///
/// # Errors
/// When the devices cannot be looked at.
pub fn attached(image: &Path, file: &File) -> Result<Vec<Device>> {
    let failed = |error: loopdev::Error| no_device(image, &error);
    let devices = devices();
    let mut found = Vec::new();
    for number in devices.find(file.as_fd()).map_err(failed)? {
        found.push(devices.open(number).map_err(failed)?);
    }
    Ok(found)
}

fn devices() -> LoopDevices {
    LoopDevices { devices: "/dev".into(), sysfs: "/sys".into(), private: "/run/vz".into() }
}

fn no_device(image: &Path, error: &loopdev::Error) -> Error {
    let text = format!("No loop device for {}: cannot {error}", image.display());
    Error::Refused(Exit::PloopMountFailed, text)
}

/// Says whether the file system in the image counts what users and groups hold.
///
/// # Errors
/// When it cannot be read.
pub fn counts_users(image: &Path) -> Result<bool> {
    file_system::ext4_counts_users(&open(image)?).at(Exit::PloopMountFailed, "Cannot read", image)
}

/// Makes the mount of the image, attached nowhere yet; `options` are those of MOUNT_OPTS, and
/// `user_quota` says that limits of users are enforced.
///
/// # Errors
/// For an option that is not known, and when it cannot be mounted.
pub fn mount(image: &Path, options: Option<&str>, user_quota: bool) -> Result<OwnedFd> {
    let options: MountOptions = options
        .unwrap_or_default()
        .parse()
        .map_err(|error| Error::Refused(Exit::PloopMountFailed, format!("MOUNT_OPTS: {error}")))?;
    let file = open(image)?;
    refuse_harmful(image)?;
    // Kept until it is mounted: the kernel detaches it when the last one who has it is gone.
    let device = attach(image, &file)?;
    let source = source(&device);
    let mut settings = vec![Setting::Text("source", &source), Setting::Flag("rw")];
    // The image says what else would be done, and the container, or another node, has written it.
    settings.push(Setting::Text("errors", "remount-ro"));
    if user_quota {
        settings.extend([Setting::Flag("usrquota"), Setting::Flag("grpquota")]);
    }
    settings.extend(options.settings.iter().map(|(key, value)| match value {
        None => Setting::Flag(key),
        Some(value) => Setting::Text(key, value),
    }));
    mount::make(c"ext4", &settings, attributes(&options)).at(
        Exit::PloopMountFailed,
        "Cannot mount the image",
        image,
    )
}

/// Makes the mount of an image that nobody writes to, attached nowhere yet. What lies in it is a
/// container's: it gives nobody rights on the node, and an error in it is its own.
///
/// # Errors
/// When it cannot be mounted.
pub fn mount_read_only(image: &Path) -> Result<OwnedFd> {
    let file = File::options().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(image).at(
        Exit::PloopMountFailed,
        "Cannot open the image",
        image,
    )?;
    refuse_harmful(image)?;
    let options =
        loopdev::Options { autoclear: true, read_only: true, ..loopdev::Options::default() };
    let device =
        devices().attach(file.as_fd(), options).map_err(|error| no_device(image, &error))?;
    let source = source(&device);
    let settings = [
        Setting::Text("source", &source),
        Setting::Flag("ro"),
        Setting::Text("errors", "continue"),
    ];
    let attributes = Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV;
    mount::make(c"ext4", &settings, attributes).at(
        Exit::PloopMountFailed,
        "Cannot mount the image",
        image,
    )
}

/// The device's usual name is what df shows; where the node lacks it, the descriptor will do.
fn source(device: &Device) -> String {
    let usual = format!("/dev/loop{}", device.number());
    match Path::new(&usual).exists() {
        true => usual,
        false => format!("/proc/self/fd/{}", device.as_fd().as_raw_fd()),
    }
}

/// A second device of one image would be a second file system on the same blocks. So the one that it
/// is on is taken, if it is: then the kernel makes a second mount of the same file system.
fn attach(image: &Path, file: &File) -> Result<Device> {
    if let Some(device) = attached(image, file)?.into_iter().next() {
        let status = device.status().map_err(|error| no_device(image, &error))?;
        if status.is_some() {
            return Ok(device);
        }
    }
    let options = loopdev::Options { autoclear: true, ..loopdev::Options::default() };
    devices().attach(file.as_fd(), options).map_err(|error| no_device(image, &error))
}

fn attributes(options: &MountOptions) -> Attributes {
    let of = |attribute: &MountAttribute| match attribute {
        MountAttribute::NoSuid => Attributes::NO_SUID,
        MountAttribute::NoDev => Attributes::NO_DEV,
        MountAttribute::NoExec => Attributes::NO_EXEC,
        MountAttribute::NoAtime => Attributes::NO_ATIME,
        MountAttribute::NoDirAtime => Attributes::NO_DIR_ATIME,
        MountAttribute::StrictAtime => Attributes::STRICT_ATIME,
    };
    options.attributes.iter().map(of).collect()
}
