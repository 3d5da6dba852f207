//! What is asked of a mounted file system as a whole: another size (ext4), unused blocks given back,
//! to hold still; blocks that two files share.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

/// `_IOW('f', 16, __u64)` (fs/ext4/ext4.h): `EXT4_IOC_RESIZE_FS`.
const EXT4_IOC_RESIZE_FS: libc::Ioctl = 0x4008_6610;
/// `_IOWR('X', 121, struct fstrim_range)` (linux/fs.h).
const FITRIM: libc::Ioctl = 0xc018_5879;

/// `_IOWR('X', 119, int)` and `_IOWR('X', 120, int)` (linux/fs.h).
const FIFREEZE: libc::Ioctl = 0xc004_5877;
const FITHAW: libc::Ioctl = 0xc004_5878;

/// `_IOW(0x94, 13, struct file_clone_range)` (linux/fs.h).
const FICLONERANGE: libc::Ioctl = 0x4020_940d;

/// `struct file_clone_range`.
#[repr(C)]
struct CloneRange {
    source: i64,
    source_offset: u64,
    length: u64,
    offset: u64,
}

const _: () = assert!(size_of::<CloneRange>() == 32);

/// `struct fstrim_range`.
#[repr(C)]
struct TrimRange {
    start: u64,
    length: u64,
    least: u64,
}

const _: () = assert!(size_of::<TrimRange>() == 24);

/// Where an ext4 superblock lies, and fields of it
/// (Documentation/filesystems/ext4/super.rst).
const SUPERBLOCK: u64 = 1024;
const SUPERBLOCK_SIZE: usize = 1024;
const BLOCKS_LOW: usize = 0x4;
const LOG_BLOCK_SIZE: usize = 0x18;
const MAGIC: usize = 0x38;
const FEATURE_COMPAT: usize = 0x5c;
const FEATURE_INCOMPAT: usize = 0x60;
const FEATURE_RO_COMPAT: u64 = 0x64;
const JOURNAL_INODE: usize = 0xe0;
const JOURNAL_DEVICE: usize = 0xe4;
const BLOCKS_HIGH: usize = 0x150;
const MOUNT_OPTIONS: std::ops::Range<usize> = 0x200..0x240;
const USER_QUOTA_INODE: u64 = 0x240;
const GROUP_QUOTA_INODE: u64 = 0x244;
const RO_COMPAT_QUOTA: u32 = 0x100;
const EXT4_MAGIC: u16 = 0xef53;
const COMPAT_HAS_JOURNAL: u32 = 0x4;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_MMP: u32 = 0x100;

/// How large an ext4 file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its blocks.
    pub blocks: u64,
    /// Bytes in a block.
    pub block_size: u64,
}

impl Size {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.blocks.saturating_mul(self.block_size)
    }
}

/// Reads the size of the ext4 file system on a block device, or in an image that is not mounted. Of
/// one that is mounted the device shows what is so now.
///
/// # Errors
/// Those of pread(2); `InvalidData` where there is no such file system.
pub fn ext4_size(device: &std::fs::File) -> io::Result<Size> {
    let mut superblock = [0; SUPERBLOCK_SIZE];
    device.read_exact_at(&mut superblock, SUPERBLOCK)?;
    parse_superblock(&superblock)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no ext4 file system"))
}

fn parse_superblock(superblock: &[u8; SUPERBLOCK_SIZE]) -> Option<Size> {
    let word = |at| word(superblock, at);
    let magic = superblock.get(MAGIC..MAGIC + 2)?;
    if magic != EXT4_MAGIC.to_le_bytes() {
        return None;
    }
    // 1 KiB to 64 KiB.
    let exponent = word(LOG_BLOCK_SIZE).filter(|exponent| *exponent <= 6)?;
    let high = match word(FEATURE_INCOMPAT)? & INCOMPAT_64BIT {
        0 => 0,
        _ => u64::from(word(BLOCKS_HIGH)?) << 32,
    };
    let blocks = high | u64::from(word(BLOCKS_LOW)?);
    Some(Size { blocks, block_size: 1024 << exponent })
}

fn word(superblock: &[u8; SUPERBLOCK_SIZE], at: usize) -> Option<u32> {
    let bytes = superblock.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// What a superblock has done by whoever mounts or mends the file system, beyond its own blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demands {
    /// Its journal is on another device, which is opened and written to.
    pub external_journal: bool,
    /// Each mount waits, up to some minutes, whether others write to it (`mmp`).
    pub mount_protection: bool,
    /// The mount options that are obeyed before those of the mount (tune2fs(8), `-E mount_opts`): all of
    /// the field, when no NUL ends it.
    pub mount_options: Vec<u8>,
}

/// Reads what the ext4 file system on a device or in an image demands; `None` where there is none.
///
/// # Errors
/// Those of pread(2).
pub fn ext4_demands(device: &std::fs::File) -> io::Result<Option<Demands>> {
    let mut superblock = [0; SUPERBLOCK_SIZE];
    match device.read_exact_at(&mut superblock, SUPERBLOCK) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    Ok(parse_superblock(&superblock).and_then(|_| demands(&superblock)))
}

fn demands(superblock: &[u8; SUPERBLOCK_SIZE]) -> Option<Demands> {
    let has_journal = word(superblock, FEATURE_COMPAT)? & COMPAT_HAS_JOURNAL != 0;
    let is_inside = word(superblock, JOURNAL_INODE)? != 0 && word(superblock, JOURNAL_DEVICE)? == 0;
    let options = superblock.get(MOUNT_OPTIONS)?;
    Some(Demands {
        external_journal: has_journal && !is_inside,
        mount_protection: word(superblock, FEATURE_INCOMPAT)? & INCOMPAT_MMP != 0,
        mount_options: options.split(|byte| *byte == 0).next().unwrap_or(options).to_vec(),
    })
}

