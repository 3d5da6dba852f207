//! The header of an image in ploop's own format: 64 bytes, little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0–15 | signature, of version 1 or 2 |
//! | 16–19 | type, 2 |
//! | 20–27 | heads and cylinders, of no use |
//! | 28–31 | sectors in a cluster |
//! | 32–35 | clusters of the disk |
//! | 36–43 | sectors of the disk (version 1: 36–39) |
//! | 44–47 | in use: a mark while it is open for writing |
//! | 48–51 | the sector where the first cluster lies |
//! | 52–55 | flags |
//! | 56–63 | where extensions lie, which describe changes for backups, of no use here |

use super::{ImageError, Result, number};

/// Its length in bytes. The table follows at once.
pub const LENGTH: usize = 64;
/// Bytes in a sector.
const SECTOR: u64 = 512;
/// The one type there is.
const TYPE: u64 = 2;
/// Sectors in a cluster: 32 KiB to 64 MiB.
const CLUSTER: std::ops::RangeInclusive<u64> = 64..=131_072;
/// The mark of an image that is open for writing, or was when its node went down.
const IN_USE: u64 = 0x746f_6e59;
/// The flag of a change of version under way; it counts while the mark is there.
const VERSION_CHANGE: u64 = 2;
/// No disk of ploop is larger, in bytes: its file systems end at 16 TiB.
const LARGEST: u64 = 1 << 45;

/// What an entry of the table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `WithoutFreeSpace`: sectors.
    One,
    /// `WithouFreSpacExt`: clusters.
    Two,
}

/// The signatures.
const SIGNATURES: [(&[u8; 16], Version); 2] =
    [(b"WithoutFreeSpace", Version::One), (b"WithouFreSpacExt", Version::Two)];

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What an entry of the table counts.
    pub version: Version,
    /// Bytes in a cluster, a power of two.
    pub cluster: u64,
    /// Bytes of the disk.
    pub disk: u64,
    /// Where the first cluster may lie, in bytes: the end of the table.
    pub first: u64,
    /// Whether it was open for writing when it was last seen.
    pub in_use: bool,
}

/// The version that these first bytes of a file are a signature of.
pub fn signature(bytes: &[u8]) -> Option<Version> {
    let found = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(*signature));
    found.map(|(_, version)| *version)
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// For what ploop would not take, and for a disk larger than any of its own.
    pub fn parse(bytes: &[u8; LENGTH]) -> Result<Header> {
        let version = signature(bytes).ok_or(ImageError::Signature)?;
        let field = |field, value, is_good| match is_good {
            true => Ok(value),
            false => Err(ImageError::Header { field, value }),
        };
        let word = |at| number::<4>(bytes, at);
        field("type", word(16), word(16) == TYPE)?;
        let cluster = word(28);
        let is_good = CLUSTER.contains(&cluster) && cluster.is_power_of_two();
        let cluster = field("cluster size", cluster, is_good)?;
        let sectors = match version {
            Version::One => word(36),
            Version::Two => number::<8>(bytes, 36),
        };
        field("disk size", sectors, sectors > 0 && sectors <= LARGEST / SECTOR)?;
        let first = word(48);
        let first = field("first block offset", first, first > 0 && first % cluster == 0)?;
        let in_use = word(44) == IN_USE;
        if in_use && word(52) & VERSION_CHANGE != 0 {
            return Err(ImageError::VersionChange);
        }
        let (cluster, disk, first) = (cluster * SECTOR, sectors * SECTOR, first * SECTOR);
        let header = Header { version, cluster, disk, first, in_use };
        let room = (first - LENGTH as u64) / 4;
        field("disk size", sectors, header.clusters() <= room)?;
        Ok(header)
    }

    /// Clusters of the disk, which is as many entries of the table.
    pub fn clusters(&self) -> u64 {
        self.disk.div_ceil(self.cluster)
    }
}
