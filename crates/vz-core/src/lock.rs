//! `LOCKDIR/CTID.lck`: one command at a time on a container.
//!
//! The file is the original's: made whole and linked into place, `PID`, a newline, an (always
//! empty) status and another newline, mode 0600; panels and scripts make and read such files
//! themselves. Besides, its maker holds a flock(2) on it, which ends with the process whatever
//! way that ends: so a stale file is told from a live one even when the number it names has been
//! given to another process, and of two that find it stale only one takes it over. Children that a
//! killed owner has left share its flock(2) until they have closed what they got from it: such a
//! file, locked and its owner dead, is free in a moment, which is waited for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use vz_conf::new_file::NewFile;
use vz_sys::proc;

/// How long what a dead owner has left may hold its lock.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A lock that is held for as long as this lives.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum Outcome {
    /// It is ours now; `stale` says that a dead owner's file had to be removed.
    Taken {
        /// The lock.
        lock: Lock,
        /// The file of a dead owner was removed.
        stale: bool,
    },
    /// A live process has it.
    Held {
        /// Its process id, where the file names one.
        pid: Option<i32>,
        /// Its command line, where it can be read.
        command_line: String,
    },
}

/// Takes the lock file `path`, making its directory if need be.
///
/// # Errors
/// Those of making, linking, reading and removing the file.
pub fn take(path: &Path) -> io::Result<Outcome> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory) {
        // A file in its place: what making the lock file itself would answer.
        let is_file = directory.exists() && !directory.is_dir();
        return Err(if is_file { io::Error::from_raw_os_error(nix::libc::ENOTDIR) } else { error });
    }
    let mut stale = false;
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = link_new(path, directory)? {
            return Ok(Outcome::Taken { lock, stale });
        }
        match examine(path)? {
            Found::Gone => {}
            Found::Stale { named_owner } => stale |= named_owner,
            Found::Abandoned if Instant::now() < end => std::thread::sleep(LOOK_AGAIN),
            Found::Abandoned => {
                return Ok(Outcome::Held { pid: None, command_line: String::new() });
            }
            Found::Held { pid, command_line } => return Ok(Outcome::Held { pid, command_line }),
        }
    }
}

/// Removes the lock file `path` when its owner is dead.
///
/// # Errors
/// Those of reading and removing the file; that there is none is not one.
pub fn remove_stale(path: &Path) -> io::Result<()> {
    examine(path).map(drop)
}