/// Says whether the ext4 file system on a device or in an image counts what users and groups hold,
/// in files of its own that no path leads to.
///
/// # Errors
/// Those of pread(2).
pub fn ext4_counts_users(device: &std::fs::File) -> io::Result<bool> {
    let word = |at: u64| {
        let mut word = [0; 4];
        device.read_exact_at(&mut word, SUPERBLOCK + at).map(|()| u32::from_le_bytes(word))
    };
    let has_feature = word(FEATURE_RO_COMPAT)? & RO_COMPAT_QUOTA != 0;
    Ok(has_feature && word(USER_QUOTA_INODE)? != 0 && word(GROUP_QUOTA_INODE)? != 0)
}

/// Grows the mounted ext4 file system that `file` lies on to `blocks` of its blocks. Journaled:
/// after a crash it has the one size, the other, or one between.
///
/// # Errors
/// `EPERM` without CAP_SYS_RESOURCE, `EINVAL` for a size below that of now or beyond the device,
/// `EBUSY` while another does the same.
pub fn grow_ext4(file: BorrowedFd<'_>, blocks: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one u64 that lives over the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), EXT4_IOC_RESIZE_FS, &raw const blocks) })
}

/// Tells the device below the mounted file system of `file` which blocks are not in use. Returns how
/// many bytes it was told of.
///
/// # Errors
/// `EOPNOTSUPP` where the device or the file system cannot, `EPERM` without CAP_SYS_ADMIN.
pub fn trim(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut range = TrimRange { start: 0, length: u64::MAX, least: 0 };
    // SAFETY: the kernel reads and writes one `fstrim_range`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FITRIM, &raw mut range) })?;
    Ok(range.length)
}

/// Has the mounted file system of `file` hold still: all is on its device, its journal is empty, and
/// whoever writes waits until [`thaw`]. It stays so when the caller ends.
///
/// # Errors
/// `EBUSY` when it is frozen already, `EOPNOTSUPP` where it cannot be, `EPERM` without CAP_SYS_ADMIN.
pub fn freeze(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is not looked at.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FIFREEZE, 0) })
}

/// Lets a frozen file system go on.
///
/// # Errors
/// `EINVAL` when it is not frozen, `EPERM` without CAP_SYS_ADMIN.
pub fn thaw(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is not looked at.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FITHAW, 0) })
}

/// Makes `length` bytes of `file` at `offset` share the blocks of those of `source` at
/// `source_offset` (FICLONERANGE(2)). All three are multiples of the file system's block size.
///
/// # Errors
/// `EOPNOTSUPP`, `EXDEV` and `EINVAL` where the file system cannot, or not these: they have to be
/// copied.
pub fn share_range(
    source: BorrowedFd<'_>,
    source_offset: u64,
    length: u64,
    file: BorrowedFd<'_>,
    offset: u64,
) -> io::Result<()> {
    // For the kernel a length of 0 is all up to the end.
    if length == 0 {
        return Ok(());
    }
    let source = i64::from(source.as_raw_fd());
    let range = CloneRange { source, source_offset, length, offset };
    // SAFETY: the kernel reads one `file_clone_range` that lives over the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FICLONERANGE, &raw const range) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_size_is_what_mke2fs_has_made() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        assert_eq!(ext4_size(file.as_file()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        for (block, features) in [("1024", "64bit"), ("4096", "^64bit")] {
            let mut command = Command::new("mke2fs");
            command.args(["-q", "-F", "-t", "ext4", "-b", block, "-O", features]);
            let Ok(output) = command.arg(file.path()).output() else { return };
            assert!(output.status.success());
            let size = ext4_size(file.as_file()).unwrap();
            assert_eq!((size.bytes(), size.block_size), (64 << 20, block.parse().unwrap()));
        }
    }

    #[test]
    fn a_range_is_shared_or_it_is_said_that_it_cannot_be() {
        let (source, file) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        source.as_file().write_all_at(&[7; 8192], 0).unwrap();
        let share =
            |length| share_range(source.as_file().as_fd(), 4096, length, file.as_file().as_fd(), 0);
        share(0).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().len(), 0);
        match share(4096) {
            Ok(()) => assert_eq!(std::fs::read(file.path()).unwrap(), vec![7; 4096]),
            Err(error) => {
                let code = error.raw_os_error().unwrap();
                assert!([libc::EOPNOTSUPP, libc::EINVAL, libc::ENOTTY].contains(&code), "{error}");
            }
        }
    }

    #[test]
    fn an_odd_superblock_is_refused() {
        let mut superblock = [0; SUPERBLOCK_SIZE];
        superblock[MAGIC..MAGIC + 2].copy_from_slice(&EXT4_MAGIC.to_le_bytes());
        assert!(parse_superblock(&superblock).is_some());
        superblock[LOG_BLOCK_SIZE] = 7;
        assert_eq!(parse_superblock(&superblock), None);
        assert_eq!(parse_superblock(&[0; SUPERBLOCK_SIZE]), None);
    }

    #[test]
    fn what_is_no_ext4_cannot_grow() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(grow_ext4(null.as_fd(), 1).is_err());
        assert!(trim(null.as_fd()).is_err());
    }

    #[test]
    fn what_is_not_frozen_cannot_be_thawed() {
        let proc = std::fs::File::open("/proc/self").unwrap();
        assert!(thaw(proc.as_fd()).is_err());
        assert!(freeze(proc.as_fd()).is_err());
    }
}
