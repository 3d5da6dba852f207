//! Where a file with holes has data.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::unistd::Whence;

use super::header::BLOCK;

/// Pieces of a file, at most: the unpacker reads a map of twice as many.
const MOST: usize = 1 << 19;
/// How many times its data a file may take in the archive: a container could have spread one block
/// each over a file of terabytes.
const ZEROS: u64 = 8;

/// Offsets and lengths, each piece but the last of whole blocks of the archive. Of more pieces than
/// are written, the nearest become one, with the zeros between them.
#[derive(Debug)]
struct Pieces {
    pieces: Vec<(u64, u64)>,
    /// Pieces that are nearer to each other than this, in bytes, are one.
    near: u64,
    most: usize,
    /// What they hold without the zeros, in bytes.
    data: u64,
}

impl Pieces {
    fn new(most: usize) -> Pieces {
        Pieces { pieces: Vec::new(), near: 1, most, data: 0 }
    }

    fn add(&mut self, start: u64, end: u64) {
        self.data += end - start;
        match self.pieces.last_mut() {
            Some((last, length)) if start < *last + *length + self.near => *length = end - *last,
            _ => self.pieces.push((start, end - start)),
        }
        while self.pieces.len() > self.most {
            self.near *= 2;
            for (start, length) in std::mem::take(&mut self.pieces) {
                match self.pieces.last_mut() {
                    Some((last, had)) if start < *last + *had + self.near => {
                        *had = start + length - *last;
                    }
                    _ => self.pieces.push((start, length)),
                }
            }
        }
    }

    fn all(self) -> io::Result<Vec<(u64, u64)>> {
        let stored: u64 = self.pieces.iter().map(|(_, length)| length).sum();
        match stored > self.data.saturating_mul(ZEROS) {
            true => {
                Err(io::Error::other(format!("there are more than {} and far apart", self.most)))
            }
            false => Ok(self.pieces),
        }
    }
}

/// Where a file of `size` bytes has data.
///
/// # Errors
/// Those of lseek(2), and too many pieces too far from each other.
pub(super) fn of(file: &File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut pieces = Pieces::new(MOST);
    let mut offset = 0;
    loop {
        let start = match nix::unistd::lseek(file, offset, Whence::SeekData) {
            Err(Errno::ENXIO) => return pieces.all(),
            other => other?,
        };
        offset = nix::unistd::lseek(file, start, Whence::SeekHole)?;
        let block = BLOCK as u64;
        let start = start.cast_unsigned() / block * block;
        let end = offset.cast_unsigned().next_multiple_of(block).min(size);
        if start >= end {
            return pieces.all();
        }
        pieces.add(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_pieces_become_fewer() {
        let mut pieces = Pieces::new(4);
        for start in 0..100 {
            // Two by two: near, then far.
            let start = start / 2 * 1_000_000 + start % 2 * 2048;
            pieces.add(start, start + 512);
        }
        let found = pieces.pieces.clone();
        assert!(pieces.all().is_err(), "mostly zeros");
        assert!((1..=4).contains(&found.len()), "{found:?}");
        let mut end = 0;
        for (start, length) in &found {
            assert!(*start >= end && start % 512 == 0);
            end = start + length;
        }
        assert_eq!(end, 49_000_000 + 2048 + 512);
        for start in (0..50).flat_map(|pair| [pair * 1_000_000, pair * 1_000_000 + 2048]) {
            let holds = |(first, length): &(u64, u64)| (*first..first + length).contains(&start);
            assert!(found.iter().any(holds), "{start}");
        }
    }

    #[test]
    fn few_pieces_stay_apart() {
        let mut pieces = Pieces::new(4);
        for (start, end) in [(0, 512), (1024, 2048), (2048, 4096)] {
            pieces.add(start, end);
        }
        assert_eq!(pieces.all().unwrap(), [(0, 512), (1024, 3072)]);
    }
}
