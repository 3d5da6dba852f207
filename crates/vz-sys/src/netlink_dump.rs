//! Lists that the kernel gives by netlink (netlink(7)): a request, and answers until the last.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
const REQUEST_DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;

/// The kernel fills answers of 32 KiB at most when it is given as much room.
pub const ROOM: usize = 32 * 1024;

/// An entry of a list.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'m> {
    /// The address of the socket that asked.
    pub asker: u32,
    /// What the message says.
    pub payload: &'m [u8],
}

/// A socket to ask by, and room for the answers.
#[derive(Debug)]
pub struct Dumper<'r> {
    socket: OwnedFd,
    room: &'r mut [u8],
}

impl<'r> Dumper<'r> {
    /// For a netlink protocol, in the network namespace that this thread is in.
    ///
    /// # Errors
    /// Those of socket(2): `EPROTONOSUPPORT` for one that this kernel does not have.
    pub fn open(protocol: i32, room: &'r mut [u8]) -> io::Result<Dumper<'r>> {
        // SAFETY: no address is passed; a success is a descriptor that nobody else owns.
        let socket = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            match libc::socket(libc::AF_NETLINK, kind, protocol) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Dumper { socket, room })
    }

    /// Asks for a list by a message of this type, and hands over each entry, until `each` has had
    /// enough: then nothing more can be asked for.
    ///
    /// # Errors
    /// What the kernel answered, and those of send(2) and recv(2); `InvalidData` for an answer that
    /// is not understood.
    pub fn dump(
        &mut self,
        kind: u16,
        request: &[u8],
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.send(kind, request)?;
        loop {
            let length = self.receive()?;
            if walk(&self.room[..length], each)? {
                return Ok(());
            }
        }
    }

    fn send(&self, kind: u16, request: &[u8]) -> io::Result<()> {
        let mut message = ((HEADER + request.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(REQUEST_DUMP.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(request);
        loop {
            // SAFETY: the message lives over the call and is as long as said.
            let sent = unsafe {
                libc::send(self.socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0)
            };
            if sent >= 0 {
                return Ok(());
            }
            retry_interrupted()?;
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            // SAFETY: the room lives over the call and is as long as said.
            let received = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    self.room.as_mut_ptr().cast(),
                    self.room.len(),
                    libc::MSG_TRUNC,
                )
            };
            match usize::try_from(received) {
                Ok(length) if length <= self.room.len() => return Ok(length),
                Ok(_) => return Err(malformed("an answer is larger than asked for")),
                Err(_) => retry_interrupted()?,
            }
        }
    }
}

/// The last error, unless it was a signal.
fn retry_interrupted() -> io::Result<()> {
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Hands over the entries in an answer; the result says whether it was the last answer that is wanted.
pub(crate) fn walk(
    mut answer: &[u8],
    each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
) -> io::Result<bool> {
    while !answer.is_empty() {
        let length = number::<4>(answer, 0).map(u32::from_ne_bytes);
        let length = length.map(|length| length as usize).filter(|length| *length >= HEADER);
        let message = length.and_then(|length| answer.get(..length));
        let message = message.ok_or_else(|| malformed("a message is cut off"))?;
        let payload = &message[HEADER..];
        match number::<2>(message, 4).map(u16::from_ne_bytes) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => return Err(error_of(payload)),
            _ => {
                let asker = number::<4>(message, 12).map_or(0, u32::from_ne_bytes);
                if each(Entry { asker, payload }).is_break() {
                    return Ok(true);
                }
            }
        }
        answer = answer.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct nlmsgerr`.
fn error_of(payload: &[u8]) -> io::Error {
    match number::<4>(payload, 0).map(i32::from_ne_bytes) {
        Some(error) => io::Error::from_raw_os_error(error.saturating_neg()),
        None => malformed("an error is cut off"),
    }
}

/// The content of an attribute (`struct nlattr`) of this type.
pub fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(number(attributes, 0)?));
        let kind = u16::from_ne_bytes(number(attributes, 2)?);
        let content = attributes.get(4..length)?;
        if kind == wanted {
            return Some(content);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// So many bytes at an offset; `None` when there are fewer.
pub fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Messages as the kernel would send them.
#[cfg(test)]
pub(crate) mod forge {
    use super::*;

    /// A message of a type.
    pub(crate) fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut message = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(payload);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    /// The last message of a list.
    pub(crate) fn done() -> Vec<u8> {
        message(NLMSG_DONE, &[0; 4])
    }

    /// One that tells of an error.
    pub(crate) fn refused(number: i32) -> Vec<u8> {
        message(NLMSG_ERROR, &(-number).to_ne_bytes())
    }
}
