//! Asking systemd for a transient scope, over D-Bus.
//!
//! The few messages are written by hand. The crate that fits best (rustbus, blocking) would
//! bring second, older copies of nix, syn, thiserror and bitflags for two method calls; what is
//! needed is one connection, two calls and one signal.
//!
//! Root speaks to `/run/systemd/private`, systemd's own socket: no bus daemon has to run, and
//! systemd sends every signal there unasked. Where it refuses, the system bus is used. Sources:
//! the D-Bus specification; org.freedesktop.systemd1(5).
//!
//! Nothing polls by time: every wait is a poll(2) until the caller's timeout.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

#[path = "systemd_message.rs"]
mod message;
use message::{Header, Kind, Reader};
pub use message::{Malformed, Value};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const BUS: &str = "org.freedesktop.DBus";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

/// The longest answer of the authentication that is read (the specification's own limit).
const LONGEST_LINE: usize = 16 * 1024;

/// What went wrong in speaking to systemd.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Error {
    #[error("connect to systemd at {}: {source}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("authenticate to systemd at {}: it answers {answer:?}", path.display())]
    Refused { path: PathBuf, answer: String },
    #[error("{verb} systemd: {source}")]
    Exchange { verb: &'static str, source: io::Error },
    #[error("read message of systemd: {0}")]
    Malformed(#[from] Malformed),
    #[error("{method} {unit} by systemd: {text} ({name})")]
    Method { method: &'static str, unit: String, name: String, text: String },
    #[error("{method} {unit} by systemd: job ended with result {result:?}")]
    Job { method: &'static str, unit: String, result: String },
    #[error("{method} {unit} by systemd: no end within {} s", timeout.as_secs_f32())]
    Timeout { method: &'static str, unit: String, timeout: Duration },
}

impl Error {
    /// There is no such unit: what should be stopped is stopped.
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Method { name, .. } if name == NO_SUCH_UNIT)
    }

    /// There is a unit of that name already.
    pub fn is_unit_exists(&self) -> bool {
        matches!(self, Self::Method { name, .. } if name == UNIT_EXISTS)
    }
}

/// systemd runs this node (sd_booted(3)). `run` is `/run`.
pub fn is_booted(run: &Path) -> bool {
    run.join("systemd/system").symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// A scope to be made.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Name of the unit, with `.scope`.
    pub name: &'a str,
    /// Name of the slice it is in, with `.slice`.
    pub slice: &'a str,
    /// What `systemctl status` shows.
    pub description: &'a str,
    /// The processes that are moved into it; at least one.
    pub processes: &'a [u32],
    /// Further properties of a scope (systemd.scope(5), systemd.resource-control(5)).
    pub properties: &'a [(&'a str, Value<'a>)],
}

/// What makes a scope fit for a manager of its own inside: its cgroup is ours to divide, it is
/// forgotten when it ends however it ended, and systemd's count of tasks does not limit it.
pub const DELEGATED: &[(&str, Value<'static>)] = &[
    ("Delegate", Value::Bool(true)),
    ("CollectMode", Value::Text("inactive-or-failed")),
    ("TasksMax", Value::U64(u64::MAX)),
];

/// A connection to systemd.
#[derive(Debug)]
pub struct Manager {
    stream: UnixStream,
    serial: u32,
    /// What was received and is not a whole message yet.
    received: Vec<u8>,
}

/// A job that ended: its object path and its result.
struct EndedJob {
    path: String,
    result: String,
}

impl Manager {
    /// Connects to systemd: its private socket below `run` (`/run`), else the system bus there.
    pub fn connect(run: &Path, timeout: Duration) -> Result<Self, Error> {
        let deadline = Instant::now() + timeout;
        if let Ok(manager) = Self::connect_to(&run.join("systemd/private"), deadline) {
            return Ok(manager);
        }
        let mut manager = Self::connect_to(&run.join("dbus/system_bus_socket"), deadline)?;
        let hello = Call { destination: BUS, path: "/org/freedesktop/DBus", interface: BUS };
        manager.call(&hello, "Hello", &[], "", deadline, timeout)?;
        let rule = format!("type='signal',sender='{SYSTEMD}',interface='{MANAGER}'");
        manager.call(&hello, "AddMatch", &[Value::Text(&rule)], "", deadline, timeout)?;
        Ok(manager)
    }

    fn connect_to(path: &Path, deadline: Instant) -> Result<Self, Error> {
        let failed = |source| Error::Connect { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let mut manager = Self { stream, serial: 0, received: Vec::new() };
        // EXTERNAL: the kernel vouches for our uid, which is given in hex of its decimal text.
        let uid = nix::unistd::geteuid().to_string();
        let uid: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        manager.send(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes(), deadline).map_err(failed)?;
        let answer = manager.receive_line(deadline).map_err(failed)?;
        if !answer.starts_with("OK ") {
            return Err(Error::Refused { path: path.to_owned(), answer });
        }
        manager.send(b"BEGIN\r\n", deadline).map_err(failed)?;
        Ok(manager)
    }

    /// Makes a scope and waits until its processes are in it. The unit's name must be free
    /// ([`Error::is_unit_exists`]). `timeout` is for the whole.
    pub fn start_scope(&mut self, scope: &Scope<'_>, timeout: Duration) -> Result<(), Error> {
        let mut properties = vec![
            ("PIDs", Value::U32Array(scope.processes)),
            ("Slice", Value::Text(scope.slice)),
            ("Description", Value::Text(scope.description)),
        ];
        properties.extend_from_slice(scope.properties);
        let arguments = [
            Value::Text(scope.name),
            Value::Text("fail"),
            Value::Properties(&properties),
            Value::NoUnits,
        ];
        self.run_job("StartTransientUnit", scope.name, &arguments, timeout)
    }

    /// Stops a unit and waits until it has ended. [`Error::is_no_such_unit`] tells that there
    /// was none. `timeout` is for the whole.
    pub fn stop_unit(&mut self, name: &str, timeout: Duration) -> Result<(), Error> {
        self.run_job("StopUnit", name, &[Value::Text(name), Value::Text("replace")], timeout)
    }

    /// Calls a method that answers with a job, and waits for the job's end.
    fn run_job(
        &mut self,
        method: &'static str,
        unit: &str,
        arguments: &[Value<'_>],
        timeout: Duration,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        let manager = Call { destination: SYSTEMD, path: MANAGER_PATH, interface: MANAGER };
        let mut ended = Vec::new();
        let answer =
            self.call_and_hear(&manager, method, arguments, unit, (deadline, timeout), &mut ended)?;
        let job = Reader::new(&answer).text()?;
        loop {
            if let Some(job) = ended.iter().find(|ended| ended.path == job) {
                return match job.result.as_str() {
                    "done" => Ok(()),
                    result => Err(Error::Job { method, unit: unit.into(), result: result.into() }),
                };
            }
            let (header, body) = self
                .receive(deadline)
                .map_err(|error| name_timeout(error, method, unit, timeout))?;
            ended = ended_job(&header, &body)?.into_iter().collect();
        }
    }

    fn call(
        &mut self,
        call: &Call<'_>,
        method: &'static str,
        arguments: &[Value<'_>],
        unit: &str,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        self.call_and_hear(call, method, arguments, unit, (deadline, timeout), &mut Vec::new())
    }

    /// Calls a method and returns the body of its answer. A job may end before the answer of
    /// the call that made it is read: those that did are added to `ended`.
    fn call_and_hear(
        &mut self,
        call: &Call<'_>,
        method: &'static str,
        arguments: &[Value<'_>],
        unit: &str,
        (deadline, timeout): (Instant, Duration),
        ended: &mut Vec<EndedJob>,
    ) -> Result<Vec<u8>, Error> {
        self.serial += 1;
        let serial = self.serial;
        let message = message::method_call(serial, call, method, arguments);
        let named = |error| name_timeout(error, method, unit, timeout);
        let sending = |source| Error::Exchange { verb: "send to", source };
        self.send(&message, deadline).map_err(sending).map_err(named)?;
        loop {
            let (header, body) = self.receive(deadline).map_err(named)?;
            let answers = header.reply_to == Some(serial);
            match header.kind {
                Kind::Return if answers => return Ok(body),
                Kind::Error if answers => {
                    // The text is optional: an error may have no body.
                    let text = Reader::new(&body).text().unwrap_or_default();
                    let name = header.error.unwrap_or_default();
                    return Err(Error::Method { method, unit: unit.into(), name, text });
                }
                _ => ended.extend(ended_job(&header, &body)?),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) => self.wait_if_needed(error, PollFlags::POLLOUT, deadline)?,
            }
        }
        Ok(())
    }

    /// The next message, with its header read and its body still as bytes.
    fn receive(&mut self, deadline: Instant) -> Result<(Header, Vec<u8>), Error> {
        loop {
            if let Some(length) = message::length(&self.received)?
                && self.received.len() >= length
            {
                let rest = self.received.split_off(length);
                let whole = std::mem::replace(&mut self.received, rest);
                return Ok(message::split(&whole)?);
            }
            let receiving = |source| Error::Exchange { verb: "hear from", source };
            self.receive_more(deadline).map_err(receiving)?;
        }
    }

    fn receive_line(&mut self, deadline: Instant) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let rest = self.received.split_off(end + 2);
                let line = std::mem::replace(&mut self.received, rest);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.received.len() > LONGEST_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.receive_more(deadline)?;
        }
    }

    fn receive_more(&mut self, deadline: Instant) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.received.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    return Ok(());
                }
                Err(error) => self.wait_if_needed(error, PollFlags::POLLIN, deadline)?,
            }
        }
    }

    /// Waits for the socket when that is all that `error` says.
    fn wait_if_needed(
        &self,
        error: io::Error,
        events: PollFlags,
        deadline: Instant,
    ) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::Interrupted => return Ok(()),
            io::ErrorKind::WouldBlock => {}
            _ => return Err(error),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Rounded up, so that the last fraction of a millisecond is not spent in a busy loop.
        let left = left.as_millis().saturating_add(1);
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.stream.as_fd(), events)], left) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whom a method belongs to.
struct Call<'a> {
    destination: &'a str,
    path: &'a str,
    interface: &'a str,
}

/// JobRemoved(u id, o job, s unit, s result).
fn ended_job(header: &Header, body: &[u8]) -> Result<Option<EndedJob>, Malformed> {
    let is = |value: &Option<String>, wanted| value.as_deref() == Some(wanted);
    let removed = header.kind == Kind::Signal
        && is(&header.interface, MANAGER)
        && is(&header.member, "JobRemoved")
        && is(&header.signature, "uoss");
    if !removed {
        return Ok(None);
    }
    let mut body = Reader::new(body);
    body.number()?;
    let path = body.text()?;
    body.text()?;
    Ok(Some(EndedJob { path, result: body.text()? }))
}

/// Says which call ran out of time.
fn name_timeout(error: Error, method: &'static str, unit: &str, timeout: Duration) -> Error {
    match error {
        Error::Exchange { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
            Error::Timeout { method, unit: unit.to_owned(), timeout }
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
