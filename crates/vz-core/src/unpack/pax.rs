//! PAX extended headers (POSIX.1-2001 pax, "pax Extended Header").
//!
//! The `tar` crate's own reader of them splits at newlines, which the binary values of extended
//! attributes contain; this one goes by the lengths, as the format says.

use super::number::decimal;

/// The records of one extended header, in their order.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Records {
    /// Reads `length key=value\n` records. `None` where one is malformed.
    pub(super) fn parse(mut data: &[u8]) -> Option<Self> {
        let mut records = Vec::new();
        while !data.is_empty() {
            let blank = data.iter().take(20).position(|byte| *byte == b' ')?;
            let length = usize::try_from(decimal(data.get(..blank)?)?).ok()?;
            let record = data.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
            if key.is_empty() {
                return None;
            }
            records.push((key.to_vec(), value.to_vec()));
            data = data.get(length..)?;
        }
        Some(Self { records })
    }

    /// The value of `key`: the last one counts.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.iter().rev().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// All records.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.records.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Adds later records, which count before these.
    pub(super) fn extend(&mut self, later: Self) {
        self.records.extend(later.records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_anything() {
        let records = Records::parse(b"13 a=b\n=\0\n c\n6 d=e\n7 a=xy\n").unwrap();
        assert_eq!(records.get("a"), Some(&b"xy"[..]));
        assert_eq!(records.get("d"), Some(&b"e"[..]));
        assert_eq!(records.iter().next().unwrap().1, b"b\n=\0\n c");
        assert_eq!(records.get("b"), None);
    }

    #[test]
    fn malformed_records() {
        for bad in [
            &b"x"[..],
            b"6 a=b",
            b"5 a=b\n",
            b"7 a=b\n",
            b"0 a=b\n",
            b"5 ab\n",
            b"5 =b\n",
            b"-6 a=b\n",
            b"99999999999999999999 a=b\n",
            b"6 a=b\n\0\0",
        ] {
            assert!(Records::parse(bad).is_none(), "{bad:?}");
        }
    }
}
