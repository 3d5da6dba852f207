//! One file in ploop's own format: which clusters of the disk it has, and where.

use super::header::{Header, LENGTH, Version};
use super::{ImageError, Result, Source, fill, number, size};

/// Bytes of the table that are kept at a time.
const WINDOW: u64 = 64 << 10;
/// Clusters that a file can hold, for a table of those that are taken (64 MiB of it).
const MOST_CLUSTERS: u64 = 1 << 29;

/// A file in ploop's own format.
#[derive(Debug)]
pub struct Delta<S> {
    source: S,
    header: Header,
    size: u64,
    /// A part of the table, and where it lies in the file.
    window: Vec<u8>,
    window_at: u64,
}

impl<S: Source> Delta<S> {
    /// Reads the header.
    ///
    /// # Errors
    /// Those of [`Header::parse`], and for a file that ends in its table.
    pub fn open(source: S) -> Result<Delta<S>> {
        let mut bytes = [0; LENGTH];
        fill(&source, &mut bytes, 0)?;
        let header = Header::parse(&bytes)?;
        let size = size(&source)?;
        if size < header.first {
            return Err(ImageError::Header { field: "first block offset", value: header.first });
        }
        Ok(Delta { source, header, size, window: Vec::new(), window_at: 0 })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What it is read from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Looks through the whole table, as ploop does with an image that was not closed: each cluster
    /// is whole in the file, behind the table, and nobody else's.
    ///
    /// # Errors
    /// The first entry that is not so.
    pub fn check(&mut self) -> Result<()> {
        let clusters = self.size / self.header.cluster;
        if clusters > MOST_CLUSTERS {
            return Err(ImageError::Large(self.size));
        }
        let mut taken = vec![0_u8; usize::try_from(clusters.div_ceil(8)).unwrap_or(0)];
        for index in 0..self.header.clusters() {
            let Some(place) = self.place(index)? else { continue };
            let number = place / self.header.cluster;
            let (byte, bit) = (usize::try_from(number / 8).unwrap_or(0), 1 << (number % 8));
            let Some(byte) = taken.get_mut(byte).filter(|byte| **byte & bit == 0) else {
                return Err(ImageError::Table { index, what: "is also another's", value: number });
            };
            *byte |= bit;
        }
        Ok(())
    }

    /// Where the cluster `index` of the disk lies, in bytes from the start of the file: all of it lies
    /// in the file. `None` when this file does not have it, or the disk is not as large.
    ///
    /// # Errors
    /// For an entry that cannot be, and when the table cannot be read.
    pub fn place(&mut self, index: u64) -> Result<Option<u64>> {
        if index >= self.header.clusters() {
            return Ok(None);
        }
        let entry = self.entry(index)?;
        if entry == 0 {
            return Ok(None);
        }
        let broken = |what| Err(ImageError::Table { index, what, value: entry });
        let cluster = self.header.cluster;
        let place = match self.header.version {
            Version::One => entry * 512,
            Version::Two => entry * cluster,
        };
        if place % cluster != 0 {
            return broken("does not begin where one can");
        }
        if place < self.header.first {
            return broken("lies in the table");
        }
        match place + cluster <= self.size {
            true => Ok(Some(place)),
            false => broken("lies beyond the end of the file"),
        }
    }

    fn entry(&mut self, index: u64) -> Result<u64> {
        let at = LENGTH as u64 + index * 4;
        let start = at / WINDOW * WINDOW;
        if self.window.is_empty() || self.window_at != start {
            let length = WINDOW.min(self.header.first - start);
            self.window.clear();
            self.window.resize(usize::try_from(length).unwrap_or(0), 0);
            fill(&self.source, &mut self.window, start)?;
            self.window_at = start;
        }
        Ok(number::<4>(&self.window, usize::try_from(at - start).unwrap_or(0)))
    }
}
