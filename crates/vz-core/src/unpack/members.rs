//! The members of an archive, one after the other.
//!
//! The `tar` crate gives the layout of the headers; the walk over them is done here, because its
//! own iterator reads a long name or PAX header of any size into memory, takes an archive cut at
//! a block for a whole one, and hides where the holes of a sparse file are.

use tar::{GnuExtSparseHeader, Header};

use super::archive::Stream;
use super::error::{Refusal, UnpackError, shown};
use super::member::{Headers, Kind, Member};
use super::pax::Records;
use super::sparse::{self, BLOCK, SparseMap};

/// The largest long name or PAX header, in bytes: room for a sparse map of 2^18 pieces.
const DESCRIPTION: u64 = 8 << 20;
/// Largest sum of the global PAX headers, in bytes.
const GLOBAL: u64 = 1 << 20;
/// `BLOCK` as the length of a buffer.
const BLOCK_BYTES: usize = BLOCK as usize;

/// Records that only one member can have.
const NEVER_GLOBAL: [&[u8]; 4] = [b"path", b"linkpath", b"size", b"GNU.sparse."];

/// Walks over an archive.
pub(super) struct Members<'a> {
    stream: Stream<'a>,
    /// Offset in the decompressed archive, in bytes.
    offset: u64,
    global: Records,
    global_size: u64,
    /// Contents of the current member that nobody has read yet, and the padding after them.
    unread: u64,
    padding: u64,
    /// The current member's name, for messages.
    name: Vec<u8>,
}

/// What came before a member's own header.
#[derive(Default)]
struct Before {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Option<Records>,
}

impl Before {
    fn is_empty(&self) -> bool {
        self.long_name.is_none() && self.long_link.is_none() && self.pax.is_none()
    }
}

impl<'a> Members<'a> {
    pub(super) fn new(stream: Stream<'a>) -> Self {
        let (global, name) = (Records::default(), Vec::new());
        Self { stream, offset: 0, global, global_size: 0, unread: 0, padding: 0, name }
    }

    /// The next member; `None` after the last one, when the archive was read to its very end.
    pub(super) fn next(&mut self) -> Result<Option<Member>, UnpackError> {
        self.skip(self.unread)?;
        self.skip(self.padding)?;
        self.padding = 0;
        let mut before = Before::default();
        loop {
            let Some(header) = self.header()? else {
                if !before.is_empty() {
                    return Err(self.truncated("after the description of a member"));
                }
                return self.end().map(|()| None);
            };
            match header.entry_type().as_byte() {
                b'L' => {
                    let name = self.long(&header)?;
                    set_once(&mut before.long_name, name, "name")?;
                }
                b'K' => {
                    let target = self.long(&header)?;
                    set_once(&mut before.long_link, target, "link target")?;
                }
                b'x' => {
                    let records = self.records(&header)?;
                    set_once(&mut before.pax, records, "PAX header")?;
                }
                b'g' => self.global(&header)?,
                _ => return self.member(&header, &before).map(Some),
            }
        }
    }

    /// Reads `length` bytes of the current member's contents, piece by piece.
    pub(super) fn contents(
        &mut self,
        mut length: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        while length > 0 {
            let piece = self.stream.fill()?;
            if piece.is_empty() {
                return Err(self.truncated("in the contents"));
            }
            let piece = match usize::try_from(length) {
                Ok(length) if length < piece.len() => piece.get(..length).unwrap_or(piece),
                _ => piece,
            };
            take(piece)?;
            let taken = piece.len();
            self.stream.consume(taken);
            length -= taken as u64;
            self.offset += taken as u64;
            self.unread = self.unread.saturating_sub(taken as u64);
        }
        Ok(())
    }

    /// The next header, checked; `None` at the end marker.
    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        let offset = self.offset;
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? {
            return Err(self.truncated("before the end marker"));
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = header.as_old().cksum.iter().map(|byte| u32::from(*byte)).sum();
        // The sum is taken with blanks in its own field.
        let expected = sum - own + 8 * u32::from(b' ');
        match super::number::field(&header.as_old().cksum) {
            Some(given) if given == i64::from(expected) => Ok(Some(header)),
            _ => Err(UnpackError::Header { offset, reason: "its checksum is wrong" }),
        }
    }

    /// Puts the member of `header` together.
    fn member(&mut self, header: &Header, before: &Before) -> Result<Member, UnpackError> {
        let none = Records::default();
        let pax = before.pax.as_ref().unwrap_or(&none);
        let headers = Headers {
            header,
            long_name: before.long_name.as_deref(),
            long_link: before.long_link.as_deref(),
            pax,
            global: &self.global,
        };
        let mut member = headers.member()?;
        self.name.clone_from(&member.name);
        self.expect(member.stored)?;
        if let Some(map) = self.sparse_map(header, pax, &mut member)? {
            let checked = map.check(member.stored);
            member.sparse = Some(checked.map_err(|reason| self.refused(reason))?);
        }
        Ok(member)
    }

