//! Limits on the command line.

use vz_core::vzquota::change::Given;
use vz_core::vzquota::time;

use super::words::NO_CHECK;

/// What is wrong with a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Bad {
    /// It is no number.
    Number,
    /// It is no time.
    Time,
}

/// A whole number, as strtol(3) takes one that is not negative.
pub fn number(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Takes an option with its value; those that give no limit are passed over.
pub fn put(given: &mut Given, letter: char, value: &str) -> Result<(), Bad> {
    let blocks = || number(value).ok_or(Bad::Number);
    // The file has 32 bits for inodes and for the number of users.
    let short = || number(value).and_then(|n| u32::try_from(n).ok()).ok_or(Bad::Number);
    let seconds = || time::parse(value).ok_or(Bad::Time);
    match letter {
        'b' => given.space.soft = Some(blocks()?),
        'B' => given.space.hard = Some(blocks()?),
        'e' => given.space.grace = Some(seconds()?),
        'i' => given.inodes.soft = Some(short()?.into()),
        'I' => given.inodes.hard = Some(short()?.into()),
        'n' => given.inodes.grace = Some(seconds()?),
        'u' => given.users_limit = Some(short()?),
        's' => {
            given.users = match value {
                "1" => Some(true),
                "0" => Some(false),
                _ => return Err(Bad::Number),
            }
        }
        NO_CHECK => given.no_check = true,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([" 5", "+5", "005"].map(number), [Some(5); 3]);
        let bad = ["", "x", "5x", "-5", "5 ", "0x5", "99999999999999999999"];
        assert_eq!(bad.map(number), [None; 7]);
    }

    #[test]
    fn values() {
        let mut given = Given::default();
        for (letter, value) in [('b', "5"), ('I', "4294967295"), ('e', "7D"), ('s', "1")] {
            put(&mut given, letter, value).unwrap();
        }
        assert_eq!((given.space.soft, given.inodes.hard), (Some(5), Some(4_294_967_295)));
        assert_eq!((given.space.grace, given.users), (Some(604_800), Some(true)));
        for (letter, value) in [('i', "4294967296"), ('u', "x"), ('s', "2"), ('B', "")] {
            assert_eq!(put(&mut given, letter, value), Err(Bad::Number), "-{letter} {value}");
        }
        assert_eq!(put(&mut given, 'n', "1x"), Err(Bad::Time));
    }
}
