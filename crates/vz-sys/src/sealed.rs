//! Running from a sealed copy of one's own program file.
//!
//! A process that enters a container whose root is the node's root can be looked at from inside,
//! and its program file written to through `/proc/PID/exe` (CVE-2019-5736). Run from a memfd whose
//! content is sealed, there is nothing to write to.

use std::ffi::CString;
use std::fs::File;
use std::io;
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

fn is_sealed(program: &File) -> bool {
    fcntl(program.as_fd(), FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(SEALS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_program_is_not_sealed() {
        assert!(!is_sealed(&File::open("/proc/self/exe").unwrap()));
    }
}
