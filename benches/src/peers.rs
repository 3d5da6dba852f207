//! The peers: crun and lxc on the same files, in the same namespaces.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use crate::measure;

/// How long a guest may take to boot.
const BOOT: Duration = Duration::from_secs(120);

/// First id of the node that the peers' containers are mapped to; crun-config.json has it as well.
const ID_BASE: u32 = 450 << 16;

fn unpack(archive: &Path, root: &Path) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).create(root)?;
    measure::run(tar(archive, root)).map(|_| ())
}

/// GNU tar unpacking `archive` into `root`, as the original vzctl's script does.
pub fn tar(archive: &Path, root: &Path) -> Command {
    let options = ["--numeric-owner".as_ref(), "-xzf".as_ref(), archive.as_os_str()];
    let mut command = measure::command(Path::new("/bin/tar"), options);
    command.arg("-C").arg(root);
    command
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::File::options();
    let file = options.write(true).create_new(true).mode(0o644).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("Cannot write {}", path.display()))
}

/// crun with one bundle. It sets no device filter, which ours does: crun would raise
/// RLIMIT_MEMLOCK for that, and not every machine lets it.
#[derive(Debug)]
pub struct Crun {
    state: PathBuf,
    bundle: PathBuf,
}

impl Crun {
    /// Makes a bundle of `archive` below `directory`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare(archive: &Path, directory: &Path) -> Result<Crun> {
        let bundle = directory.join("bundle");
        let root = bundle.join("rootfs");
        unpack(archive, &root)?;
        // crun shows its root file system through no id map: its files belong to the mapped root.
        let owner = format!("{ID_BASE}:{ID_BASE}");
        measure::run(measure::command(
            Path::new("/bin/chown"),
            ["-R".as_ref(), owner.as_ref(), root.as_os_str()],
        ))?;
        write_new(&bundle.join("config.json"), include_str!("../crun-config.json"))?;
        Ok(Crun { state: directory.join("state"), bundle })
    }

    fn run(&self, words: &[&str]) -> Result<Duration> {
        let mut command = Command::new("/usr/bin/crun");
        command.arg("--root").arg(&self.state).arg("--cgroup-manager=cgroupfs").args(words);
        measure::run(command)
    }

    /// Creates and starts the container.
    ///
    /// # Errors
    /// When that fails.
    pub fn start(&self) -> Result<Duration> {
        let bundle = self.bundle.display().to_string();
        Ok(self.run(&["create", "--bundle", &bundle, "bench"])? + self.run(&["start", "bench"])?)
    }

    /// Runs `true` in it.
    ///
    /// # Errors
    /// When that fails.
    pub fn exec(&self) -> Result<Duration> {
        self.run(&["exec", "bench", "true"])
    }

    /// Kills and removes it.
    ///
    /// # Errors
    /// When that fails.
    pub fn delete(&self) -> Result<Duration> {
        self.run(&["delete", "-f", "bench"])
    }
}

/// lxc with one container, whose systemd tells on a socket when it is up, as `start --wait` is told.
#[derive(Debug)]
pub struct Lxc {
    directory: PathBuf,
    ready: UnixDatagram,
}

impl Lxc {
    /// Makes a container of `archive` below `directory`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare(archive: &Path, directory: &Path) -> Result<Lxc> {
        let root = directory.join("bench/rootfs");
        unpack(archive, &root)?;
        let socket = directory.join("notify");
        let ready = UnixDatagram::bind(&socket)?;
        // The container's root is nobody here.
        let mode = Mode::from_bits_truncate(0o666);
        fchmodat(AT_FDCWD, &socket, mode, FchmodatFlags::FollowSymlink)?;
        let config = format!(
            "lxc.uts.name = bench\n\
             lxc.rootfs.path = dir:{root}\n\
             lxc.rootfs.options = idmap=container\n\
             lxc.idmap = u 0 {ID_BASE} 65536\n\
             lxc.idmap = g 0 {ID_BASE} 65536\n\
             lxc.net.0.type = empty\n\
             lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\n\
             lxc.mount.entry = {socket} dev/notify none bind,create=file 0 0\n\
             lxc.environment = NOTIFY_SOCKET=/dev/notify\n\
             lxc.tty.max = 0\n",
            root = root.display(),
            socket = socket.display(),
        );
        write_new(&directory.join("bench/config"), &config)?;
        Ok(Lxc { directory: directory.to_owned(), ready })
    }

    fn run(&self, program: &str, words: &[&str]) -> Result<Duration> {
        let mut command = Command::new(format!("/usr/bin/{program}"));
        command.arg("-P").arg(&self.directory).args(["-n", "bench"]).args(words);
        measure::run(command)
    }

    /// Starts it and waits until its systemd says that the boot has finished.
    ///
    /// # Errors
    /// When it does not start, or not in time.
    pub fn start(&self) -> Result<Duration> {
        let start = Instant::now();
        self.run("lxc-start", &[])?;
        let mut text = [0; 4096];
        loop {
            let left = BOOT.saturating_sub(start.elapsed());
            if left.is_zero() {
                bail!("the guest under lxc has not booted in {} s", BOOT.as_secs());
            }
            self.ready.set_read_timeout(Some(left))?;
            let Ok(length) = self.ready.recv(&mut text) else { continue };
            if text[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(start.elapsed());
            }
        }
    }

    /// Kills it.
    ///
    /// # Errors
    /// When that fails.
    pub fn stop(&self) -> Result<Duration> {
        let stopped = self.run("lxc-stop", &["-k"])?;
        // Nothing said in its last moments counts for the next start.
        self.ready.set_read_timeout(Some(Duration::from_millis(10)))?;
        while self.ready.recv(&mut [0; 4096]).is_ok() {}
        Ok(stopped)
    }
}
