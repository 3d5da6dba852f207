//! Times of the clock in quota files: when the grace of what is over its soft limit ends.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the current version begins with.
const MAGIC: [u8; 4] = 0xFEDC_BC27_u32.to_le_bytes();
/// Where the ends of grace stand, of space and of inodes; both are words of the checksum.
const ENDS: [usize; 2] = [24, 48];
/// The grace time that the recording set, in seconds.
const RECORDED_GRACE: u64 = 600;

/// Lets what was about to end when it was recorded end as much later from now on.
pub fn renew(bytes: &mut [u8]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    replace(bytes, now + RECORDED_GRACE);
}

/// The bytes with another end wherever there is one.
pub fn masked(mut bytes: Vec<u8>) -> Vec<u8> {
    replace(&mut bytes, 1);
    bytes
}

/// Puts an end in the place of each that is there, and into the checksum: one that was right, or
/// wrong, stays so.
fn replace(bytes: &mut [u8], end: u64) {
    let Some(sum_at) = bytes.len().checked_sub(8).filter(|at| *at > ENDS[1] + 8) else { return };
    if !bytes.starts_with(&MAGIC) {
        return;
    }
    for at in ENDS {
        let old = word(bytes, at);
        if old != 0 {
            let sum = word(bytes, sum_at) ^ old ^ end;
            bytes[at..at + 8].copy_from_slice(&end.to_le_bytes());
            bytes[sum_at..].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_changes_with_the_checksum() {
        let file = |end: u64| {
            let mut bytes = [MAGIC.to_vec(), vec![0; 92]].concat();
            bytes[24..32].copy_from_slice(&end.to_le_bytes());
            let sum = (0..12).fold(0, |sum, place| sum ^ word(&bytes, place * 8));
            [bytes, sum.to_le_bytes().to_vec()].concat()
        };
        assert_eq!(masked(file(1_795_225_280)), masked(file(1_800_000_000)));
        assert_ne!(masked(file(1_795_225_280)), masked(file(0)));
        assert_eq!(masked(file(7)), file(1));
        let mut renewed = file(7);
        renew(&mut renewed);
        assert!(word(&renewed, 24) > 1_700_000_000);
        assert_eq!(masked(b"other".to_vec()), b"other");
    }
}
