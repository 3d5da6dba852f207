//! Resource limits of processes (getrlimit(2)).

use std::io;

use nix::unistd::Pid;

/// A limit that each process has for itself and hands on to its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessLimit {
    /// One more than the highest number of a descriptor (`RLIMIT_NOFILE`).
    OpenFiles,
    /// Bytes of memory it may lock (`RLIMIT_MEMLOCK`).
    LockedMemory,
}

/// Sets the hard limit of a process; `None` is no limit. Its soft limit comes down with it, and
/// becomes the same where `soft_too` says so.
///
/// # Errors
/// Those of `prlimit(2)`: `EPERM` when a limit is raised without CAP_SYS_RESOURCE, `ESRCH` when the
/// process is gone.
pub fn set(pid: Pid, which: ProcessLimit, hard: Option<u64>, soft_too: bool) -> io::Result<()> {
    let which = match which {
        ProcessLimit::OpenFiles => libc::RLIMIT_NOFILE,
        ProcessLimit::LockedMemory => libc::RLIMIT_MEMLOCK,
    };
    let checked = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: prlimit writes one rlimit, which lives across the call.
    checked(unsafe { libc::prlimit(pid.as_raw(), which, std::ptr::null(), &raw mut limit) })?;
    limit.rlim_max = hard.unwrap_or(libc::RLIM_INFINITY);
    limit.rlim_cur = if soft_too { limit.rlim_max } else { limit.rlim_cur.min(limit.rlim_max) };
    // SAFETY: prlimit reads one rlimit, which lives across the call.
    checked(unsafe { libc::prlimit(pid.as_raw(), which, &raw const limit, std::ptr::null_mut()) })
}

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
    fn a_limit_of_another_process() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        set(pid, ProcessLimit::OpenFiles, Some(77), false).unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["77", "77"]);
        child.kill().unwrap();
        child.wait().unwrap();
        let gone = set(pid, ProcessLimit::OpenFiles, Some(77), true).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn own_limits_stay() {
        copy_from(Pid::this()).unwrap();
        assert!(copy_from(Pid::from_raw(i32::MAX)).is_err());
    }
}
