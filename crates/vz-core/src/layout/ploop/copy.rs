//! Copies of an image: blocks shared with it where the file system can, else its data and no holes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::Whence;
use vz_sys::reflink;

use super::frozen;
use crate::cancel;
use crate::error::{Context, Error, Result};
use vz_conf::exit::Exit;

/// How much is copied between two looks at whether it was called off, in bytes.
const PIECE: u64 = 8 << 20;
/// What is compared at once, and how much of it is written when it differs, in bytes.
const WINDOW: usize = 1 << 20;
const BLOCK: usize = 4096;

/// What stays free on the file system of a copy, in bytes: other containers' images lie there, whose
/// file systems take a full disk for a broken one.
const MARGIN: u64 = 64 << 20;

/// Says so before anything is copied when the file system has not the room for it.
///
/// # Errors
/// [`Exit::NoDiskSpace`]: what it takes, and what there is.
pub(super) fn require_space(source: &File, copy: &File) -> Result<()> {
    let needed = named(source.metadata())?.blocks().saturating_mul(512);
    let free = named(nix::sys::statvfs::fstatvfs(copy).map_err(io::Error::from))?;
    let free = free.blocks_available().saturating_mul(free.fragment_size()).saturating_sub(MARGIN);
    match needed <= free {
        true => Ok(()),
        false => Err(Error::Refused(
            Exit::NoDiskSpace,
            format!(
                "A copy of the image takes {} KB, and {} KB are free",
                needed >> 10,
                free >> 10
            ),
        )),
    }
}

/// An image and the copy that is made of it.
pub struct Copying<'a> {
    /// The image.
    pub source: &'a File,
    /// The copy: a file of its own.
    pub copy: &'a File,
}

impl Copying<'_> {
    /// Has the copy share all of the image's blocks, in one step. Says whether the file system can.
    ///
    /// # Errors
    /// Those of ioctl_ficlone(2).
    pub fn share(&self) -> Result<bool> {
        match reflink::clone_file(self.source.as_fd(), self.copy.as_fd()) {
            Err(error) if reflink::is_unsupported(&error) => Ok(false),
            other => named(other).map(|()| true),
        }
    }

    /// Copies the image's data into the copy, which is empty.
    ///
    /// # Errors
    /// Those of reading and writing; that it was called off.
    pub fn fill(&self) -> Result<()> {
        require_space(self.source, self.copy)?;
        let size = named(self.source.metadata())?.len();
        named(self.copy.set_len(size))?;
        let mut offset = 0;
        while let Some((start, end)) = named(next_data(self.source, offset, size))? {
            cancel::check()?;
            let end = end.min(start + PIECE);
            named(self.fill_piece(start, end - start))?;
            offset = end;
        }
        Ok(())
    }

    fn fill_piece(&self, start: u64, length: u64) -> io::Result<()> {
        let (mut source, mut copy) = (self.source, self.copy);
        source.seek(SeekFrom::Start(start))?;
        copy.seek(SeekFrom::Start(start))?;
        match io::copy(&mut source.take(length), &mut copy)? == length {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Makes the copy what the image is now, by writing what differs and nothing else. All of both is read
    /// for that; `until` is when it is given up.
    ///
    /// # Errors
    /// As [`Copying::fill`], and when there was not the time.
    pub fn refresh(&self, until: Option<Instant>) -> Result<()> {
        let size = named(self.source.metadata())?.len();
        let mut windows = (vec![0; WINDOW], vec![0; WINDOW]);
        let mut offset = 0;
        while offset < size {
            cancel::check()?;
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(too_large());
            }
            let data = named(next_data(self.source, offset, size))?;
            let (start, end) = data.unwrap_or((size, size));
            named(clear(self.copy, offset, start))?;
            let end = end.min(start + WINDOW as u64);
            named(self.refresh_piece(start, (end - start) as usize, &mut windows))?;
            offset = end;
        }
        Ok(())
    }

    fn refresh_piece(
        &self,
        start: u64,
        length: usize,
        (new, old): &mut (Vec<u8>, Vec<u8>),
    ) -> io::Result<()> {
        let (new, old) = (&mut new[..length], &mut old[..length]);
        self.source.read_exact_at(new, start)?;
        self.copy.read_exact_at(old, start)?;
        if new == old {
            return Ok(());
        }
        let mut at = start;
        for (new, old) in new.chunks(BLOCK).zip(old.chunks(BLOCK)) {
            if new != old {
                self.copy.write_all_at(new, at)?;
            }
            at += new.len() as u64;
        }
        Ok(())
    }
}

