//! A mounted file system that holds still for a moment, and for no longer, whoever is killed.
//!
//! A child freezes it, and lets it go on when it is asked to, when its parent is gone, or after
//! [`LIMIT`]. When the child is gone, the parent does; when both are, the next command
//! (`lifecycle::snapshot::recover`).

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use vz_sys::clone::{self, Process, Request};
use vz_sys::{file_system, pidfd};

/// How long it may hold still.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How long the child is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file system that holds still while this lives.
pub struct Frozen<'a> {
    top: BorrowedFd<'a>,
    holder: Process,
    line: UnixStream,
    until: Instant,
    thawed: bool,
}

impl<'a> Frozen<'a> {
    /// Freezes the file system that `top` lies on.
    ///
    /// # Errors
    /// Those of [`file_system::freeze`], and of making the child.
    pub fn new(top: BorrowedFd<'a>) -> io::Result<Frozen<'a>> {
        let (line, theirs) = UnixStream::pair()?;
        for end in [&line, &theirs] {
            end.set_read_timeout(Some(LIMIT))?;
        }
        let until = Instant::now() + LIMIT;
        let holder = clone::spawn(&Request::default(), || hold(top, &theirs))?;
        drop(theirs);
        let mut frozen = Frozen { top, holder, line, until, thawed: false };
        let mut answer = [0; 4];
        frozen.line.read_exact(&mut answer)?;
        match i32::from_le_bytes(answer) {
            0 => Ok(frozen),
            errno => {
                // Somebody else's freeze is not ours to end.
                frozen.thawed = true;
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }

    /// When it goes on by itself, at the earliest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it has gone on before: what was read meanwhile is of no use.
    pub fn thaw(mut self) -> io::Result<()> {
        let mut answer = [0];
        let asked = self.line.write_all(&[1]).and_then(|()| self.line.read_exact(&mut answer));
        self.thawed = asked.is_ok() && answer == [1];
        match self.thawed {
            true => Ok(()),
            false => {
                let limit = LIMIT.as_secs();
                let text = format!("it may hold still for {limit} s only (stop the container)");
                Err(io::Error::other(text))
            }
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Both);
        // One that cannot be frozen, nor freed, thaws by itself: its line is at its end.
        let ended = pidfd::wait_end(self.holder.pidfd.as_fd(), Some(PATIENCE));
        if ended.is_ok_and(|ended| ended) {
            let _ = pidfd::reap(self.holder.pidfd.as_fd());
        }
        if !self.thawed {
            // The child was killed; else this finds nothing to thaw.
            let _ = file_system::thaw(self.top);
        }
    }
}

/// What the child does.
fn hold(top: BorrowedFd<'_>, mut line: &UnixStream) -> i32 {
    // The container's lock above all: it must end with the command that holds it.
    clone::close_in_child_all_but(&[top, line.as_fd()]);
    // Out of reach of a Ctrl-C.
    let _ = nix::unistd::setsid();
    if let Err(error) = file_system::freeze(top) {
        let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
        return i32::from(line.write_all(&errno.to_le_bytes()).is_err());
    }
    let told = line.write_all(&0_i32.to_le_bytes());
    let asked = told.and_then(|()| line.read_exact(&mut [0])).is_ok();
    let thawed = file_system::thaw(top).is_ok();
    i32::from(line.write_all(&[u8::from(asked && thawed)]).is_err())
}