/// Makes the file without a name, locked, then links it: `None` when there is one already.
fn link_new(path: &Path, directory: &Path) -> io::Result<Option<Lock>> {
    let new = NewFile::beside(directory)?;
    new.file().write_all(format!("{}\n\n", std::process::id()).as_bytes())?;
    new.file().lock()?;
    match new.link(path) {
        Ok(file) => Ok(Some(Lock { path: path.to_owned(), file })),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

enum Found {
    Gone,
    Stale {
        named_owner: bool,
    },
    /// Locked, by others than its owner, who is dead.
    Abandoned,
    Held {
        pid: Option<i32>,
        command_line: String,
    },
}

/// Looks at an existing lock file, and removes it when its owner is dead.
fn examine(path: &Path) -> io::Result<Found> {
    let options = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).clone();
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    (&mut file).take(64).read_to_string(&mut text)?;
    let pid = text.split_ascii_whitespace().next().and_then(|word| word.parse::<i32>().ok());
    let held = |pid: Option<i32>| Found::Held {
        pid,
        command_line: pid
            .and_then(|pid| proc::command_line(Pid::from_raw(pid)).ok())
            .unwrap_or_default(),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) if pid.is_none_or(|pid| made_by(pid, &file)) => {
            return Ok(held(pid));
        }
        Err(TryLockError::WouldBlock) => return Ok(Found::Abandoned),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // From here on nobody else takes this very file over.
    if !is_still(path, &file)? {
        return Ok(Found::Gone);
    }
    if pid.is_some_and(|pid| made_by(pid, &file)) {
        return Ok(held(pid));
    }
    std::fs::remove_file(path)?;
    Ok(Found::Stale { named_owner: pid.is_some() })
}

fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says whether the live process `pid` can have written `file`: it does not count when the number
/// was given to a process younger than the file, nor when it ends or only waits to be reaped.
fn made_by(pid: i32, file: &File) -> bool {
    let pid = Pid::from_raw(pid);
    let Ok(start) = proc::start_time(pid) else { return false };
    if proc::is_exiting(pid).unwrap_or(true) {
        return false;
    }
    let (Ok(boot), Ok(status)) = (proc::boot_time(), file.metadata()) else { return true };
    let started = boot + start / proc::ticks_per_second();
    // A second of slack: both clocks are whole seconds, and one is rounded.
    i64::try_from(started).is_ok_and(|started| started <= status.mtime() + 1)
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Somebody may have removed it by hand and another have taken it since.
        if is_still(&self.path, &self.file).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn taken(path: &Path) -> (Lock, bool) {
        match take(path).unwrap() {
            Outcome::Taken { lock, stale } => (lock, stale),
            Outcome::Held { pid, command_line } => panic!("held by {pid:?} {command_line}"),
        }
    }

    #[test]
    fn content_and_exclusion() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock/101.lck");
        let (lock, stale) = taken(&path);
        assert!(!stale);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n\n", std::process::id()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(take(&path).unwrap(), Outcome::Held { pid: Some(_), .. }));
        drop(lock);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn dead_owner_garbage_and_reused_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        std::fs::write(&path, "999999999\n\n").unwrap();
        assert!(taken(&path).1);
        std::fs::write(&path, "rubbish").unwrap();
        assert!(!taken(&path).1);
        // Our own number, in a file older than this process: the number was reused.
        std::fs::write(&path, format!("{}\n\n", std::process::id())).unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(86400);
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(taken(&path).1);
    }

    #[test]
    fn only_a_stale_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        remove_stale(&path).unwrap();
        let (lock, _) = taken(&path);
        remove_stale(&path).unwrap();
        assert!(path.exists());
        drop(lock);
        std::fs::write(&path, "999999999\n\n").unwrap();
        remove_stale(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn lock_made_by_a_script() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        std::fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        let outcome = take(&path).unwrap();
        assert!(matches!(outcome, Outcome::Held { pid: Some(_), .. }), "{outcome:?}");
        assert!(path.exists());
    }

    #[test]
    fn a_process_that_nobody_has_reaped_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        std::fs::write(&path, format!("{}\n\n", child.id())).unwrap();
        assert!(matches!(take(&path).unwrap(), Outcome::Held { .. }));
        child.kill().unwrap();
        let process = vz_sys::pidfd::open(Pid::from_raw(child.id() as i32)).unwrap();
        assert!(vz_sys::pidfd::wait_end(std::os::fd::AsFd::as_fd(&process), None).unwrap());
        assert!(taken(&path).1);
        child.wait().unwrap();
    }

    #[test]
    fn what_a_dead_owner_has_left_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        // As a child that has not closed it yet would.
        let file = File::options().create_new(true).write(true).open(&path).unwrap();
        (&file).write_all(b"999999999\n\n").unwrap();
        file.lock().unwrap();
        let closer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(file);
        });
        assert!(taken(&path).1);
        closer.join().unwrap();
        let file = File::options().create_new(true).write(true).open(directory.path().join("x"));
        let file = file.unwrap();
        (&file).write_all(b"999999999\n\n").unwrap();
        file.lock().unwrap();
        // Not for ever.
        let outcome = take(&directory.path().join("x")).unwrap();
        assert!(matches!(outcome, Outcome::Held { pid: None, .. }), "{outcome:?}");
    }

    #[test]
    fn a_link_is_no_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("101.lck");
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(take(&path).is_err());
    }
}
