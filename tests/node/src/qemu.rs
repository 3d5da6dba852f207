//! A QEMU process and the directory it runs in: its sockets, disks, log and console.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::AsRawFd,
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use vz_node_agent::ports;

use crate::{Error, Result, cache, machine::Kind, qmp::Qmp};

/// Streams to the agent, each good for one command at a time.
pub const PORTS: usize = 6;

/// Memory of a node, in MiB.
const MEMORY: &str = "2048";

/// Memory to start from, in QEMU's directory.
pub const MEMORY_FILE: &str = "memory";

/// Memory being saved, in QEMU's directory.
pub const SAVED_FILE: &str = "memory.saved";

const PROGRAM: &str = "qemu-system-x86_64";

/// How a machine is started. Everything but `restore` must be the same when memory is saved and
/// when it is restored.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Init system of the node.
    pub flavour: Kind,
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// The directory of the disks, `root.qcow2` and `data.qcow2`.
    pub disks: PathBuf,
    /// Whether memory is taken from [`MEMORY_FILE`] instead of booting.
    pub restore: bool,
    /// Whether the machine outlives this process.
    pub detached: bool,
}

/// A QEMU process by its directory.
#[derive(Debug)]
pub struct Qemu {
    directory: PathBuf,
    process: Process,
}

#[derive(Debug)]
enum Process {
    /// Ours, killed when dropped unless it was started detached.
    Child { child: Child, detached: bool },
    /// Another's, found by its process id.
    Found(Pid),
}

/// QEMU's version, which saved memory depends on.
///
/// # Errors
/// QEMU is not installed.
pub fn version() -> Result<String> {
    let output = crate::tool::run(Command::new(PROGRAM).arg("--version"))?;
    Ok(String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_string())
}

/// What the command line of a machine is made of, for a cache key.
pub const RECIPE: &str = include_str!("qemu.rs");

impl Qemu {
    /// Starts a machine in a directory of its own.
    ///
    /// # Errors
    /// QEMU is not installed, or ends at once.
    pub fn start(setup: &Setup, directory: &Path) -> Result<Self> {
        let log = directory.join("qemu.log");
        let log = File::create(&log).map_err(Error::file("create", &log))?;
        let errors = log.try_clone().map_err(Error::file("open", directory))?;
        // Where the runner is killed, the machine must not stay: setpriv(1) execs QEMU.
        let mut command = if setup.detached {
            Command::new(PROGRAM)
        } else {
            crate::tool::command(&["setpriv", "--pdeathsig", "KILL", "--", PROGRAM])
        };
        command.args(arguments(setup)).current_dir(directory).process_group(0);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child =
            command.spawn().map_err(|source| Error::Start { program: PROGRAM.into(), source })?;
        let pid = directory.join("pid");
        fs::write(&pid, child.id().to_string()).map_err(Error::file("write", &pid))?;
        let process = Process::Child { child, detached: setup.detached };
        let mut qemu = Self { directory: directory.into(), process };
        let mut control = qemu.control()?;
        if setup.restore {
            control.resume()?;
        }
        Ok(qemu)
    }

    /// A machine that another process started in this directory.
    pub fn find(directory: &Path) -> Option<Self> {
        let pid: i32 = fs::read_to_string(directory.join("pid")).ok()?.parse().ok()?;
        // The number may be another's by now; only a QEMU in this very directory is ours.
        let process = PathBuf::from(format!("/proc/{pid}"));
        let lives_here =
            fs::canonicalize(process.join("cwd")).ok()? == fs::canonicalize(directory).ok()?;
        let program = fs::read_to_string(process.join("comm")).ok()?;
        let is_qemu = program.starts_with("qemu") || program.starts_with("setpriv");
        let process = Process::Found(Pid::from_raw(pid));
        (lives_here && is_qemu).then(|| Self { directory: directory.into(), process })
    }

