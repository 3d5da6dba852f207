//! Commands on a machine, through its agent.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use vz_node_agent::wire::{CHUNK, Decoder, Frame, NONCE, Run};

use crate::{Error, Result};

/// How long a killed command may take to be gone.
const KILL: Duration = Duration::from_secs(10);

/// An agent's stream, free for one command at a time.
#[derive(Debug)]
pub struct Connection {
    reader: UnixStream,
    writer: Arc<Mutex<Writer>>,
    decoder: Decoder,
    /// Held while the stream is ours, where several processes share it.
    _lock: Option<File>,
}

/// Which of a command's outputs bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code, or 128 and a signal's number.
    Code(i32),
    /// It was killed for its time was up.
    TimedOut,
}

/// The writing half, shared with the thread that feeds a command. The number of the command
/// keeps a late feeder out of the next one.
#[derive(Debug)]
struct Writer {
    stream: UnixStream,
    command: u64,
}

impl Connection {
    /// Greets the agent at the other end of a stream; `lock` is kept until the end.
    ///
    /// # Errors
    /// No answer within the limit.
    pub fn open(stream: UnixStream, lock: Option<File>, limit: Duration) -> Result<Self> {
        let nonce = nonce()?;
        let writer = stream.try_clone().map_err(|error| lost(&error))?;
        let writer = Arc::new(Mutex::new(Writer { stream: writer, command: 0 }));
        let mut connection =
            Self { reader: stream, writer, decoder: Decoder::default(), _lock: lock };
        connection.send(&Frame::Hello(nonce))?;
        let deadline = Instant::now() + limit;
        loop {
            match connection.receive(Some(deadline))? {
                Some(Frame::Hello(answer)) if answer == nonce => return Ok(connection),
                // An answer to somebody who gave up waiting.
                Some(_) => connection.decoder.reset(),
                None => return Err(Error::TimedOut { what: "the agent".into(), limit }),
            }
        }
    }

    /// Runs a command: `input` is its standard input, `output` gets what it writes as it comes.
    ///
    /// # Errors
    /// It cannot be started, or the machine is gone.
    pub fn run(
        &mut self,
        run: &Run,
        input: impl Read + Send + 'static,
        output: &mut dyn FnMut(Output, &[u8]),
        limit: Option<Duration>,
    ) -> Result<Ended> {
        self.send(&Frame::Run(run.clone()))?;
        let command = self.writer().command;
        let writer = Arc::clone(&self.writer);
        thread::spawn(move || feed(input, &writer, command));
        let ended = self.follow(run, output, limit.map(|limit| Instant::now() + limit));
        self.writer().command += 1;
        ended
    }

    /// Runs a command of the runner's own, with everything it writes returned.
    ///
    /// # Errors
    /// As [`Connection::run`], and any exit code but zero.
    pub fn call(&mut self, argv: &[&str], input: impl Read + Send + 'static) -> Result<Vec<u8>> {
        let run = command(argv);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut output = |from: Output, bytes: &[u8]| match from {
            Output::Stdout => stdout.extend_from_slice(bytes),
            Output::Stderr => stderr.extend_from_slice(bytes),
        };
        let limit = Duration::from_secs(600);
        match self.run(&run, input, &mut output, Some(limit))? {
            Ended::Code(0) => Ok(stdout),
            Ended::Code(code) => {
                stdout.extend(stderr);
                let output = String::from_utf8_lossy(&stdout).into_owned();
                Err(Error::Remote { command: argv.join(" "), code, output })
            }
            Ended::TimedOut => Err(Error::TimedOut { what: argv.join(" "), limit }),
        }
    }

    fn follow(
        &mut self,
        run: &Run,
        output: &mut dyn FnMut(Output, &[u8]),
        mut deadline: Option<Instant>,
    ) -> Result<Ended> {
        let mut timed_out = false;
        loop {
            match self.receive(deadline)? {
                Some(Frame::Output(bytes)) => output(Output::Stdout, &bytes),
                Some(Frame::Error(bytes)) => output(Output::Stderr, &bytes),
                Some(Frame::Exit(_)) if timed_out => return Ok(Ended::TimedOut),
                Some(Frame::Exit(code)) => return Ok(Ended::Code(code)),
                Some(Frame::Refused(reason)) => {
                    return Err(Error::Refused { command: shown(run), reason });
                }
                Some(_) => {}
                None if timed_out => {
                    return Err(Error::TimedOut {
                        what: format!("end of {}", shown(run)),
                        limit: KILL,
                    });
                }
                None => {
                    timed_out = true;
                    deadline = Some(Instant::now() + KILL);
                    if !self.kill()? {
                        return Ok(Ended::TimedOut);
                    }
                }
            }
        }
    }

