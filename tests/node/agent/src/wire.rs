//! The frames spoken between the runner and the agent.
//!
//! A frame is a tag byte, the payload length as a big-endian `u32`, and the payload. A
//! virtio-serial port keeps bytes of a connection that is gone, so neither side trusts a stream
//! before it has seen a [`Frame::Hello`], found by its magic number.

use thiserror::Error;

/// Longest payload either side accepts, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Largest piece of command input or output put into one frame, in bytes.
pub const CHUNK: usize = 60 * 1024;

/// Length of the nonce by which the runner recognises the answer to its own hello, in bytes.
pub const NONCE: usize = 16;

const MAGIC: &[u8; 16] = b"vz-node-agent/1\n";
const HEADER: usize = 5;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Opens a connection; the agent kills what still runs and sends the same nonce back.
    Hello([u8; NONCE]),
    /// To the agent: run this command.
    Run(Run),
    /// To the agent: bytes for the command's standard input; empty closes it.
    Input(Vec<u8>),
    /// To the agent: kill the command's process group.
    Kill,
    /// From the agent: bytes of standard output.
    Output(Vec<u8>),
    /// From the agent: bytes of standard error.
    Error(Vec<u8>),
    /// From the agent: the command is over; its exit code, or 128 and the signal's number.
    Exit(i32),
    /// From the agent: the command could not be started, and why.
    Refused(String),
}

/// A command to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Program (looked up in the agent's `PATH`) and arguments.
    pub argv: Vec<Vec<u8>>,
    /// Variables set on top of the agent's environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A stream that is not what this module writes.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// The length field is over [`MAX_PAYLOAD`].
    #[error("read a frame: payload of {0} bytes is over the limit of {MAX_PAYLOAD}")]
    TooLong(usize),
    /// No frame has this tag.
    #[error("read a frame: unknown tag {0:#04x}")]
    UnknownTag(u8),
    /// The payload does not fit the tag.
    #[error("read a frame: malformed payload of tag {0:#04x}")]
    Malformed(u8),
}

impl Frame {
    /// The frame as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (tag, payload) = match self {
            Self::Hello(nonce) => (b'H', [MAGIC.as_slice(), nonce].concat()),
            Self::Run(run) => (b'X', run.encode()),
            Self::Input(data) => (b'I', data.clone()),
            Self::Kill => (b'K', Vec::new()),
            Self::Output(data) => (b'O', data.clone()),
            Self::Error(data) => (b'E', data.clone()),
            Self::Exit(code) => (b'R', code.to_be_bytes().to_vec()),
            Self::Refused(why) => (b'F', why.as_bytes().to_vec()),
        };
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.push(tag);
        bytes.extend(length(payload.len()));
        bytes.extend(payload);
        bytes
    }

    fn decode(tag: u8, payload: &[u8]) -> Result<Self, WireError> {
        let malformed = WireError::Malformed(tag);
        Ok(match tag {
            b'H' => {
                let nonce =
                    payload.strip_prefix(MAGIC.as_slice()).ok_or(WireError::Malformed(tag))?;
                Self::Hello(nonce.try_into().map_err(|_| malformed)?)
            }
            b'X' => Self::Run(Run::decode(payload).ok_or(malformed)?),
            b'I' => Self::Input(payload.to_vec()),
            b'K' => Self::Kill,
            b'O' => Self::Output(payload.to_vec()),
            b'E' => Self::Error(payload.to_vec()),
            b'R' => Self::Exit(i32::from_be_bytes(payload.try_into().map_err(|_| malformed)?)),
            b'F' => Self::Refused(String::from_utf8_lossy(payload).into_owned()),
            _ => return Err(WireError::UnknownTag(tag)),
        })
    }
}

impl Run {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = length(self.argv.len()).to_vec();
        let environment = self.env.iter().flat_map(|(name, value)| [name, value]);
        for text in self.argv.iter().chain(environment) {
            bytes.extend(length(text.len()));
            bytes.extend(text);
        }
        bytes
    }

    /// The arguments are counted, the variables are the pairs that follow them.
    fn decode(payload: &[u8]) -> Option<Self> {
        let (count, mut rest) = split_length(payload)?;
        let mut texts = Vec::new();
        while !rest.is_empty() {
            let (size, tail) = split_length(rest)?;
            let (text, tail) = tail.split_at_checked(size)?;
            texts.push(text.to_vec());
            rest = tail;
        }
        if count > texts.len() || !(texts.len() - count).is_multiple_of(2) {
            return None;
        }
        let env = texts.split_off(count);
        let env = env.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Some(Self { argv: texts, env })
    }
}

