//! Giving a project to a tree that exists already.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use super::Project;
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
/// That the directory itself has it *and inherits it* says that all below has it: that is set
/// last, so a call that was killed or failed can be told, and made again. What was made directly
/// in it meanwhile is then done again. Goes through the tree as [`tree_walk::walk`] does; each
/// directory below is done before it is listed, so what is made in it meanwhile inherits.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] before anything is changed for a directory below of another
/// project, other than the one that the top has now: somebody else counts that. What cannot be
/// read or set.
pub fn set_project_recursive(directory: BorrowedFd<'_>, id: u32) -> Result<TreeSummary, TreeError> {
    set_recursive(&OfKernel, directory, id)
}

fn set_recursive<P: Projects>(
    projects: &P,
    directory: BorrowedFd<'_>,
    id: u32,
) -> Result<TreeSummary, TreeError> {
    let at_top = |source| TreeError { verb: Setter::<P>::VERB, path: ".".into(), source };
    let former = projects.get(directory).map_err(at_top)?.id;
    tree_walk::walk(directory, &mut Looker { projects, ours: [0, id, former] })?;
    // One that had another project keeps that until all is done: it tells the next call which
    // other project may be found below.
    if former == 0 || former == id {
        projects.set(directory, Project { id, inherit: false }).map_err(at_top)?;
    }
    let mut all = Setter::new(projects, id, false);
    tree_walk::walk(directory, &mut all)?;
    projects.set(directory, Project { id, inherit: true }).map_err(at_top)?;
    tree_walk::walk(directory, &mut Setter::new(projects, id, true))?;
    Ok(TreeSummary { changed: all.summary.changed + 1, ..all.summary })
}

/// Where the projects of files are kept.
trait Projects {
    fn get(&self, file: BorrowedFd<'_>) -> io::Result<Project>;

    fn set(&self, file: BorrowedFd<'_>, project: Project) -> io::Result<()>;

    /// Sets that of what is no directory and no regular file; `false` when it cannot be.
    fn set_special(&self, parent: BorrowedFd<'_>, name: &CStr, id: u32) -> io::Result<bool>;
}

struct OfKernel;

impl Projects for OfKernel {
    fn get(&self, file: BorrowedFd<'_>) -> io::Result<Project> {
        super::project(file)
    }

    fn set(&self, file: BorrowedFd<'_>, project: Project) -> io::Result<()> {
        super::set_project(file, project)
    }

    fn set_special(&self, parent: BorrowedFd<'_>, name: &CStr, id: u32) -> io::Result<bool> {
        set_special(parent, name, id)
    }
}

/// Looks for directories that somebody else counts.
struct Looker<'p, P> {
    projects: &'p P,
    /// The projects that are nobody else's.
    ours: [u32; 3],
}

impl<P: Projects> Visitor for Looker<'_, P> {
    const VERB: &'static str = "set project of";

    fn directory(&mut self, directory: BorrowedFd<'_>, _: &FileStat) -> io::Result<bool> {
        let Project { id, .. } = self.projects.get(directory)?;
        if self.ours.contains(&id) {
            return Ok(true);
        }
        let text = format!("it belongs to project {id} (chattr -R -p 0 frees it)");
        Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
    }

    fn other(&mut self, _: BorrowedFd<'_>, _: &CStr, _: &FileStat) -> io::Result<()> {
        Ok(())
    }

    fn mount_point(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Setter<'p, P> {
    projects: &'p P,
    id: u32,
    /// Directories that have the project and inherit it are not gone through once more.
    again: bool,
    /// The next directory is the top one, which is not set here.
    is_top: bool,
    summary: TreeSummary,
}

impl<'p, P> Setter<'p, P> {
    fn new(projects: &'p P, id: u32, again: bool) -> Setter<'p, P> {
        Setter { projects, id, again, is_top: true, summary: TreeSummary::default() }
    }
}

impl<P: Projects> Visitor for Setter<'_, P> {
    const VERB: &'static str = "set project of";

    fn directory(&mut self, directory: BorrowedFd<'_>, _: &FileStat) -> io::Result<bool> {
        if std::mem::take(&mut self.is_top) {
            return Ok(true);
        }
        let project = Project { id: self.id, inherit: true };
        if self.again && self.projects.get(directory)? == project {
            return Ok(false);
        }
        self.projects.set(directory, project)?;
        self.summary.changed += 1;
        Ok(true)
    }

    fn other(&mut self, parent: BorrowedFd<'_>, name: &CStr, status: &FileStat) -> io::Result<()> {
        let done = match status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() {
            true => set_regular(self.projects, parent, name, self.id)?,
            false => self.projects.set_special(parent, name, self.id)?,
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
fn set_regular<P: Projects>(
    projects: &P,
    directory: BorrowedFd<'_>,
    name: &CStr,
    id: u32,
) -> io::Result<bool> {
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
    projects.set(file.as_fd(), Project { id, inherit: false })?;
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

#[cfg(test)]
#[path = "quota_tree_tests.rs"]
mod tests;
