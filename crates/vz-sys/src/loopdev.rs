//! Loop devices (loop(4)): a file as a block device.
//!
//! Where the kernel's node under `/dev` is missing or is not the right one (a `/dev` without
//! udev), a node is made in a private directory for the moment of opening: numbers come from
//! sysfs, never from a name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// Commands of linux/loop.h.
const LOOP_CLR_FD: libc::Ioctl = 0x4c01;
const LOOP_GET_STATUS64: libc::Ioctl = 0x4c05;
const LOOP_SET_CAPACITY: libc::Ioctl = 0x4c07;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
/// `LO_FLAGS_*`.
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;
const DIRECT_IO: u32 = 16;
/// `/dev/loop-control` (misc device, Documentation/admin-guide/devices.txt).
const CONTROL: (u64, u64) = (10, 237);

/// How often another process may take the free device before us. Each time, that process has
/// succeeded, so this many means something other than a race.
const ATTEMPTS: u32 = 64;
const NAME_SIZE: usize = 64;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    real_device: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: u32,
    key_size: u32,
    flags: u32,
    file_name: [u8; NAME_SIZE],
    encryption_name: [u8; NAME_SIZE],
    key: [u8; 32],
    init: [u64; 2],
}

impl Info {
    const EMPTY: Self = Self {
        device: 0,
        inode: 0,
        real_device: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encryption: 0,
        key_size: 0,
        flags: 0,
        file_name: [0; NAME_SIZE],
        encryption_name: [0; NAME_SIZE],
        key: [0; 32],
        init: [0; 2],
    };
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    file: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

/// What went wrong with a loop device.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {object}: {source}")]
pub struct Error {
    /// What was tried.
    pub verb: &'static str,
    /// On what: a device or a directory.
    pub object: String,
    /// Why it failed.
    pub source: io::Error,
}

fn failed(verb: &'static str, object: impl ToString) -> impl FnOnce(io::Error) -> Error {
    let object = object.to_string();
    move |source| Error { verb, object, source }
}

/// How a file is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Nothing can be written to the device. Without it the file must be open for writing.
    pub read_only: bool,
    /// Past the node's page cache, so that nothing is cached twice. The kernel leaves it out
    /// where the file system of the file cannot: [`Status::direct_io`] tells.
    pub direct_io: bool,
    /// Detached by the kernel when the last one who has it open or mounted is gone. Keep the
    /// [`Device`] until it is mounted.
    pub autoclear: bool,
    /// Sector size in bytes (512, 1024, 2048 or 4096); the kernel's choice when `None`.
    pub block_size: Option<u32>,
}

/// What a loop device is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Device and inode of the file, as in its `stat`.
    pub file: (u64, u64),
    /// Nothing can be written.
    pub read_only: bool,
    /// Past the page cache.
    pub direct_io: bool,
    /// Detached with its last user.
    pub autoclear: bool,
}

/// Where the node has its loop devices.
#[derive(Clone, Debug)]
pub struct LoopDevices {
    /// `/dev`.
    pub devices: PathBuf,
    /// `/sys`.
    pub sysfs: PathBuf,
    /// A directory on a file system without `nodev` that only root can enter.
    pub private: PathBuf,
}

/// A loop device, open. Dropping it closes it and does not detach it, unless `autoclear`.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    number: u32,
}

impl LoopDevices {
    /// Attaches an open file to a free device. Never takes one that is in use: when another
    /// process is faster, the next free one is tried.
    pub fn attach(&self, file: BorrowedFd<'_>, options: Options) -> Result<Device, Error> {
        let control = self.open_control()?;
        let mut last = io::Error::from_raw_os_error(libc::EBUSY);
        for _ in 0..ATTEMPTS {
            let number = free_number(&control).map_err(failed("find", "a free loop device"))?;
            let device = match self.open(number) {
                Err(error) if vanished(&error.source) => {
                    last = error.source;
                    continue;
                }
                opened => opened?,
            };
            match device.configure(file, options) {
                Ok(()) => return Ok(device),
                Err(error) if taken(&error) => last = error,
                Err(error) => return Err(failed("attach file to", device.name())(error)),
            }
        }
        Err(failed("attach file to", "a free loop device")(last))
    }

    /// Opens a device that exists.
    pub fn open(&self, number: u32) -> Result<Device, Error> {
        self.open_for(number, true)
    }

    fn open_for(&self, number: u32, writing: bool) -> Result<Device, Error> {
        let name = format!("loop{number}");
        let text = fs::read_to_string(self.sysfs.join("block").join(&name).join("dev"))
            .map_err(failed("read the device number of", &name))?;
        let numbers = parse_numbers(&text)
            .ok_or_else(|| io::Error::other(format!("not MAJOR:MINOR: {:?}", text.trim())))
            .map_err(failed("read the device number of", &name))?;
        let fd = self.open_node(&name, SFlag::S_IFBLK, numbers, writing);
        Ok(Device { fd: fd.map_err(failed("open", &name))?.into(), number })
    }

