//! Little-endian numbers, one after the other.

use super::FileError;

/// What is left to be read.
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'b [u8], FileError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FileError::TooShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(FileError::TooShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u32(&mut self) -> Result<u32, FileError> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, FileError> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, FileError> {
        self.array().map(i64::from_le_bytes)
    }
}

/// What has been written.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u32(&mut self, number: u32) -> &mut Writer {
        self.bytes(&number.to_le_bytes())
    }

    pub fn u64(&mut self, number: u64) -> &mut Writer {
        self.bytes(&number.to_le_bytes())
    }

    pub fn i64(&mut self, number: i64) -> &mut Writer {
        self.bytes(&number.to_le_bytes())
    }
}
