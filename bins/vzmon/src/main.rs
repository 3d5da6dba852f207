//! vzmon: one for each running container.
//!
//! It is the parent of the container's init and sees how that ends; it owns the console and reads
//! what nobody else does, so that a guest never blocks on it. When init has ended, vzevent takes
//! its place. It knows nothing of configurations and allocates next to nothing: it is there once
//! for each container, all the time.
//!
//! `vzmon CTID VZEVENT PIDFD MASTER TERMINAL`: the container; the program that takes over; a
//! descriptor of init; both ends of the console, of which the terminal's is only kept open, so that
//! a guest that closes it does not hang it up.
//!
//! # When it is killed
//!
//! The container lives on, its init as a child of the node's own, and the next vzctl puts another
//! vzmon in the place of the killed one. That one is not init's parent. It learns whether init has
//! halted or restarted by means of a sentinel: a sleeping process of its own in the container's pid
//! namespace (see [`vz_sys::foreign_init`]), which costs as much private memory as vzmon itself.
//!
//! What is lost for good:
//! - what was written to the console and had not been read yet;
//! - the old console: it hangs up, as a terminal does. /dev/console is a new one, and a getty there
//!   comes back; what has inherited init's own streams and writes there gets EIO;
//! - the container's process list has one entry more, the sentinel;
//! - if init ends before there is another vzmon, nobody restarts the container: the next vzctl
//!   clears it away;
//! - the same if init is being traced by somebody else when it ends: a restart counts as a halt.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vz_sys::clone;
use vz_sys::foreign_init::Sentinel;
use vz_sys::pidfd::{self, Ended};

/// How init ends when it was told to restart: the kernel shows reboot(2) in a pid namespace as
/// death by this signal, and a halt as death by SIGINT (pid_namespaces(7)).
const RESTART: i32 = nix::libc::SIGHUP;

/// What is read from the console at once, in bytes: a terminal holds no more.
const CHUNK: usize = 4096;

/// After how many milliseconds a sentinel that could not be made is tried again: the container may
/// have been at the limit of its processes.
const TRY_AGAIN: u16 = 10_000;

fn main() -> ExitCode {
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("vzmon: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<Infallible> {
    let mut words = std::env::args_os().skip(1).map(|word| CString::new(word.into_vec()));
    let (Some(Ok(ctid)), Some(Ok(vzevent))) = (words.next(), words.next()) else {
        return Err(usage());
    };
    let mut descriptors = words.map(|word| inherited(word.ok()?)).collect::<Vec<_>>().into_iter();
    let (Some(Some(init)), Some(Some(master)), Some(Some(_terminal))) =
        (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err(usage());
    };
    let ended = Watch::over(init.as_fd(), master.as_fd())?.wait()?;
    let event = if ended == Some(Ended::Signal(RESTART)) { c"reboot" } else { c"stop" };
    let arguments = [vzevent.clone(), ctid, event.to_owned()];
    Err(clone::execute(&vzevent, &arguments, &environment()))
}

fn usage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is started by vzctl, not by hand")
}

/// Owns a descriptor that vzctl has left open for us under this number.
fn inherited(number: CString) -> Option<OwnedFd> {
    vz_sys::clone::inherit(number.to_str().ok()?.parse().ok()?).ok()
}

fn environment() -> Vec<CString> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            CString::new([name.into_vec(), b"=".to_vec(), value.into_vec()].concat()).ok()
        })
        .collect()
}

/// What tells how init ends.
enum Witness {
    /// We are its parent.
    Ourselves,
    /// The killed vzmon was; a sentinel catches the moment.
    Sentinel(Sentinel),
    /// Nothing yet: a sentinel could not be made.
    Missing,
    /// Nothing any more: init is being traced by somebody else.
    Lost,
}

/// The wait for init's end.
struct Watch<'a> {
    init: BorrowedFd<'a>,
    master: BorrowedFd<'a>,
    console_open: bool,
    witness: Witness,
}

impl<'a> Watch<'a> {
    fn over(init: BorrowedFd<'a>, master: BorrowedFd<'a>) -> io::Result<Watch<'a>> {
        let witness = if pidfd::is_child(init)? { Witness::Ourselves } else { Witness::Missing };
        Ok(Watch { init, master, console_open: true, witness })
    }

    /// Reads the console until init has ended. How is `None` when nobody can tell.
    fn wait(mut self) -> io::Result<Option<Ended>> {
        loop {
            if matches!(self.witness, Witness::Missing)
                && let Ok(sentinel) = Sentinel::post(self.init)
            {
                self.witness = Witness::Sentinel(sentinel);
            }
            let (sentinel_ended, init_ended, readable) = self.poll()?;
            if sentinel_ended {
                if let Some(ended) = self.ask_sentinel() {
                    return Ok(Some(ended));
                }
            } else if init_ended {
                return Ok(pidfd::reap(self.init).ok());
            }
            if readable {
                self.read_console();
            }
        }
    }

    /// Waits until there is something to do: the sentinel has ended, init has, the console can be
    /// read.
    fn poll(&self) -> io::Result<(bool, bool, bool)> {
        // A slot that is not wanted watches init for nothing: no signal is lost, none is invented.
        let (sentinel, of_sentinel) = match &self.witness {
            Witness::Sentinel(sentinel) => (sentinel.as_fd(), PollFlags::POLLIN),
            _ => (self.init, PollFlags::empty()),
        };
        let of_console = if self.console_open { PollFlags::POLLIN } else { PollFlags::empty() };
        let timeout = match self.witness {
            Witness::Missing => PollTimeout::from(TRY_AGAIN),
            _ => PollTimeout::NONE,
        };
        let mut descriptors = [
            PollFd::new(sentinel, of_sentinel),
            PollFd::new(self.init, PollFlags::POLLIN),
            PollFd::new(self.master, of_console),
        ];
        match poll(&mut descriptors, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok((false, false, false)),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |slot: usize| descriptors[slot].any() == Some(true);
        Ok((!of_sentinel.is_empty() && is_ready(0), is_ready(1), self.console_open && is_ready(2)))
    }

    /// The sentinel has ended: with init, or killed alone.
    fn ask_sentinel(&mut self) -> Option<Ended> {
        let Witness::Sentinel(sentinel) = std::mem::replace(&mut self.witness, Witness::Missing)
        else {
            return None;
        };
        match sentinel.outcome(self.init) {
            Ok(ended) => ended,
            Err(_) => {
                self.witness = Witness::Lost;
                None
            }
        }
    }

    fn read_console(&mut self) {
        let mut unread = [0; CHUNK];
        match nix::unistd::read(self.master, &mut unread) {
            Ok(length) if length > 0 => {}
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            _ => self.console_open = false,
        }
    }
}
