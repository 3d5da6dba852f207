//! What a file system that comes from ploop needs before it is mounted for a container.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::SFlag;
use vz_conf::exit::Exit;
use vz_sys::{beneath, file_system};

use crate::error::{Error, OsText, Result};
use crate::layout::ploop::{A_MOMENT, balloon, image, open_top, tools};

/// The file by which ploop made a mounted file system smaller (`lib/balloon.h`). Its kernel hid it.
const BALLOON: &str = ".balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8";

/// Checks the file system in `path`, takes ploop's own balloon out of it, and holds it to `limit`
/// bytes with one of ours. Says whether it could be held to that: not when it is too full.
///
/// # Errors
/// When it cannot be mended, or mounted.
pub fn tidy(path: &Path, limit: Option<u64>) -> Result<bool> {
    tools::check_file_system(path)?;
    let mounted = image::mount(path, None, false)?;
    let failed = |error: io::Error| {
        let text = format!("Cannot tidy the image {}: {}", path.display(), OsText(error));
        Error::Refused(Exit::PloopConvertFailed, text)
    };
    let top = open_top(&mounted).map_err(|error| failed(error.into()))?;
    remove_balloon(top.as_fd()).map_err(failed)?;
    let size = File::open(path).and_then(|file| file_system::ext4_size(&file)).map_err(failed)?;
    let excess = size.bytes().saturating_sub(limit.unwrap_or(u64::MAX));
    let held = match balloon::set(top.as_fd(), excess) {
        Err(error) if is_full(&error) => false,
        other => other.map(|()| true).map_err(failed)?,
    };
    nix::unistd::syncfs(&top).map_err(|error| failed(error.into()))?;
    drop((top, mounted));
    image::wait_detached(path, A_MOMENT)?;
    Ok(held)
}

fn is_full(error: &io::Error) -> bool {
    let code = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(code, Errno::ENOSPC | Errno::EEXIST | Errno::EFBIG)
}

fn remove_balloon(top: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    let name = OsStr::new(BALLOON);
    let status = match beneath::status_at(top, name) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    match SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Ok(beneath::remove_file(top, name)?),
        _ => Ok(()),
    }
}
