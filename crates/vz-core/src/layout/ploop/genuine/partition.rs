//! Where on a disk of ploop its file system lies.
//!
//! ploop puts a GUID partition table on a new disk (`lib/gpt.c`; UEFI specification, chapter 5), with
//! one partition that begins after the first cluster. Its first versions had no table: there the
//! whole disk is the file system.

use std::ops::Range;

use flate2::Crc;

use super::stack::Stack;
use super::{ImageError, Result, Source, number};

/// What the table begins with.
const SIGNATURE: &[u8] = b"EFI PART";
/// Sizes of sectors: of what the disk was when it was made.
const SECTORS: [u64; 4] = [512, 1024, 2048, 4096];
/// Bytes of its header that are defined.
const HEADER: usize = 92;
/// Bytes of an entry, at least; what follows in a larger one is not defined.
const ENTRY: u64 = 128;
/// Bytes of all entries, at most; usual are 16 KiB.
const MOST: u64 = 1 << 20;
/// Where ext4 has its magic number, and that.
const EXT4_MAGIC: (u64, [u8; 2]) = (1024 + 0x38, [0x53, 0xef]);

/// The bytes of the disk that are its file system: those of the first partition, or all.
///
/// # Errors
/// [`ImageError::Partitions`] for a broken table on a disk that is no file system itself.
pub fn file_system<S: Source>(disk: &mut Stack<S>) -> Result<Range<u64>> {
    match table(disk)? {
        Table::Sound(partition) => Ok(partition),
        Table::None => Ok(0..disk.size()),
        Table::Broken(_) if is_ext4(disk)? => Ok(0..disk.size()),
        Table::Broken(why) => Err(ImageError::Partitions(why)),
    }
}

/// What was found.
enum Table {
    None,
    Sound(Range<u64>),
    Broken(&'static str),
}

fn is_ext4<S: Source>(disk: &mut Stack<S>) -> Result<bool> {
    let mut magic = [0; 2];
    disk.read(&mut magic, EXT4_MAGIC.0)?;
    Ok(magic == EXT4_MAGIC.1)
}

fn table<S: Source>(disk: &mut Stack<S>) -> Result<Table> {
    let mut found = Table::None;
    for sector in SECTORS {
        let mut header = vec![0; usize::try_from(sector).unwrap_or(HEADER)];
        disk.read(&mut header, sector)?;
        if !header.starts_with(SIGNATURE) {
            continue;
        }
        found = match partition(disk, &mut header, sector)? {
            Ok(partition) => return Ok(Table::Sound(partition)),
            Err(why) => Table::Broken(why),
        };
    }
    Ok(found)
}

/// The first partition of the table with this header, or what is wrong with it.
fn partition<S: Source>(
    disk: &mut Stack<S>,
    header: &mut [u8],
    sector: u64,
) -> Result<std::result::Result<Range<u64>, &'static str>> {
    let length = usize::try_from(number::<4>(header, 12)).unwrap_or(usize::MAX);
    if length < HEADER || length > header.len() {
        return Ok(Err("its header has a bad length"));
    }
    let expected = number::<4>(header, 16);
    header[16..20].fill(0);
    if checksum(&header[..length]) != expected {
        return Ok(Err("its header has another checksum"));
    }
    let (count, size) = (number::<4>(header, 80), number::<4>(header, 84));
    let bytes = count * size;
    if size < ENTRY || bytes < size || bytes > MOST {
        return Ok(Err("it has a bad number of entries"));
    }
    let Some(at) = number::<8>(header, 72).checked_mul(sector) else {
        return Ok(Err("its entries lie beyond the disk"));
    };
    let mut entries = vec![0; usize::try_from(bytes).unwrap_or(0)];
    disk.read(&mut entries, at)?;
    if checksum(&entries) != number::<4>(header, 88) {
        return Ok(Err("its entries have another checksum"));
    }
    let (first, last) = (number::<8>(&entries, 32), number::<8>(&entries, 40));
    let end = last.checked_add(1).and_then(|end| end.checked_mul(sector));
    Ok(match (first.checked_mul(sector), end) {
        _ if entries.iter().take(16).all(|byte| *byte == 0) => Err("it has no first partition"),
        (Some(start), Some(end)) if start > 0 && start < end && end <= disk.size() => {
            Ok(start..end)
        }
        _ => Err("its first partition lies beyond the disk"),
    })
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().into()
}
