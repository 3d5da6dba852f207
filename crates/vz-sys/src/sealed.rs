//! Running from a sealed copy of one's own program file.
//!
//! A process that enters a container whose root is the node's root can be looked at from inside,
//! and its program file written to through `/proc/PID/exe` (CVE-2019-5736). Run from a memfd whose
//! content is sealed, there is nothing to write to.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// Makes sure that this process runs from a sealed copy: executes one with the same arguments and
/// environment when it does not. To be called before anything that an exec would lose.
///
/// # Errors
/// Those of reading the program, of `memfd_create(2)`, and of the exec.
pub fn ensure() -> io::Result<()> {
    let mut program = File::open("/proc/self/exe")?;
    if is_sealed(&program) {
        return Ok(());
    }
    let copy = memfd_create(c"vzctl", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut program, &mut copy)?;
    fcntl(copy.as_fd(), FcntlArg::F_ADD_SEALS(SEALS))?;
    let words = |list: Vec<Vec<u8>>| -> Vec<CString> {
        list.into_iter().filter_map(|word| CString::new(word).ok()).collect()
    };
    let arguments = words(std::env::args_os().map(OsStringExt::into_vec).collect());
    let environment = words(
        std::env::vars_os()
            .map(|(name, value)| [name.into_vec(), b"=".to_vec(), value.into_vec()].concat())
            .collect(),
    );
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd()))?;
    Err(crate::clone::execute(&path, &arguments, &environment))
}

/// A file in memory that holds `content`, can be changed by nobody any more, and is at its
/// beginning: something to be handed to a process that must not get at a file of the node's.
///
/// # Errors
/// Those of `memfd_create(2)` and of writing.
pub fn file_of(content: &[u8]) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"input", flags)?);
    file.write_all(content)?;
    file.rewind()?;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file)
}

fn is_sealed(program: &File) -> bool {
    fcntl(program.as_fd(), FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(SEALS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_content_is_read_and_not_written() {
        use std::io::Read;
        let mut file = file_of(b"text").unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
        // The same through a new description, as `/proc/self/fd/0` would give.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let again = File::options().write(true).open(path);
        assert!(again.and_then(|mut file| file.write_all(b"x")).is_err());
    }

    #[test]
    fn an_ordinary_program_is_not_sealed() {
        assert!(!is_sealed(&File::open("/proc/self/exe").unwrap()));
    }
}
