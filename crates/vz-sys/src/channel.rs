//! A private line between two processes: a unix(7) `SOCK_SEQPACKET` pair, whole messages with
//! descriptors beside them. The end of one process is seen by the other as the end of the line.
//! A [`Listener`] gives a line to whoever may write to its name.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, recv, recvmsg, send, sendmsg, socketpair,
};
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

/// How many lines may wait to be accepted.
const BACKLOG: i32 = 4;

/// How many descriptors one message may carry.
pub const MOST_DESCRIPTORS: usize = 128;
/// How long one message may be, in bytes.
pub const LONGEST: usize = 32 * 1024;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What came in.
#[derive(Debug)]
pub struct Received {
    /// The message; empty when the other end is closed for good.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Makes a line and returns its two ends.
///
/// # Errors
/// Those of `socketpair(2)`.
pub fn pair() -> io::Result<(Channel, Channel)> {
    let (one, other) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    /// Takes over an end that was left open by the program which has exec'ed this one.
    pub fn from_descriptor(socket: OwnedFd) -> Channel {
        Channel(socket)
    }

    /// Sends one message. The other end being gone is an error (`EPIPE`), not a signal.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        loop {
            match sendmsg::<()>(
                self.0.as_raw_fd(),
                &[IoSlice::new(bytes)],
                control,
                MsgFlags::MSG_NOSIGNAL,
                None,
            ) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends one message if that is possible without waiting, and says whether it was.
    ///
    /// # Errors
    /// Those of `send(2)`; `EPIPE` when the other end is gone.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<bool> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(self.0.as_raw_fd(), bytes, flags) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes one message into `buffer` if there is one, and returns its length: 0 when the other
    /// end is closed for good, `None` when there is no message. A longer message is cut.
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Another handle on the same end.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn try_clone(&self) -> io::Result<Channel> {
        self.0.try_clone().map(Channel)
    }

    /// Waits for one message.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`; `InvalidData` for a message that is cut short.
    pub fn receive(&self) -> io::Result<Received> {
        let mut bytes = vec![0; LONGEST];
        let mut control = nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]);
        let (length, cut, raw) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg::<()>(
                self.0.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::MSG_CMSG_CLOEXEC,
            ) {
                Ok(message) => {
                    let mut raw = Vec::new();
                    for item in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(list) = item {
                            raw.extend(list);
                        }
                    }
                    let cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
                    break (message.bytes, cut, raw);
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        // SAFETY: the kernel has just made these descriptors for us; nobody else owns them.
        let descriptors = raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }).collect();
        if cut {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "message cut short"));
        }
        bytes.truncate(length);
        Ok(Received { bytes, descriptors })
    }
}

/// A line to the listener called `name` in `directory`.
///
/// # Errors
/// `ENOENT` when there is no such name, `ECONNREFUSED` when nobody listens there any more, `EAGAIN` when
/// who listens there does not answer.
pub fn connect(directory: BorrowedFd<'_>, name: &str) -> io::Result<Channel> {
    let socket = socket(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    nix::sys::socket::connect(socket.as_raw_fd(), &address(directory, name)?)?;
    let flags = OFlag::from_bits_truncate(fcntl(&socket, FcntlArg::F_GETFL)?);
    fcntl(&socket, FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK))?;
    Ok(Channel(socket))
}

fn socket(flags: SockFlag) -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
    Ok(nix::sys::socket::socket(family, kind, flags, None)?)
}

/// An address by way of the directory's descriptor: a path may be longer than an address.
fn address(directory: BorrowedFd<'_>, name: &str) -> io::Result<UnixAddr> {
    Ok(UnixAddr::new(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()).as_str())?)
}

/// What waits for lines under a name in the file system.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Listens under `name` in `directory`, for its owner alone (mode 0600). What has that name is
    /// removed first: it is for the caller to know that nobody else listens there.
    ///
    /// # Errors
    /// Those of `unlink(2)`, `bind(2)` and `listen(2)`.
    pub fn bind(directory: BorrowedFd<'_>, name: &str) -> io::Result<Listener> {
        match nix::unistd::unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = socket(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
        // bind(2) gives the name the socket's own mode, less the umask.
        nix::sys::stat::fchmod(&socket, Mode::from_bits_truncate(0o600))?;
        nix::sys::socket::bind(socket.as_raw_fd(), &address(directory, name)?)?;
        nix::sys::socket::listen(&socket, Backlog::new(BACKLOG)?)?;
        Ok(Listener(socket))
    }

    /// Takes over a listener that was left open by the program which has exec'ed this one.
    pub fn from_descriptor(socket: OwnedFd) -> Listener {
        Listener(socket)
    }

    /// The next line that waits; `None` when none does any more.
    ///
    /// # Errors
    /// Those of `accept4(2)`.
    pub fn accept(&self) -> io::Result<Option<Channel>> {
        match nix::sys::socket::accept4(self.0.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
            Ok(raw) => Ok(Some(Channel(unsafe { OwnedFd::from_raw_fd(raw) }))),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_name_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let opened = std::fs::File::open(directory.path()).unwrap();
        let descriptor = opened.as_fd();
        let error = connect(descriptor, "7.console").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let listener = Listener::bind(descriptor, "7.console").unwrap();
        let mode = std::fs::metadata(directory.path().join("7.console")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert!(listener.accept().unwrap().is_none());
        let one = connect(descriptor, "7.console").unwrap();
        let other = listener.accept().unwrap().unwrap();
        let mut buffer = [0; 8];
        assert_eq!(other.try_receive(&mut buffer).unwrap(), None);
        assert!(one.try_send(b"typed").unwrap());
        assert_eq!(other.try_receive(&mut buffer).unwrap(), Some(5));
        drop(one);
        assert_eq!(other.try_receive(&mut buffer).unwrap(), Some(0));
        drop(listener);
        let error = connect(descriptor, "7.console").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
        Listener::bind(descriptor, "7.console").unwrap();
    }

    #[test]
    fn messages_descriptors_and_end() {
        let (one, other) = pair().unwrap();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        one.send(b"hello", &[file.as_fd()]).unwrap();
        one.send(b"again", &[]).unwrap();
        let first = other.receive().unwrap();
        assert_eq!((first.bytes.as_slice(), first.descriptors.len()), (&b"hello"[..], 1));
        let mut text = String::new();
        for descriptor in first.descriptors {
            std::fs::File::from(descriptor).read_to_string(&mut text).unwrap();
        }
        assert!(text.starts_with(&std::process::id().to_string()));
        assert_eq!(other.receive().unwrap().bytes, b"again");
        drop(one);
        assert!(other.receive().unwrap().bytes.is_empty());
        assert_eq!(other.send(b"x", &[]).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }
}
