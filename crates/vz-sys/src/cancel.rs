//! SIGINT and SIGTERM as something a wait can notice.
//!
//! The handler only notes the signal and writes to an event descriptor (eventfd(2)); every wait
//! that may be called off polls that one beside its own. What notices first takes the request, and
//! from then on there is none any more: the clearing away that follows is not called off by a
//! second Ctrl-C.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static EVENT: OnceLock<EventFd> = OnceLock::new();
/// The number of [`EVENT`], for the handler; -1 before there is one.
static DESCRIPTOR: AtomicI32 = AtomicI32::new(-1);
/// The process that listens: a child has the handler too until its exec, and has closed or
/// reused the descriptor.
static OWNER: AtomicI32 = AtomicI32::new(0);
static REQUESTED: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    // SAFETY: getpid is async-signal-safe (signal-safety(7)) and touches no memory.
    let process = unsafe { libc::getpid() };
    if process != OWNER.load(Ordering::Relaxed) {
        return;
    }
    REQUESTED.store(true, Ordering::Release);
    let one = 1u64.to_ne_bytes();
    // SAFETY: errno's place is this thread's own for all of its life.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: write is async-signal-safe; the bytes live across the call; a full or missing
    // descriptor only fails.
    unsafe { libc::write(DESCRIPTOR.load(Ordering::Relaxed), one.as_ptr().cast(), one.len()) };
    // SAFETY: as above; what was interrupted must find its own errno.
    unsafe { *libc::__errno_location() = errno };
}

/// From here on SIGINT and SIGTERM ask for the action to be called off instead of ending this
/// process. Programs it executes have the default again.
///
/// # Errors
/// Those of `eventfd(2)` and `sigaction(2)`.
pub fn listen() -> io::Result<()> {
    if EVENT.get().is_none() {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        DESCRIPTOR.store(event.as_fd().as_raw_fd(), Ordering::Relaxed);
        let _ = EVENT.set(event);
    }
    OWNER.store(nix::unistd::getpid().as_raw(), Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler does nothing that is not async-signal-safe.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Says whether the action is to be called off; true but once.
pub fn take() -> bool {
    REQUESTED.load(Ordering::Acquire) && !TAKEN.swap(true, Ordering::AcqRel)
}

/// Says whether the action was ever to be called off, whether that has been taken or not.
pub fn was_requested() -> bool {
    REQUESTED.load(Ordering::Acquire)
}

/// What becomes readable when the action is to be called off; `None` when nobody listens, or the
/// request has been taken.
pub fn descriptor() -> Option<BorrowedFd<'static>> {
    EVENT.get().filter(|_| !TAKEN.load(Ordering::Acquire)).map(AsFd::as_fd)
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The descriptor is readable.
    Ready,
    /// It was not in time.
    TimedOut,
    /// The action is to be called off. Taken by this.
    Cancelled,
}

/// Waits until `descriptor` is readable (a pidfd: the process has ended), `timeout` at most.
///
/// # Errors
/// Those of `poll(2)`.
pub fn wait_readable(
    waited_for: BorrowedFd<'_>,
    timeout: Option<std::time::Duration>,
) -> io::Result<Waited> {
    let end = timeout.map(|timeout| std::time::Instant::now() + timeout);
    loop {
        let mut descriptors = vec![PollFd::new(waited_for, PollFlags::POLLIN)];
        descriptors.extend(descriptor().map(|event| PollFd::new(event, PollFlags::POLLIN)));
        let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
        // Rounded up, so that the last poll does not spin just before the end.
        let milliseconds = left.map(|left| i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX));
        let patience = match milliseconds {
            Some(milliseconds) => PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        match poll(&mut descriptors, patience) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        // What is done is done: it counts before a request that came at the same time.
        if descriptors[0].any() == Some(true) {
            return Ok(Waited::Ready);
        }
        if descriptors.get(1).is_some_and(|event| event.any() == Some(true)) && take() {
            return Ok(Waited::Cancelled);
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(Waited::TimedOut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clone, pidfd};
    use std::time::Duration;

    /// In a child: what is asked for here counts for a whole process, once.
    #[test]
    fn a_signal_ends_a_wait_once_and_is_no_end() {
        let child = clone::spawn(&clone::Request::default(), || {
            let run = || -> io::Result<bool> {
                listen()?;
                let (reader, _writer) = nix::unistd::pipe()?;
                let short = Some(Duration::from_millis(20));
                let before = wait_readable(reader.as_fd(), short)? == Waited::TimedOut;
                nix::sys::signal::raise(Signal::SIGINT)?;
                let asked = was_requested();
                let noticed = wait_readable(reader.as_fd(), None)? == Waited::Cancelled;
                nix::sys::signal::raise(Signal::SIGTERM)?;
                let after = wait_readable(reader.as_fd(), short)? == Waited::TimedOut;
                Ok(before && asked && noticed && after && !take() && descriptor().is_none())
            };
            i32::from(!run().unwrap_or(false))
        })
        .unwrap();
        assert_eq!(pidfd::reap(child.pidfd.as_fd()).unwrap(), pidfd::Ended::Code(0));
    }

    #[test]
    fn nobody_listens() {
        let child = clone::spawn(&clone::Request::default(), || {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            drop(writer);
            let ready = wait_readable(reader.as_fd(), None).is_ok_and(|end| end == Waited::Ready);
            i32::from(!ready || take() || descriptor().is_some())
        })
        .unwrap();
        assert_eq!(pidfd::reap(child.pidfd.as_fd()).unwrap(), pidfd::Ended::Code(0));
    }
}
