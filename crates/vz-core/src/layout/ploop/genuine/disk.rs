//! The images in a container's `root.hdd`: what they are, and which make up which disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::disk_chain::ChainError;
use vz_conf::disk_descriptor::{DiskDescriptor, FILE_NAME, Format, Image, Shot};
use vz_conf::exit::Exit;
use vz_conf::uuid::Uuid;
use vz_sys::beneath;

use super::flatten::Flat;
use super::stack::{Layer, Stack};
use super::{ImageError, Source, header, partition};
use crate::error::{Context, Error, Result};
use crate::layout::ploop::{IMAGE, descriptor, directory, snapshot};

/// Whose form an image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// That which is mounted here: a plain file system, and so is each snapshot.
    Ours,
    /// One of ploop's own; what is so.
    Genuine(String),
}

/// Looks which form the images in the directory `root.hdd` have. Without a descriptor and without an
/// image it is ours: so it was made once, and a mount says what is missing.
///
/// # Errors
/// With this code, when the descriptor or the image cannot be read.
pub fn form(directory: &Path, exit: Exit) -> Result<Form> {
    let genuine = |text: &str| Ok(Form::Genuine(text.to_owned()));
    if let Some(disk) = descriptor::load(directory, exit)? {
        match disk.images.as_slice() {
            [image] if image.format == Format::Expanded => {
                return genuine("the image is in ploop's own format");
            }
            [image] if image.file != IMAGE => {
                return genuine(&format!("the image is {}, not {IMAGE}", image.file));
            }
            [_] => {}
            _ if are_whole(&disk) => {}
            several => {
                return genuine(&format!("the disk is {} images on each other", several.len()));
            }
        }
    }
    let path = directory.join(IMAGE);
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    match File::options().read(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Form::Ours),
        other => content(other.at(exit, "Cannot open the image", &path)?)
            .map_err(|error| unreadable(exit, &path, &error)),
    }
}

/// The image that is written to and those of snapshots each hold the whole disk: then they have the
/// names that they are given here.
fn are_whole(disk: &DiskDescriptor) -> bool {
    let Ok(top) = disk.top_image() else { return false };
    disk.images.iter().all(|image| {
        let name = if image.id == top.id { IMAGE.to_owned() } else { snapshot::name(&image.id) };
        image.format == Format::Plain && image.file == name
    })
}

fn content(image: File) -> std::result::Result<Form, ImageError> {
    if has_signature(&image) {
        return Ok(Form::Genuine("the image is in ploop's own format".into()));
    }
    let mut disk = Stack::new(vec![Layer::plain(image)?])?;
    match partition::file_system(&mut disk)? == (0..disk.size()) {
        true => Ok(Form::Ours),
        false => Ok(Form::Genuine("the image has a partition table".into())),
    }
}

fn has_signature(image: &File) -> bool {
    let mut bytes = [0; 16];
    image.fill(&mut bytes, 0).is_ok() && header::signature(&bytes).is_some()
}

fn unreadable(exit: Exit, image: &Path, error: &ImageError) -> Error {
    Error::Refused(exit, format!("Cannot read the image {}: {error}", image.display()))
}

fn failed(text: String) -> Error {
    Error::Refused(Exit::PloopConvertFailed, text)
}

/// The images of a container, opened to be read.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    directory: OwnedFd,
    descriptor: DiskDescriptor,
}

impl Disk {
    /// Opens the `root.hdd` of a private area.
    ///
    /// # Errors
    /// When it is not there, and for a descriptor that makes no sense.
    pub fn open(area: &Path) -> Result<Disk> {
        let path = directory(area);
        let exit = Exit::PloopConvertFailed;
        let area = File::open(area).at(exit, "Cannot open", area)?;
        let name = path.file_name().unwrap_or_default();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let directory = beneath::open_beneath(area.as_fd(), name, flags, Mode::empty()).at(
            exit,
            "Cannot open",
            &path,
        )?;
        let descriptor = match descriptor::load(&path, exit)? {
            Some(descriptor) => descriptor,
            None => alone(&path)?,
        };
        Ok(Disk { path, directory, descriptor })
    }

    /// The images: that which is written to first, then the snapshots. Each has the name that it gets,
    /// and the identifier to open it by.
    ///
    /// # Errors
    /// When it is not known which image is written to.
    pub fn images(&self) -> Result<Vec<(String, Uuid)>> {
        let top = self.descriptor.top_image().map_err(|error| self.no_disk(&error))?;
        let mut images = vec![(IMAGE.to_owned(), top.id.clone())];
        images.extend(self.snapshots()?.into_iter().map(|id| (snapshot::name(&id), id)));
        Ok(images)
    }

