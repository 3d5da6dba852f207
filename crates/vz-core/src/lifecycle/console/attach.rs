//! `vzctl console`: the admin's terminal on the container's console.
//!
//! The console is persistent: it can be attached to while the container is down, and stays so when
//! the container stops, restarts, or gets another vzmon. While there is no vzmon, one is looked for
//! from time to time; nothing is missed by that, because vzmon keeps the last of what was written.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use vz_conf::exit::Exit;
use vz_sys::channel::{self, Channel};
use vz_sys::pty::{self, RawMode, WindowSize};

use super::keys::{Action, Keys};
use super::{attention, socket_name};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::lifecycle::{relay, vzmon};
use crate::report::Report;

/// First byte of vzmon's first message, before the number of the console's `/dev/pts/N`; any other
/// means that somebody else is attached. This and what follows: bins/vzmon/src/console.rs.
const ATTACHED: u8 = b'A';
/// First byte of a message with what was typed.
const INPUT: u8 = b'i';
/// First byte of a message with the window's rows and columns, 16-bit little-endian.
const SIZE: u8 = b'w';
/// How much is typed in one message, in bytes.
const MESSAGE: usize = 1024;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;
/// How much typed input waits for a container that does not read it, in bytes.
const MOST_WAITING: usize = 64 * 1024;
/// How often vzmon is looked for while there is none, in milliseconds.
const LOOK_AGAIN: u16 = 100;

/// Attaches vzctl's standard streams to the container's console, until the admin detaches or a
/// signal ends it. A container that does not run is waited for.
///
/// # Errors
/// When somebody else is attached, or standard input ends.
pub fn attach(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let line = match connect(container)? {
        Connection::Made(line, number) => Some((line, number)),
        Connection::Busy => return Err(unavailable(Errno::EBUSY)),
        Connection::None => None,
    };
    let signals =
        relay::block_signals().context(Exit::SystemError, || "Cannot wait for signals".into())?;
    report.error(&format!("Attached to CT {} (ESC . to detach)", container.id));
    let (stdin, stdout) = (io::stdin(), io::stdout());
    // Without a terminal there is no mode to change: bytes are carried all the same.
    let raw = RawMode::enter(stdin.as_fd()).ok();
    let mut session = Session {
        container,
        input: stdin.as_fd(),
        output: stdout.as_fd(),
        is_terminal: stdin.is_terminal(),
        line: None,
        number: 0,
        keys: Keys::new(),
        waiting: Vec::new(),
        input_ended: false,
    };
    session.join(line);
    let ended = session.run(&signals, report);
    drop(raw);
    if let Ok(End::InputEnded) = ended {
        report.error("stdin read error");
    }
    report.error(&format!("\nDetached from CT {}", container.id));
    match ended {
        Ok(End::Detached) => Ok(()),
        Ok(End::InputEnded) => Err(Error::Reported(Exit::SystemError)),
        Err(error) => Err(error).context(Exit::SystemError, || "Cannot carry the console".into()),
    }
}

/// The kernel of old answered an ioctl of this name.
pub(super) fn unavailable(answer: Errno) -> Error {
    Error::System {
        exit: Exit::SystemError,
        action: "Error in VE_CONFIGURE_OPEN_TTY".into(),
        source: answer.into(),
    }
}

/// What asking vzmon has led to.
enum Connection {
    /// A line, and the number of the console's terminal.
    Made(Channel, u32),
    /// Somebody else has it.
    Busy,
    /// There is no vzmon.
    None,
}

fn connect(container: &Container<'_>) -> Result<Connection> {
    let Ok(directory) = File::open(container.node.run_dir()) else { return Ok(Connection::None) };
    let name = socket_name(container.id);
    let line = match channel::connect(directory.as_fd(), &name) {
        Ok(line) => line,
        // Nobody listens there yet, or any more.
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            return Ok(Connection::None);
        }
        Err(error) => {
            let path = container.node.run_dir().join(name);
            return Err(error).at(Exit::SystemError, "Cannot connect to", &path);
        }
    };
    // vzmon that ends meanwhile hangs up, so this does not wait for ever.
    let Ok(first) = line.receive() else { return Ok(Connection::None) };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    Ok(match first.bytes.split_first() {
        None => Connection::None,
        Some((&ATTACHED, text)) => {
            number(text).map_or(Connection::None, |number| Connection::Made(line, number))
        }
        Some(_) => Connection::Busy,
    })
}

/// How it has come to an end.
enum End {
    /// By the admin's wish.
    Detached,
    /// There is no more input to wait for an escape in.
    InputEnded,
}

/// What is attached.
struct Session<'s> {
    container: &'s Container<'s>,
    input: BorrowedFd<'s>,
    output: BorrowedFd<'s>,
    is_terminal: bool,
    line: Option<Channel>,
    number: u32,
    keys: Keys,
    /// Typed, and not yet taken by vzmon.
    waiting: Vec<u8>,
    input_ended: bool,
}

/// What there is to do.
#[derive(Default)]
struct Events {
    signal: bool,
    input: bool,
    line: bool,
}

