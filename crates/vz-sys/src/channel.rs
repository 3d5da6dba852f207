//! A private line between two processes: a unix(7) `SOCK_SEQPACKET` pair, whole messages with
//! descriptors beside them. The end of one process is seen by the other as the end of the line.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

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
