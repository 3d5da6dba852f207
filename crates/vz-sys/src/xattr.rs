//! Extended attributes of open files (xattr(7)).

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use nix::Result;
use nix::errno::Errno;

use crate::beneath::proc_link;

/// How often a value that grew between asking for its size and reading it is asked for again.
const READ_ATTEMPTS: u32 = 16;

/// Sets the attribute `name` of an open file (not of an `O_PATH` descriptor: [`set_of_path`]).
///
/// # Errors
/// Those of fsetxattr(2): `EOPNOTSUPP` where the file system has no such attributes.
pub fn set(file: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> Result<()> {
    let name = c_string(name)?;
    // SAFETY: `name` is NUL-terminated and `value` is readable for the length given; both outlive
    // the call, and the kernel keeps neither.
    let answer = unsafe {
        libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    Errno::result(answer).map(drop)
}

/// Sets the attribute `name` of what an `O_PATH` descriptor holds, a symbolic link or a device
/// node included.
///
/// # Errors
/// Those of setxattr(2): `EPERM` for a `user.` attribute of a link or a special file.
pub fn set_of_path(path: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> Result<()> {
    let link = c_string(&proc_link(path))?;
    let name = c_string(name)?;
    // SAFETY: `link` and `name` are NUL-terminated and `value` is readable for the length given;
    // all outlive the call, and the kernel keeps none.
    let answer = unsafe {
        libc::setxattr(link.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    Errno::result(answer).map(drop)
}

/// Takes the attribute `name` from an open file.
///
/// # Errors
/// `ENODATA` where there is none, and those of fremovexattr(2).
pub fn remove(file: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let name = c_string(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    Errno::result(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// The value of the attribute `name` of an open file.
///
/// # Errors
/// `ENODATA` where there is none, and those of fgetxattr(2).
pub fn get(file: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<u8>> {
    let name = c_string(name)?;
    read_sized(|buffer, size| {
        // SAFETY: `name` is NUL-terminated; `buffer` is writable for `size` bytes, or null with
        // a size of 0, which only asks for the length.
        unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), buffer.cast(), size) }
    })
}

/// The names of the attributes of an open file.
///
/// # Errors
/// Those of flistxattr(2).
pub fn list(file: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    let names = read_sized(|buffer, size| {
        // SAFETY: `buffer` is writable for `size` bytes, or null with a size of 0, which only
        // asks for the length.
        unsafe { libc::flistxattr(file.as_raw_fd(), buffer.cast(), size) }
    })?;
    Ok(split_names(&names))
}

/// The value of the attribute `name` of what an `O_PATH` descriptor holds, a device node or a FIFO
/// included.
///
/// # Errors
/// `ENODATA` where there is none, and those of getxattr(2).
pub fn get_of_path(path: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<u8>> {
    let link = c_string(&proc_link(path))?;
    let name = c_string(name)?;
    read_sized(|buffer, size| {
        // SAFETY: `link` and `name` are NUL-terminated; `buffer` is writable for `size` bytes, or
        // null with a size of 0, which only asks for the length.
        unsafe { libc::getxattr(link.as_ptr(), name.as_ptr(), buffer.cast(), size) }
    })
}

/// The names of the attributes of what an `O_PATH` descriptor holds.
///
/// # Errors
/// Those of listxattr(2).
pub fn list_of_path(path: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    let link = c_string(&proc_link(path))?;
    let names = read_sized(|buffer, size| {
        // SAFETY: `link` is NUL-terminated; `buffer` is writable for `size` bytes, or null with a
        // size of 0, which only asks for the length.
        unsafe { libc::listxattr(link.as_ptr(), buffer.cast(), size) }
    })?;
    Ok(split_names(&names))
}

fn split_names(names: &[u8]) -> Vec<OsString> {
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

/// Asks `call` for the size, then for as many bytes.
fn read_sized(call: impl Fn(*mut u8, usize) -> isize) -> Result<Vec<u8>> {
    for _ in 0..READ_ATTEMPTS {
        let size = Errno::result(call(ptr::null_mut(), 0))?;
        let mut buffer = vec![0; usize::try_from(size).map_err(|_| Errno::EOVERFLOW)?];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match Errno::result(call(buffer.as_mut_ptr(), buffer.len())) {
            Err(Errno::ERANGE) => {}
            Err(errno) => return Err(errno),
            Ok(read) => {
                buffer.truncate(usize::try_from(read).map_err(|_| Errno::EOVERFLOW)?);
                return Ok(buffer);
            }
        }
    }
    Err(Errno::ERANGE)
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_set_is_listed_and_read_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.as_file().as_fd();
        let name = OsStr::new("user.vz.test");
        if set(file, name, b"a\0b\n") == Err(Errno::EOPNOTSUPP) {
            eprintln!("skipped what_is_set_is_listed_and_read_back: no user attributes here");
            return;
        }
        assert_eq!(get(file, name).unwrap(), b"a\0b\n");
        assert!(list(file).unwrap().contains(&name.to_owned()));
        assert_eq!(get_of_path(file, name).unwrap(), b"a\0b\n");
        assert_eq!(list_of_path(file).unwrap(), list(file).unwrap());
        assert_eq!(get(file, OsStr::new("user.none")).unwrap_err(), Errno::ENODATA);
    }

    #[test]
    fn a_name_with_nul_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = OsStr::from_bytes(b"user.a\0b");
        assert_eq!(set(file.as_file().as_fd(), name, b""), Err(Errno::EINVAL));
    }
}
