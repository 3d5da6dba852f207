//! How the init of a pid namespace ended, told to a process that is not its parent.
//!
//! When init calls reboot(2), or another process of the namespace does, the parent's wait(2) shows
//! death by SIGHUP (restart) or SIGINT (halt, power-off; pid_namespaces(7)). Nobody else is shown
//! this: the pidfd (`PIDFD_GET_INFO`), the proc connector and `/proc/PID/stat` show what init
//! itself ended with, the same for both. The kernel puts the reason into the answer of wait(2) as
//! the very last thing (`zap_pid_ns_processes`), and a tracer waits as a parent does, and before it.
//!
//! So init has to be traced when it ends; but only then: a tracer all the time would have to pass
//! on each of init's signals, would let signals stop init that cannot stop an init, and would keep
//! debuggers and CRIU out. The moment is caught by a [`Sentinel`], a process of ours in the
//! namespace that only sleeps. A dying init kills all others and then cannot go on before they have
//! been reaped, by their parents where these are outside. Thus init stands still from the death of
//! the sentinel until we reap it, and is traced in between.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::unistd::Pid;

use crate::clone::{self, Process, Request};
use crate::namespace::{self, Namespaces};
use crate::pidfd::{self, Ended};
use crate::proc;

/// A sleeping child of the caller in the pid namespace of another's init.
///
/// It is seen there with parent 0, and cannot be signalled or looked into from there. It ends when
/// its parent does. Whoever makes one must wait for its end and then ask [`Sentinel::outcome`]: as
/// long as nobody reaps it, init does not come to its end.
#[derive(Debug)]
pub struct Sentinel(Process);

impl Sentinel {
    /// Posts a sentinel in the pid namespace of the process behind `init`. The caller, which must
    /// have one thread only, becomes unreadable to others (`PR_SET_DUMPABLE`), as the sentinel has
    /// to be.
    ///
    /// # Errors
    /// Those of `setns(2)` and `clone3(2)`: `ESRCH` when init has been reaped, `ENOMEM` when it is
    /// dying.
    pub fn post(init: BorrowedFd<'_>) -> io::Result<Sentinel> {
        clone::make_undumpable()?;
        let parent = pidfd::open(Pid::this())?;
        let ours = File::open("/proc/self/ns/pid")?;
        namespace::join(init, Namespaces::PID)?;
        let posted = clone::spawn(&Request::default(), || sleep_until_end_of(parent.as_fd()));
        namespace::join(ours.as_fd(), Namespaces::PID)?;
        posted.map(Sentinel)
    }

