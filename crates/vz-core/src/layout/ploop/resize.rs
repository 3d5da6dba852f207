//! Another size for an image, and unused blocks given back.
//!
//! Mounted, it grows by the kernel's own resize and shrinks by a balloon ([`super::balloon`]). With
//! `--offline-resize` a copy of the image is checked, shrunk and put in its place by a rename: what
//! resize2fs does is no step that may be interrupted. The copy shares its blocks with the image where
//! the file system can, and is as sparse as it else.
//!
//! A file beside the image says that a resize is under way, and to what DISKSPACE. It goes when the
//! configuration is saved; whoever finds it gives the image the size that the configuration has.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use vz_conf::change::Change;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::new_file::remove_if_there;
use vz_conf::size::SoftHard;
use vz_sys::file_system;
use vz_sys::loopdev::Device;

use super::{balloon, copy, descriptor, directory, image, image_path, open_top, size, tools};
use crate::container::Container;
use crate::copy_tree;
use crate::error::{Context, Error, OsText, Result};
use crate::layout::{Storage, View};

/// How long an offline resize waits for others to let go of the image.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Says what DISKSPACE a resize is for that is under way.
fn note_path(container: &Container<'_>) -> PathBuf {
    directory(&container.private).join("resize")
}

/// The copy that an offline resize works on.
fn copy_path(image: &Path) -> PathBuf {
    image.with_extension("hdd.resized")
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Refused(Exit::PloopResizeFailed, format!("Failed to resize image: {error}"))
}

fn failed_io(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| failed(format!("cannot {action}: {}", OsText(error)))
}

/// Gives the image the size of `diskspace`, mounted or not. The caller saves the configuration then,
/// and calls [`settle`]. The lock is held by the caller.
///
/// # Errors
/// [`Exit::PloopResizeFailed`]; the image has then the size it had.
pub fn resize(container: &Container<'_>, diskspace: SoftHard, offline: bool) -> Result<()> {
    container.require_private()?;
    let mut after = container.config.clone();
    after.diskspace = Some(diskspace);
    let size = size(&after)?;
    let note = note_path(container);
    descriptor::write_file(&directory(&container.private), &note, diskspace.to_string().as_bytes())
        .map_err(failed_io("note the resize"))?;
    let done = match offline {
        true => resize_copy(container, size),
        false => resize_mounted(container, size),
    };
    match done {
        Ok(()) => Ok(()),
        Err(error) => {
            // What says so is the note, to the next command.
            let _ = finish(container);
            Err(error)
        }
    }
}

/// Has the next [`finish`] bring the image, which came to be of `size` bytes, and the configuration
/// together.
///
/// # Errors
/// When it cannot be noted.
pub fn reconcile(container: &Container<'_>, size: u64) -> Result<()> {
    let said = super::size(&container.config);
    if said.is_ok_and(|said| said == size) {
        return Ok(());
    }
    let size = SoftHard { soft: size >> 10, hard: size >> 10 }.to_string();
    descriptor::write_file(&directory(&container.private), &note_path(container), size.as_bytes())
        .map_err(failed_io("note the resize"))
}

/// The configuration says what size the image has.
///
/// # Errors
/// When the note of it cannot be removed.
pub fn settle(container: &Container<'_>) -> Result<()> {
    let note = note_path(container);
    remove_if_there(&note).map_err(failed_io("remove the note of the resize"))
}

