//! A running node: a snapshot, a directory of its own, and the QEMU in it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    Error, Result,
    agent::Connection,
    cache,
    machine::{Kind, Machine},
    qemu::{self, Qemu},
    snapshot::Snapshot,
};

/// How long a restored node may take to answer. It takes half a second; a machine that builds
/// something besides takes longer.
const ANSWER: Duration = Duration::from_secs(30);

/// How long it may take to boot.
const BOOT: Duration = Duration::from_secs(180);

/// How long one hello is waited for before the next.
const HELLO: Duration = Duration::from_secs(5);

/// The directory of running nodes, one sub-directory each.
#[derive(Debug, Clone)]
pub struct Home {
    directory: PathBuf,
}

impl Home {
    /// The nodes in a directory, which is made if need be. What a killed runner left there is
    /// cleared: its QEMU ended, its files removed.
    ///
    /// # Errors
    /// The directory cannot be made, or something in it not removed.
    pub fn open(directory: PathBuf) -> Result<Self> {
        cache::make_directory(&directory)?;
        let home = Self { directory };
        for path in cache::sorted_entries(&home.directory)? {
            if path.is_dir() && !path.join("detached").exists() {
                home.clear_if_free(&path)?;
            }
            home.remove_old_lock(&path)?;
        }
        Ok(home)
    }

    /// A directory for files that go with the value returned.
    ///
    /// # Errors
    /// Another process has one of this name.
    pub fn scratch(&self, name: &str) -> Result<Scratch> {
        let (directory, lock) = self.claim(name)?;
        Ok(Scratch { directory, _lock: lock })
    }

    /// An empty directory, locked by its owner for as long as that lives.
    fn claim(&self, name: &str) -> Result<(PathBuf, File)> {
        let lock = cache::try_lock(&self.lock_file(name))?;
        let lock = lock.ok_or_else(|| Error::Running(name.into()))?;
        let directory = self.directory.join(name);
        qemu::clear(&directory)?;
        cache::make_directory(&directory)?;
        Ok((directory, lock))
    }

    fn clear_if_free(&self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match cache::try_lock(&self.lock_file(&name))? {
            Some(_lock) => qemu::clear(path),
            None => Ok(()),
        }
    }

    /// Names of test runs are never used again, unlike those of other nodes, whose lock another
    /// process may be about to take.
    fn remove_old_lock(&self, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let age = modified.and_then(|time| time.elapsed().ok()).unwrap_or_default();
        // A run that has just made its lock may not have taken it yet.
        let is_old = age > Duration::from_secs(60) && name.starts_with("test-");
        if is_old
            && name.ends_with(".lock")
            && !path.with_extension("").exists()
            && cache::try_lock(path)?.is_some()
        {
            fs::remove_file(path).map_err(Error::file("remove", path))?;
        }
        Ok(())
    }

    fn lock_file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.lock"))
    }
}

/// A directory of [`Home::scratch`], removed with this value.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    _lock: File,
}

impl Scratch {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to tell; the next run clears what stays.
        let _ = cache::remove(&self.directory);
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    snapshot: Snapshot,
    directory: PathBuf,
    qemu: Option<Qemu>,
    detached: bool,
    _lock: Option<File>,
}

impl Node {
    /// Starts a fresh node from a snapshot. A detached one is left running when this value goes,
    /// and found again by its name.
    ///
    /// # Errors
    /// A node of this name runs, or QEMU or the agent fail.
    pub fn restore(home: &Home, name: &str, snapshot: &Snapshot, detached: bool) -> Result<Self> {
        if detached && Qemu::find(&home.directory.join(name)).is_some() {
            return Err(Error::Running(name.into()));
        }
        let (directory, lock) = home.claim(name)?;
        let lock = Some(lock);
        let snapshot = snapshot.clone();
        let mut node = Self { snapshot, directory, qemu: None, detached, _lock: lock };
        node.begin()?;
        Ok(node)
    }

    /// Boots a node on the disks of a snapshot in the making.
    ///
    /// # Errors
    /// As [`Node::restore`]; the limit passes.
    pub fn boot(home: &Home, name: &str, unsaved: &Snapshot, limit: Duration) -> Result<Self> {
        let (directory, lock) = home.claim(name)?;
        let disks = &unsaved.directory;
        let qemu = Qemu::start(&unsaved.setup(disks, false, false), &directory)?;
        let (snapshot, lock) = (unsaved.clone(), Some(lock));
        let node = Self { snapshot, directory, qemu: Some(qemu), detached: false, _lock: lock };
        node.connect_within(limit)?.call(&["true"], io::empty())?;
        Ok(node)
    }

