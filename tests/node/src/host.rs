//! This machine as one scenarios run on: in mount, network, process, IPC and UTS namespaces of
//! its own, so that what a scenario leaves is seen apart from what others do here, and goes with
//! the namespaces.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    Error, Result,
    agent::Connection,
    machine::{Kind, Machine},
    project::Project,
    tool,
};

/// The first process: it reaps orphans, as bash does while it reads, and ends with our pipe.
const FIRST: &str = "ip link set lo up && echo ready && while read -r _; do :; done";

const NAMESPACES: [&str; 5] = ["--mount", "--net", "--pid", "--ipc", "--uts"];

/// Namespaces of this machine, gone with this value and all that runs in them.
#[derive(Debug)]
pub struct Host {
    agent: PathBuf,
    binaries: PathBuf,
    templates: PathBuf,
    unshare: Child,
}

impl Host {
    /// Makes the namespaces.
    ///
    /// # Errors
    /// We are not root, or a tool is missing.
    pub fn start(project: &Project) -> Result<Self> {
        Ok(Self {
            agent: project.agent(),
            binaries: project.binaries(),
            templates: project.templates(),
            unshare: unshare()?,
        })
    }

    /// The first process of the namespaces, as numbered outside.
    fn first(&self) -> Result<String> {
        let id = self.unshare.id();
        let file = PathBuf::from(format!("/proc/{id}/task/{id}/children"));
        let children = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
        let gone = || Error::Agent {
            reason: "the first process of the namespaces is gone".into(),
            console: String::new(),
        };
        children.split_whitespace().next().map(str::to_string).ok_or_else(gone)
    }

    fn end(&mut self) {
        // Killing unshare kills the first process, and the kernel all the others with it.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn unshare() -> Result<Child> {
    let mut command = tool::command(&["setpriv", "--pdeathsig", "KILL", "--", "unshare"]);
    command.args(NAMESPACES).args(["--fork", "--kill-child", "--mount-proc", "--"]);
    command.args(["bash", "--noprofile", "--norc", "-c", FIRST]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let failed = |source| Error::Start { program: "unshare".into(), source };
    let mut unshare = command.spawn().map_err(failed)?;
    let mut line = String::new();
    if let Some(output) = unshare.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(Error::file("read from", "unshare"))?;
    }
    if line != "ready\n" {
        let _ = unshare.kill();
        let status = unshare.wait().map_err(Error::file("wait for", "unshare"))?.to_string();
        return Err(Error::Tool { command: "unshare".into(), status, stderr: line });
    }
    Ok(unshare)
}

impl Machine for Host {
    fn kind(&self) -> Kind {
        Kind::Host
    }

    fn connect(&self) -> Result<Connection> {
        let socket = Error::file("make", "a socket pair");
        let (ours, theirs) = UnixStream::pair().map_err(socket)?;
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first()?).args(NAMESPACES).arg("--");
        command.arg(&self.agent).arg("stdin");
        command.stdin(File::from(OwnedFd::from(theirs))).stdout(Stdio::null());
        let failed = |source| Error::Start { program: "nsenter".into(), source };
        let mut agent = command.spawn().map_err(failed)?;
        // It ends with the connection; somebody has to reap it.
        std::thread::spawn(move || agent.wait());
        Connection::open(ours, None, Duration::from_secs(30))
    }

    fn reset(&mut self) -> Result<()> {
        self.end();
        self.unshare = unshare()?;
        Ok(())
    }

    fn agent(&self) -> PathBuf {
        self.agent.clone()
    }

    fn templates(&self) -> PathBuf {
        self.templates.clone()
    }

    fn path(&self) -> String {
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        format!("{}:{system}", self.binaries.display())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}
