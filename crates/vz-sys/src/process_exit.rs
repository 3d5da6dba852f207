//! How a process ended that is not our child.
//!
//! Since Linux 6.15 its pidfd tells (PIDFD_GET_INFO with PIDFD_INFO_EXIT, linux/pidfd.h), from
//! when its parent has waited for it. Before that the proc connector does (netlink,
//! linux/cn_proc.h): it is subscribed to before the process is looked at, so an end between the
//! two is not lost. The connector needs CAP_NET_ADMIN and the first network namespace.
//!
//! Both tell what the process itself ended with. That is not all that its parent sees: when
//! init of a pid namespace ends by reboot(2) from inside, the parent's wait(2) shows SIGHUP
//! (restart) or SIGINT (halt, power-off). Here both look the same, code 0 where init itself
//! called it and SIGKILL where another process did, because the kernel puts the reason in the
//! answer to the parent alone (`zap_pid_ns_processes`); a test below holds that fact.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

/// `PIDFD_GET_INFO`, `_IOWR(0xFF, 11, struct pidfd_info)` in its first length of 64 bytes.
const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b;
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `struct pidfd_info`, first version.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    process: [u32; 3],
    credentials: [u32; 8],
    exit_code: i32,
}

/// `CN_IDX_PROC`, `CN_VAL_PROC` (linux/connector.h), events of linux/cn_proc.h.
const CONNECTOR_PROCESS: (u32, u32) = (1, 1);
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;
/// `struct nlmsghdr`, `struct cn_msg`, and the fixed part of `struct proc_event`.
const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;
const EVENT_HEADER: usize = 16;

const _: () = assert!(size_of::<PidfdInfo>() == 64);

/// Where the end of a process is heard of.
#[derive(Debug)]
enum Source {
    /// The pidfd, once the process was waited for.
    Pidfd,
    /// The proc connector, at the moment of the end.
    Connector {
        socket: OwnedFd,
        /// The kernel dropped messages.
        lossy: bool,
    },
}

/// Waits for the end of a process.
#[derive(Debug)]
pub struct ExitWatch {
    epoll: Epoll,
    pidfd: OwnedFd,
    pid: u32,
    source: Source,
    status: Option<ExitStatus>,
}

impl ExitWatch {
    /// Watches the process of `pidfd`, whose id is `pid`. Opened while the process is known to
    /// be the right one, a pidfd stays with it.
    ///
    /// An error of ESRCH says that it had ended before, unheard.
    pub fn new(pidfd: OwnedFd, pid: u32) -> io::Result<Self> {
        let source = if pidfd_tells_exit()? {
            Source::Pidfd
        } else {
            let connector = connector()?;
            if has_ended(pidfd.as_fd())? {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Source::Connector { socket: connector, lossy: false }
        };
        Self::with_source(pidfd, pid, source)
    }

    fn with_source(pidfd: OwnedFd, pid: u32, source: Source) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        match &source {
            // No event of its own: EPOLLHUP, always reported, comes once the process was waited
            // for. EPOLLIN would come at its end, when nothing can be read yet.
            Source::Pidfd => epoll.add(&pidfd, EpollEvent::new(EpollFlags::empty(), 0))?,
            Source::Connector { socket, .. } => {
                epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
            }
        }
        Ok(Self { epoll, pidfd, pid, source, status: None })
    }

