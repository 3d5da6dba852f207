//! The quota file: the limits of a directory and of its users and groups, and what they held last.
//! Its format is that of vzquota 2.5.0 on x86-64 (src/quota_io.c, include/vzquota.h of
//! kolyshkin/vzquota): C structures in little-endian order, then a 64-bit XOR of all before.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

mod bytes;
mod old;

use bytes::{Reader, Writer};

/// Versions by their first word.
const MAGIC: u32 = 0xFEDC_BC27;
const MAGIC_2: u32 = 0xFEDC_BB00;
const MAGIC_1: u32 = 0xFEDC_BA98;

/// The quota is on.
pub const ON: u32 = 1;
/// What is held has to be counted anew when it is switched on.
pub const DIRTY: u32 = 2;
/// Users and groups are counted, too.
pub const USERS_ON: u32 = 4;

/// Of [`Users::flags`]: more users and groups were there than their limit lets count.
pub const USERS_EXCEEDED: u32 = 1;
/// Of [`Users::flags`]: users and groups are being counted.
pub const USERS_ACTIVE: u32 = 2;

/// Of [`Object::flags`]: it is being counted.
pub const LOADED: u32 = 1;
/// Of [`Object::flags`]: what it holds is not known.
pub const OBJECT_DIRTY: u32 = 2;

/// Whether an [`Object`] is a user or a group, as quotactl(2) numbers them.
pub const USER: u32 = 0;
/// See [`USER`].
pub const GROUP: u32 = 1;

/// The longest path that is believed: PATH_MAX.
const LONGEST_PATH: u64 = 4096;
/// Bytes of one user or group.
const OBJECT: usize = 72;
/// Bytes of a file without path, users and groups.
const FIXED: usize = 168;

/// Limits, use and the end of grace of one resource: bytes, or inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// May never be passed.
    pub hard: u64,
    /// May be passed for the grace time.
    pub soft: u64,
    /// When passing the soft limit begins to fail, in seconds of the epoch; 0 while below.
    pub end: i64,
    /// What is held.
    pub held: u64,
}

impl Amount {
    /// It has neither limits nor use.
    fn is_empty(&self) -> bool {
        self.hard == 0 && self.soft == 0 && self.held == 0
    }

    /// More is held than one of the limits that are set.
    pub fn is_over(&self) -> bool {
        let over = |limit: u64| limit != 0 && self.held > limit;
        over(self.soft) || over(self.hard)
    }
}

/// Space in bytes, and inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// In bytes.
    pub space: Amount,
    /// Files of every kind. The format keeps 32 bits.
    pub inodes: Amount,
}

/// How long soft limits may be passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// That of space, in seconds.
    pub space: i64,
    /// That of inodes, in seconds.
    pub inodes: i64,
    /// Warnings the old kernel has given; kept as they are.
    pub flags: u32,
}

/// A user or a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Its number on the disk.
    pub id: u32,
    /// [`USER`] or [`GROUP`].
    pub kind: u32,
    /// What it may hold and holds.
    pub amounts: Amounts,
    /// [`LOADED`], [`OBJECT_DIRTY`].
    pub flags: u32,
}

impl Object {
    /// What it is sorted by.
    pub(super) fn key(&self) -> (u32, u32) {
        (self.kind, self.id)
    }

    /// It has neither limits nor use.
    pub fn is_empty(&self) -> bool {
        self.amounts.space.is_empty() && self.amounts.inodes.is_empty()
    }

    /// It has a limit.
    pub fn has_limits(&self) -> bool {
        let limited = |amount: &Amount| amount.hard != 0 || amount.soft != 0;
        limited(&self.amounts.space) || limited(&self.amounts.inodes)
    }
}

/// The second level: users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// How many of them may be counted; 0 counts none.
    pub limit: u32,
    /// How many are being counted.
    pub loaded: u32,
    /// [`USERS_ACTIVE`], [`USERS_EXCEEDED`].
    pub flags: u32,
    /// Grace times of users and of groups.
    pub graces: [Grace; 2],
    /// By kind and number, each once.
    pub objects: Vec<Object>,
}

