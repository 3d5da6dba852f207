//! Serving one stream: frames in, a command run, frames out. One command at a time; a machine
//! has several streams.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    job::{Job, Pipe},
    wire::{Decoder, Frame},
};

/// Input kept for a command that does not read before the stream is left to wait, in bytes.
const BACKLOG: usize = 4 << 20;

/// A virtio port that nobody has open on the host reports a hang-up at once and for ever, so
/// there is nothing to wait on but time.
const UNCONNECTED: Duration = Duration::from_millis(20);

/// How long a port must be hung up before its command is given up. A runner that closes a port
/// and opens it again at once is reported late and out of step with its bytes: the driver hears
/// of openings on another queue. The hello of the new connection ends the old one in any case.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a hang-up means on this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// Somebody else may connect: a virtio-serial port.
    Wait,
    /// It is over: a socket.
    Return,
}

/// Runs the commands that come over a stream.
///
/// # Errors
/// The stream itself fails, or closed where that is the end ([`HangUp::Return`] gives `Ok`).
pub fn serve(stream: &File, hang_up: HangUp) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(stream, FcntlArg::F_GETFL)?);
    fcntl(stream, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    let mut server =
        Server { stream, hang_up, hung_since: None, decoder: Decoder::default(), job: None };
    loop {
        match server.turn()? {
            Turn::Go => {}
            Turn::HungUp if hang_up == HangUp::Return => return Ok(()),
            Turn::HungUp => {
                server.job = None;
                server.decoder.reset();
                thread::sleep(UNCONNECTED);
            }
        }
    }
}

/// What became of one round of the loop.
enum Turn {
    Go,
    HungUp,
}

struct Server<'a> {
    stream: &'a File,
    hang_up: HangUp,
    hung_since: Option<Instant>,
    decoder: Decoder,
    job: Option<Job>,
}

impl Server<'_> {
    fn turn(&mut self) -> io::Result<Turn> {
        let (stream, ready) = self.wait()?;
        for pipe in ready {
            let frame = self.job.as_mut().and_then(|job| job.handle(pipe));
            if let Some(frame) = frame
                && !self.send(&frame)?
            {
                return Ok(Turn::HungUp);
            }
        }
        if self.job.as_ref().is_some_and(Job::is_over) && !self.report_end()? {
            return Ok(Turn::HungUp);
        }
        let readable = stream.contains(PollFlags::POLLIN);
        let hung_up = stream.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
        // A socket reports the hang-up together with the last bytes: those are read first. A port
        // may have the first bytes of a connection whose opening the driver has yet to handle:
        // those stay until an answer can be written.
        if self.note(hung_up && (self.hang_up == HangUp::Wait || !readable)) {
            return Ok(Turn::HungUp);
        }
        if self.hung_since.is_some() {
            thread::sleep(UNCONNECTED);
            return Ok(Turn::Go);
        }
        Ok(if readable && !self.receive()? { Turn::HungUp } else { Turn::Go })
    }

    /// Notes whether the stream is hung up now; true once that is to be believed.
    fn note(&mut self, hung_up: bool) -> bool {
        if !hung_up {
            self.hung_since = None;
            return false;
        }
        let since = *self.hung_since.get_or_insert_with(Instant::now);
        self.hang_up == HangUp::Return || since.elapsed() > PATIENCE
    }

    fn wait(&self) -> io::Result<(PollFlags, Vec<Pipe>)> {
        let pipes = self.job.as_ref().map(Job::pipes).unwrap_or_default();
        let full = self.job.as_ref().is_some_and(|job| job.backlog() > BACKLOG);
        let wanted = if full { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut fds = vec![PollFd::new(self.stream.as_fd(), wanted)];
        fds.extend(pipes.iter().map(|(pipe, fd)| poll_pipe(*pipe, *fd)));
        let timeout = match &self.job {
            Some(job) if job.is_ending() => PollTimeout::from(50u8),
            _ => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok((PollFlags::empty(), Vec::new())),
            Err(error) => return Err(error.into()),
        }
        let flags = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
        let ready = pipes.iter().zip(&fds[1..]).filter(|(_, fd)| !flags(fd).is_empty());
        Ok((flags(&fds[0]), ready.map(|((pipe, _), _)| *pipe).collect()))
    }

    /// Reads what is there and obeys it. False when the other end is gone.
    fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Ok(false),
            Ok(count) => self.decoder.push(&bytes[..count]),
            Err(error) if is_transient(&error) => return Ok(true),
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        loop {
            match self.decoder.next_frame() {
                Ok(None) => return Ok(true),
                Ok(Some(frame)) => {
                    if !self.obey(frame)? {
                        return Ok(false);
                    }
                }
                // Not our runner, or one that died in the middle of a frame.
                Err(_) => self.decoder.reset(),
            }
        }
    }

    fn obey(&mut self, frame: Frame) -> io::Result<bool> {
        match frame {
            Frame::Hello(nonce) => {
                self.job = None;
                return self.send(&Frame::Hello(nonce));
            }
            Frame::Run(_) if self.job.is_some() => {
                return self.send(&Frame::Refused("a command is running here".into()));
            }
            Frame::Run(run) => match Job::start(run) {
                Ok(job) => self.job = Some(job),
                Err(error) => return self.send(&Frame::Refused(error.to_string())),
            },
            Frame::Input(data) => {
                if let Some(job) = &mut self.job {
                    job.input(&data);
                }
            }
            Frame::Kill => {
                if let Some(job) = &self.job {
                    job.kill();
                }
            }
            // Frames that only an agent sends.
            Frame::Output(_) | Frame::Error(_) | Frame::Exit(_) | Frame::Refused(_) => {}
        }
        Ok(true)
    }

    fn report_end(&mut self) -> io::Result<bool> {
        let Some(job) = self.job.take() else { return Ok(true) };
        let code = job.finish()?;
        self.send(&Frame::Exit(code))
    }

    /// Writes a whole frame. False when the other end is gone.
    fn send(&mut self, frame: &Frame) -> io::Result<bool> {
        let bytes = frame.encode();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if is_transient(&error) => {
                    if !self.wait_for_room()? {
                        return Ok(false);
                    }
                }
                Err(error) if is_gone(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn wait_for_room(&mut self) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, PollTimeout::from(100u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let hung_up = fds[0].revents().is_some_and(|flags| flags.contains(PollFlags::POLLHUP));
        if hung_up && self.hang_up == HangUp::Wait {
            thread::sleep(UNCONNECTED);
        }
        Ok(!self.note(hung_up))
    }
}

fn poll_pipe(pipe: Pipe, fd: BorrowedFd<'_>) -> PollFd<'_> {
    let wanted = if pipe == Pipe::Stdin { PollFlags::POLLOUT } else { PollFlags::POLLIN };
    PollFd::new(fd, wanted)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    // A virtio port whose device is being reset says ENODEV.
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
        || error.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32)
}