    /// To be polled for POLLIN; then call [`ExitWatch::status`]. May be ready for nothing: the
    /// proc connector tells of every process of the node.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// How the process ended; `None` while it has not, or its parent has not waited for it yet.
    /// Does not block. ENODATA when it has ended and how was lost (the kernel drops messages of
    /// the proc connector when they are not read for long).
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = match self.source {
                Source::Pidfd => exit_by_pidfd(self.pidfd.as_fd())?,
                Source::Connector { .. } => self.exit_by_connector()?,
            };
        }
        Ok(self.status)
    }

    fn exit_by_connector(&mut self) -> io::Result<Option<ExitStatus>> {
        let Source::Connector { socket, lossy } = &mut self.source else { return Ok(None) };
        let mut message = [0; 4096];
        loop {
            match receive(socket.as_fd(), &mut message) {
                Ok(Some(message)) => {
                    if let Some(status) = exit_of(message, self.pid) {
                        return Ok(Some(status));
                    }
                }
                Ok(None) => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    // The one we wait for may be among those: from now on the pidfd as well
                    // tells of the end. Not earlier: it does so before the message is there.
                    if !*lossy {
                        self.epoll.add(&self.pidfd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
                    }
                    *lossy = true;
                }
                Err(error) => return Err(error),
            }
        }
        if *lossy && has_ended(self.pidfd.as_fd())? {
            return Err(io::Error::from_raw_os_error(libc::ENODATA));
        }
        Ok(None)
    }
}

/// Linux 6.15 or later. By its release, because a pidfd of a process that lives gives the same
/// answer on 6.13 and 6.14, which do not know the exit.
fn pidfd_tells_exit() -> io::Result<bool> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(release_numbers(&release).is_some_and(|release| release >= (6, 15)))
}

fn release_numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn exit_by_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel reads and writes the 64 bytes of `info` that the command names.
    check(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }.into())?;
    let told = info.mask & PIDFD_INFO_EXIT != 0;
    Ok(told.then(|| ExitStatus::from_raw(info.exit_code)))
}

/// A pidfd is readable from the end of its process on.
fn has_ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::new(pidfd, PollFlags::POLLIN)];
    Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
}

/// A socket that hears of every process of the node.
fn connector() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no address is passed.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR) };
    check(fd.into())?;
    // SAFETY: a success returns a descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zero is a valid address.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = CONNECTOR_PROCESS.0;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: `address` is a netlink address of that length.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) }.into())?;
    let request = listen_request();
    // SAFETY: `request` is as long as said; the kernel only reads it.
    let sent = unsafe {
        libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), libc::MSG_NOSIGNAL)
    };
    check(sent as i64)?;
    Ok(socket)
}

/// PROC_CN_MCAST_LISTEN in a connector message in a netlink message.
fn listen_request() -> Vec<u8> {
    let length = (NETLINK_HEADER + CONNECTOR_HEADER + 4) as u32;
    let netlink = [length, libc::NLMSG_DONE as u32, 0, 0]; // type in 16 bits, flags 0
    let (index, value) = CONNECTOR_PROCESS;
    let connector = [index, value, 0, 0, 4]; // sequence, acknowledge; length in 16 bits, flags 0
    let numbers = netlink.into_iter().chain(connector).chain([PROC_CN_MCAST_LISTEN]);
    numbers.flat_map(u32::to_ne_bytes).collect()
}

/// The next message of the kernel; `None` when there is none now.
fn receive<'a>(socket: BorrowedFd<'_>, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    // SAFETY: all zero is a valid address.
    let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    let mut from_length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: buffer and address are writable and as long as said.
    let length = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
            (&raw mut from).cast(),
            &raw mut from_length,
        )
    };
    match check(length as i64) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Some(&[])),
        Err(error) => Err(error),
        // Another process may write to the group too: only the kernel is believed.
        Ok(()) if from.nl_pid != 0 => Ok(Some(&[])),
        Ok(()) => Ok(buffer.get(..length as usize)),
    }
}

/// The status in a message, when it tells of the end of this process (its first thread).
fn exit_of(message: &[u8], pid: u32) -> Option<ExitStatus> {
    let number = |at: usize| {
        let bytes = message.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let connector = NETLINK_HEADER;
    if (number(connector)?, number(connector + 4)?) != CONNECTOR_PROCESS {
        return None;
    }
    let event = connector + CONNECTOR_HEADER;
    let exit = event + EVENT_HEADER;
    let ours =
        number(event)? == PROC_EVENT_EXIT && number(exit)? == pid && number(exit + 4)? == pid;
    if !ours {
        return None;
    }
    Some(ExitStatus::from_raw(number(exit + 8)?.cast_signed()))
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "process_exit_tests.rs"]
mod tests;
