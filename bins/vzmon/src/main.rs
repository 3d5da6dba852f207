//! vzmon: one for each running container.
//!
//! It is the parent of the container's init and sees how that ends; it owns the console and reads
//! what is written there, so that a guest never blocks on it, and hands it to the `vzctl console`
//! that is attached; it samples what the kernel keeps no maximum of. When init has ended, vzevent
//! takes its place. It knows nothing of configurations and allocates next to nothing: it is there
//! once for each container, all the time.
//!
//! `vzmon CTID VZEVENT PIDFD MASTER TERMINAL LISTENER [VIEWS VZVIEWS]`: the container; the program
//! that takes over; a descriptor of init; both ends of the console; what `vzctl console` connects
//! to; the connection of the container's `/dev/vz`, and the program that serves it.
//!
//! # When it is killed
//!
//! The container lives on, its init as a child of the node's own, and the next vzctl puts another
//! vzmon in the place of the killed one. That one is not init's parent. It learns whether init has
//! halted or restarted by means of a sentinel: a sleeping process of its own in the container's pid
//! namespace (see [`vz_sys::foreign_init`]), which costs as much private memory as vzmon itself.
//!
//! What is lost for good:
//! - what was written to the console: all that was kept, and what had not been read yet;
//! - the old console: it hangs up, as a terminal does. /dev/console is a new one, and a getty there
//!   comes back; what has inherited init's own streams and writes there gets EIO;
//! - the container's process list has one entry more, the sentinel;
//! - if init ends before there is another vzmon, nobody restarts the container: the next vzctl
//!   clears it away;
//! - a restart counts as a halt if init is being traced by somebody else when it ends, where the
//!   node forbids tracing (`kernel.yama.ptrace_scope` 3), and as long as no sentinel can be made.
#![forbid(unsafe_code)]

mod console;
mod sampler;
mod views;

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vz_sys::clone;
use vz_sys::foreign_init::Sentinel;
use vz_sys::pidfd::{self, Ended};

use crate::console::Console;
use crate::sampler::Sampler;
use crate::views::Views;

/// How init ends when it was told to restart: the kernel shows reboot(2) in a pid namespace as
/// death by this signal, and a halt as death by SIGINT (pid_namespaces(7)).
const RESTART: i32 = nix::libc::SIGHUP;

/// After how many milliseconds a sentinel that could not be made is tried again: the container may
/// have been at the limit of its processes.
const TRY_AGAIN: u16 = 10_000;

/// After how many milliseconds it is time for a sample.
const SAMPLES: u16 = sampler::PERIOD.as_millis() as u16;

/// One that was killed sooner than this is taken for one that could not be made.
const SOON: Duration = Duration::from_millis(100);

/// How many milliseconds a console that is hung up again and again is left alone.
const REST: u8 = 100;

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
    let mut next = || inherited(words.next()?.ok()?);
    let (Some(init), Some(master), Some(terminal), Some(listener)) =
        (next(), next(), next(), next())
    else {
        return Err(usage());
    };
    let views = next().and_then(|connection| {
        Some(Views::new(connection, words.next()?.ok()?, ctid.clone(), environment()))
    });
    let console = Console::new(master, terminal, listener)?;
    let ended = Watch::over(init.as_fd(), console, views)?.wait()?;
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
    Sentinel(Sentinel, Instant),
    /// Nothing yet: a sentinel could not be made.
    Missing,
    /// Nothing any more: init is being traced by somebody else.
    Lost,
}

/// What there is to do.
struct Ready {
    sentinel_ended: bool,
    init_ended: bool,
    console: [PollFlags; 3],
    views: PollFlags,
}

impl Ready {
    const NOTHING: Ready = Ready {
        sentinel_ended: false,
        init_ended: false,
        console: [PollFlags::empty(); 3],
        views: PollFlags::empty(),
    };
}

/// The wait for init's end.
struct Watch<'a> {
    init: BorrowedFd<'a>,
    console: Console,
    views: Option<Views>,
    witness: Witness,
    sampler: Option<Sampler>,
}

