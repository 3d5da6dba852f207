//! A script that the container's own shell runs: action scripts, distribution actions, runscript.
//!
//! The text lies in sealed memory, not in the node's file: a container that shares the node's user
//! namespace could open that again for writing, by `/proc/self/fd/0`. A terminal of the node is not
//! handed in (see [`super::relay`]). The shell is the container's, and need not end at all: with a
//! patience it is killed in the end, with all that it has started and not moved elsewhere.

use std::ffi::CString;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use vz_conf::exit::Exit;
use vz_sys::cancel;
use vz_sys::clone::Process;
use vz_sys::pidfd::{self, Ended};

use crate::error::{Context, Error, Result};
use crate::lifecycle::exec::{self, Command, Entrance, Streams};
use crate::lifecycle::relay::{self, Output};
use crate::report::Report;

/// What a script may still write once its shell has ended is passed on in so many reads: more than
/// a pipe holds. A process it has left could go on for ever.
const READS_AFTER_END: usize = 64;

/// A script for the container's shell.
#[derive(Debug)]
pub struct Script {
    /// What the shell reads.
    pub text: Vec<u8>,
    /// The shell's environment, `NAME=value`.
    pub environment: Vec<CString>,
    /// How long it may take.
    pub patience: Option<Duration>,
}

/// Runs the script and returns its exit code.
///
/// # Errors
/// When the container cannot be entered or has no shell, or a signal ended the shell;
/// [`Exit::ExecTimeout`].
pub fn run(entrance: &Entrance<'_>, script: &Script, report: &mut dyn Report) -> Result<i32> {
    let input = vz_sys::sealed::file_of(&script.text)
        .context(Exit::ResourceError, || "Cannot make a file in memory".into())?;
    let command = Command::shell_with(script.environment.clone());
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let mut streams = Streams { input: Some(input.into()), ..Streams::default() };
    let mut pipes: Vec<(OwnedFd, BorrowedFd<'_>)> = Vec::new();
    if stdout.is_terminal() {
        let (read, write) = pipe()?;
        streams.output = Some(write);
        pipes.push((read, stdout.as_fd()));
    }
    if stderr.is_terminal() {
        let (read, write) = pipe()?;
        streams.error = Some(write);
        pipes.push((read, stderr.as_fd()));
    }
    let process = exec::spawn(entrance, &command, &streams)?;
    drop(streams);
    let outputs = pipes.iter().map(|(from, to)| Output { from: from.as_fd(), to: *to }).collect();
    let ended = carry_until_end(&process, outputs, script.patience)
        .context(Exit::SystemError, || "Cannot wait for the script".into())?;
    match ended {
        Carried::Ended(ended) => exec::outcome(ended, &command, report),
        Carried::TooLate => {
            Err(Error::Refused(Exit::ExecTimeout, "Execution timeout expired".into()))
        }
        Carried::Cancelled => Err(Error::Cancelled),
    }
}

/// How it went with the shell.
enum Carried {
    Ended(Ended),
    /// It had to be killed when its time was over.
    TooLate,
    /// It was killed because the admin has called the command off.
    Cancelled,
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
        .context(Exit::ResourceError, || "Cannot make a pipe".into())
}

/// Passes on what the script writes until its shell has ended.
fn carry_until_end(
    process: &Process,
    mut outputs: Vec<Output<'_>>,
    patience: Option<Duration>,
) -> io::Result<Carried> {
    let mut end = patience.map(|patience| Instant::now() + patience);
    let mut left = READS_AFTER_END;
    let mut ended = false;
    let mut in_time = true;
    let mut cancelled = false;
    while left > 0 && !(ended && outputs.is_empty()) {
        let wait = match (ended, end) {
            (true, _) => Some(Duration::ZERO),
            (false, None) => None,
            (false, Some(end)) => Some(end.saturating_duration_since(Instant::now())),
        };
        let (process_ended, ready) = poll_once(process, &outputs, wait)?;
        if !process_ended && cancel::take() {
            (cancelled, end) = (true, None);
            kill(process)?;
        }
        if ended {
            if !ready.contains(&true) {
                break;
            }
            left -= 1;
        } else if !process_ended && !cancelled && wait == Some(Duration::ZERO) {
            (in_time, end) = (false, None);
            kill(process)?;
        }
        relay::pass_outputs(&mut outputs, &ready)?;
        ended |= process_ended;
    }
    let ended = pidfd::reap(process.pidfd.as_fd())?;
    Ok(match (cancelled, in_time) {
        (true, _) => Carried::Cancelled,
        (false, false) => Carried::TooLate,
        (false, true) => Carried::Ended(ended),
    })
}

/// The shell leads a process group of its own. It has not been reaped, so its number is still its.
fn kill(process: &Process) -> io::Result<()> {
    let _ = killpg(process.pid, Signal::SIGKILL);
    pidfd::send_signal(process.pidfd.as_fd(), nix::libc::SIGKILL)
}

/// Says whether the process has ended, and which outputs have something to read.
fn poll_once(
    process: &Process,
    outputs: &[Output<'_>],
    wait: Option<Duration>,
) -> io::Result<(bool, Vec<bool>)> {
    let mut descriptors = vec![PollFd::new(process.pidfd.as_fd(), PollFlags::POLLIN)];
    descriptors.extend(outputs.iter().map(|output| PollFd::new(output.from, PollFlags::POLLIN)));
    descriptors.extend(cancel::descriptor().map(|event| PollFd::new(event, PollFlags::POLLIN)));
    let timeout = match wait {
        None => PollTimeout::NONE,
        Some(wait) => {
            let milliseconds = wait.as_micros().div_ceil(1000).min(i32::MAX as u128);
            PollTimeout::try_from(milliseconds as i32).unwrap_or(PollTimeout::MAX)
        }
    };
    match poll(&mut descriptors, timeout) {
        Err(Errno::EINTR) => return Ok((false, vec![false; outputs.len()])),
        other => other?,
    };
    let mut any = descriptors
        .iter()
        .map(|descriptor| descriptor.revents().is_some_and(|events| !events.is_empty()));
    let ended = any.next().unwrap_or(false);
    Ok((ended, any.take(outputs.len()).collect()))
}
