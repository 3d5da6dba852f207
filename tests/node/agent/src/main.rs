//! `vz-node-agent ports` serves the node's virtio-serial ports, `stdin` the socket on standard
//! input, `state` prints what [`vz_node_agent::state`] sees.

#![forbid(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::ExitCode,
    thread,
};

use vz_node_agent::{
    ports,
    serve::{HangUp, serve},
    state,
};

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("ports") => serve_ports(),
        Some("stdin") => serve_stdin(),
        Some("state") => print_state(),
        _ => Err(io::Error::other("usage: vz-node-agent ports|stdin|state")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere else to say it.
            let _ = writeln!(io::stderr(), "vz-node-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves each port in a thread of its own; returns only when a port failed.
fn serve_ports() -> io::Result<()> {
    let (failed, failure) = std::sync::mpsc::channel();
    for path in ports::find()? {
        let failed = failed.clone();
        let port = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(&path)?;
        thread::Builder::new().name(path.display().to_string()).spawn(move || {
            if let Err(error) = serve(&port, HangUp::Wait) {
                // The receiver lives as long as the process.
                let _ = failed.send(error);
            }
        })?;
    }
    Err(failure.recv().unwrap_or_else(|_| io::ErrorKind::NotConnected.into()))
}

fn serve_stdin() -> io::Result<()> {
    serve(&File::from(io::stdin().as_fd().try_clone_to_owned()?), HangUp::Return)
}

fn print_state() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in state::collect(Path::new("/")) {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()
}
