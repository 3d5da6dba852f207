//! QEMU's control socket: one JSON object a line (QEMU Machine Protocol).

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Error, Result};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// An open control socket, ready for commands.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Greets QEMU on a connected socket.
    ///
    /// # Errors
    /// It does not answer as QEMU does.
    pub fn open(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER)).map_err(|error| failure("connect", &error))?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.read("connect")?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command; what it returns.
    ///
    /// # Errors
    /// QEMU's own refusal, or the socket fails.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        let stream = self.stream.get_mut();
        stream.write_all(line.as_bytes()).map_err(|error| failure(command, &error))?;
        loop {
            // Events come in between.
            let mut answer = self.read(command)?;
            if let Some(error) = answer.get("error") {
                return Err(failure(command, &error["desc"]));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Stops the machine and writes its RAM and devices to a file in QEMU's directory.
    ///
    /// # Errors
    /// QEMU cannot, or needs more than a minute.
    pub fn save(&mut self, file: &str) -> Result<()> {
        self.execute("stop", &json!({}))?;
        // The default is for a network, not a disk.
        self.execute("migrate-set-parameters", &json!({ "max-bandwidth": 1u64 << 40 }))?;
        self.execute("migrate", &json!({ "uri": format!("exec:cat > {file}") }))?;
        self.wait("saved memory", |qmp| {
            let state = qmp.execute("query-migrate", &json!({}))?;
            match state["status"].as_str() {
                Some("completed") => Ok(true),
                Some("failed" | "cancelled") => Err(failure("migrate", &state)),
                _ => Ok(false),
            }
        })
    }

    /// Waits for the memory given with `-incoming`, then lets the machine run.
    ///
    /// # Errors
    /// QEMU cannot read it, or needs more than a minute.
    pub fn resume(&mut self) -> Result<()> {
        self.wait("restored memory", |qmp| {
            let state = qmp.execute("query-status", &json!({}))?;
            Ok(state["status"] != "inmigrate")
        })?;
        self.execute("cont", &json!({})).map(drop)
    }

    /// Ends QEMU at once, as pulling the plug.
    ///
    /// # Errors
    /// The socket fails.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", &json!({})).map(drop)
    }

    fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let limit = Duration::from_secs(60);
        let start = Instant::now();
        while !done(self)? {
            if start.elapsed() > limit {
                return Err(Error::TimedOut { what: what.into(), limit });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn read(&mut self, command: &str) -> Result<Value> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).map_err(|error| failure(command, &error))?;
        if count == 0 {
            return Err(failure(command, &"connection closed"));
        }
        serde_json::from_str(&line).map_err(|error| failure(command, &error))
    }
}

fn failure(command: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Qmp { command: command.into(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays QEMU: sends lines, whatever is asked.
    fn qmp(answers: &str) -> Result<Qmp> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers.as_bytes()).unwrap();
        std::thread::spawn(move || {
            let mut asked = String::new();
            std::io::Read::read_to_string(&mut theirs, &mut asked)
        });
        Qmp::open(ours)
    }

    #[test]
    fn events_are_passed_over() {
        let mut qmp =
            qmp("{\"QMP\":{}}\n{\"return\":{}}\n{\"event\":\"STOP\"}\n{\"return\":5}\n").unwrap();
        assert_eq!(qmp.execute("query", &json!({})).unwrap(), 5);
    }

    #[test]
    fn a_refusal_is_told_in_qemus_words() {
        let mut qmp =
            qmp("{\"QMP\":{}}\n{\"return\":{}}\n{\"error\":{\"desc\":\"no such disk\"}}\n")
                .unwrap();
        let error = qmp.execute("eject", &json!({})).unwrap_err().to_string();
        assert_eq!(error, "control QEMU: eject: \"no such disk\"");
    }

    #[test]
    fn what_is_not_qemu_is_an_error() {
        assert!(qmp("SSH-2.0\n").is_err());
    }
}
