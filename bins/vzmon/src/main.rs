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
use vz_sys::pidfd::{self, Ended};

/// How init ends when it was told to restart: the kernel shows reboot(2) in a pid namespace as
/// death by this signal, and a halt as death by SIGINT (pid_namespaces(7)).
const RESTART: i32 = nix::libc::SIGHUP;

/// What is read from the console at once, in bytes: a terminal holds no more.
const CHUNK: usize = 4096;

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
    let ended = watch(init.as_fd(), master.as_fd())?;
    let event = if ended == Ended::Signal(RESTART) { c"reboot" } else { c"stop" };
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

/// Reads the console until init has ended; then reaps it.
fn watch(init: BorrowedFd<'_>, master: BorrowedFd<'_>) -> io::Result<Ended> {
    let mut console_open = true;
    loop {
        let wanted = if console_open { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut descriptors = [PollFd::new(init, PollFlags::POLLIN), PollFd::new(master, wanted)];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        if descriptors[0].any() == Some(true) {
            return pidfd::reap(init);
        }
        let mut unread = [0; CHUNK];
        match nix::unistd::read(master, &mut unread) {
            Ok(length) if length > 0 => {}
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            _ => console_open = false,
        }
    }
}
