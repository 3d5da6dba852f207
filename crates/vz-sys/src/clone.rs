//! Making processes: `clone3(2)` with namespaces and a cgroup, and what must happen around an exec.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::unistd::Pid;

use crate::namespace::Namespaces;

/// `CLONE_INTO_CGROUP` of linux/sched.h; libc's constant is an `i32` that cannot hold it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a new process is born into.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// Namespaces made anew for the process.
    pub namespaces: Namespaces,
    /// The cgroup v2 directory it starts in; the caller's own when `None`.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A process made by [`spawn`].
#[derive(Debug)]
pub struct Process {
    /// Its id in the caller's pid namespace.
    pub pid: Pid,
    /// A descriptor that keeps meaning this process, whatever becomes of the number.
    pub pidfd: OwnedFd,
}

/// Makes a child that runs `body` and ends with the code it returns.
///
/// The child is a copy of the calling process, as after `fork(2)`; it never returns from here and
/// runs no destructors of the caller. Call it from a process with one thread only: a lock held by
/// another thread would stay locked in the child.
///
/// # Errors
/// Those of `clone3(2)`.
pub fn spawn(request: &Request<'_>, body: impl FnOnce() -> i32) -> io::Result<Process> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data for which all zeroes is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = request.namespaces.bits() as u64 | libc::CLONE_PIDFD as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = request.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the arguments live across the call and share no memory with the child (no CLONE_VM),
    // so the child continues on its own copy of this stack, as after fork(2).
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut arguments, std::mem::size_of::<libc::clone_args>())
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => exit_now(body()),
        pid => Ok(Process {
            pid: Pid::from_raw(pid as i32),
            // SAFETY: the kernel has stored a new descriptor that nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// Ends the process at once: no destructors, no flushing of what a parent had buffered.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any value and does not return.
    unsafe { libc::_exit(code) }
}

/// Marks every descriptor from `first` on close-on-exec (`close_range(2)`).
///
/// # Errors
/// Those of `close_range(2)`; `ENOSYS` before Linux 5.11.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the call only changes flags of this process's descriptors.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from `first` on (`close_range(2)`), in a child made by [`spawn`] that
/// lives on without any of its parent's.
///
/// # Errors
/// Those of `close_range(2)`; `ENOSYS` before Linux 5.9.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the owners of these descriptors are copies of the parent's variables, which are never
    // dropped or used in a process that leaves through _exit.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `descriptor` survive the next exec under its own number.
///
/// # Errors
/// Those of `fcntl(2)`.
pub fn keep_on_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_SETFD on a descriptor that is open.
    let result = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes over a descriptor that the program which has exec'ed this one has left open, and marks it
/// close-on-exec. To be called once for each number, before anything else is opened.
///
/// # Errors
/// `EBADF` when it is not open; `EINVAL` for a standard stream.
pub fn inherit(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: F_SETFD only changes a flag, and says whether the descriptor is open at all.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nothing in this process owns it: it came with the exec.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Closes, in a child made by [`spawn`], its copy of a descriptor that belongs to the parent. Only
/// for a child that will exec or exit: nothing in it may use the descriptor any more.
pub fn close_in_child(descriptor: BorrowedFd<'_>) {
    // SAFETY: this process's copy is closed once; its owner, a copy of the parent's variable, is
    // never dropped in a process that leaves through exec or _exit.
    unsafe { libc::close(descriptor.as_raw_fd()) };
}

/// Closes, in a child made by [`spawn`], every descriptor but the standard streams and `kept`. Only
/// for a child that will exec or exit: nothing in it may use a closed one any more.
pub fn close_in_child_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<libc::c_uint> =
        kept.iter().map(|descriptor| descriptor.as_raw_fd() as libc::c_uint).collect();
    kept.sort_unstable();
    let mut first: libc::c_uint = 3;
    for next in kept.into_iter().filter(|number| *number > 2).chain([libc::c_uint::MAX]) {
        if first < next {
            // SAFETY: these are this process's copies; their owners, copies of the parent's
            // variables, are never dropped in a process that leaves through exec or _exit.
            unsafe { libc::syscall(libc::SYS_close_range, first, next - 1, 0) };
        }
        first = next.saturating_add(1);
    }
}

/// Points the standard streams at `/dev/null`.
///
/// # Errors
/// Those of `open(2)` and `dup2(2)`.
pub fn detach_streams() -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    for stream in 0..3 {
        duplicate_to(std::os::fd::AsFd::as_fd(&null), stream)?;
    }
    Ok(())
}

/// Puts `source` under the number `target`, as `dup2(2)` does; used for 0, 1 and 2.
///
/// # Errors
/// Those of `dup2(2)`.
pub fn duplicate_to(source: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    if source.as_raw_fd() == target {
        return keep_on_exec(source);
    }
    // SAFETY: dup2 closes `target` in this process; callers name only the standard streams of a
    // child that is about to exec.
    let result = unsafe { libc::dup2(source.as_raw_fd(), target) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Replaces the process image; returns only when that failed.
pub fn execute(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let error = match nix::unistd::execve(path, arguments, environment) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    error.into()
}

/// Gives every signal its default action and unblocks all, as an exec'ed program expects.
pub fn reset_signals() {
    // SAFETY: setting default dispositions and an empty mask touches no memory of ours; signals
    // that cannot be changed (SIGKILL, SIGSTOP, libc's own) are refused, which is harmless.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Makes this process unreadable to others: no ptrace, no `/proc/PID/{fd,mem,environ}`, until the
/// next exec. A helper that is about to enter a container is visible there before it has shed
/// what it holds of the node (CVE-2016-9962).
///
/// # Errors
/// Those of `prctl(2)`.
pub fn make_undumpable() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};

    #[test]
    fn child_returns_its_code() {
        let child = spawn(&Request::default(), || 7).unwrap();
        assert_eq!(waitpid(child.pid, None).unwrap(), WaitStatus::Exited(child.pid, 7));
    }

    #[test]
    fn child_keeps_only_what_it_is_to_keep() {
        let open = || std::fs::File::open("/dev/null").unwrap();
        let (closed, kept, after) = (open(), open(), open());
        let child = spawn(&Request::default(), || {
            close_in_child_all_but(&[std::os::fd::AsFd::as_fd(&kept)]);
            let is_open = |file: &std::fs::File| {
                // SAFETY: F_GETFD on any number only answers.
                unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) >= 0 }
            };
            i32::from(is_open(&closed) || !is_open(&kept) || is_open(&after))
        })
        .unwrap();
        assert_eq!(waitpid(child.pid, None).unwrap(), WaitStatus::Exited(child.pid, 0));
    }

    #[test]
    fn pid_namespace_makes_pid_one() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: pid_namespace_makes_pid_one: needs root");
            return;
        }
        let request = Request { namespaces: Namespaces::PID, cgroup: None };
        let child = spawn(&request, || std::process::id() as i32).unwrap();
        assert_eq!(waitpid(child.pid, None).unwrap(), WaitStatus::Exited(child.pid, 1));
    }
}
