//! DiskDescriptor.xml beside the image. It says what the image is, never what layout the container
//! has.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vz_conf::disk_descriptor::{DiskDescriptor, FILE_NAME, Format, LONGEST, SECTOR};
use vz_conf::exit::Exit;
use vz_conf::new_file::NewFile;

use super::IMAGE;
use crate::error::{Context, Error, Result};

/// Writes that the plain image in `directory` has `size` bytes: whole, or not at all. What the
/// descriptor says of snapshots stays.
///
/// # Errors
/// When it cannot be written.
pub fn write(directory: &Path, size: u64) -> Result<()> {
    let mut disk = load(directory, size)?;
    disk.sectors = size / SECTOR;
    store(directory, &disk)
}

/// Reads the descriptor in `directory`; without one, it is that of a plain image of `size` bytes.
///
/// # Errors
/// When it cannot be read.
pub fn load(directory: &Path, size: u64) -> Result<DiskDescriptor> {
    let path = directory.join(FILE_NAME);
    let disk = match read(&path).at(Exit::PloopMountFailed, "Cannot read", &path)? {
        Some(bytes) => DiskDescriptor::parse(&bytes),
        None => DiskDescriptor::plain(size, IMAGE),
    };
    disk.map_err(|error| {
        Error::Refused(Exit::PloopMountFailed, format!("{}: {error}", path.display()))
    })
}

/// Writes a descriptor.
///
/// # Errors
/// When it cannot be written.
pub fn store(directory: &Path, disk: &DiskDescriptor) -> Result<()> {
    let path = directory.join(FILE_NAME);
    write_file(directory, &path, disk.to_string().as_bytes()).at(
        Exit::PloopCreateFailed,
        "Cannot write",
        &path,
    )
}

/// Writes a file of the image's directory, whole or not at all.
pub fn write_file(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = NewFile::beside(directory)?;
    file.file().write_all(bytes)?;
    file.file().sync_all()?;
    file.replace(path)?;
    File::open(directory)?.sync_all()
}

/// Looks whether the image in `directory` is one that can be mounted as it is. Without a descriptor
/// it is: so they were made once. Snapshots beside it are whole images as well.
///
/// # Errors
/// When the descriptor cannot be read, or tells of another format or of images on each other.
pub fn check(directory: &Path) -> Result<()> {
    let path = directory.join(FILE_NAME);
    let refused = |text: String| {
        Err(Error::Refused(Exit::PloopMountFailed, format!("{}: {text}", path.display())))
    };
    let Some(bytes) = read(&path).at(Exit::PloopMountFailed, "Cannot read", &path)? else {
        return Ok(());
    };
    let disk = match DiskDescriptor::parse(&bytes) {
        Ok(disk) => disk,
        Err(error) => return refused(error.to_string()),
    };
    let is_plain = disk.images.iter().all(|image| image.format == Format::Plain);
    match (disk.top_image(), disk.images.as_slice()) {
        (Some(top), _) if is_plain && top.file == IMAGE => Ok(()),
        (Some(top), _) if is_plain => refused(format!("the image {} is not {IMAGE}", top.file)),
        (_, [_]) => {
            refused("the image is in ploop's own format, which cannot be mounted here".into())
        }
        (_, several) => {
            refused(format!("{} images on each other cannot be mounted here", several.len()))
        }
    }
}

/// As much of the file as a descriptor can have, and one byte more.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_mounted_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        check(directory.path()).unwrap();
        write(directory.path(), 1 << 30).unwrap();
        check(directory.path()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, why) in [
            ("Plain", "Compressed", "own format"),
            ("<File>root.hdd<", "<File>other.hdd<", "is not root.hdd"),
            ("<File>root.hdd<", "<File>../root.hdd<", "bad value"),
            ("</Parallels", "</", "not XML"),
        ] {
            vz_conf::new_file::write(&path, text.replace(from, to).as_bytes()).unwrap();
            let error = check(directory.path()).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.exit(), Exit::PloopMountFailed);
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(check(directory.path()).is_err());
    }
}