impl Users {
    /// The object of this kind and number, made if need be.
    pub fn object(&mut self, kind: u32, id: u32) -> &mut Object {
        let place = match self.objects.binary_search_by_key(&(kind, id), Object::key) {
            Ok(place) => place,
            Err(place) => {
                self.objects.insert(place, Object { id, kind, ..Object::default() });
                place
            }
        };
        &mut self.objects[place]
    }

    /// There is such an object.
    pub fn has(&self, kind: u32, id: u32) -> bool {
        self.objects.binary_search_by_key(&(kind, id), Object::key).is_ok()
    }
}

/// A quota file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaFile {
    /// [`ON`], [`DIRTY`], [`USERS_ON`].
    pub flags: u32,
    /// What the directory may hold and holds.
    pub amounts: Amounts,
    /// Its grace times.
    pub grace: Grace,
    /// The directory; empty when the file lies beside it.
    pub path: OsString,
    /// Its users and groups.
    pub users: Users,
}

/// Why bytes are no quota file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It ends too early.
    #[error("quota file is corrupted")]
    TooShort,
    /// It begins with something else.
    #[error("Can't detect quota file version; file is not a VZ quota file")]
    NotOne,
    /// Its end does not fit what is before.
    #[error("Quota file check sum is invalid for id {0}; file is broken")]
    Checksum(u32),
    /// An object is neither of a user nor of a group.
    #[error(
        "{place} ugid object has incorrect type: id={id}, type={kind}; quota file is corrupted"
    )]
    Kind {
        /// Which object of the file it is.
        place: usize,
        /// Its number.
        id: u32,
        /// What its type is said to be.
        kind: u32,
    },
    /// It says that it has more or fewer users and groups than it has.
    #[error(
        "Number of ugid objects read from quota file is not equal to one in 2-level quota \
         statistics; quota file is corrupted for id {0}\n"
    )]
    Count(u32),
}

impl QuotaFile {
    /// Reads a file. `id` is for messages. The second value tells that it was of an old version,
    /// which has to be counted anew.
    ///
    /// # Errors
    /// When it is no quota file, or a damaged one.
    pub fn parse(bytes: &[u8], id: u32) -> Result<(QuotaFile, bool), FileError> {
        let mut reader = Reader(bytes);
        let (magic, flags) = (reader.u32()?, reader.u32()?);
        match magic {
            MAGIC => {
                verify(bytes, id)?;
                current(reader, flags, id).map(|file| (file, false))
            }
            MAGIC_2 => old::second(reader, flags | DIRTY).map(|file| (file, true)),
            MAGIC_1 => old::first(reader, flags).map(|file| (file, true)),
            _ => Err(FileError::NotOne),
        }
    }

    /// How many bytes the file has.
    pub fn length(&self) -> u64 {
        let variable = self.path.len() + self.users.objects.len().saturating_mul(OBJECT);
        (FIXED + variable) as u64
    }