    /// Its control socket.
    ///
    /// # Errors
    /// QEMU ended, or does not listen within ten seconds.
    pub fn control(&mut self) -> Result<Qmp> {
        let limit = Duration::from_secs(10);
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(stream) = self.connect("qmp") {
                return Qmp::open(stream);
            }
            self.check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error::TimedOut { what: "QEMU's control socket".into(), limit })
    }

    /// The agent's port of this number.
    ///
    /// # Errors
    /// Nothing listens there.
    pub fn port(&self, number: usize) -> Result<UnixStream> {
        let path = self.directory.join(port_file(number));
        self.connect(&port_file(number)).map_err(Error::file("connect to", path))
    }

    /// An address of a Unix socket is short (unix(7)), a target directory may not be: the way
    /// goes through a descriptor.
    fn connect(&self, file: &str) -> io::Result<UnixStream> {
        let directory = File::open(&self.directory)?;
        UnixStream::connect(format!("/proc/self/fd/{}/{file}", directory.as_raw_fd()))
    }

    /// Fails with QEMU's own words when it has ended.
    ///
    /// # Errors
    /// It has.
    pub fn check(&mut self) -> Result<()> {
        let status = match &mut self.process {
            Process::Child { child, .. } => {
                child.try_wait().map_err(Error::file("wait for", PROGRAM))?
            }
            Process::Found(pid) => kill(*pid, None).is_err().then(|| ExitStatus::from_raw(0)),
        };
        let Some(status) = status else { return Ok(()) };
        let log = tail(&self.directory.join("qemu.log"));
        Err(Error::Qemu { status: status.to_string(), log })
    }

    /// The end of what the machine wrote to its serial console.
    pub fn console(&self) -> String {
        tail(&self.directory.join("console"))
    }

    /// Ends it and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        match &mut self.process {
            Process::Child { child, .. } => {
                // A child that has ended is what is wanted.
                let _ = child.kill();
                child.wait().map(drop).map_err(Error::file("wait for", PROGRAM))
            }
            Process::Found(pid) => {
                let pid = *pid;
                // Its number is checked in `find`, just before.
                let _ = kill(pid, Signal::SIGKILL);
                wait_until_gone(pid)
            }
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        if let Process::Child { detached: false, .. } = self.process {
            // Nobody is left to tell.
            let _ = self.end();
        }
    }
}

fn wait_until_gone(pid: Pid) -> Result<()> {
    let limit = Duration::from_secs(10);
    let start = Instant::now();
    // Not our child, so there is nothing to wait on but its number.
    while start.elapsed() < limit {
        if kill(pid, None).is_err() || is_zombie(pid) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Error::TimedOut { what: format!("end of QEMU, process {pid}"), limit })
}

fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, tail)| tail.starts_with('Z'))
}

/// The socket of a port, in QEMU's directory.
pub fn port_file(number: usize) -> String {
    format!("port{number}")
}

/// Sockets and memory are named without a directory: QEMU runs in it.
fn arguments(setup: &Setup) -> Vec<String> {
    let flavour = setup.flavour.name();
    // Mitigations cost half the speed here and protect nothing; net.ifnames=0 for a plain eth0.
    let kernel_line = format!(
        "console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 mitigations=off \
         vz-node.flavour={flavour}"
    );
    let mut words: Vec<String> = [
        "-machine",
        "q35",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        MEMORY,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-monitor",
        "none",
        "-serial",
        "file:console",
        "-qmp",
        "unix:qmp,server=on,wait=off",
        "-device",
        "virtio-serial-pci,max_ports=16",
        "-netdev",
        "user,id=net0",
        "-device",
        "virtio-net-pci,netdev=net0,romfile=",
    ]
    .map(String::from)
    .into();
    let mut add = |option: &str, value: String| words.extend([option.into(), value]);
    add("-kernel", setup.kernel.display().to_string());
    add("-initrd", setup.initramfs.display().to_string());
    add("-append", kernel_line);
    for number in 0..PORTS {
        let file = port_file(number);
        add("-chardev", format!("socket,id=port{number},path={file},server=on,wait=off"));
        let name = format!("{}{number}", ports::PREFIX);
        add("-device", format!("virtserialport,chardev=port{number},name={name}"));
    }
    for disk in ["root", "data"] {
        // A lost machine loses its disks: flushing them to ours is time wasted.
        // A comma in a file name is doubled (qemu(1)).
        let file = setup.disks.join(format!("{disk}.qcow2")).display().to_string();
        let file = file.replace(',', ",,");
        let options = "format=qcow2,cache=unsafe,discard=unmap,if=none";
        add("-drive", format!("file={file},{options},id={disk}"));
        add("-device", format!("virtio-blk-pci,drive={disk}"));
    }
    if setup.restore {
        add("-incoming", format!("exec:cat {MEMORY_FILE}"));
    }
    words
}

/// The last lines of a file that may be long or absent.
fn tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(4096)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).replace('\r', "");
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Makes an empty copy-on-write disk over another, named as seen from the new one.
///
/// # Errors
/// qemu-img(1) is not installed or fails.
pub fn overlay(disk: &Path, backing: &Path, format: &str) -> Result<()> {
    let mut command =
        crate::tool::command(&["qemu-img", "create", "-q", "-f", "qcow2", "-F", format]);
    crate::tool::run(command.arg("-b").arg(backing).arg(disk)).map(drop)
}

/// Removes a machine's directory, ending the machine first.
///
/// # Errors
/// It does not end, or a file cannot be removed.
pub fn clear(directory: &Path) -> Result<()> {
    if let Some(qemu) = Qemu::find(directory) {
        qemu.stop()?;
    }
    cache::remove(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_elsewhere_is_not_taken_for_ours() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Qemu::find(directory.path()).is_none());
        let mut other =
            Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();
        fs::write(directory.path().join("pid"), other.id().to_string()).unwrap();
        assert!(Qemu::find(directory.path()).is_none());
        clear(directory.path()).unwrap();
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
