//! `vzctl enter`, and running a command whose streams may be the admin's terminal.

use std::ffi::CString;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{Signal, killpg};
use vz_conf::exit::Exit;
use vz_sys::channel::{self, Channel};
use vz_sys::clone::{self, Process};
use vz_sys::pidfd::{self, Ended};
use vz_sys::pty::{self, RawMode};

use crate::container::Container;
use crate::description::PATH;
use crate::error::{Context, Error, Result};
use crate::lifecycle::exec::{self, Command, Entrance, Streams};
use crate::lifecycle::relay::{self, Input, Output, Sink};
use crate::report::Report;

/// Runs `command` in the running container with vzctl's own streams, and says how it ended. A
/// stream that is a terminal is not handed in: a pipe is, and its bytes are carried.
///
/// # Errors
/// [`Error::NotRunning`], or when it cannot be entered.
pub fn run(container: &Container<'_>, command: &Command) -> Result<Ended> {
    let init = exec::require_running(container)?;
    let entrance = Entrance::find(container, init.as_fd())?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let terminals = [stdin.is_terminal(), stdout.is_terminal(), stderr.is_terminal()];
    let failed = || "Cannot make a pipe".to_owned();
    let mut streams = Streams::default();
    let mut input = None;
    let mut pipes: Vec<(OwnedFd, BorrowedFd<'_>)> = Vec::new();
    if terminals[0] {
        let (read, write) = pipe().context(Exit::ResourceError, failed)?;
        streams.input = Some(read);
        input = Some(Input { from: stdin.as_fd(), to: Sink::Pipe(Some(write)) });
    }
    if terminals[1] {
        let (read, write) = pipe().context(Exit::ResourceError, failed)?;
        streams.output = Some(write);
        pipes.push((read, stdout.as_fd()));
    }
    if terminals[2] {
        let (read, write) = pipe().context(Exit::ResourceError, failed)?;
        streams.error = Some(write);
        pipes.push((read, stderr.as_fd()));
    }
    let signals =
        relay::block_signals().context(Exit::SystemError, || "Cannot wait for signals".into())?;
    let process = exec::spawn(&entrance, command, &streams)?;
    drop(streams);
    let outputs = pipes.iter().map(|(from, to)| Output { from: from.as_fd(), to: *to }).collect();
    let pid = process.pid;
    relay::carry(input, outputs, &[], process.pidfd.as_fd(), &signals, |signal| {
        // Its group, so that what a shell has started ends with it.
        if signal != Signal::SIGWINCH {
            let _ = killpg(pid, signal);
        }
    })
    .context(Exit::SystemError, || "Cannot carry the command's streams".into())?;
    reap(&process)
}

fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
}

fn reap(process: &Process) -> Result<Ended> {
    pidfd::reap(process.pidfd.as_fd())
        .context(Exit::SystemError, || "Cannot wait for the command".into())
}

/// Opens a login shell on a terminal of the container's own, `typed` put in first. Returns the
/// shell's exit code.
///
/// # Errors
/// [`Error::NotRunning`], or when it cannot be entered.
pub fn enter(
    container: &Container<'_>,
    typed: &[u8],
    terminal_name: Option<&str>,
    report: &mut dyn Report,
) -> Result<i32> {
    let init = exec::require_running(container)?;
    let entrance = Entrance::find(container, init.as_fd())?;
    let command = login_shell(terminal_name);
    let (line, other) =
        channel::pair().context(Exit::ResourceError, || "Cannot make a line".into())?;
    let process = entrance.spawn(&[other.as_fd()], || become_shell(&command, &other))?;
    drop(other);
    let Some(master) = receive_master(&line) else {
        let _ = reap(&process);
        return Err(Error::Refused(
            Exit::EnterFailed,
            format!("enter into CT {} failed", container.id),
        ));
    };
    // Not sooner: a container that never sends its terminal must leave vzctl to be interrupted.
    let signals =
        relay::block_signals().context(Exit::SystemError, || "Cannot wait for signals".into())?;
    report.info(&format!("entered into CT {}", container.id));
    let stdin = std::io::stdin();
    let stdout = std::io::stdout();
    let _ = pty::copy_window_size(stdin.as_fd(), master.as_fd());
    // Without a terminal there is no mode to change: bytes are carried all the same.
    let raw = RawMode::enter(stdin.as_fd()).ok();
    let input = Input { from: stdin.as_fd(), to: Sink::Terminal(master.as_fd()) };
    let outputs = vec![Output { from: master.as_fd(), to: stdout.as_fd() }];
    let carried =
        relay::carry(Some(input), outputs, typed, process.pidfd.as_fd(), &signals, |signal| {
            match signal {
                Signal::SIGWINCH => {
                    let _ = pty::copy_window_size(stdin.as_fd(), master.as_fd());
                }
                // The admin has hung up, or wants us gone: so is the terminal, and its session.
                _ => {
                    let _ = killpg(process.pid, Signal::SIGHUP);
                }
            }
        });
    drop(raw);
    drop(master);
    carried.context(Exit::SystemError, || "Cannot carry the shell's terminal".into())?;
    let ended = reap(&process)?;
    report.info(&format!("exited from CT {}", container.id));
    match ended {
        Ended::Code(code) => Ok(code),
        Ended::Signal(signal) => {
            report.info(&format!("got signal {signal}"));
            Ok(128 + signal)
        }
    }
}

/// `-bash`, else `-sh`: the dash makes it a login shell.
fn login_shell(terminal_name: Option<&str>) -> Command {
    let term = format!("TERM={}", terminal_name.unwrap_or("linux"));
    let environment =
        [PATH, "HISTFILE=/dev/null", "USER=root", "HOME=/root", "LOGNAME=root", &term];
    let shell =
        |path: &std::ffi::CStr, name: &std::ffi::CStr| (path.to_owned(), vec![name.to_owned()]);
    Command {
        programs: vec![shell(c"/bin/bash", c"-bash"), shell(c"/bin/sh", c"-sh")],
        environment: environment.iter().filter_map(|text| CString::new(*text).ok()).collect(),
    }
}

/// Inside: opens a terminal of the container's devpts, sends its other end out, becomes the shell.
fn become_shell(command: &Command, line: &Channel) -> i32 {
    let prepare = || -> std::io::Result<()> {
        let pair = pty::open()?;
        line.send(b"M", &[pair.master.as_fd()])?;
        nix::unistd::setsid()?;
        pty::make_controlling(pair.slave.as_fd())?;
        for stream in 0..3 {
            clone::duplicate_to(pair.slave.as_fd(), stream)?;
        }
        Ok(())
    };
    match prepare() {
        Ok(()) => command.execute(),
        Err(_) => 1,
    }
}

fn receive_master(line: &Channel) -> Option<OwnedFd> {
    line.receive().ok()?.descriptors.pop()
}
