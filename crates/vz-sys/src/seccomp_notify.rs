//! The other end of [`Action::Notify`](crate::seccomp::Action::Notify): system calls of processes
//! under a filter, answered by somebody else (seccomp_unotify(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{seccomp_data, seccomp_notif, seccomp_notif_resp};
use nix::unistd::Pid;

use crate::seccomp::Syscall;

/// `SECCOMP_IOCTL_NOTIF_*` of linux/seccomp.h. The kernel takes the sizes of its first version, and
/// never writes more than they say.
const NOTIF_RECV: libc::Ioctl = 0xc050_2100;
const NOTIF_SEND: libc::Ioctl = 0xc018_2101;
const NOTIF_ID_VALID: libc::Ioctl = 0x4008_2102;

const _: () = assert!(size_of::<seccomp_notif>() == 80 && size_of::<seccomp_notif_resp>() == 24);

/// Hears the calls of all processes under one filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    id: u64,
    /// The thread that makes it, as this process sees it; of another's pid namespace it is 0. The
    /// number may be another thread's once this one is dead: see [`Listener::is_waiting`].
    pub thread: Pid,
    /// Its architecture, `AUDIT_ARCH_*` of linux/audit.h.
    pub architecture: u32,
    /// Its number there.
    pub number: u32,
    /// Its arguments; those of a 32-bit caller are below 2^32.
    pub arguments: [u64; 6],
}

impl Call {
    /// A call that nobody waits for: what a test is about.
    pub fn of_thread(thread: Pid, architecture: u32, number: u32, arguments: [u64; 6]) -> Call {
        Call { id: 0, thread, architecture, number, arguments }
    }

    /// Says whether it is this call.
    pub fn is(&self, syscall: Syscall) -> bool {
        let number = if self.is_32_bit() { syscall.i386() } else { syscall.x86_64() };
        number == Some(self.number)
    }

    /// Says whether a 32-bit program makes it.
    pub fn is_32_bit(&self) -> bool {
        self.architecture == crate::seccomp::AUDIT_ARCH_I386
    }
}

impl Listener {
    /// Takes over what [`install_with_listener`](crate::seccomp::Program::install_with_listener) has
    /// made.
    pub fn from_descriptor(descriptor: OwnedFd) -> Listener {
        Listener(descriptor)
    }

    /// Says whether the descriptor is that of a listener at all.
    pub fn is_one(&self) -> bool {
        let none = u64::MAX;
        // SAFETY: the kernel reads one u64.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_ID_VALID, &raw const none) };
        result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
    }

    /// The next call; `None` when who made it is gone. To be called when poll(2) says `POLLIN`.
    ///
    /// # Errors
    /// Those of the ioctl.
    pub fn receive(&self) -> io::Result<Option<Call>> {
        let none = seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
        let mut heard = seccomp_notif { id: 0, pid: 0, flags: 0, data: none };
        // SAFETY: the kernel writes one `seccomp_notif`, whose size is part of the command.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_RECV, &raw mut heard) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        }
        Ok(Some(Call {
            id: heard.id,
            thread: Pid::from_raw(heard.pid.cast_signed()),
            architecture: heard.data.arch,
            number: heard.data.nr.cast_unsigned(),
            arguments: heard.data.args,
        }))
    }

    /// Says whether the call still waits: what was opened of its thread before this was so is of
    /// that thread and no other.
    pub fn is_waiting(&self, call: &Call) -> bool {
        // SAFETY: the kernel reads one u64.
        unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_ID_VALID, &raw const call.id) == 0 }
    }

    /// Ends the call: it has returned 0, or failed with this error number. One whose thread is gone
    /// needs no answer.
    ///
    /// # Errors
    /// Those of the ioctl.
    pub fn answer(&self, call: &Call, result: Result<(), i32>) -> io::Result<()> {
        let error = -result.err().unwrap_or(0);
        let answer = seccomp_notif_resp { id: call.id, val: 0, error, flags: 0 };
        // SAFETY: the kernel reads one `seccomp_notif_resp`, whose size is part of the command.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), NOTIF_SEND, &raw const answer) };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOENT) {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::channel;
    use crate::clone::{self, Request};
    use crate::pidfd::{self, Ended};
    use crate::seccomp::{Action, Program, Rule};

    fn next(listener: &Listener) -> PollFlags {
        let mut waited = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut waited, PollTimeout::from(5000_u16)).unwrap(), 1);
        waited[0].revents().unwrap()
    }

    #[test]
    fn a_call_is_heard_and_answered() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: a_call_is_heard_and_answered: needs CAP_SYS_ADMIN");
            return;
        }
        let rule = Rule { syscall: Syscall::Quotactl, action: Action::Notify, when: None };
        let program = Program::build(&[rule]).unwrap();
        let (line, other) = channel::pair().unwrap();
        let child = clone::spawn(&Request::default(), || {
            let Ok(listener) = program.install_with_listener() else { return 100 };
            if other.send(b"L", &[listener.as_fd()]).is_err() {
                return 101;
            }
            drop(listener);
            // SAFETY: the call is never made: it is answered by the listener's holder.
            let results = [1, 2].map(|command| unsafe {
                libc::syscall(libc::SYS_quotactl, command, 0, 0, 0);
                nix::errno::Errno::last_raw()
            });
            if results[1] == libc::ENODEV { 7 } else { 102 }
        })
        .unwrap();
        drop(other);
        let listener =
            Listener::from_descriptor(line.receive().unwrap().descriptors.pop().unwrap());
        assert!(listener.is_one());
        let (other, _) = channel::pair().unwrap();
        assert!(!Listener::from_descriptor(other.as_fd().try_clone_to_owned().unwrap()).is_one());
        for (command, answer) in [(1, Ok(())), (2, Err(libc::ENODEV))] {
            assert!(next(&listener).contains(PollFlags::POLLIN));
            let call = listener.receive().unwrap().unwrap();
            assert!(call.is(Syscall::Quotactl) && !call.is(Syscall::QuotactlFd));
            assert_eq!((call.thread, call.arguments[0]), (child.pid, command));
            assert!(listener.is_waiting(&call));
            listener.answer(&call, answer).unwrap();
            assert!(!listener.is_waiting(&call));
        }
        assert!(pidfd::wait_end(child.pidfd.as_fd(), None).unwrap());
        assert_eq!(pidfd::reap(child.pidfd.as_fd()).unwrap(), Ended::Code(7));
        // Nobody is under the filter any more.
        assert!(next(&listener).contains(PollFlags::POLLHUP));
    }
}
