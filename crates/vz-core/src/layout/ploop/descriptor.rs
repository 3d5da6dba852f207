//! DiskDescriptor.xml beside the image. It says what the image is, never what layout the container
//! has.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vz_conf::disk_descriptor::{DiskDescriptor, FILE_NAME, LONGEST, SECTOR};
use vz_conf::exit::Exit;
use vz_conf::new_file::NewFile;

use super::IMAGE;
use super::genuine::{self, Form};
use crate::error::{Context, Error, Result};

/// Writes that the plain image in `directory` has `size` bytes: whole, or not at all. What the
/// descriptor says of snapshots stays.
///
/// # Errors
/// When it cannot be written.
pub fn write(directory: &Path, size: u64) -> Result<()> {
    let mut disk = load_or_plain(directory, size)?;
    disk.sectors = size / SECTOR;
    store(directory, &disk)
}

/// Reads the descriptor in `directory`; without one, it is that of a plain image of `size` bytes.
///
/// # Errors
/// When it cannot be read.
pub fn load_or_plain(directory: &Path, size: u64) -> Result<DiskDescriptor> {
    let path = directory.join(FILE_NAME);
    let plain = DiskDescriptor::plain(size, IMAGE).map_err(|error| {
        Error::Refused(Exit::PloopMountFailed, format!("{}: {error}", path.display()))
    })?;
    Ok(match load(directory, Exit::PloopMountFailed)? {
        // ploop's first versions told less of a single image.
        Some(disk) if disk.images.len() == 1 && (disk.top.is_none() || disk.shots.is_empty()) => {
            plain
        }
        Some(disk) => disk,
        None => plain,
    })
}

/// Writes a descriptor.
///
/// # Errors
/// When it cannot be written.
pub fn store(directory: &Path, disk: &DiskDescriptor) -> Result<()> {
    let path = directory.join(FILE_NAME);
    let bytes = bytes(directory, disk)?;
    write_file(directory, &path, &bytes).at(Exit::PloopCreateFailed, "Cannot write", &path)
}

/// What is written of a descriptor: nothing that could not be read again.
///
/// # Errors
/// When there is such a thing in it, or too much.
pub fn bytes(directory: &Path, disk: &DiskDescriptor) -> Result<Vec<u8>> {
    let path = directory.join(FILE_NAME);
    let bytes = disk.to_bytes().map_err(io::Error::other);
    bytes.at(Exit::PloopCreateFailed, "Cannot write", &path)
}

/// Writes a file of the image's directory, whole or not at all.
pub fn write_file(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = NewFile::beside(directory)?;
    file.file().write_all(bytes)?;
    file.file().sync_all()?;
    file.replace(path)?;
    File::open(directory)?.sync_all()
}

/// Looks whether the image in `directory` is one that can be mounted as it is.
///
/// # Errors
/// When the descriptor cannot be read, and for an image that ploop has made: what to do then.
pub fn check(directory: &Path) -> Result<()> {
    match genuine::form(directory, Exit::PloopMountFailed)? {
        Form::Ours => Ok(()),
        Form::Genuine(what) => Err(Error::Refused(
            Exit::PloopMountFailed,
            format!(
                "{}: {what}, which cannot be mounted here: 'vzctl convert' of this container turns \
                 it into what can",
                directory.join(FILE_NAME).display()
            ),
        )),
    }
}

/// Reads the descriptor in `directory`, if there is one.
///
/// # Errors
/// With this code, when it cannot be read.
pub fn load(directory: &Path, exit: Exit) -> Result<Option<DiskDescriptor>> {
    let path = directory.join(FILE_NAME);
    let Some(bytes) = read(&path).at(exit, "Cannot read", &path)? else { return Ok(None) };
    match DiskDescriptor::parse(&bytes) {
        Ok(disk) => Ok(Some(disk)),
        Err(error) => Err(Error::Refused(exit, format!("{}: {error}", path.display()))),
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
            ("Plain", "Compressed", "own format, which cannot be mounted here: 'vzctl convert'"),
            ("<File>root.hdd<", "<File>other.hdd<", "is other.hdd, not root.hdd"),
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
