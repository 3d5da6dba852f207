//! A disk of ploop's as one plain file: the file system alone, with holes where it has none.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Whence;
use vz_conf::exit::Exit;
use vz_sys::file_system;

use super::partition;
use super::stack::{Layer, Stack};
use super::{ImageError, Source};
use crate::error::{Error, OsText, Result};

/// How much is done before a request to stop is looked for, in bytes of the disk.
const STEP: u64 = 64 << 20;
/// How much is read at a time.
const BUFFER: usize = 1 << 20;
/// What is left out when it is nothing but zeroes: a block of most file systems.
const BLOCK: usize = 4096;

/// The file system of a disk.
#[derive(Debug)]
pub struct Flat {
    stack: Stack<File>,
    range: Range<u64>,
    path: PathBuf,
}

/// Where data lies in its file, and where in the plain one it belongs.
struct Data {
    offset: u64,
    length: u64,
    place: u64,
}

impl Flat {
    /// Finds the file system of the disk that these files make up, the topmost first; `path` is that
    /// one's.
    ///
    /// # Errors
    /// Those of [`Stack::new`] and [`partition::file_system`].
    pub fn new(layers: Vec<Layer<File>>, path: PathBuf) -> std::result::Result<Flat, ImageError> {
        let mut stack = Stack::new(layers)?;
        let range = partition::file_system(&mut stack)?;
        Ok(Flat { stack, range, path })
    }

    /// Bytes of the plain file.
    pub fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// How many bytes there are to be written at most.
    ///
    /// # Errors
    /// When the files cannot be read; [`Error::Cancelled`].
    pub fn data(&mut self) -> Result<u64> {
        let mut total = 0;
        self.each(&mut |_, data| {
            total += data.length;
            Ok(())
        })?;
        Ok(total)
    }

    /// Says whether `probe`, an empty file, can share blocks with the topmost file.
    pub fn can_share(&self, probe: &File) -> bool {
        let Some(source) = self.stack.source(0) else { return false };
        file_system::share_range(source.as_fd(), 0, BLOCK as u64, probe.as_fd(), 0).is_ok()
    }

    /// Writes the plain file into `file`, which is empty; blocks that can be shared are. `progress` is
    /// told the bytes of each step.
    ///
    /// # Errors
    /// When it cannot be read or written; [`Error::Cancelled`].
    pub fn write(&mut self, file: &File, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let path = self.path.clone();
        let failed = |error: io::Error| {
            let is_full = error.raw_os_error() == Some(nix::libc::ENOSPC);
            let exit = if is_full { Exit::NoDiskSpace } else { Exit::PloopConvertFailed };
            let text = format!("Cannot copy the image {}: {}", path.display(), OsText(error));
            Error::Refused(exit, text)
        };
        file.set_len(self.size()).map_err(&failed)?;
        let mut sharing = true;
        let mut buffer = vec![0; BUFFER];
        self.each(&mut |source, data| {
            if !(sharing && share(source, &data, file, &mut sharing).map_err(&failed)?) {
                copy(source, &data, file, &mut buffer).map_err(&failed)?;
            }
            progress(data.length);
            Ok(())
        })
    }

    /// Calls `step` for all data, in order.
    fn each(&mut self, step: &mut dyn FnMut(&File, Data) -> Result<()>) -> Result<()> {
        let mut at = self.range.start;
        while at < self.range.end {
            if vz_sys::cancel::take() {
                return Err(Error::Cancelled);
            }
            let end = self.range.end.min(at.saturating_add(STEP));
            let piece = self.stack.piece(at, end).map_err(|error| self.unreadable(&error))?;
            if let Some((layer, offset)) = piece.place
                && let Some(source) = self.stack.source(layer)
            {
                let mut from = offset;
                let end = offset + piece.length;
                while let Some(found) =
                    next_data(source, from, end).map_err(|error| self.unreadable(&error))?
                {
                    from = found.end;
                    let place = at - self.range.start + (found.start - offset);
                    let length = found.end - found.start;
                    step(source, Data { offset: found.start, length, place })?;
                }
            }
            at += piece.length.max(1);
        }
        Ok(())
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> Error {
        let text = format!("Cannot read the image {}: {error}", self.path.display());
        Error::Refused(Exit::PloopConvertFailed, text)
    }
}

/// The first data of the file between `from` and `end`; holes are left out.
fn next_data(file: &File, from: u64, end: u64) -> io::Result<Option<Range<u64>>> {
    if from >= end {
        return Ok(None);
    }
    let seek = |offset: u64, whence| {
        let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
        nix::unistd::lseek(file, offset, whence).map(i64::cast_unsigned)
    };
    let start = match seek(from, Whence::SeekData) {
        Err(Errno::ENXIO) => return Ok(None),
        other => other?,
    };
    if start >= end {
        return Ok(None);
    }
    Ok(Some(start..seek(start, Whence::SeekHole)?.min(end)))
}

/// Shares the blocks, if that can be: not between these file systems, or not these blocks, and
/// `sharing` says which.
fn share(source: &File, data: &Data, file: &File, sharing: &mut bool) -> io::Result<bool> {
    let (source, length) = (source.as_fd(), data.length);
    let shared = file_system::share_range(source, data.offset, length, file.as_fd(), data.place);
    match shared.map_err(|error| (error.raw_os_error(), error)) {
        Ok(()) => Ok(true),
        Err((Some(nix::libc::EINVAL), _)) => Ok(false),
        Err((
            Some(nix::libc::EOPNOTSUPP | nix::libc::EXDEV | nix::libc::ENOTTY | nix::libc::ENOSYS),
            _,
        )) => {
            *sharing = false;
            Ok(false)
        }
        Err((_, error)) => Err(error),
    }
}

/// Copies all that is not zeroes.
fn copy(source: &File, data: &Data, file: &File, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < data.length {
        let length = buffer.len().min(usize::try_from(data.length - done).unwrap_or(usize::MAX));
        let part = &mut buffer[..length];
        source.fill(part, data.offset + done)?;
        write_data(file, part, data.place + done)?;
        done += length as u64;
    }
    Ok(())
}

/// Writes runs of blocks in one go.
fn write_data(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    let is_zero = |block: &[u8]| block.iter().all(|byte| *byte == 0);
    let mut start = 0;
    while start < bytes.len() {
        let blocks = bytes[start..].chunks(BLOCK);
        let skip: usize = blocks.clone().take_while(|block| is_zero(block)).map(<[u8]>::len).sum();
        let blocks = bytes[start + skip..].chunks(BLOCK);
        let length: usize = blocks.take_while(|block| !is_zero(block)).map(<[u8]>::len).sum();
        let from = start + skip;
        file.write_all_at(&bytes[from..from + length], place + from as u64)?;
        start = from + length;
    }
    Ok(())
}
