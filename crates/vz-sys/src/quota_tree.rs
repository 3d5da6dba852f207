//! Giving a project to a tree that exists already.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::{Project, set_project};
pub use crate::tree_walk::TreeError;
use crate::tree_walk::{self, Visitor, open_below};

/// Numbers of file_getattr(2) and file_setattr(2), Linux 6.17, the same on every architecture.
const SYS_FILE_GETATTR: libc::c_long = 468;
const SYS_FILE_SETATTR: libc::c_long = 469;

/// `struct file_attr` (linux/fs.h).
#[repr(C)]
#[derive(Default)]
struct FileAttr {
    flags: u64,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
}

/// What was done to a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeSummary {
    /// Files of every kind that have the project now.
    pub changed: u64,
    /// Symbolic links, devices, fifos and sockets that keep their project, because the kernel
    /// has no file_setattr(2) or the file system does not take it for them. They hold inodes,
    /// and hardly any space.
    pub unreachable: u64,
}

/// Gives the project, inherited from now on, to a directory and all below it.
///
/// Goes through it as [`tree_walk::walk`] does. Each directory is done before it is listed, so what
/// is made in it meanwhile inherits.
pub fn set_project_recursive(directory: BorrowedFd<'_>, id: u32) -> Result<TreeSummary, TreeError> {
    let mut setter = Setter { id, summary: TreeSummary::default() };
    tree_walk::walk(directory, &mut setter)?;
    Ok(setter.summary)
}

struct Setter {
    id: u32,
    summary: TreeSummary,
}

impl Visitor for Setter {
    const VERB: &'static str = "set project of";

    fn directory(&mut self, directory: BorrowedFd<'_>, _: &FileStat) -> io::Result<()> {
        set_project(directory, Project { id: self.id, inherit: true })?;
        self.summary.changed += 1;
        Ok(())
    }

    fn other(&mut self, parent: BorrowedFd<'_>, name: &CStr, status: &FileStat) -> io::Result<()> {
        let done = match status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() {
            true => set_regular(parent, name, self.id)?,
            false => set_special(parent, name, self.id)?,
        };
        match done {
            true => self.summary.changed += 1,
            false => self.summary.unreachable += 1,
        }
        Ok(())
    }

    fn mount_point(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A regular file needs a descriptor that is open in earnest. It is first opened as a mere
/// place, looked at, and then opened through /proc: an entry that became a device between the
/// two is not opened. O_NONBLOCK: a lease of another process does not hold us up.
fn set_regular(directory: BorrowedFd<'_>, name: &CStr, id: u32) -> io::Result<bool> {
    let place = match open_below(directory, name, OFlag::O_PATH) {
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => return Ok(false),
        opened => opened?,
    };
    if SFlag::from_bits_truncate(fstat(&place)?.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
        return Err(io::Error::other("it was replaced meanwhile"));
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOATIME;
    let file = nix::fcntl::open(path.as_str(), flags, Mode::empty())?;
    set_project(file.as_fd(), Project { id, inherit: false })?;
    Ok(true)
}

/// The rest cannot be opened without effects, or at all: by name, where the kernel can.
fn set_special(directory: BorrowedFd<'_>, name: &CStr, id: u32) -> io::Result<bool> {
    let mut attributes = FileAttr::default();
    let call = |number, attributes: *mut FileAttr| {
        // SAFETY: name and attributes live over the call; the size is that of the structure,
        // which the kernel takes in any length of 24 bytes or more.
        let result = unsafe {
            libc::syscall(
                number,
                directory.as_raw_fd(),
                name.as_ptr(),
                attributes,
                size_of::<FileAttr>(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    let result = call(SYS_FILE_GETATTR, &raw mut attributes).and_then(|()| {
        attributes.project = id;
        call(SYS_FILE_SETATTR, &raw mut attributes)
    });
    match result {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOTTY) => Ok(false),
            _ => Err(error),
        },
    }
}