impl<'a> Watch<'a> {
    fn over(init: BorrowedFd<'a>, console: Console, views: Option<Views>) -> io::Result<Watch<'a>> {
        let witness = if pidfd::is_child(init)? { Witness::Ourselves } else { Witness::Missing };
        let sampler = Sampler::of_own_container();
        let mut watch = Watch { init, console, views, witness, sampler };
        watch.post_sentinel();
        Ok(watch)
    }

    /// Posts a sentinel if one is needed; without, all else goes on.
    fn post_sentinel(&mut self) {
        if matches!(self.witness, Witness::Missing)
            && let Ok(sentinel) = Sentinel::post(self.init)
        {
            self.witness = Witness::Sentinel(sentinel, Instant::now());
        }
    }

    /// Sees to the console until init has ended. How is `None` when nobody can tell.
    fn wait(mut self) -> io::Result<Option<Ended>> {
        loop {
            if let Some(sampler) = &mut self.sampler {
                sampler.wake();
            }
            let Some(Ready { sentinel_ended, init_ended, console, views }) = self.poll()? else {
                self.post_sentinel();
                self.console.wake();
                self.views.iter_mut().for_each(Views::wake);
                continue;
            };
            if sentinel_ended {
                if let Some(ended) = self.ask_sentinel() {
                    return Ok(Some(ended));
                }
            } else if init_ended {
                return Ok(pidfd::reap(self.init).ok());
            }
            self.console.handle(console);
            self.views = self.views.take().and_then(|of| of.handle(views));
        }
    }

    /// Waits until there is something to do. `None` when a pause is over: it is time to try for a
    /// sentinel again, or to look at the console.
    fn poll(&self) -> io::Result<Option<Ready>> {
        // What is not wanted is replaced by init, which ends the wait for good when it has ended: a
        // hang-up of a descriptor is reported even when nothing is asked of it.
        let sentinel = match &self.witness {
            Witness::Sentinel(sentinel, _) => Some((sentinel.as_fd(), PollFlags::POLLIN)),
            _ => None,
        };
        let init = (self.init, PollFlags::POLLIN);
        let [terminal, listener, attached] = self.console.wanted();
        let views = self.views.as_ref().and_then(Views::wanted);
        let wanted = [sentinel, Some(init), terminal, listener, attached, views];
        let timeout = match self.witness {
            _ if self.console.is_resting() => PollTimeout::from(REST),
            _ if self.views.as_ref().is_some_and(Views::is_resting) => PollTimeout::from(REST),
            Witness::Missing => PollTimeout::from(TRY_AGAIN),
            _ if self.sampler.is_some() => PollTimeout::from(SAMPLES),
            _ => PollTimeout::NONE,
        };
        let mut descriptors = wanted.map(|wanted| {
            let (descriptor, events) = wanted.unwrap_or(init);
            PollFd::new(descriptor, events)
        });
        match poll(&mut descriptors, timeout) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Some(Ready::NOTHING)),
            Err(error) => return Err(error.into()),
        }
        let found = |slot: usize| match wanted[slot] {
            Some(_) => descriptors[slot].revents().unwrap_or(PollFlags::empty()),
            None => PollFlags::empty(),
        };
        Ok(Some(Ready {
            sentinel_ended: !found(0).is_empty(),
            init_ended: !found(1).is_empty(),
            console: [found(2), found(3), found(4)],
            views: found(5),
        }))
    }

    /// The sentinel has ended: with init, or killed alone.
    fn ask_sentinel(&mut self) -> Option<Ended> {
        let witness = std::mem::replace(&mut self.witness, Witness::Missing);
        let Witness::Sentinel(sentinel, posted) = witness else { return None };
        match sentinel.outcome(self.init) {
            Ok(Some(ended)) => return Some(ended),
            Ok(None) if posted.elapsed() > SOON => self.post_sentinel(),
            Ok(None) => {}
            Err(_) => self.witness = Witness::Lost,
        }
        None
    }
}
