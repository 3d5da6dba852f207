//! Images that ploop itself has made, on an OpenVZ node: read here to be turned into plain ones.
//!
//! ploop's own format is that of Parallels disks (`include/ploop1_image.h` of ploop,
//! `docs/interop/parallels.txt` of QEMU): a header ([`header`]), a table of where each cluster lies
//! and the clusters ([`delta`]). A snapshot adds a file that has only what was written since
//! ([`stack`]). What they make up together is a disk with a partition table ([`partition`]), whose
//! first partition is the file system.
//!
//! All of it comes from elsewhere, and nothing of it is believed: no number leads beyond its file, and
//! memory depends on no number in it.

pub mod delta;
mod disk;
mod flatten;
pub mod header;
pub mod partition;
pub mod stack;
mod tidy;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::OsText;

pub use disk::{Disk, Form, form};
pub use flatten::Flat;
pub use tidy::tidy;

#[cfg(test)]
mod tests;

/// Why an image is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It cannot be read there.
    #[error("cannot read {length} bytes at {offset}: {source}")]
    Read {
        /// Where, in bytes from its start.
        offset: u64,
        /// How many bytes.
        length: usize,
        /// Why it failed.
        source: OsText,
    },
    /// It does not begin as ploop's images do.
    #[error("it is not in ploop's format: its signature is missing")]
    Signature,
    /// A number of its header cannot be.
    #[error("its header has a bad {field}: {value}")]
    Header {
        /// Which.
        field: &'static str,
        /// The number.
        value: u64,
    },
    /// ploop was changing its format when it was last used.
    #[error(
        "it was left in the middle of a change of its format: run 'ploop check' where it was made"
    )]
    VersionChange,
    /// Its table has an entry that cannot be.
    #[error("its table is broken: cluster {index} {what} ({value})")]
    Table {
        /// The cluster of the disk.
        index: u64,
        /// What is wrong with it.
        what: &'static str,
        /// The entry.
        value: u64,
    },
    /// It is larger than any that ploop makes.
    #[error("it is too large: {0} bytes")]
    Large(u64),
    /// Its clusters are of another size than those of the image that lies on it.
    #[error("its clusters have {0} bytes, those of the image on it {1}")]
    Clusters(u64, u64),
    /// It has a partition table, but not a sound one.
    #[error("its partition table is broken: {0}")]
    Partitions(&'static str),
}

type Result<T> = std::result::Result<T, ImageError>;

/// What an image is read from.
pub trait Source {
    /// How many bytes there are.
    ///
    /// # Errors
    /// Those of fstat(2).
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` with what lies at `offset`.
    ///
    /// # Errors
    /// Those of pread(2); `UnexpectedEof` when there is not as much.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for &[u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(buffer.len()));
        let bytes = start.zip(end).and_then(|(start, end)| self.get(start..end));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

fn fill(source: &impl Source, buffer: &mut [u8], offset: u64) -> Result<()> {
    let length = buffer.len();
    source.fill(buffer, offset).map_err(|error| ImageError::Read {
        offset,
        length,
        source: OsText(error),
    })
}

fn size(source: &impl Source) -> Result<u64> {
    let failed = |error| ImageError::Read { offset: 0, length: 0, source: OsText(error) };
    source.size().map_err(failed)
}

/// A little-endian number of `bytes`; 0 beyond their end, which no caller asks for.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + N).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
