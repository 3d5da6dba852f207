//! Resource limits of processes (getrlimit(2)).

use std::io;

use nix::unistd::Pid;

/// Gives the calling process the resource limits that `model` has, so that what an admin's shell
/// was limited to does not become a container's lot. Limits that may not be raised stay.
///
/// # Errors
/// Those of reading the model's limits with `prlimit(2)`.
pub fn copy_from(model: Pid) -> io::Result<()> {
    // Numbers 0 to 15 are all there are (asm-generic/resource.h, RLIM_NLIMITS).
    for resource in 0..16 {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: prlimit writes one rlimit, which lives across the call.
        let read =
            unsafe { libc::prlimit(model.as_raw(), resource, std::ptr::null(), &raw mut limit) };
        if read != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: prlimit reads one rlimit, which lives across the call.
        unsafe { libc::prlimit(0, resource, &raw const limit, std::ptr::null_mut()) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limits_stay() {
        copy_from(Pid::this()).unwrap();
        assert!(copy_from(Pid::from_raw(i32::MAX)).is_err());
    }
}