    /// The file, in the current version.
    pub fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u32(MAGIC).u32(self.flags);
        write_amounts(&mut writer, &self.amounts);
        write_grace(&mut writer, &self.grace);
        let path = self.path.as_bytes();
        writer.u64(path.len() as u64).bytes(path);
        let users = &self.users;
        let count = u32::try_from(users.objects.len()).unwrap_or(u32::MAX);
        writer.u32(users.limit).u32(users.loaded).u32(users.flags).u32(count);
        users.graces.iter().for_each(|grace| write_grace(&mut writer, grace));
        for object in &users.objects {
            writer.u32(object.id).u32(object.kind);
            write_amounts(&mut writer, &object.amounts);
            writer.u32(object.flags).u32(0);
        }
        let sum = checksum(&writer.0);
        writer.u64(sum);
        writer.0
    }

    /// The directory; `None` when the file lies beside it.
    pub fn directory(&self) -> Option<PathBuf> {
        (!self.path.is_empty()).then(|| PathBuf::from(&self.path))
    }

    /// Names the directory.
    pub fn set_directory(&mut self, path: &Path) {
        self.path = path.as_os_str().to_owned();
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Sets or clears a flag.
    pub fn mark(&mut self, flag: u32, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

fn current(mut reader: Reader<'_>, flags: u32, id: u32) -> Result<QuotaFile, FileError> {
    let amounts = read_amounts(&mut reader)?;
    let grace = read_grace(&mut reader)?;
    let path = read_path(&mut reader)?;
    let (limit, loaded, user_flags) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let count = reader.u32()? as usize;
    let graces = [read_grace(&mut reader)?, read_grace(&mut reader)?];
    let mut users = Users { limit, loaded, flags: user_flags, graces, objects: Vec::new() };
    // Before anything of that size is made.
    if reader.0.len() < count.saturating_mul(OBJECT) {
        return Err(FileError::TooShort);
    }
    for place in 0..count {
        users.objects.push(read_object(&mut reader, place)?);
    }
    // At once: the original wrote them in no order.
    users.objects.sort_unstable_by_key(Object::key);
    users.objects.dedup_by_key(|object| object.key());
    // One that is there twice was written by nobody.
    match users.objects.len() == count {
        true => Ok(QuotaFile { flags, amounts, grace, path, users }),
        false => Err(FileError::Count(id)),
    }
}

fn read_object(reader: &mut Reader<'_>, place: usize) -> Result<Object, FileError> {
    let (id, kind) = (reader.u32()?, reader.u32()?);
    let amounts = read_amounts(reader)?;
    let flags = reader.u32()?;
    reader.u32()?;
    match kind {
        USER | GROUP => Ok(Object { id, kind, amounts, flags }),
        _ => Err(FileError::Kind { place, id, kind }),
    }
}

/// `struct dq_stat`.
fn read_amounts(reader: &mut Reader<'_>) -> Result<Amounts, FileError> {
    let (hard, soft, end, held) = (reader.u64()?, reader.u64()?, reader.i64()?, reader.u64()?);
    let space = Amount { hard, soft, end, held };
    let (hard, soft) = (reader.u32()?.into(), reader.u32()?.into());
    let (end, held) = (reader.i64()?, reader.u32()?.into());
    reader.u32()?;
    Ok(Amounts { space, inodes: Amount { hard, soft, end, held } })
}

fn write_amounts(writer: &mut Writer, amounts: &Amounts) {
    let (space, inodes) = (&amounts.space, &amounts.inodes);
    // What does not fit is above every file system's number of inodes.
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    writer.u64(space.hard).u64(space.soft).i64(space.end).u64(space.held);
    writer.u32(short(inodes.hard)).u32(short(inodes.soft)).i64(inodes.end);
    writer.u32(short(inodes.held)).u32(0);
}

/// `struct dq_info`.
fn read_grace(reader: &mut Reader<'_>) -> Result<Grace, FileError> {
    let grace = Grace { space: reader.i64()?, inodes: reader.i64()?, flags: reader.u32()? };
    reader.u32()?;
    Ok(grace)
}

fn write_grace(writer: &mut Writer, grace: &Grace) {
    writer.i64(grace.space).i64(grace.inodes).u32(grace.flags).u32(0);
}

fn read_path(reader: &mut Reader<'_>) -> Result<OsString, FileError> {
    let length = reader.u64()?;
    if length > LONGEST_PATH {
        return Err(FileError::TooShort);
    }
    Ok(OsString::from_vec(reader.take(length as usize)?.to_vec()))
}

fn verify(bytes: &[u8], id: u32) -> Result<(), FileError> {
    let (body, sum) = bytes.split_last_chunk::<8>().ok_or(FileError::TooShort)?;
    match checksum(body) == u64::from_le_bytes(*sum) {
        true => Ok(()),
        false => Err(FileError::Checksum(id)),
    }
}

/// The exclusive or of all words of 64 bits, the last one filled up with zeros.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum ^ u64::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests;
