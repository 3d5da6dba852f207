//! Carrying bytes between the admin's streams and those of a command in a container.
//!
//! A terminal of the node is never handed into a container: what could be typed back into it, or
//! asked of it, stays out of reach. In its place the command gets a pipe or a terminal of the
//! container's own, and this loop carries the bytes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// What is still passed on once the command has ended, in bytes: more than two pipes hold
/// (fs.pipe-max-size). Else a process that it has left could keep us here for good.
const MOST_AFTER_END: usize = 2 << 20;
/// What a terminal in its usual mode takes for the end of the input: Ctrl-D.
const END_OF_TRANSMISSION: u8 = 4;

/// Signals that mean something to the command rather than to us.
const SIGNALS: [Signal; 5] =
    [Signal::SIGWINCH, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// What the admin's stream feeds.
#[derive(Debug)]
pub struct Input<'a> {
    /// The admin's stream.
    pub from: BorrowedFd<'a>,
    /// Our end of the command's.
    pub to: Sink<'a>,
}

/// Where input goes.
#[derive(Debug)]
pub enum Sink<'a> {
    /// A pipe: closed at the end of the input.
    Pipe(Option<OwnedFd>),
    /// A terminal: told of the end of the input by Ctrl-D.
    Terminal(BorrowedFd<'a>),
}

/// What the command writes.
#[derive(Debug)]
pub struct Output<'a> {
    /// Our end of the command's stream.
    pub from: BorrowedFd<'a>,
    /// The admin's stream.
    pub to: BorrowedFd<'a>,
}

/// Blocks the signals that [`carry`] takes care of, and returns the descriptor they come by.
/// Before the command is made: what comes in between must not be lost.
///
/// # Errors
/// Those of `sigprocmask(2)` and `signalfd(2)`.
pub fn block_signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in SIGNALS {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Carries until the command behind `command` has ended and all it wrote has been passed on.
/// `typed` goes in before the admin's own input; `on_signal` is told of each signal.
///
/// # Errors
/// Those of `poll(2)` and `read(2)`. The admin's side being closed is none: the command is then
/// told so, as by a shell's pipe.
pub fn carry(
    mut input: Option<Input<'_>>,
    mut outputs: Vec<Output<'_>>,
    typed: &[u8],
    command: BorrowedFd<'_>,
    signals: &SignalFd,
    mut on_signal: impl FnMut(Signal),
) -> io::Result<()> {
    let mut pending = typed.to_vec();
    let mut input_open = input.is_some();
    if let Some(input) = &input {
        set_nonblocking(input.sink())?;
    }
    let mut ended = false;
    let mut left_after_end = MOST_AFTER_END;
    while !(ended && outputs.is_empty()) {
        let events = wait(&input, input_open, &pending, &outputs, command, signals, ended)?;
        if events.signal {
            while let Ok(Some(info)) = signals.read_signal() {
                if let Ok(signal) = Signal::try_from(info.ssi_signo as i32) {
                    on_signal(signal);
                }
            }
        }
        if let (true, Some(input)) = (events.input, &input) {
            input_open = read_input(input, &mut pending)?;
        }
        if let Some(stream) = &mut input {
            write_pending(stream, &mut pending, input_open);
        }
        let passed = pass_outputs(&mut outputs, &events.outputs)?;
        if ended {
            left_after_end = left_after_end.saturating_sub(passed);
        }
        if ended && (events.quiet() || left_after_end == 0) {
            // The command has ended and left a process that holds its streams: not waited for,
            // nor is all that it may go on to write.
            break;
        }
        ended |= events.ended;
    }
    Ok(())
}

struct Events {
    input: bool,
    outputs: Vec<bool>,
    signal: bool,
    ended: bool,
}

impl Events {
    fn quiet(&self) -> bool {
        !self.outputs.contains(&true)
    }
}

fn wait(
    input: &Option<Input<'_>>,
    input_open: bool,
    pending: &[u8],
    outputs: &[Output<'_>],
    command: BorrowedFd<'_>,
    signals: &SignalFd,
    ended: bool,
) -> io::Result<Events> {
    let none = PollFlags::empty();
    let wanted = |wanted: bool, flag| if wanted { flag } else { none };
    let mut descriptors = vec![
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(command, wanted(!ended, PollFlags::POLLIN)),
    ];
    descriptors.extend(outputs.iter().map(|output| PollFd::new(output.from, PollFlags::POLLIN)));
    if let Some(input) = input {
        let sink = input.sink();
        if input_open && pending.is_empty() {
            descriptors.push(PollFd::new(input.from, PollFlags::POLLIN));
        } else if !pending.is_empty() {
            descriptors.push(PollFd::new(sink, PollFlags::POLLOUT));
        }
    }
    // After the command's end only what is there already counts.
    let timeout = if ended { PollTimeout::ZERO } else { PollTimeout::NONE };
    loop {
        match poll(&mut descriptors, timeout) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    let any = |index: usize| {
        descriptors.get(index).and_then(PollFd::revents).is_some_and(|events| !events.is_empty())
    };
    let first_output = 2;
    let after_outputs = first_output + outputs.len();
    Ok(Events {
        signal: any(0),
        ended: any(1),
        outputs: (first_output..after_outputs).map(any).collect(),
        input: input_open && pending.is_empty() && any(after_outputs),
    })
}

/// Reads once; says whether the stream is still open.
fn read_input(input: &Input<'_>, pending: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    match nix::unistd::read(input.from, &mut buffer) {
        Ok(0) | Err(Errno::EIO) => {
            if let Sink::Terminal(_) = input.to {
                pending.push(END_OF_TRANSMISSION);
            }
            Ok(false)
        }
        Ok(length) => {
            pending.extend_from_slice(&buffer[..length]);
            Ok(true)
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn write_pending(input: &mut Input<'_>, pending: &mut Vec<u8>, input_open: bool) {
    while !pending.is_empty() {
        match nix::unistd::write(input.sink(), pending) {
            Ok(length) => {
                pending.drain(..length);
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return,
            // The command reads no more: what is left is nobody's.
            Err(_) => pending.clear(),
        }
    }
    if !input_open && let Sink::Pipe(pipe) = &mut input.to {
        *pipe = None;
    }
}

/// Says how many bytes were there.
pub(super) fn pass_outputs(outputs: &mut Vec<Output<'_>>, ready: &[bool]) -> io::Result<usize> {
    let mut index = 0;
    let mut passed = 0;
    let mut failure = None;
    outputs.retain(|output| {
        let is_ready = ready.get(index).copied().unwrap_or(false);
        index += 1;
        if !is_ready {
            return true;
        }
        let mut buffer = vec![0; CHUNK];
        match nix::unistd::read(output.from, &mut buffer) {
            // EIO is how the end of a terminal's last user looks from its other end.
            Ok(0) | Err(Errno::EIO) => false,
            Ok(length) => {
                passed += length;
                write_all(output.to, &buffer[..length]).is_ok()
            }
            Err(Errno::EINTR | Errno::EAGAIN) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        }
    });
    failure.map_or(Ok(passed), |error| Err(error.into()))
}

/// Writes all of it, also to a stream that somebody has made non-blocking.
///
/// # Errors
/// Those of `write(2)`.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                vz_sys::pidfd::wait_ready(to, PollFlags::POLLOUT, None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Input<'_> {
    fn sink(&self) -> BorrowedFd<'_> {
        match &self.to {
            Sink::Pipe(Some(pipe)) => pipe.as_fd(),
            // Closed already: polled for nothing any more.
            Sink::Pipe(None) => self.from,
            Sink::Terminal(terminal) => *terminal,
        }
    }
}

fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
