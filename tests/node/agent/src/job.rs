//! One command being run: its pipes, its end, and the killing of all that it started.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStringExt,
            process::{CommandExt, ExitStatusExt},
        },
    },
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

use crate::wire::{CHUNK, Frame, Run};

/// How long output may still come after the command ended, from a daemon that kept its pipes.
const GRACE: Duration = Duration::from_millis(200);

/// A running command. Dropping it kills its process group.
#[derive(Debug)]
pub struct Job {
    child: Child,
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    pending: VecDeque<u8>,
    input_ended: bool,
    ended: io::PipeReader,
    quiet_since: Option<Instant>,
}

/// One of a job's descriptors, as a poll loop tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipe {
    /// The command's standard input takes bytes.
    Stdin,
    /// Standard output has bytes.
    Stdout,
    /// Standard error has bytes.
    Stderr,
    /// The command ended.
    Ended,
}

impl Job {
    /// Starts a command in a process group of its own.
    ///
    /// # Errors
    /// What the kernel says of the program, or that there is none.
    pub fn start(run: Run) -> io::Result<Self> {
        let mut argv = run.argv.into_iter().map(OsString::from_vec);
        let program = argv.next().ok_or(io::ErrorKind::InvalidInput)?;
        let text = OsString::from_vec;
        let environment = run.env.into_iter().map(|(name, value)| (text(name), text(value)));
        let mut child = Command::new(program)
            .args(argv)
            .envs(environment)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take().map(OwnedFd::from).map(File::from);
        if let Some(stdin) = &stdin {
            fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self {
            stdin,
            stdout: child.stdout.take().map(OwnedFd::from).map(File::from),
            stderr: child.stderr.take().map(OwnedFd::from).map(File::from),
            pending: VecDeque::new(),
            input_ended: false,
            ended: watch(group_of(&child))?,
            child,
            quiet_since: None,
        })
    }

    /// The descriptors to wait on now.
    pub fn pipes(&self) -> Vec<(Pipe, BorrowedFd<'_>)> {
        let stdin = self.stdin.as_ref().filter(|_| !self.pending.is_empty());
        let ended = Some(&self.ended).filter(|_| self.quiet_since.is_none());
        let files = [
            (Pipe::Stdin, stdin.map(AsFd::as_fd)),
            (Pipe::Stdout, self.stdout.as_ref().map(AsFd::as_fd)),
            (Pipe::Stderr, self.stderr.as_ref().map(AsFd::as_fd)),
            (Pipe::Ended, ended.map(AsFd::as_fd)),
        ];
        files.into_iter().filter_map(|(pipe, fd)| fd.map(|fd| (pipe, fd))).collect()
    }

    /// Queues bytes for standard input; none closes it behind what is queued.
    pub fn input(&mut self, data: &[u8]) {
        self.pending.extend(data);
        self.input_ended |= data.is_empty();
        self.close_stdin_when_done();
    }

    /// Bytes queued for standard input and not yet taken.
    pub fn backlog(&self) -> usize {
        self.pending.len()
    }

    /// Does what a ready descriptor allows, and gives back what is to be sent.
    pub fn handle(&mut self, pipe: Pipe) -> Option<Frame> {
        match pipe {
            Pipe::Stdin => {
                self.feed();
                None
            }
            Pipe::Stdout => self.drain(pipe).map(Frame::Output),
            Pipe::Stderr => self.drain(pipe).map(Frame::Error),
            Pipe::Ended => {
                self.quiet_since = Some(Instant::now());
                None
            }
        }
    }

    /// Whether the command ended and its pipes are closed or have been quiet long enough.
    pub fn is_over(&self) -> bool {
        self.quiet_since.is_some_and(|since| {
            (self.stdout.is_none() && self.stderr.is_none()) || since.elapsed() >= GRACE
        })
    }

    /// Whether the command ended, so that only its late output is waited for.
    pub fn is_ending(&self) -> bool {
        self.quiet_since.is_some()
    }

    /// Reaps the command; its exit code, or 128 and the signal's number.
    ///
    /// # Errors
    /// What wait(2) says.
    pub fn finish(mut self) -> io::Result<i32> {
        let status = self.child.wait()?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// Kills the command and what it started in its process group.
    pub fn kill(&self) {
        // A group that is gone already is what was wanted. The leader is not reaped before
        // `finish`, so its number cannot have become another's.
        let _ = killpg(group_of(&self.child), Signal::SIGKILL);
    }

    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(self.pending.as_slices().0) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The command does not read any more; that is its right.
            Err(_) => {
                self.stdin = None;
                self.pending.clear();
            }
        }
        self.close_stdin_when_done();
    }

    fn close_stdin_when_done(&mut self) {
        if self.input_ended && self.pending.is_empty() {
            self.stdin = None;
        }
    }

    fn drain(&mut self, pipe: Pipe) -> Option<Vec<u8>> {
        let slot = if pipe == Pipe::Stdout { &mut self.stdout } else { &mut self.stderr };
        let mut data = vec![0; CHUNK];
        let count = slot.as_mut().and_then(|file| file.read(&mut data).ok()).unwrap_or(0);
        data.truncate(count);
        if count == 0 {
            *slot = None;
            return None;
        }
        if self.quiet_since.is_some() {
            self.quiet_since = Some(Instant::now());
        }
        Some(data)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
            // Nothing survives SIGKILL but a zombie; a failure here leaves no more than that.
            let _ = self.child.wait();
        }
    }
}

/// The command's process group: it leads one, so the number is its own.
fn group_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// A pipe that closes when the process ends. The thread leaves the zombie to be reaped.
fn watch(process: Pid) -> io::Result<io::PipeReader> {
    let (reader, writer) = io::pipe()?;
    thread::Builder::new().name("wait".into()).spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(process), flags) == Err(nix::errno::Errno::EINTR) {}
        drop(writer);
    })?;
    Ok(reader)
}
