//! Maps of sparse files: old GNU headers and the PAX forms 0.0, 0.1 and 1.0 (GNU tar manual,
//! "Storing Sparse Files"). Holes stay holes: a map only says where the stored bytes lie.

use tar::{GnuExtSparseHeader, GnuHeader, GnuSparseHeader};

use super::error::Refusal;
use super::number::{decimal, field};
use super::pax::Records;

/// How many pieces a map may have: 16 bytes each here, 24 and more in the archive.
const SEGMENTS: u64 = 1 << 20;
/// Size of a block of the archive, in bytes: every piece starts at one.
pub(super) const BLOCK: u64 = 512;

/// Where the stored bytes of a sparse file lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SparseMap {
    /// Size of the file, in bytes.
    pub(super) size: u64,
    /// Offset and length of each piece, in order.
    pub(super) segments: Vec<(u64, u64)>,
}

impl SparseMap {
    fn push(&mut self, offset: u64, length: u64) -> Result<(), Refusal> {
        if self.segments.len() as u64 >= SEGMENTS {
            return Err(Refusal::LargeDescription);
        }
        self.segments.push((offset, length));
        Ok(())
    }

    /// Checks that the pieces are in order, lie in the file, start at blocks of the archive and
    /// are together what it stores.
    pub(super) fn check(mut self, stored: u64) -> Result<Self, Refusal> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, length) in &self.segments {
            let in_order = *offset >= end && (*length == 0 || sum % BLOCK == 0);
            end = offset.checked_add(*length).ok_or(Refusal::SparseMap)?;
            sum = sum.checked_add(*length).ok_or(Refusal::SparseMap)?;
            if !in_order {
                return Err(Refusal::SparseMap);
            }
        }
        if end > self.size || sum != stored || i64::try_from(self.size).is_err() {
            return Err(Refusal::SparseMap);
        }
        self.segments.retain(|(_, length)| *length > 0);
        Ok(self)
    }
}

/// Starts a map from an old GNU header; whether extension blocks follow is the second part.
pub(super) fn of_gnu(header: &GnuHeader) -> Result<(SparseMap, bool), Refusal> {
    let mut map = SparseMap { size: number(&header.realsize)?, segments: Vec::new() };
    add_gnu(&mut map, &header.sparse)?;
    Ok((map, header.is_extended()))
}

/// Adds the pieces of an extension block; whether another one follows is returned.
pub(super) fn add_extension(
    map: &mut SparseMap,
    block: &GnuExtSparseHeader,
) -> Result<bool, Refusal> {
    add_gnu(map, block.sparse())?;
    Ok(block.is_extended())
}

fn add_gnu(map: &mut SparseMap, pieces: &[GnuSparseHeader]) -> Result<(), Refusal> {
    for piece in pieces {
        // The first empty slot ends the list, as in GNU tar.
        if piece.offset.first() == Some(&0) || piece.numbytes.first() == Some(&0) {
            break;
        }
        map.push(number(&piece.offset)?, number(&piece.numbytes)?)?;
    }
    Ok(())
}

fn number(bytes: &[u8]) -> Result<u64, Refusal> {
    field(bytes).and_then(|number| u64::try_from(number).ok()).ok_or(Refusal::SparseMap)
}

/// Whether the records describe a sparse file.
pub(super) fn is_pax_sparse(records: &Records) -> bool {
    is_version_1(records) || is_version_0(records)
}

/// Whether the map lies before the contents (version 1.0).
pub(super) fn is_version_1(records: &Records) -> bool {
    records.get("GNU.sparse.major").is_some()
}

fn is_version_0(records: &Records) -> bool {
    records.get("GNU.sparse.size").is_some()
}

/// The map of versions 0.0 and 0.1, which is in the records.
pub(super) fn of_records(records: &Records) -> Result<SparseMap, Refusal> {
    let mut map = SparseMap { size: record(records, "GNU.sparse.size")?, segments: Vec::new() };
    match records.get("GNU.sparse.map") {
        Some(b"") => {}
        Some(text) => add_pairs(&mut map, text.split(|byte| *byte == b','))?,
        None => add_pairs(&mut map, version_0_0(records).into_iter())?,
    }
    match records.get("GNU.sparse.numblocks") {
        Some(count) if decimal(count) != Some(map.segments.len() as u64) => Err(Refusal::SparseMap),
        _ => Ok(map),
    }
}

/// The values of version 0.0: `offset` and `numbytes` records in turn.
fn version_0_0(records: &Records) -> Vec<&[u8]> {
    let mut values = Vec::new();
    for (key, value) in records.iter() {
        match (key, values.len() % 2) {
            (b"GNU.sparse.offset", 0) | (b"GNU.sparse.numbytes", 1) => values.push(value),
            // Out of turn: what no number is makes the map malformed.
            (b"GNU.sparse.offset" | b"GNU.sparse.numbytes", _) => values.push(b""),
            _ => {}
        }
    }
    values
}

fn add_pairs<'a>(
    map: &mut SparseMap,
    mut numbers: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Refusal> {
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or(Refusal::SparseMap)?;
        let pair = decimal(offset).zip(decimal(length)).ok_or(Refusal::SparseMap)?;
        map.push(pair.0, pair.1)?;
    }
    Ok(())
}

fn record(records: &Records, key: &str) -> Result<u64, Refusal> {
    records.get(key).and_then(decimal).ok_or(Refusal::SparseMap)
}

/// Reads a version 1.0 map: decimal numbers, each with a newline, first how many pieces.
pub(super) struct Version1 {
    map: SparseMap,
    pieces: Option<u64>,
    offset: Option<u64>,
    digits: Vec<u8>,
}

impl Version1 {
    /// Starts with the records of the member.
    pub(super) fn start(records: &Records) -> Result<Self, Refusal> {
        let version = (records.get("GNU.sparse.major"), records.get("GNU.sparse.minor"));
        if version != (Some(b"1"), Some(b"0")) {
            return Err(Refusal::SparseMap);
        }
        let size = record(records, "GNU.sparse.realsize")?;
        let map = SparseMap { size, segments: Vec::new() };
        Ok(Self { map, pieces: None, offset: None, digits: Vec::new() })
    }

    /// Takes one block; the map when that was the last one.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<Option<SparseMap>, Refusal> {
        for byte in block {
            match byte {
                b'\n' => self.number()?,
                // The longest number has 20 digits.
                digit if self.digits.len() < 20 => self.digits.push(*digit),
                _ => return Err(Refusal::SparseMap),
            }
            if self.pieces == Some(self.map.segments.len() as u64) {
                return Ok(Some(std::mem::take(&mut self.map)));
            }
        }
        Ok(None)
    }

    fn number(&mut self) -> Result<(), Refusal> {
        let number = decimal(&self.digits).ok_or(Refusal::SparseMap)?;
        self.digits.clear();
        match (self.pieces, self.offset.take()) {
            (None, _) if number > SEGMENTS => Err(Refusal::LargeDescription),
            (None, _) => {
                self.pieces = Some(number);
                Ok(())
            }
            (Some(_), None) => {
                self.offset = Some(number);
                Ok(())
            }
            (Some(_), Some(offset)) => self.map.push(offset, number),
        }
    }
}