    /// To be called when the sentinel has ended: how init ended, waiting until it has. `None` when
    /// init lives: somebody has killed the sentinel alone, and another is needed.
    ///
    /// # Errors
    /// Those of `ptrace(2)` (`EPERM` when init is being traced by another) and of `waitid(2)`; how
    /// init ended is then lost.
    pub fn outcome(self, init: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
        let traced = trace_if_dying(init);
        pidfd::reap(self.0.pidfd.as_fd())?;
        match traced {
            Ok(true) => pidfd::reap(init).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Sentinel {
    /// Readable when the sentinel has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }
}

/// The sentinel's life. It keeps no descriptor but the one it sleeps on, so that it holds nothing
/// open that its parent wants closed.
fn sleep_until_end_of(parent: BorrowedFd<'_>) -> i32 {
    let stdin = io::stdin();
    let alone = clone::duplicate_to(parent, stdin.as_raw_fd())
        .and_then(|()| clone::close_from(stdin.as_raw_fd() + 1));
    match alone.and_then(|()| pidfd::wait_end(stdin.as_fd(), None)) {
        Ok(_) => 0,
        Err(_) => 1,
    }
}

/// Traces init if it is on its way out, where it stands still: the number cannot be another's.
fn trace_if_dying(init: BorrowedFd<'_>) -> io::Result<bool> {
    let pid = pidfd::number(init)?;
    if !proc::is_exiting(pid)? {
        return Ok(false);
    }
    nix::sys::ptrace::seize(pid, nix::sys::ptrace::Options::empty())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use super::*;

    /// An init that is nobody's child of ours: it waits for a byte, then calls reboot(2).
    struct Orphan {
        init: OwnedFd,
        go: File,
    }

    fn orphan(command: libc::c_int) -> Orphan {
        let (numbers, numbers_in) = nix::unistd::pipe().unwrap();
        let (wait, go) = nix::unistd::pipe().unwrap();
        let between = clone::spawn(&Request::default(), || {
            let request = Request { namespaces: Namespaces::PID, cgroup: None };
            let init = clone::spawn(&request, || {
                let _ = File::from(wait.try_clone().unwrap()).read_exact(&mut [0]);
                // SAFETY: takes numbers. In a pid namespace of its own reboot(2) ends that
                // namespace and touches no machine; were it not in one, its id would not be 1.
                unsafe {
                    if libc::getpid() == 1 {
                        libc::reboot(command);
                    }
                }
                1
            })
            .unwrap();
            let bytes = init.pid.as_raw().to_ne_bytes();
            File::from(numbers_in.try_clone().unwrap()).write_all(&bytes).unwrap();
            0
        })
        .unwrap();
        pidfd::reap(between.pidfd.as_fd()).unwrap();
        let mut number = [0; 4];
        File::from(numbers).read_exact(&mut number).unwrap();
        let init = pidfd::open(Pid::from_raw(i32::from_ne_bytes(number))).unwrap();
        Orphan { init, go: go.into() }
    }

    fn skipped(name: &str) -> bool {
        let skipped = !nix::unistd::geteuid().is_root();
        if skipped {
            eprintln!("skipped: {name}: needs root");
        }
        skipped
    }

    #[test]
    fn restart_and_halt_are_told_apart() {
        if skipped("restart_and_halt_are_told_apart") {
            return;
        }
        let cases = [
            (libc::LINUX_REBOOT_CMD_RESTART, libc::SIGHUP),
            (libc::LINUX_REBOOT_CMD_HALT, libc::SIGINT),
            (libc::LINUX_REBOOT_CMD_POWER_OFF, libc::SIGINT),
        ];
        for (command, signal) in cases {
            let mut orphan = orphan(command);
            let init = orphan.init.as_fd();
            assert!(!pidfd::is_child(init).unwrap());
            let sentinel = Sentinel::post(init).unwrap();
            orphan.go.write_all(b"!").unwrap();
            assert!(pidfd::wait_end(sentinel.as_fd(), Some(Duration::from_secs(10))).unwrap());
            assert_eq!(sentinel.outcome(init).unwrap(), Some(Ended::Signal(signal)));
        }
    }

    #[test]
    fn a_killed_sentinel_is_no_end_of_init() {
        if skipped("a_killed_sentinel_is_no_end_of_init") {
            return;
        }
        let mut orphan = orphan(libc::LINUX_REBOOT_CMD_RESTART);
        let init = orphan.init.as_fd();
        let sentinel = Sentinel::post(init).unwrap();
        pidfd::send_signal(sentinel.as_fd(), libc::SIGKILL).unwrap();
        assert!(pidfd::wait_end(sentinel.as_fd(), Some(Duration::from_secs(10))).unwrap());
        assert_eq!(sentinel.outcome(init).unwrap(), None);
        let second = Sentinel::post(init).unwrap();
        orphan.go.write_all(b"!").unwrap();
        assert!(pidfd::wait_end(second.as_fd(), Some(Duration::from_secs(10))).unwrap());
        assert_eq!(second.outcome(init).unwrap(), Some(Ended::Signal(libc::SIGHUP)));
        assert!(Sentinel::post(init).is_err());
    }

    #[test]
    fn a_sentinel_ends_with_its_parent() {
        if skipped("a_sentinel_ends_with_its_parent") {
            return;
        }
        let orphan = orphan(libc::LINUX_REBOOT_CMD_HALT);
        let (numbers, numbers_in) = nix::unistd::pipe().unwrap();
        let parent = clone::spawn(&Request::default(), || {
            let sentinel = Sentinel::post(orphan.init.as_fd()).unwrap();
            let bytes = sentinel.0.pid.as_raw().to_ne_bytes();
            File::from(numbers_in.try_clone().unwrap()).write_all(&bytes).unwrap();
            std::thread::sleep(Duration::from_secs(60));
            0
        })
        .unwrap();
        let mut number = [0; 4];
        File::from(numbers).read_exact(&mut number).unwrap();
        let sentinel = pidfd::open(Pid::from_raw(i32::from_ne_bytes(number))).unwrap();
        assert!(!pidfd::wait_end(sentinel.as_fd(), Some(Duration::from_millis(50))).unwrap());
        pidfd::send_signal(parent.pidfd.as_fd(), libc::SIGKILL).unwrap();
        assert!(pidfd::wait_end(sentinel.as_fd(), Some(Duration::from_secs(10))).unwrap());
        pidfd::reap(parent.pidfd.as_fd()).unwrap();
        pidfd::send_signal(orphan.init.as_fd(), libc::SIGKILL).unwrap();
    }
}
