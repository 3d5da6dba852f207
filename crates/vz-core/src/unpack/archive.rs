//! The archive as a stream of decompressed bytes.
//!
//! Inflating takes longer than writing the files, so a compressed archive is decompressed on a
//! second thread, which fills a bounded ring of buffers. An uncompressed one is read directly.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::error::UnpackError;

/// Size of one buffer of the ring, in bytes: it stays in the second-level cache of both cores.
const BUFFER: usize = 256 * 1024;
/// How many buffers may wait between the two threads.
const BUFFERS: usize = 8;
/// What the decompressors read from the file at a time, in bytes.
const INPUT: usize = 128 * 1024;
/// How much memory an `.xz` may ask for, in bytes; `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 1 << 30;
/// The longest magic number below, in bytes.
const MAGIC: usize = 6;

/// How an archive is compressed, found by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// xz, the .xz file format 1.2.1.
    Xz,
    /// Zstandard, RFC 8878, skippable frames in front included.
    Zstd,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// The compression whose magic number `start` begins with.
    #[must_use]
    pub fn of_magic(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    /// Its usual name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// Counts what is read from the archive file, for the progress.
struct Counted<'a> {
    start: io::Cursor<Vec<u8>>,
    file: File,
    read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut read = self.start.read(into)?;
        if read == 0 {
            read = self.file.read(into)?;
        }
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The decompressed archive.
pub(super) struct Stream<'a> {
    compression: Compression,
    source: Source<'a>,
}

enum Source<'a> {
    Plain(BufReader<Counted<'a>>),
    Ring(Ring),
}

impl<'a> Stream<'a> {
    /// Opens `file` from its current position, counting what is read of it in `read`.
    ///
    /// The decompressing thread lives in `scope` and ends when the stream is dropped.
    pub(super) fn open<'scope>(
        mut file: File,
        read: &'a AtomicU64,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Result<Self, UnpackError> {
        let start = first_bytes(&mut file).map_err(UnpackError::Read)?;
        let compression = Compression::of_magic(&start);
        let counted = Counted { start: io::Cursor::new(start), file, read };
        let source = match compression {
            Compression::None => Source::Plain(BufReader::with_capacity(BUFFER, counted)),
            _ => Source::Ring(Ring::start(counted, compression, scope)?),
        };
        Ok(Self { compression, source })
    }

    /// The bytes that are there, without taking them; none at the end of the archive.
    pub(super) fn fill(&mut self) -> Result<&[u8], UnpackError> {
        let compression = self.compression;
        match &mut self.source {
            Source::Plain(reader) => reader.fill_buf().map_err(UnpackError::Read),
            Source::Ring(ring) => ring.fill(compression),
        }
    }

    /// Takes `amount` bytes of what [`Self::fill`] gave.
    pub(super) fn consume(&mut self, amount: usize) {
        match &mut self.source {
            Source::Plain(reader) => reader.consume(amount),
            Source::Ring(ring) => ring.at += amount,
        }
    }
}

/// As many of the first bytes as the magic numbers need; [`Counted`] gives them once more, so that
/// a pipe can be read as well.
fn first_bytes(file: &mut File) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(MAGIC);
    file.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// The receiving end of the ring: filled buffers come, empty ones go back.
struct Ring {
    filled: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Ring {
    fn start<'scope, 'a>(
        input: Counted<'a>,
        compression: Compression,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Result<Self, UnpackError> {
        let (filled_in, filled) = sync_channel(BUFFERS);
        let (empty, empty_out) = sync_channel(BUFFERS);
        std::thread::Builder::new()
            .name("decompress".to_owned())
            .spawn_scoped(scope, move || decompress(input, compression, &filled_in, &empty_out))
            .map_err(UnpackError::Thread)?;
        Ok(Self { filled, empty, current: Vec::new(), at: 0, ended: false })
    }

    fn fill(&mut self, compression: Compression) -> Result<&[u8], UnpackError> {
        while self.at >= self.current.len() && !self.ended {
            let used = std::mem::take(&mut self.current);
            self.at = 0;
            // Full, or the other end is gone: then nobody needs the buffer.
            let _ = self.empty.try_send(used);
            match self.filled.recv() {
                Ok(Ok(buffer)) if buffer.is_empty() => self.ended = true,
                Ok(Ok(buffer)) => self.current = buffer,
                Ok(Err(error)) => return Err(decompress_error(compression, error)),
                Err(gone) => return Err(UnpackError::Thread(io::Error::other(gone))),
            }
        }
        Ok(self.current.get(self.at..).unwrap_or_default())
    }
}

/// Tells a file that ends too early and one that cannot be read from damaged data.
fn decompress_error(compression: Compression, error: io::Error) -> UnpackError {
    if error.raw_os_error().is_some() {
        return UnpackError::Read(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            UnpackError::Truncated { after: format!("in the {} data", compression.name()) }
        }
        _ => UnpackError::Damaged { compression: compression.name(), source: error },
    }
}

/// The second thread: fills buffers until the archive ends, fails, or nobody takes them any more.
/// An empty buffer is the end.
fn decompress(
    input: Counted<'_>,
    compression: Compression,
    filled: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut decoder = match decoder(input, compression) {
        Ok(decoder) => decoder,
        Err(error) => {
            let _ = filled.send(Err(error));
            return;
        }
    };
    loop {
        let mut buffer = empty.try_recv().unwrap_or_default();
        let answer = fill_buffer(&mut decoder, &mut buffer);
        let last = answer.is_err() || buffer.is_empty();
        // A receiver that is gone has met an error of its own.
        if filled.send(answer.map(|()| buffer)).is_err() || last {
            return;
        }
    }
}

fn decoder<'a>(input: Counted<'a>, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    let input = BufReader::with_capacity(INPUT, input);
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
    })
}

/// Fills `buffer` to its full size, or to the end of the data.
fn fill_buffer(decoder: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(BUFFER, 0);
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match decoder.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(())
}
