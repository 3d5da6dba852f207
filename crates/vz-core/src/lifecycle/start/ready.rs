//! How a guest tells that its boot has finished.
//!
//! systemd says so itself, to a socket named in its environment (sd_notify(3)). The inits that
//! read an inittab are given one more line, which runs once the boot scripts are done: their
//! inittab is covered by a copy with that line until then. Nothing in the private area changes.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag};
use vz_sys::beneath;
use vz_sys::cancel;
use vz_sys::clone::{self, Request};
use vz_sys::mount;
use vz_sys::namespace::{self, Namespaces};

use crate::guest::{Guest, Init};

/// How long a boot may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// The directory of the container's `/dev` where our ends lie.
const DIRECTORY: &str = ".vz";

/// The inittab to be shown, below the container's `/dev`.
const INITTAB: &str = ".vz/inittab";

/// Our end of what the guest will tell.
#[derive(Debug)]
pub enum Readiness {
    /// A socket that systemd writes to.
    Notify(UnixDatagram),
    /// A FIFO that a line of the inittab opens.
    Fifo(OwnedFd),
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The boot has finished.
    Ready,
    /// It did not in time.
    TimedOut,
    /// init ended instead.
    Ended,
    /// This kind of guest cannot tell.
    Unknown,
    /// The wait was called off; the container goes on booting.
    Cancelled,
    /// Waiting failed.
    Error,
}

/// Makes our end in the container's `/dev`, and the inittab that a guest of that kind is shown:
/// returned is where it is there.
///
/// # Errors
/// Those of making sockets, FIFOs, files and mounts.
pub fn prepare(
    guest: &Guest,
    devices: BorrowedFd<'_>,
    uid: u32,
    gid: u32,
) -> io::Result<(Option<Readiness>, Option<&'static str>)> {
    let directory = beneath::open_directory(devices, DIRECTORY.as_ref())?;
    match &guest.init {
        Init::Systemd { .. } => {
            let path = format!("/proc/self/fd/{}/notify", directory.as_raw_fd());
            let socket = UnixDatagram::bind(path)?;
            socket.set_nonblocking(true)?;
            beneath::change_owner_at(directory.as_fd(), "notify".as_ref(), uid, gid)?;
            Ok((Some(Readiness::Notify(socket)), None))
        }
        Init::Inittab { text } => {
            let mode = Mode::from_bits_truncate(0o600);
            beneath::make_node(directory.as_fd(), "booted".as_ref(), SFlag::S_IFIFO, mode, 0)?;
            beneath::change_owner_at(directory.as_fd(), "booted".as_ref(), uid, gid)?;
            let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
            let fifo =
                beneath::open_beneath(directory.as_fd(), "booted".as_ref(), flags, Mode::empty())?;
            write_inittab(directory.as_fd(), text, uid, gid)?;
            Ok((Some(Readiness::Fifo(fifo)), Some(INITTAB)))
        }
        Init::Other => Ok((None, None)),
    }
}

fn write_inittab(directory: BorrowedFd<'_>, text: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mode = Mode::from_bits_truncate(0o644);
    let mut file = File::from(beneath::open_beneath(directory, "inittab".as_ref(), flags, mode)?);
    file.write_all(text)?;
    if text.last().is_some_and(|byte| *byte != b'\n') {
        file.write_all(b"\n")?;
    }
    file.write_all(inittab_line(text).as_bytes())?;
    beneath::change_owner(file.as_fd(), uid, gid).map_err(Into::into)
}

/// busybox init has no runlevels: there the second field is empty in every line and the first is a
/// terminal. `once` lines are started when the `sysinit` and `wait` lines are done, in both.
fn inittab_line(text: &[u8]) -> String {
    let has_runlevels = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"#"))
        .any(|line| line.split(|byte| *byte == b':').nth(2) == Some(b"initdefault"));
    let command = "/bin/sh -c ': > /dev/.vz/booted'";
    match has_runlevels {
        true => format!("vzbt:12345:once:{command}\n"),
        false => format!("::once:{command}\n"),
    }
}

impl Readiness {
    /// What the guest's init must find in its environment.
    pub fn environment(&self) -> Option<String> {
        match self {
            Readiness::Notify(_) => Some("NOTIFY_SOCKET=/dev/.vz/notify".to_owned()),
            Readiness::Fifo(_) => None,
        }
    }

    /// Waits for the end of the boot, or of init.
    pub fn wait(&self, init: BorrowedFd<'_>) -> Outcome {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            let mut descriptors = vec![
                PollFd::new(self.as_fd(), PollFlags::POLLIN),
                PollFd::new(init, PollFlags::POLLIN),
            ];
            descriptors
                .extend(cancel::descriptor().map(|event| PollFd::new(event, PollFlags::POLLIN)));
            match poll(&mut descriptors, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX))
            {
                Ok(0) => return Outcome::TimedOut,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => return Outcome::Error,
                Ok(_) => {}
            }
            let told = descriptors[0].any() == Some(true);
            let ended = descriptors[1].any() == Some(true);
            match (told, ended) {
                (true, _) if self.is_ready() => return Outcome::Ready,
                (_, true) => return Outcome::Ended,
                _ if cancel::take() => return Outcome::Cancelled,
                _ => {}
            }
        }
    }

    /// Takes the covering inittab away, so that the guest's own can be changed again.
    ///
    /// # Errors
    /// Those of entering the container's mount namespace and of `umount2(2)`.
    pub fn uncover(&self, init: BorrowedFd<'_>, user_namespace: bool) -> io::Result<()> {
        if matches!(self, Readiness::Notify(_)) {
            return Ok(());
        }
        let mut namespaces = Namespaces::MOUNT;
        namespaces.set(Namespaces::USER, user_namespace);
        // Seen from inside by nobody: it does not enter the pid namespace.
        let child = clone::spawn(&Request::default(), || {
            let done = namespace::join(init, namespaces)
                .and_then(|()| mount::unmount("/etc/inittab".as_ref(), true));
            i32::from(done.is_err())
        })?;
        match vz_sys::pidfd::reap(child.pidfd.as_fd())? {
            vz_sys::pidfd::Ended::Code(0) => Ok(()),
            _ => Err(io::ErrorKind::Other.into()),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Readiness::Notify(socket) => {
                let mut text = [0; 4096];
                let length = socket.recv(&mut text).unwrap_or(0);
                text[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
            }
            // Woken by a writer or by its leaving: either way the line was run.
            Readiness::Fifo(_) => true,
        }
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Readiness::Notify(socket) => socket.as_fd(),
            Readiness::Fifo(fifo) => fifo.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inittab_dialects() {
        let sysv = b"# inittab\nid:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n";
        assert!(inittab_line(sysv).starts_with("vzbt:12345:once:"));
        let busybox = b"::sysinit:/etc/init.d/rcS\ntty1::respawn:/bin/sh\n";
        assert!(inittab_line(busybox).starts_with("::once:"));
    }
}