/// Sees to what a killed resize has left: the image gets the size that the configuration has. Where
/// it cannot go back, because the container has filled what it was given, the configuration follows.
/// Called by each command that has just taken the lock.
///
/// # Errors
/// When neither can be done.
pub fn finish(container: &Container<'_>) -> Result<()> {
    if !matches!(container.layout(), Layout::Ploop(_)) || container.private.as_os_str().is_empty() {
        return Ok(());
    }
    let note = note_path(container);
    let text = match std::fs::read_to_string(&note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.at(Exit::PloopResizeFailed, "Cannot read", &note)?,
    };
    let image = image_path(&container.private);
    remove_if_there(&copy_path(&image)).map_err(failed_io("remove the copy of the image"))?;
    // What was read before the lock was taken may have been changed until then.
    let mut container = Container::load(container.node, container.id)?;
    if let Err(error) = resize_mounted(&container, size(&container.config)?) {
        let wanted = SoftHard::parse_space(&text).map_err(|_| error)?;
        let mut change = Change::new();
        change.values.diskspace = Some(wanted);
        let after = change.apply_to(&container.config);
        resize_mounted(&container, size(&after)?)?;
        container.store(&change)?;
    }
    settle(&container)
}

/// Gives unused blocks of the image back to the node.
///
/// # Errors
/// When the image cannot be mounted, or the kernel cannot.
pub fn compact(container: &Container<'_>) -> Result<()> {
    Mounted::of(container)?
        .trim()
        .context(Exit::CompactFailed, || "Cannot give unused blocks back".into())
}

/// The image, mounted: at VE_ROOT, or for this alone.
pub(super) struct Mounted {
    image: File,
    device: Device,
    top: OwnedFd,
}

impl Mounted {
    pub(super) fn of(container: &Container<'_>) -> Result<Mounted> {
        let path = image_path(&container.private);
        let file = image::open(&path)?;
        let top = match container.is_mounted() {
            true => {
                let flags = nix::libc::O_DIRECTORY;
                let root = &container.root;
                File::options()
                    .read(true)
                    .custom_flags(flags)
                    .open(root)
                    .at(Exit::PloopMountFailed, "Cannot open", root)?
                    .into()
            }
            false => {
                let mounted = super::Ploop.mount(container, View::Reading, false)?;
                open_top(&mounted).at(Exit::PloopMountFailed, "Cannot open", &path)?
            }
        };
        let device_number = nix::sys::stat::fstat(&top)
            .at(Exit::PloopMountFailed, "Cannot look at", &container.root)?
            .st_dev;
        let mut devices = image::attached(&path, &file)?.into_iter();
        // Something else may be mounted over it.
        let device = devices
            .find(|device| device.device_number().is_ok_and(|number| number == device_number))
            .ok_or_else(|| {
                let text = format!("{} is not mounted at its root", path.display());
                Error::Refused(Exit::PloopMountFailed, text)
            })?;
        Ok(Mounted { image: file, device, top })
    }
}

fn resize_mounted(container: &Container<'_>, size: u64) -> Result<()> {
    let mounted = Mounted::of(container)?;
    let now = mounted.size().map_err(failed_io("read its size"))?;
    let wanted = size / now.block_size;
    if wanted <= now.blocks {
        mounted.shrink((now.blocks - wanted) * now.block_size).map_err(not_shrunk)?;
    } else if let Err(error) = mounted.grow(size, wanted) {
        let may_not = error.raw_os_error() == Some(nix::libc::EPERM);
        if !may_not || container.is_mounted() {
            return Err(failed_io("grow the file system")(error));
        }
        // A node whose root has not all capabilities.
        drop(mounted);
        return resize_copy(container, size);
    }
    // Before the configuration says so.
    nix::unistd::syncfs(&mounted.top)
        .map_err(io::Error::from)
        .and_then(|()| mounted.image.sync_all())
        .map_err(failed_io("sync the image"))?;
    let length = mounted.image.metadata().map_err(failed_io("look at the image"))?.len();
    descriptor::write(&directory(&container.private), length)
}

impl Mounted {
    /// The top directory of its file system.
    pub(super) fn top(&self) -> &OwnedFd {
        &self.top
    }

    fn size(&self) -> io::Result<file_system::Size> {
        file_system::ext4_size(&File::from(self.device.as_fd().try_clone_to_owned()?))
    }

    /// What was removed a moment ago is unused when the journal says so.
    fn trim(&self) -> io::Result<()> {
        nix::unistd::syncfs(&self.top)?;
        file_system::trim(self.top.as_fd()).map(drop)
    }