    /// A detached node that was started before.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn find(home: &Home, name: &str) -> Result<Self> {
        let directory = home.directory.join(name);
        let qemu = Qemu::find(&directory).ok_or_else(|| Error::NotRunning(name.into()))?;
        let file = directory.join("detached");
        let text = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
        let (flavour, snapshot) = text.split_once(' ').unwrap_or(("systemd", &text));
        let flavour = if flavour == "plain" { Kind::Plain } else { Kind::Systemd };
        let snapshot = Snapshot { directory: snapshot.into(), flavour };
        Ok(Self { snapshot, directory, qemu: Some(qemu), detached: true, _lock: None })
    }

    /// Takes the power away, and gives it back: what was not on its disks is lost.
    ///
    /// # Errors
    /// It does not boot from its disks.
    pub fn lose_power(&mut self) -> Result<()> {
        if let Some(qemu) = self.qemu.take() {
            qemu.stop()?;
        }
        let setup = self.snapshot.setup(&self.directory, false, self.detached);
        self.qemu = Some(Qemu::start(&setup, &self.directory)?);
        self.connect_within(BOOT)?.call(&["true"], io::empty()).map(drop)
    }

    /// Ends the node and removes what it kept.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(mut self) -> Result<()> {
        self.detached = false;
        self.end()
    }

    /// The snapshot it started from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Writes the memory to a file in the node's directory and ends QEMU; the directory.
    ///
    /// # Errors
    /// QEMU cannot.
    pub fn save(&mut self) -> Result<&Path> {
        if let Some(mut qemu) = self.qemu.take() {
            let mut control = qemu.control()?;
            control.save(qemu::SAVED_FILE)?;
            control.quit()?;
            qemu.stop()?;
        }
        Ok(&self.directory)
    }

    fn begin(&mut self) -> Result<()> {
        self.snapshot.make_disks(&self.directory)?;
        let memory = self.directory.join(qemu::MEMORY_FILE);
        symlink(self.snapshot.memory(), &memory).map_err(Error::file("link", &memory))?;
        let setup = self.snapshot.setup(&self.directory, true, self.detached);
        self.qemu = Some(Qemu::start(&setup, &self.directory)?);
        // Its clock stands where the memory was saved.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = format!("@{}.{:03}", now.as_secs(), now.subsec_millis());
        self.connect_within(ANSWER)?.call(&["date", "-s", &now], io::empty())?;
        if self.detached {
            let file = self.directory.join("detached");
            let text = format!("{} {}", self.snapshot.flavour, self.snapshot.directory.display());
            fs::write(&file, text).map_err(Error::file("write", &file))?;
        }
        Ok(())
    }

    fn connect_within(&self, limit: Duration) -> Result<Connection> {
        let qemu = self.qemu.as_ref().ok_or_else(|| Error::NotRunning("of this run".into()))?;
        let start = Instant::now();
        loop {
            match self.connect_once(qemu) {
                // A booting node has nobody who answers yet.
                Err(Error::TimedOut { .. }) if start.elapsed() < limit => {}
                Err(Error::TimedOut { what, .. }) => {
                    let reason = format!("{what} did not answer within {} s", limit.as_secs());
                    return Err(Error::Agent { reason, console: qemu.console() });
                }
                other => return other,
            }
        }
    }

    fn connect_once(&self, qemu: &Qemu) -> Result<Connection> {
        for number in 0..qemu::PORTS {
            let lock = self.directory.join(format!("{}.lock", qemu::port_file(number)));
            if let Some(lock) = cache::try_lock(&lock)? {
                return Connection::open(qemu.port(number)?, Some(lock), HELLO);
            }
        }
        let reason = format!("all {} ports are in use", qemu::PORTS);
        Err(Error::Agent { reason, console: String::new() })
    }

    fn end(&mut self) -> Result<()> {
        if let Some(qemu) = self.qemu.take() {
            qemu.stop()?;
        }
        cache::remove(&self.directory)
    }
}

impl Machine for Node {
    fn kind(&self) -> Kind {
        self.snapshot.flavour
    }

    fn connect(&self) -> Result<Connection> {
        self.connect_within(ANSWER)
    }

    fn reset(&mut self) -> Result<()> {
        self.end()?;
        cache::make_directory(&self.directory)?;
        self.begin()
    }

    fn agent(&self) -> PathBuf {
        "/run/vz-node/agent".into()
    }

    fn templates(&self) -> PathBuf {
        "/var/lib/vz/template/cache".into()
    }

    fn path(&self) -> String {
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !self.detached {
            // Nobody is left to tell; the next run clears what stays.
            let _ = self.end();
        }
    }
}
