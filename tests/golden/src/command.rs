//! A command with a time limit.

use std::{
    io::{Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{Error, Result};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, below 0 the signal that ended it.
    pub rc: i32,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote there.
    pub stderr: String,
}

/// How long what a command has left running may hold its streams.
const STREAMS: Duration = Duration::from_secs(3);

/// Runs a command in a process group of its own, which is killed when the time is over.
///
/// # Errors
/// It cannot be started.
pub fn run(mut command: Command, stdin: &str, limit: Duration) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(Error::start(&name))?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read may have closed it.
        let _ = input.write_all(stdin.as_bytes());
    }
    let status = wait(&mut child, limit).map_err(Error::start(&name))?;
    let until = Instant::now() + STREAMS;
    let rc = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
    Ok(Ended { rc, stdout: text(&stdout, until), stderr: text(&stderr, until) })
}

/// Reads a stream piece by piece: a monitor that was left running may keep it open.
fn reader(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 65536];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn text(pieces: &mpsc::Receiver<Vec<u8>>, until: Instant) -> String {
    let mut bytes = Vec::new();
    while let Ok(piece) = pieces.recv_timeout(until.saturating_duration_since(Instant::now())) {
        bytes.extend(piece);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<ExitStatus> {
    let until = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
    child.wait()
}
