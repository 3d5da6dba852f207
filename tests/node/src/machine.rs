//! What scenarios run on: the node or this machine, each with an agent.

use std::{fmt, io, path::PathBuf};

use crate::{Result, agent::Connection};

/// The kinds of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This machine, in namespaces of its own.
    Host,
    /// The node as systemd boots it.
    Systemd,
    /// The node with a small init, all cgroup2 controllers on.
    Plain,
}

impl Kind {
    /// The name it has in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Systemd => "systemd",
            Self::Plain => "plain",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A machine that is there.
pub trait Machine {
    /// Which kind it is.
    fn kind(&self) -> Kind;

    /// A free stream to its agent.
    ///
    /// # Errors
    /// The machine is gone.
    fn connect(&self) -> Result<Connection>;

    /// Makes it as it was in the beginning.
    ///
    /// # Errors
    /// It cannot be started again.
    fn reset(&mut self) -> Result<()>;

    /// Where the agent's binary is, as the machine sees it.
    fn agent(&self) -> PathBuf;

    /// Where OS templates are, as the machine sees it.
    fn templates(&self) -> PathBuf;

    /// `PATH` of a scenario.
    fn path(&self) -> String;
}

/// What a machine looks like now: [`vz_node_agent::state`].
///
/// # Errors
/// The agent does not answer.
pub fn picture(machine: &dyn Machine) -> Result<Vec<String>> {
    let agent = machine.agent();
    let output = machine.connect()?.call(&[&agent.to_string_lossy(), "state"], io::empty())?;
    Ok(String::from_utf8_lossy(&output).lines().map(str::to_string).collect())
}
