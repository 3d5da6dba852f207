//! What can go wrong around a node.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

/// A result of this package.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, worded as verb, object, value and cause.
#[derive(Debug, Error)]
pub enum Error {
    /// A system call on a file failed.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("run {command}: {status}{}", indented(stderr))]
    Tool {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A file is not what it should be.
    #[error("read {}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel package lacks a module the node needs.
    #[error("find kernel module {0}: neither built in nor a file")]
    Module(String),
    /// QEMU refused a command or closed its control socket.
    #[error("control QEMU: {command}: {reason}")]
    Qmp {
        /// The QMP command.
        command: String,
        /// The answer.
        reason: String,
    },
    /// QEMU ended by itself.
    #[error("run QEMU: it ended ({status}){}", indented(log))]
    Qemu {
        /// How it ended.
        status: String,
        /// What it wrote.
        log: String,
    },
    /// The agent does not answer.
    #[error("reach the agent: {reason}{}", indented(console))]
    Agent {
        /// What was seen instead.
        reason: String,
        /// The end of the machine's console, where there is one.
        console: String,
    },
    /// A command could not be started on the machine.
    #[error("run {command} on the machine: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// Why it failed.
        reason: String,
    },
    /// A command of the runner's own failed on the machine.
    #[error("run {command} on the machine: exit code {code}{}", indented(output))]
    Remote {
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
        /// What it wrote.
        output: String,
    },
    /// Something took longer than it may.
    #[error("wait for {what}: not there after {} s", limit.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// No node of this name runs.
    #[error("find node {0}: it is not running (start it with: cargo run -p vz-node -- start)")]
    NotRunning(String),
    /// A node of this name runs already.
    #[error("start node {0}: it is running already")]
    Running(String),
    /// The current directory is not inside the project.
    #[error("find the project from {}: no directory above has tests/scenarios", .0.display())]
    NoProject(PathBuf),
}

impl Error {
    /// For `map_err` after a call on a file.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// Foreign output below our line, each line set in.
fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("\n    {line}")).collect()
}