impl Session<'_> {
    fn run(&mut self, signals: &SignalFd, report: &mut dyn Report) -> io::Result<End> {
        loop {
            let events = self.wait(signals)?;
            if events.signal && self.read_signals(signals) {
                return Ok(End::Detached);
            }
            if events.line {
                self.show()?;
            }
            if events.input && self.read_input()? {
                self.flush();
                return Ok(End::Detached);
            }
            self.flush();
            if self.input_ended && (self.waiting.is_empty() || self.line.is_none()) {
                return Ok(End::InputEnded);
            }
            if self.line.is_none() {
                vzmon::ensure_unlocked(self.container, report);
                if let Ok(Connection::Made(line, number)) = connect(self.container) {
                    self.join(Some((line, number)));
                }
            }
        }
    }

    fn join(&mut self, connection: Option<(Channel, u32)>) {
        let Some((line, number)) = connection else { return };
        (self.line, self.number) = (Some(line), number);
        // A window of another size makes a full-screen program draw itself anew.
        if let Ok(size) = pty::window_size(self.input) {
            self.send_size(WindowSize { rows: size.rows.wrapping_add(1), ..size });
            self.send_size(size);
        }
    }

    fn wait(&self, signals: &SignalFd) -> io::Result<Events> {
        // A script's input waits; of an admin's, what the container does not read gets lost, so
        // that there always is a way out.
        let reads = !self.input_ended && (self.is_terminal || self.waiting.len() < MOST_WAITING);
        let mut descriptors = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if reads {
            descriptors.push(PollFd::new(self.input, PollFlags::POLLIN));
        }
        if let Some(line) = &self.line {
            let mut wanted = PollFlags::POLLIN;
            wanted.set(PollFlags::POLLOUT, !self.waiting.is_empty());
            descriptors.push(PollFd::new(line.as_fd(), wanted));
        }
        let timeout = match self.line {
            Some(_) => PollTimeout::NONE,
            None => PollTimeout::from(LOOK_AGAIN),
        };
        match poll(&mut descriptors, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Events::default()),
            Err(error) => return Err(error.into()),
        }
        let found = |slot: usize| descriptors.get(slot).and_then(PollFd::any) == Some(true);
        let line = if reads { 2 } else { 1 };
        Ok(Events { signal: found(0), input: reads && found(1), line: found(line) })
    }

    /// Says whether one of them ends the session.
    fn read_signals(&self, signals: &SignalFd) -> bool {
        let mut ends = false;
        while let Ok(Some(info)) = signals.read_signal() {
            if Signal::try_from(info.ssi_signo as i32) != Ok(Signal::SIGWINCH) {
                ends = true;
            } else if let Ok(size) = pty::window_size(self.input) {
                self.send_size(size);
            }
        }
        ends
    }

    fn send_size(&self, size: WindowSize) {
        let ([a, b], [c, d]) = (size.rows.to_le_bytes(), size.columns.to_le_bytes());
        if let Some(line) = &self.line {
            // A line that is full or gone: the next change of size, or the next vzmon, makes good.
            let _ = line.try_send(&[SIZE, a, b, c, d]);
        }
    }

    /// Shows what the container has written.
    fn show(&mut self) -> io::Result<()> {
        let mut written = [0; CHUNK];
        let Some(line) = &self.line else { return Ok(()) };
        match line.try_receive(&mut written) {
            Ok(None) => Ok(()),
            Ok(Some(length @ 1..)) => relay::write_all(self.output, &written[..length]),
            // vzmon has ended. What was typed for its console is nobody's.
            Ok(Some(0)) | Err(_) => {
                self.line = None;
                self.waiting.clear();
                Ok(())
            }
        }
    }

    /// Reads what is typed, and says whether the admin wants to leave.
    fn read_input(&mut self) -> io::Result<bool> {
        let mut typed = [0; CHUNK];
        let length = match nix::unistd::read(self.input, &mut typed) {
            Ok(0) | Err(Errno::EIO) => {
                self.input_ended = true;
                return Ok(false);
            }
            Ok(length) => length,
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for action in self.keys.read(&typed[..length]) {
            match action {
                Action::Detach => return Ok(true),
                Action::Kill => attention::kill_users(self.container, self.number),
                Action::Forward(bytes) if self.line.is_some() => {
                    let room = match self.is_terminal {
                        true => MOST_WAITING.saturating_sub(self.waiting.len()),
                        false => bytes.len(),
                    };
                    self.waiting.extend(&bytes[..room.min(bytes.len())]);
                }
                // There is no console to type at.
                Action::Forward(_) => {}
            }
        }
        Ok(false)
    }

    /// Hands vzmon what was typed, as much as it takes.
    fn flush(&mut self) {
        let Some(line) = &self.line else { return };
        let mut sent = 0;
        for part in self.waiting.chunks(MESSAGE) {
            match line.try_send(&[&[INPUT], part].concat()) {
                Ok(true) => sent += part.len(),
                // Full; that it is gone is seen where it is read.
                Ok(false) | Err(_) => break,
            }
        }
        self.waiting.drain(..sent);
    }
}