    /// Notes that `size` bytes and their padding follow.
    fn expect(&mut self, size: u64) -> Result<(), UnpackError> {
        if size > i64::MAX as u64 {
            return Err(self.refused(Refusal::Number("size")));
        }
        self.unread = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    /// The sparse map of a member, wherever it is kept.
    fn sparse_map(
        &mut self,
        header: &Header,
        pax: &Records,
        member: &mut Member,
    ) -> Result<Option<SparseMap>, UnpackError> {
        let old = header.entry_type().is_gnu_sparse();
        match (old, sparse::is_pax_sparse(pax)) {
            (false, false) => Ok(None),
            (true, true) => Err(self.refused(Refusal::Ambiguous("sparse map"))),
            _ if member.kind != Kind::Regular => Err(self.refused(Refusal::SparseMap)),
            (true, false) => self.old_map(header).map(Some),
            (false, true) if sparse::is_version_1(pax) => self.map_1(pax, member).map(Some),
            (false, true) => {
                sparse::of_records(pax).map(Some).map_err(|reason| self.refused(reason))
            }
        }
    }

    /// The map of an old GNU header: some in it, the rest in blocks that follow.
    fn old_map(&mut self, header: &Header) -> Result<SparseMap, UnpackError> {
        let gnu = header.as_gnu().ok_or_else(|| self.refused(Refusal::SparseMap))?;
        let (mut map, mut more) = sparse::of_gnu(gnu).map_err(|reason| self.refused(reason))?;
        let mut extension = GnuExtSparseHeader::new();
        while more {
            if !self.block(extension.as_mut_bytes())? {
                return Err(self.truncated("in the sparse map"));
            }
            more = sparse::add_extension(&mut map, &extension)
                .map_err(|reason| self.refused(reason))?;
        }
        Ok(map)
    }

    /// The map of version 1.0, which is the first part of the contents.
    fn map_1(&mut self, pax: &Records, member: &mut Member) -> Result<SparseMap, UnpackError> {
        let mut reader = sparse::Version1::start(pax).map_err(|reason| self.refused(reason))?;
        let mut block = [0; BLOCK_BYTES];
        while let Some(left) = member.stored.checked_sub(BLOCK) {
            if !self.block(&mut block)? {
                return Err(self.truncated("in the sparse map"));
            }
            member.stored = left;
            self.unread = left;
            if let Some(map) = reader.block(&block).map_err(|reason| self.refused(reason))? {
                return Ok(map);
            }
        }
        Err(self.refused(Refusal::SparseMap))
    }

    /// A GNU long name: up to its NUL, and nothing else may follow that.
    fn long(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        let mut name = self.description(header)?;
        if let Some(end) = name.iter().position(|byte| *byte == 0) {
            if name.iter().skip(end).any(|byte| *byte != 0) {
                return Err(UnpackError::refused(&name, Refusal::NulInName));
            }
            name.truncate(end);
        }
        Ok(name)
    }

    fn records(&mut self, header: &Header) -> Result<Records, UnpackError> {
        let data = self.description(header)?;
        Records::parse(&data)
            .ok_or_else(|| UnpackError::refused(&header.path_bytes(), Refusal::PaxRecord))
    }

    fn global(&mut self, header: &Header) -> Result<(), UnpackError> {
        let records = self.records(header)?;
        let refused = |reason| Err(UnpackError::refused(&header.path_bytes(), reason));
        let (mut size, mut named) = (0, false);
        for (key, value) in records.iter() {
            size += (key.len() + value.len()) as u64;
            named |= NEVER_GLOBAL.iter().any(|never| key.starts_with(never));
        }
        self.global_size += size;
        if named {
            return refused(Refusal::GlobalRecord);
        }
        if self.global_size > GLOBAL {
            return refused(Refusal::LargeDescription);
        }
        self.global.extend(records);
        Ok(())
    }

    /// The contents of a header that describes the next member.
    fn description(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        self.name = header.path_bytes().into_owned();
        let size = super::number::field(&header.as_old().size);
        let size = size.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| self.refused(Refusal::Number("size")))?;
        if size > DESCRIPTION {
            return Err(self.refused(Refusal::LargeDescription));
        }
        self.expect(size)?;
        let mut data = Vec::new();
        self.contents(size, |piece| {
            data.extend_from_slice(piece);
            Ok(())
        })?;
        self.skip(self.padding)?;
        Ok(data)
    }

    /// Reads one block; `false` where the archive ends before it.
    fn block(&mut self, into: &mut [u8; BLOCK_BYTES]) -> Result<bool, UnpackError> {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            let piece = self.stream.fill()?;
            if piece.is_empty() {
                return if filled == 0 { Ok(false) } else { Err(self.truncated("in a header")) };
            }
            let length = piece.len().min(BLOCK_BYTES - filled);
            if let (Some(to), Some(from)) =
                (into.get_mut(filled..filled + length), piece.get(..length))
            {
                to.copy_from_slice(from);
            }
            self.stream.consume(length);
            filled += length;
            self.offset += length as u64;
        }
        Ok(true)
    }

    fn skip(&mut self, length: u64) -> Result<(), UnpackError> {
        self.contents(length, |_| Ok(()))
    }

    /// Reads what follows the end marker: padding, so that a decompressor gets to check its sum.
    fn end(&mut self) -> Result<(), UnpackError> {
        loop {
            let rest = self.stream.fill()?;
            if rest.is_empty() {
                return Ok(());
            }
            if rest.iter().any(|byte| *byte != 0) {
                return Err(UnpackError::refused(b"end of the archive", Refusal::TrailingData));
            }
            let length = rest.len();
            self.stream.consume(length);
        }
    }

    fn refused(&self, reason: Refusal) -> UnpackError {
        UnpackError::refused(&self.name, reason)
    }

    fn truncated(&self, place: &str) -> UnpackError {
        let after = match self.name.as_slice() {
            [] => place.to_owned(),
            name => format!("{place}, at the member '{}'", shown(name)),
        };
        UnpackError::Truncated { after }
    }
}

/// Keeps what describes the next member: twice is refused, readers disagree which one counts.
fn set_once<T>(slot: &mut Option<T>, value: T, what: &'static str) -> Result<(), UnpackError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(UnpackError::refused(b"", Refusal::Ambiguous(what))),
    }
}