/// A payload length as it is sent. Payloads are bounded far below the type's range.
fn length(size: usize) -> [u8; 4] {
    u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes()
}

fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_be_bytes(*size)).ok()?, rest))
}

/// Finds frames in a stream that may begin with the rest of an older connection, or go over
/// into a newer one in the middle of a frame: a hello is found wherever it stands.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    synced: bool,
}

impl Decoder {
    /// Takes bytes as they come from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let hello = hello_start();
        let searched = self.buffer.len().saturating_sub(hello.len() - 1);
        self.buffer.extend_from_slice(bytes);
        let found = self.buffer[searched..].windows(hello.len()).rposition(|part| part == hello);
        if let Some(at) = found {
            self.buffer.drain(..searched + at);
            self.synced = true;
        }
        if !self.synced {
            // What could be the beginning of one is kept.
            let kept = self.buffer.len().min(hello.len() - 1);
            self.buffer.drain(..self.buffer.len() - kept);
        }
    }

    /// Forgets everything: the next frame given out will be a hello.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.synced = false;
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// The stream is not one of frames; [`Decoder::reset`] waits for the next hello.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        if !self.synced {
            return Ok(None);
        }
        let Some((header, rest)) = self.buffer.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let tag = header[0];
        let (size, _) = split_length(&header[1..]).ok_or(WireError::Malformed(tag))?;
        if size > MAX_PAYLOAD {
            return Err(WireError::TooLong(size));
        }
        let Some(payload) = rest.get(..size) else { return Ok(None) };
        let frame = Frame::decode(tag, payload)?;
        self.buffer.drain(..HEADER + size);
        Ok(Some(frame))
    }
}

/// How every hello begins.
fn hello_start() -> Vec<u8> {
    [[b'H'].as_slice(), &length(MAGIC.len() + NONCE), MAGIC].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames_of(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    #[test]
    fn a_frame_comes_back_as_it_was_sent() {
        let run = Run {
            argv: vec![b"printf".to_vec(), Vec::new(), b"a b".to_vec()],
            env: vec![(b"A".to_vec(), b"1=2".to_vec())],
        };
        let sent = vec![
            Frame::Hello([7; NONCE]),
            Frame::Run(run),
            Frame::Input(Vec::new()),
            Frame::Kill,
            Frame::Output(vec![0, 255]),
            Frame::Error(b"no".to_vec()),
            Frame::Exit(-1),
            Frame::Refused("no such file".into()),
        ];
        let mut decoder = Decoder::default();
        for byte in sent.iter().flat_map(Frame::encode) {
            decoder.push(&[byte]);
        }
        assert_eq!(frames_of(&mut decoder), sent);
    }

    #[test]
    fn what_an_older_connection_left_is_skipped() {
        let mut decoder = Decoder::default();
        decoder.push(&Frame::Output(b"rest".to_vec()).encode()[2..]);
        decoder.push(b"H\0\0\0\x20vz-node");
        assert_eq!(frames_of(&mut decoder), []);
        decoder.push(&Frame::Hello([1; NONCE]).encode());
        decoder.push(&Frame::Kill.encode());
        assert_eq!(frames_of(&mut decoder), [Frame::Hello([1; NONCE]), Frame::Kill]);
    }

    #[test]
    fn a_hello_ends_a_frame_that_was_torn() {
        let mut decoder = Decoder::default();
        decoder.push(&Frame::Hello([1; NONCE]).encode());
        assert_eq!(frames_of(&mut decoder), [Frame::Hello([1; NONCE])]);
        decoder.push(&Frame::Input(vec![0; 100]).encode()[..50]);
        assert_eq!(frames_of(&mut decoder), []);
        for byte in Frame::Hello([2; NONCE]).encode() {
            decoder.push(&[byte]);
        }
        assert_eq!(frames_of(&mut decoder), [Frame::Hello([2; NONCE])]);
    }

    #[test]
    fn a_stream_of_something_else_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.push(&Frame::Hello([0; NONCE]).encode());
        decoder.push(b"Z\0\0\0\0");
        decoder.next_frame().unwrap();
        assert_eq!(decoder.next_frame(), Err(WireError::UnknownTag(b'Z')));
        decoder.reset();
        decoder.push(&Frame::Hello([0; NONCE]).encode());
        decoder.push(b"O\xff\xff\xff\xff");
        decoder.next_frame().unwrap();
        assert_eq!(decoder.next_frame(), Err(WireError::TooLong(u32::MAX as usize)));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.push(&Frame::Hello([0; NONCE]).encode());
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