    /// The identifiers of the snapshots.
    ///
    /// # Errors
    /// When it is not known which image is written to.
    pub fn snapshots(&self) -> Result<Vec<Uuid>> {
        let top = self.descriptor.top_image().map_err(|error| self.no_disk(&error))?;
        let others = self.descriptor.images.iter().filter(|image| image.id != top.id);
        Ok(others.map(|image| image.id.clone()).collect())
    }

    /// The names of the image files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.descriptor.images.iter().map(|image| image.file.as_str())
    }

    /// The directory.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// What the descriptor says when all are plain, of a disk of `size` bytes: the same snapshots on
    /// each other, and the identifier that is usual today for what is written to.
    ///
    /// # Errors
    /// As [`Disk::flat`], and when that identifier is a snapshot's.
    pub fn plain_descriptor(&self, size: u64) -> Result<DiskDescriptor> {
        let top = self.descriptor.top_image().map_err(|error| self.no_disk(&error))?.id.clone();
        let mut plain = DiskDescriptor::plain(size, IMAGE)
            .map_err(|error| failed(format!("Cannot describe {IMAGE}: {error}")))?;
        let usual = plain.top.clone().unwrap_or_else(|| top.clone());
        let none = plain.shots.first().map(|shot| shot.parent.clone());
        let none = none.unwrap_or_else(|| top.clone());
        for image in &self.descriptor.images {
            let parent = self.descriptor.parent(&image.id).map_err(|error| self.no_disk(&error))?;
            let parent = parent.unwrap_or(&none).clone();
            if image.id == top {
                plain.shots.iter_mut().take(1).for_each(|shot| shot.parent = parent.clone());
                continue;
            }
            if image.id == usual {
                return Err(self.no_disk(&ChainError::Twice(usual)));
            }
            let (id, file) = (image.id.clone(), snapshot::name(&image.id));
            plain.images.push(Image { id: id.clone(), format: Format::Plain, file });
            plain.shots.push(Shot { id, parent });
        }
        Ok(plain)
    }

    fn no_disk(&self, error: &ChainError) -> Error {
        failed(format!("{}: {error}", self.path.join(FILE_NAME).display()))
    }

    /// Opens an image, without a partition table and with nothing below it. It takes a descriptor for
    /// each image that it lies on: of a disk with many snapshots only one can be open at a time.
    ///
    /// # Errors
    /// For images that make up no disk.
    pub fn flat(&self, id: &Uuid) -> Result<Flat> {
        let chain = self.descriptor.chain(id).map_err(|error| self.no_disk(&error))?;
        let mut layers = Vec::new();
        for image in &chain {
            layers.push(self.layer(image)?);
        }
        let path = self.path.join(chain.first().map_or(IMAGE, |image| &image.file));
        let unreadable = |error| unreadable(Exit::PloopConvertFailed, &path, &error);
        Flat::new(layers, path.clone()).map_err(unreadable)
    }

    /// Opens one image. What ploop calls plain is so only at the bottom: what it lays on that is in its
    /// own format all the same, and can be told by its signature.
    fn layer(&self, image: &Image) -> Result<Layer<File>> {
        let path = self.path.join(&image.file);
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let name = OsStr::new(&image.file);
        let file = beneath::open_beneath(self.directory(), name, flags, Mode::empty())
            .map(File::from)
            .at(Exit::PloopConvertFailed, "Cannot open the image", &path)?;
        let kind = file.metadata().at(Exit::PloopConvertFailed, "Cannot look at", &path)?;
        if !kind.is_file() {
            return Err(failed(format!("The image {} is not a file", path.display())));
        }
        let layer = match image.format == Format::Plain && !has_signature(&file) {
            true => Layer::plain(file),
            false => Layer::expanded(file),
        };
        layer.map_err(|error| unreadable(Exit::PloopConvertFailed, &path, &error))
    }
}

/// The descriptor of a directory that has none: of one image, as `ploop restore-descriptor` makes it.
/// How several lie on each other nobody knows.
fn alone(path: &Path) -> Result<DiskDescriptor> {
    let names = std::fs::read_dir(path).at(Exit::PloopConvertFailed, "Cannot read", path)?;
    for name in names {
        let name = name.at(Exit::PloopConvertFailed, "Cannot read", path)?.file_name();
        let name = name.to_string_lossy();
        if name.strip_prefix(IMAGE).is_some_and(|rest| rest.starts_with(".{")) {
            let path = path.join(FILE_NAME);
            let text = format!("{} is missing: what {name} lies on is not known", path.display());
            return Err(failed(text));
        }
    }
    DiskDescriptor::plain(0, IMAGE)
        .map_err(|error| failed(format!("Cannot describe {IMAGE}: {error}")))
}