    /// Has the command killed. False where its unread input blocks the stream: the stream is
    /// closed then, which kills too.
    fn kill(&self) -> Result<bool> {
        for _ in 0..20 {
            if let Ok(mut writer) = self.writer.try_lock() {
                let sent = writer.stream.write_all(&Frame::Kill.encode());
                return sent.map(|()| true).map_err(|error| lost(&error));
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.reader.shutdown(Shutdown::Both).map_err(|error| lost(&error))?;
        Ok(false)
    }

    /// The next frame, or `None` at the deadline.
    fn receive(&mut self, deadline: Option<Instant>) -> Result<Option<Frame>> {
        let mut bytes = [0; 65536];
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(|error| lost(&error))? {
                return Ok(Some(frame));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.reader.set_read_timeout(left).map_err(|error| lost(&error))?;
            match self.reader.read(&mut bytes) {
                Ok(0) => return Err(lost(&"the machine closed the connection")),
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(lost(&error)),
            }
        }
    }

    fn send(&self, frame: &Frame) -> Result<()> {
        self.writer().stream.write_all(&frame.encode()).map_err(|error| lost(&error))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command without variables of its own.
pub fn command(argv: &[&str]) -> Run {
    Run { argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(), env: Vec::new() }
}

/// Sends a command its input until either is over.
fn feed(mut input: impl Read, writer: &Mutex<Writer>, command: u64) {
    let mut bytes = vec![0; CHUNK];
    loop {
        // An input that cannot be read any further ends there.
        let count = input.read(&mut bytes).unwrap_or(0);
        let frame = Frame::Input(bytes[..count].to_vec()).encode();
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        // A stream that fails here fails for the reader too, who tells.
        if writer.command != command || writer.stream.write_all(&frame).is_err() || count == 0 {
            return;
        }
    }
}

fn nonce() -> Result<[u8; NONCE]> {
    let path = "/dev/urandom";
    let mut nonce = [0; NONCE];
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    file.read_exact(&mut nonce).map_err(Error::file("read", path))?;
    Ok(nonce)
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn shown(run: &Run) -> String {
    run.argv.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

fn lost(reason: &dyn std::fmt::Display) -> Error {
    Error::Agent { reason: reason.to_string(), console: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use vz_node_agent::serve::{HangUp, serve};

    /// A real agent at the other end of a socket.
    fn agent() -> Connection {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = File::from(OwnedFd::from(theirs));
        thread::spawn(move || serve(&theirs, HangUp::Return));
        Connection::open(ours, None, Duration::from_secs(10)).unwrap()
    }

    #[test]
    fn outputs_are_apart_and_the_code_comes_back() {
        let mut agent = agent();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = agent.run(
            &command(&["sh", "-c", "echo out; echo err >&2; exit 7"]),
            io::empty(),
            &mut |from, bytes| match from {
                Output::Stdout => stdout.extend_from_slice(bytes),
                Output::Stderr => stderr.extend_from_slice(bytes),
            },
            None,
        );
        assert_eq!(
            (ended.unwrap(), &*stdout, &*stderr),
            (Ended::Code(7), &b"out\n"[..], &b"err\n"[..])
        );
    }

    #[test]
    fn megabytes_go_through_and_back() {
        let sent: Vec<u8> = (0..5_000_000u32).map(|number| number.to_le_bytes()[1]).collect();
        let back = agent().call(&["cat"], io::Cursor::new(sent.clone())).unwrap();
        assert!(back == sent);
    }

    #[test]
    fn a_command_that_does_not_read_is_not_waited_for() {
        let mut agent = agent();
        agent.call(&["true"], io::repeat(b'x').take(20_000_000)).unwrap();
        assert_eq!(agent.call(&["cat"], io::Cursor::new("next")).unwrap(), b"next");
    }

    #[test]
    fn the_whole_process_group_dies_at_the_deadline() {
        let mut agent = agent();
        let mark = format!("vz-node-test-{}", std::process::id());
        let script = format!("(exec -a {mark} sleep 60) & sleep 60");
        let limit = Some(Duration::from_millis(300));
        let run = command(&["bash", "-c", &script]);
        assert_eq!(agent.run(&run, io::empty(), &mut |_, _| {}, limit).unwrap(), Ended::TimedOut);
        let found = agent.call(&["pgrep", "-f", &format!("^{mark}")], io::empty());
        assert!(matches!(found, Err(Error::Remote { code: 1, .. })), "{found:?}");
    }

    #[test]
    fn a_deadline_holds_while_input_is_stuck() {
        let run = command(&["sleep", "60"]);
        let limit = Some(Duration::from_millis(300));
        let start = Instant::now();
        let ended = agent().run(&run, io::repeat(b'x'), &mut |_, _| {}, limit).unwrap();
        assert_eq!(ended, Ended::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_daemon_holding_the_output_does_not_hold_the_command() {
        let start = Instant::now();
        let output = agent().call(&["sh", "-c", "sleep 5 & echo started"], io::empty()).unwrap();
        assert_eq!(output, b"started\n");
        assert!(start.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn a_missing_program_is_refused_by_name() {
        let error = agent().call(&["/no/such/program", "x"], io::empty()).unwrap_err().to_string();
        let expected =
            "run /no/such/program x on the machine: No such file or directory (os error 2)";
        assert_eq!(error, expected);
    }
}
