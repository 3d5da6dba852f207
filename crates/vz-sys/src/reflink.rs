//! Files that share their blocks until one of them is written to: FICLONE (ioctl_ficlone(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `_IOW(0x94, 9, int)` (linux/fs.h).
const FICLONE: libc::Ioctl = 0x4004_9409;

/// Gives `copy` the content of `source`, whatever it had, by sharing all blocks: in one step, which
/// no other process sees half done.
///
/// # Errors
/// `EOPNOTSUPP`, `EXDEV`, `EINVAL` or `ENOTTY` where the file systems cannot: see [`is_unsupported`].
pub fn clone_file(source: BorrowedFd<'_>, copy: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is the number of a descriptor that is open over the call.
    let result = unsafe { libc::ioctl(copy.as_raw_fd(), FICLONE, source.as_raw_fd()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Says whether an error of [`clone_file`] means that these file systems share no blocks.
pub fn is_unsupported(error: &io::Error) -> bool {
    let codes = [libc::EOPNOTSUPP, libc::EXDEV, libc::EINVAL, libc::ENOTTY, libc::ENOSYS];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_clone_or_a_reason() {
        let mut source = tempfile::NamedTempFile::new().unwrap();
        source.write_all(&[7; 65536]).unwrap();
        let copy = tempfile::NamedTempFile::new().unwrap();
        match clone_file(source.as_file().as_fd(), copy.as_file().as_fd()) {
            Ok(()) => assert_eq!(std::fs::read(copy.path()).unwrap(), [7; 65536]),
            Err(error) => assert!(is_unsupported(&error), "{error}"),
        }
        // Not opened for writing: no question of the file system.
        let closed = std::fs::File::open(copy.path()).unwrap();
        let error = clone_file(source.as_file().as_fd(), closed.as_fd()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }
}
