//! This machine as one scenarios run on: in mount, network, process, IPC and UTS namespaces of
//! its own, so that what a scenario leaves is seen apart from what others do here, and goes with
//! the namespaces. Our tree is installed there over the machine's own: on overlays of `/etc`,
//! `/usr` and `/var` that nobody else sees.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    Error, Result,
    agent::Connection,
    cache, install,
    machine::{Kind, Machine},
    project::Project,
    tool,
};

/// The first process: it installs our tree, reaps orphans, as bash does while it reads, and ends
/// with our pipe. Containers' files lie on a directory of the machine, not on an overlay: an
/// overlay cannot be id-mapped.
const FIRST: &str = r#"
set -e
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs "$WORK"
mkdir "$WORK/run"
for top in etc var; do
	mkdir -p "$WORK/$top/upper" "$WORK/$top/work"
	layers=lowerdir=$STAGE/$top:/$top,upperdir=$WORK/$top/upper,workdir=$WORK/$top/work
	mount -t overlay -o "$layers" overlay "/$top"
done
mount -t overlay -o "lowerdir=$STAGE/usr:/usr" overlay /usr
mount --bind "$DATA" /var/lib/vz
mount -t tmpfs -o mode=755 tmpfs /run
sed -i 's/^VE_LAYOUT=.*/VE_LAYOUT="ploop"/' /etc/vz/vz.conf
set +e
echo ready
while read -r _; do :; done
"#;

const NAMESPACES: [&str; 5] = ["--mount", "--net", "--pid", "--ipc", "--uts"];

/// Namespaces of this machine, gone with this value and all that runs in them.
#[derive(Debug)]
pub struct Host {
    agent: PathBuf,
    binaries: PathBuf,
    templates: PathBuf,
    place: PathBuf,
    unshare: Child,
}

impl Host {
    /// Makes the namespaces.
    ///
    /// # Errors
    /// We are not root, or a tool is missing.
    pub fn start(project: &Project) -> Result<Self> {
        let place = project.state().join("host");
        let stage = place.join("stage");
        cache::remove(&stage)?;
        cache::make_directory(&stage)?;
        install::stage(project, &stage)?;
        let unshare = unshare(&place, &project.templates())?;
        Ok(Self {
            agent: project.agent(),
            binaries: project.binaries(),
            templates: project.templates(),
            place,
            unshare,
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

/// The containers' files of one run, empty but for the templates.
fn make_data(place: &Path, templates: &Path) -> Result<PathBuf> {
    let data = place.join("vz");
    cache::remove(&data)?;
    let installed = place.join("stage/var/lib/vz");
    tool::run(tool::command(&["cp", "-a", "--"]).arg(installed).arg(&data))?;
    let copy = "mkdir -p \"$2\" && cp -l -- \"$1\"/*.tar.* \"$2\"/ 2>/dev/null || :";
    let cache = data.join("template/cache");
    tool::run(tool::command(&["sh", "-c", copy, "sh"]).arg(templates).arg(cache))?;
    Ok(data)
}

fn unshare(place: &Path, templates: &Path) -> Result<Child> {
    let work = place.join("work");
    cache::make_directory(&work)?;
    let data = make_data(place, templates)?;
    let mut command = tool::command(&["setpriv", "--pdeathsig", "KILL", "--", "unshare"]);
    command.args(NAMESPACES).args(["--fork", "--kill-child", "--mount-proc", "--"]);
    command.args(["bash", "--noprofile", "--norc", "-c", FIRST]);
    command.env("STAGE", place.join("stage")).env("WORK", &work).env("DATA", data);
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
        self.unshare = unshare(&self.place, &self.templates)?;
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
