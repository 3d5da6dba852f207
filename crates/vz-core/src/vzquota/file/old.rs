//! The two versions before the current one (`struct vz_quota_stat_old1` and `_old2` of
//! include/vzquota.h): one level, and no checksum.

use super::bytes::Reader;
use super::{Amount, Amounts, FileError, Grace, QuotaFile, Users, read_path};

/// The first: space in blocks of 1024 bytes.
pub fn first(mut reader: Reader<'_>, flags: u32) -> Result<QuotaFile, FileError> {
    let bytes = |blocks: u32| u64::from(blocks) * 1024;
    let (hard, soft) = (bytes(reader.u32()?), bytes(reader.u32()?));
    let (grace, end) = (reader.i64()?, reader.i64()?);
    let space = Amount { hard, soft, end, held: bytes(reader.u32()?) };
    let mut inodes = numbers(&mut reader)?;
    let inode_grace = reader.i64()?;
    inodes.end = reader.i64()?;
    rest(reader, flags, Amounts { space, inodes }, grace, inode_grace)
}

/// The second: space in bytes.
pub fn second(mut reader: Reader<'_>, flags: u32) -> Result<QuotaFile, FileError> {
    let (hard, soft) = (reader.u64()?, reader.u64()?);
    let (grace, end) = (reader.i64()?, reader.i64()?);
    let space = Amount { hard, soft, end, held: reader.u64()? };
    let mut inodes = numbers(&mut reader)?;
    reader.u32()?; // to a multiple of 8
    let inode_grace = reader.i64()?;
    inodes.end = reader.i64()?;
    rest(reader, flags, Amounts { space, inodes }, grace, inode_grace)
}

fn numbers(reader: &mut Reader<'_>) -> Result<Amount, FileError> {
    let (hard, soft) = (reader.u32()?.into(), reader.u32()?.into());
    Ok(Amount { hard, soft, end: 0, held: reader.u32()?.into() })
}

fn rest(
    mut reader: Reader<'_>,
    flags: u32,
    amounts: Amounts,
    space: i64,
    inodes: i64,
) -> Result<QuotaFile, FileError> {
    reader.u64()?; // options, to a multiple of 8
    let path = read_path(&mut reader)?;
    let grace = Grace { space, inodes, flags: 0 };
    Ok(QuotaFile { flags, amounts, grace, path, users: Users::default() })
}
