//! Process descriptors (pidfd_open(2)): a process that cannot be mistaken for a later one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::Pid;

/// Opens a descriptor for the process with this id.
///
/// # Errors
/// Those of `pidfd_open(2)`; `ESRCH` when there is none.
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes numbers; the result is checked before it is owned.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// A number that no other process has had or will have until the node is started anew: the inode of
/// its descriptor. `None` on kernels before 6.9, whose descriptors have all the same.
///
/// # Errors
/// Those of fstat(2) and fstatfs(2).
pub fn unique_number(pidfd: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    /// `PID_FS_MAGIC` of linux/magic.h.
    const PID_FS: FsType = FsType(0x5049_4446);
    let is_unique = fstatfs(pidfd)?.filesystem_type() == PID_FS;
    Ok(if is_unique { Some(fstat(pidfd)?.st_ino) } else { None })
}

/// Says whether the process `pid` is the one with this unique number, and has not ended.
pub fn is_running(pid: Pid, unique_number: u64) -> bool {
    let Ok(pidfd) = open(pid) else { return false };
    let is_it = fstat(&pidfd).is_ok_and(|status| status.st_ino == unique_number);
    is_it && matches!(wait_end(pidfd.as_fd(), Some(Duration::ZERO)), Ok(false))
}

/// Sends `signal` (0 only asks whether it may be sent).
///
/// # Errors
/// Those of `pidfd_send_signal(2)`; `ESRCH` when the process is gone.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo means "as kill(2) would"; no memory is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until the process has ended, `timeout` at most; says whether it has.
///
/// # Errors
/// Those of `poll(2)`.
pub fn wait_end(pidfd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    wait_ready(pidfd, PollFlags::POLLIN, timeout)
}