    /// Leaves it `excess` bytes short of its size.
    fn shrink(&self, excess: u64) -> io::Result<()> {
        if excess > balloon::size(self.top.as_fd())? {
            // What the balloon takes cannot be given back to the node any more.
            let _ = self.trim();
        }
        balloon::set(self.top.as_fd(), excess)
    }

    /// Makes it as large as `blocks`, in an image of `size` bytes, with nothing held back.
    fn grow(&self, size: u64, blocks: u64) -> io::Result<()> {
        let before = self.image.metadata()?.len();
        if before < size {
            self.image.set_len(size)?;
        }
        // Also of one that was killed before it came to this.
        self.device.refresh_size().map_err(|error| error.source)?;
        if let Err(error) = file_system::grow_ext4(self.top.as_fd(), blocks) {
            // Some of it may have been done.
            let least = self.size()?.bytes().max(before);
            if least < size {
                self.image.set_len(least)?;
                self.device.refresh_size().map_err(|error| error.source)?;
            }
            return Err(error);
        }
        balloon::set(self.top.as_fd(), 0)
    }
}

fn not_shrunk(error: io::Error) -> Error {
    match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        Errno::ENOSPC => failed("the container does not have that much free space"),
        Errno::EEXIST => failed("the container has files of its own in /.balloon"),
        _ => failed_io("shrink the file system")(error),
    }
}

/// Gives a copy of the image, which is not mounted, the size, and puts it in its place.
fn resize_copy(container: &Container<'_>, size: u64) -> Result<()> {
    let image = image_path(&container.private);
    descriptor::check(&directory(&container.private))?;
    if !image::wait_detached(&image, PATIENCE)? {
        return Err(failed(format!("{} is in use", image.display())));
    }
    let copy = copy_path(&image);
    let done = make_copy(&image, &copy).and_then(|file| resize_alone(&copy, &file, size));
    if let Err(error) = done {
        let _ = remove_if_there(&copy);
        return Err(error);
    }
    let directory = directory(&container.private);
    std::fs::rename(&copy, &image)
        .and_then(|()| File::open(&directory)?.sync_all())
        .map_err(failed_io("put the copy of the image in its place"))?;
    descriptor::write(&directory, size)
}

fn make_copy(image: &Path, copy: &Path) -> Result<File> {
    let failed = failed_io("copy the image");
    let source = image::open(image)?;
    copy::require_space(&source, &source)?;
    let copied = || {
        remove_if_there(copy)?;
        let options = &mut File::options();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(copy)?;
        copy_tree::copy_contents(&source, &file)?;
        Ok(file)
    };
    copied().map_err(failed)
}

/// Gives the file system in an image that nobody else uses another size, and the image as well.
fn resize_alone(image: &Path, file: &File, size: u64) -> Result<()> {
    tools::check_file_system(image)?;
    let mounted = image::mount(image, None, false)?;
    let top = open_top(&mounted).map_err(|error| failed_io("open the copy")(error.into()))?;
    balloon::set(top.as_fd(), 0).map_err(failed_io("give the balloon back"))?;
    drop((top, mounted));
    if !image::wait_detached(image, PATIENCE)? {
        return Err(failed(format!("{} is in use", image.display())));
    }
    let length = file.metadata().map_err(failed_io("look at the copy"))?.len();
    file.set_len(length.max(size)).map_err(failed_io("grow the image"))?;
    tools::resize_file_system(image, size).map_err(failed)?;
    file.set_len(size).and_then(|()| file.sync_all()).map_err(failed_io("cut the image"))
}

/// Says whether some of the image's size is held back by a balloon.
///
/// # Errors
/// When the image cannot be mounted.
pub fn is_held_back(container: &Container<'_>) -> Result<bool> {
    let mounted = Mounted::of(container)?;
    let held = balloon::size(mounted.top.as_fd()).map_err(failed_io("look at the balloon"))?;
    Ok(held > 0)
}