    /// The devices attached to this very file (its device and inode, whatever its name).
    pub fn find(&self, file: BorrowedFd<'_>) -> Result<Vec<u32>, Error> {
        let status = nix::sys::stat::fstat(file)
            .map_err(|error| failed("read status of", "the file")(error.into()))?;
        let mut found = Vec::new();
        for number in self.attached()? {
            // Whatever was open for writing udev looks at again, and has it open for that.
            let file = self.open_for(number, false).and_then(|device| device.status());
            match file {
                Ok(Some(Status { file, .. })) if file == (status.st_dev, status.st_ino) => {
                    found.push(number);
                }
                Ok(_) => {}
                Err(error) if vanished(&error.source) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The devices that have a file at this moment, in their order.
    fn attached(&self) -> Result<Vec<u32>, Error> {
        let block = self.sysfs.join("block");
        let read = || -> io::Result<Vec<u32>> {
            let mut numbers = Vec::new();
            for entry in fs::read_dir(&block)? {
                let name = entry?.file_name();
                let number = name.to_str().and_then(|name| name.strip_prefix("loop"));
                let Some(number) = number.and_then(|n| n.parse().ok()) else { continue };
                // The kernel shows this directory only while a file is attached.
                if block.join(&name).join("loop").exists() {
                    numbers.push(number);
                }
            }
            numbers.sort_unstable();
            Ok(numbers)
        };
        read().map_err(failed("list", block.display()))
    }

    fn open_control(&self) -> Result<File, Error> {
        self.open_node("loop-control", SFlag::S_IFCHR, CONTROL, true)
            .map_err(failed("open", self.devices.join("loop-control").display()))
    }

    fn open_node(
        &self,
        name: &str,
        kind: SFlag,
        numbers: (u64, u64),
        writing: bool,
    ) -> io::Result<File> {
        let path = self.devices.join(name);
        // Looked at before it is opened, so that nothing but a device is ever opened, and the
        // open file again, so that it is this device.
        match fs::symlink_metadata(&path) {
            Ok(metadata) if is_node(&metadata, kind, numbers) => {
                let file = open_device(&path, writing)?;
                if is_node(&file.metadata()?, kind, numbers) {
                    return Ok(file);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.open_private_node(name, kind, numbers, writing)
    }

    /// Makes a node only to open it.
    fn open_private_node(
        &self,
        name: &str,
        kind: SFlag,
        numbers: (u64, u64),
        writing: bool,
    ) -> io::Result<File> {
        let thread = nix::unistd::gettid(); // one name for each who may do this now
        let path = self.private.join(format!("{name}.{thread}"));
        mknod(&path, kind, Mode::S_IRUSR | Mode::S_IWUSR, makedev(numbers.0, numbers.1))?;
        let opened = open_device(&path, writing);
        fs::remove_file(&path)?;
        opened
    }
}

impl Device {
    /// The number N of `/dev/loopN`.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its device number, as in `st_dev` of what is mounted from it.
    pub fn device_number(&self) -> Result<u64, Error> {
        let status = nix::sys::stat::fstat(&self.fd);
        let status = status.map_err(|error| failed("read status of", self.name())(error.into()))?;
        Ok(status.st_rdev)
    }

    /// What it is attached to; `None` when to nothing.
    pub fn status(&self) -> Result<Option<Status>, Error> {
        let mut info = Info::EMPTY;
        match self.control(LOOP_GET_STATUS64, (&raw mut info).expose_provenance()) {
            Ok(()) => Ok(Some(Status {
                file: (info.device, info.inode),
                read_only: info.flags & READ_ONLY != 0,
                direct_io: info.flags & DIRECT_IO != 0,
                autoclear: info.flags & AUTOCLEAR != 0,
            })),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            Err(error) => Err(failed("read status of", self.name())(error)),
        }
    }

    /// Detaches it. While others have it open or mounted, the kernel does so after the last.
    pub fn detach(self) -> Result<(), Error> {
        self.control(LOOP_CLR_FD, 0).map_err(failed("detach", self.name()))
    }

    /// Takes over a size that the file was given since.
    pub fn refresh_size(&self) -> Result<(), Error> {
        self.control(LOOP_SET_CAPACITY, 0).map_err(failed("refresh the size of", self.name()))
    }

    fn name(&self) -> String {
        format!("loop{}", self.number)
    }

    fn configure(&self, file: BorrowedFd<'_>, options: Options) -> io::Result<()> {
        let flags = [
            (options.read_only, READ_ONLY),
            (options.direct_io, DIRECT_IO),
            (options.autoclear, AUTOCLEAR),
        ];
        let flags = flags.iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).sum();
        let config = Config {
            file: file.as_raw_fd() as u32,
            block_size: options.block_size.unwrap_or(0),
            info: Info { flags, ..Info::EMPTY },
            reserved: [0; 8],
        };
        self.control(LOOP_CONFIGURE, (&raw const config).expose_provenance())
    }

    /// One command; `argument` is the address of what it reads or writes, or 0.
    fn control(&self, command: libc::Ioctl, argument: usize) -> io::Result<()> {
        // SAFETY: the two callers that pass an address pass that of a value of the command's
        // own type which lives over the call; the others pass 0 to commands without argument.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), command, argument) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The number of a device without a file; the kernel makes a new one when all have one.
fn free_number(control: &File) -> io::Result<u32> {
    // SAFETY: takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Another process attached a file between our question and our attempt.
fn taken(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBUSY) || vanished(error)
}

/// Another process removed or detached it meanwhile.
fn vanished(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENXIO | libc::ENODEV))
}

fn open_device(path: &Path, writing: bool) -> io::Result<File> {
    // Writing is tried first: a device can be attached for writing only through such.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let open = |write| OpenOptions::new().read(true).write(write).custom_flags(flags).open(path);
    match open(writing) {
        // A device whose file is read-only; or that is mounted, where the kernel lets nobody write to
        // such (CONFIG_BLK_DEV_WRITE_MOUNTED).
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EROFS | libc::EACCES | libc::EBUSY)) =>
        {
            open(false)
        }
        opened => opened,
    }
}

fn is_node(metadata: &fs::Metadata, kind: SFlag, (major, minor): (u64, u64)) -> bool {
    let file_type = metadata.file_type();
    let right_kind = match kind {
        SFlag::S_IFBLK => file_type.is_block_device(),
        _ => file_type.is_char_device(),
    };
    right_kind && metadata.rdev() == makedev(major, minor)
}

fn parse_numbers(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
#[path = "loopdev_tests.rs"]
mod tests;