/// Waits until `descriptor` is ready for one of `events`, `timeout` at most; says whether it is.
/// Interrupted waits go on.
///
/// # Errors
/// Those of `poll(2)`.
pub fn wait_ready(
    descriptor: BorrowedFd<'_>,
    events: PollFlags,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = match end {
            None => PollTimeout::NONE,
            Some(end) => milliseconds_until(end),
        };
        match poll(&mut [PollFd::new(descriptor, events)], left) {
            Ok(0) if left == PollTimeout::NONE => {}
            Ok(0) if end.is_some_and(|end| Instant::now() >= end) => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Milliseconds left until `end`, rounded up so that a poll does not spin just before it.
fn milliseconds_until(end: Instant) -> PollTimeout {
    let left = end.saturating_duration_since(Instant::now());
    let milliseconds =
        left.as_millis() + u128::from(!left.subsec_nanos().is_multiple_of(1_000_000));
    PollTimeout::try_from(milliseconds.min(i32::MAX as u128) as i32).unwrap_or(PollTimeout::MAX)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By `exit(2)` with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Reaps the caller's own child behind `pidfd`, waiting for its end (`waitid(2)` with `P_PIDFD`).
///
/// # Errors
/// Those of `waitid(2)`; `ECHILD` when it is not a child of the caller.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Ended> {
    loop {
        // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: waitid writes one siginfo_t, which lives across the call.
        let result = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                pidfd.as_fd().as_raw_fd() as libc::id_t,
                &raw mut info,
                libc::WEXITED,
            )
        };
        if result == 0 {
            // SAFETY: after a successful waitid the child's status is in the union.
            let status = unsafe { info.si_status() };
            return Ok(match info.si_code {
                libc::CLD_EXITED => Ended::Code(status),
                _ => Ended::Signal(status),
            });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// As [`reap`], of a child that works in a place where a guest may make it wait: one that has not
/// ended by then is killed.
///
/// # Errors
/// `TimedOut` for one that was killed, and those of [`reap`].
pub fn reap_within(pidfd: BorrowedFd<'_>, patience: Duration) -> io::Result<Ended> {
    if wait_end(pidfd, Some(patience))? {
        return reap(pidfd);
    }
    send_signal(pidfd, libc::SIGKILL)?;
    reap(pidfd)?;
    Err(io::ErrorKind::TimedOut.into())
}

/// Says whether the process behind `pidfd` is a child of the caller, ended or not.
///
/// # Errors
/// Those of `waitid(2)` but `ECHILD`, which is the answer no.
pub fn is_child(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: waitid writes one siginfo_t, which lives across the call.
    let result = unsafe {
        libc::waitid(
            libc::P_PIDFD,
            pidfd.as_raw_fd() as libc::id_t,
            &raw mut info,
            libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ECHILD) => Ok(false),
        error => Err(error),
    }
}

/// The id of the process behind `pidfd` (`Pid:` of its `/proc/self/fdinfo`, proc_pid_fdinfo(5)).
///
/// # Errors
/// `ESRCH` when it has been reaped, or is of another branch of pid namespaces.
pub fn number(pidfd: BorrowedFd<'_>) -> io::Result<Pid> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
        .filter(|number| *number > 0)
        .map(Pid::from_raw)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{Request, spawn};

    #[test]
    fn a_number_is_one_process_while_it_lives() {
        let start = || {
            let child = spawn(&Request::default(), || {
                std::thread::sleep(Duration::from_secs(60));
                0
            });
            child.unwrap()
        };
        let (one, other) = (start(), start());
        let number = |pidfd: BorrowedFd<'_>| unique_number(pidfd).unwrap();
        if let (Some(of_one), Some(of_other)) =
            (number(one.pidfd.as_fd()), number(other.pidfd.as_fd()))
        {
            assert!(is_running(one.pid, of_one) && is_running(other.pid, of_other));
            assert!(!is_running(one.pid, of_other));
            send_signal(one.pidfd.as_fd(), libc::SIGKILL).unwrap();
            assert!(wait_end(one.pidfd.as_fd(), None).unwrap());
            // Not reaped yet.
            assert!(!is_running(one.pid, of_one));
        }
        for child in [one, other] {
            let _ = send_signal(child.pidfd.as_fd(), libc::SIGKILL);
            reap(child.pidfd.as_fd()).unwrap();
        }
    }

    #[test]
    fn signal_wait_reap() {
        let child = spawn(&Request::default(), || {
            std::thread::sleep(Duration::from_secs(60));
            0
        })
        .unwrap();
        assert!(!wait_end(child.pidfd.as_fd(), Some(Duration::from_millis(5))).unwrap());
        assert!(is_child(child.pidfd.as_fd()).unwrap());
        assert_eq!(number(child.pidfd.as_fd()).unwrap(), child.pid);
        send_signal(child.pidfd.as_fd(), libc::SIGKILL).unwrap();
        assert!(wait_end(child.pidfd.as_fd(), Some(Duration::from_secs(10))).unwrap());
        assert_eq!(reap(child.pidfd.as_fd()).unwrap(), Ended::Signal(libc::SIGKILL));
        assert!(reap(child.pidfd.as_fd()).is_err());
        assert!(!is_child(child.pidfd.as_fd()).unwrap());
        assert!(number(child.pidfd.as_fd()).is_err());
    }

    #[test]
    fn one_that_is_kept_waiting_is_killed() {
        let sleeps = || {
            std::thread::sleep(Duration::from_secs(60));
            0
        };
        let child = spawn(&Request::default(), sleeps).unwrap();
        let error = reap_within(child.pidfd.as_fd(), Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let child = spawn(&Request::default(), || 3).unwrap();
        let ended = reap_within(child.pidfd.as_fd(), Duration::from_secs(10)).unwrap();
        assert_eq!(ended, Ended::Code(3));
    }

    #[test]
    fn exit_code() {
        let child = spawn(&Request::default(), || 42).unwrap();
        assert_eq!(reap(child.pidfd.as_fd()).unwrap(), Ended::Code(42));
        assert_eq!(
            send_signal(child.pidfd.as_fd(), 0).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
    }
}
