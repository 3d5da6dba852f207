//! What vzctl, the monitor-to-be and the container's init-to-be tell each other during a start.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use vz_sys::channel::Channel;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// To the monitor: the cgroups are there, make the container's first process.
    Begin,
    /// From the monitor: it has been made, with this id.
    Born(i32),
    /// To init: your ids are mapped; here is your file system: for each descriptor that comes
    /// along, where it goes below the root. The first is the root itself, with an empty path.
    Trees(Vec<String>),
    /// From init: all is in place.
    Ready,
    /// To init: become what the container calls init. The line then ends.
    Go,
    /// From either: this went wrong.
    Failed(Failure),
}

/// What went wrong on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was tried, with its object.
    pub action: String,
    /// What the kernel answered.
    pub errno: i32,
}

impl Failure {
    /// Puts words to a kernel's answer.
    pub fn new(action: impl Into<String>, error: &io::Error) -> Failure {
        Failure { action: action.into(), errno: error.raw_os_error().unwrap_or(0) }
    }
}

impl Message {
    fn encode(&self) -> Vec<u8> {
        match self {
            Message::Begin => b"B".to_vec(),
            Message::Born(pid) => [b"N".as_slice(), &pid.to_le_bytes()].concat(),
            Message::Trees(paths) => [b"T", paths.join("\0").as_bytes()].concat(),
            Message::Ready => b"R".to_vec(),
            Message::Go => b"G".to_vec(),
            Message::Failed(failure) => {
                [b"F", failure.errno.to_le_bytes().as_slice(), failure.action.as_bytes()].concat()
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Message> {
        let (kind, rest) = bytes.split_first()?;
        let number = |bytes: &[u8]| Some(i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(match kind {
            b'B' => Message::Begin,
            b'N' => Message::Born(number(rest)?),
            b'T' => Message::Trees(text(rest)?.split('\0').map(str::to_owned).collect()),
            b'R' => Message::Ready,
            b'G' => Message::Go,
            b'F' => {
                Message::Failed(Failure { errno: number(rest)?, action: text(rest.get(4..)?)? })
            }
            _ => return None,
        })
    }
}

/// Sends `message` with descriptors beside it.
///
/// # Errors
/// Those of `sendmsg(2)`; `EPIPE` when nobody listens any more.
pub fn send(line: &Channel, message: &Message, with: &[BorrowedFd<'_>]) -> io::Result<()> {
    line.send(&message.encode(), with)
}

/// Waits for a message; `None` is the end of the line.
///
/// # Errors
/// Those of `recvmsg(2)`; `InvalidData` for what is no message.
pub fn receive(line: &Channel) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let received = line.receive()?;
    if received.bytes.is_empty() {
        return Ok(None);
    }
    match Message::decode(&received.bytes) {
        Some(message) => Ok(Some((message, received.descriptors))),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "not a message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_sent() {
        for message in [
            Message::Begin,
            Message::Born(-7),
            Message::Trees(vec![String::new(), "mnt/a b".into()]),
            Message::Ready,
            Message::Go,
            Message::Failed(Failure { action: "Cannot mount /proc".into(), errno: 13 }),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        for short in [&b""[..], b"N12", b"F1", b"?"] {
            assert_eq!(Message::decode(short), None);
        }
    }
}