/// Of an image that nobody may write to for as long as it takes to look through all of it.
pub(super) fn too_large() -> Error {
    let limit = frozen::LIMIT.as_secs();
    let text = format!(
        "The image is too large to be compared with its copy in the {limit} s that a container may be \
         frozen for (stop the container)"
    );
    Error::Refused(Exit::PloopMountFailed, text)
}

fn named<T>(done: io::Result<T>) -> Result<T> {
    done.context(Exit::NoDiskSpace, || "Cannot copy the image".into())
}

/// The first range of data from `offset` on, below `size`; the rest is a hole when there is none.
fn next_data(file: &File, offset: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |offset: u64, whence| nix::unistd::lseek(file, offset.cast_signed(), whence);
    let start = match seek(offset, Whence::SeekData) {
        Err(Errno::ENXIO) => return Ok(None),
        other => other?.cast_unsigned(),
    };
    if start >= size {
        return Ok(None);
    }
    let end = seek(start, Whence::SeekHole)?.cast_unsigned();
    Ok(Some((start, end.min(size))))
}

/// Makes a range read as zeroes.
fn clear(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut offset = from;
    while let Some((start, end)) = next_data(file, offset, to)? {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(file, flags, start.cast_signed(), (end - start).cast_signed()) {
            Err(Errno::EOPNOTSUPP) => write_zeroes(file, start, end)?,
            other => other?,
        }
        offset = end;
    }
    Ok(())
}

fn write_zeroes(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeroes = vec![0; WINDOW];
    let mut offset = from;
    while offset < to {
        let length = (to - offset).min(WINDOW as u64);
        file.write_all_at(&zeroes[..length as usize], offset)?;
        offset += length;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const SIZE: u64 = 40 << 20;

    fn sparse() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE).unwrap();
        for at in [0, 9 << 20, (30 << 20) + 4096] {
            file.write_all_at(&[7; 3 << 20], at).unwrap();
        }
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; SIZE as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_copy_is_the_same_and_as_sparse() {
        let (source, copy) = (sparse(), tempfile::tempfile().unwrap());
        Copying { source: &source, copy: &copy }.fill().unwrap();
        assert!(content(&source) == content(&copy) && copy.metadata().unwrap().len() == SIZE);
        assert!(copy.metadata().unwrap().blocks() * 512 < 20 << 20);
    }

    #[test]
    fn a_refreshed_copy_is_the_same_again() {
        let (source, copy) = (sparse(), tempfile::tempfile().unwrap());
        let both = Copying { source: &source, copy: &copy };
        both.fill().unwrap();
        // Written over, written anew, given back, in the middle of a window and at the end.
        source.write_all_at(b"x", (9 << 20) + 5000).unwrap();
        source.write_all_at(&[1; 100], (20 << 20) + 100).unwrap();
        source.write_all_at(&[2; 5], SIZE - 5).unwrap();
        clear(&source, 0, 2 << 20).unwrap();
        clear(&source, (31 << 20) + 4096, 32 << 20).unwrap();
        let late = both.refresh(Some(Instant::now())).unwrap_err().to_string();
        assert!(late.contains("in the 120 s") && content(&source) != content(&copy), "{late}");
        both.refresh(None).unwrap();
        assert!(content(&source) == content(&copy));
        assert_eq!(copy.metadata().unwrap().len(), SIZE);
        assert!(copy.metadata().unwrap().blocks() <= source.metadata().unwrap().blocks() + 64);
        write_zeroes(&copy, 5, (2 << 20) + 7).unwrap();
        assert!(content(&copy)[..2 << 20] == content(&source)[..2 << 20]);
    }
}
