//! Extended attributes in PAX records: `SCHILY.xattr.NAME` holds the value as it is (star, GNU
//! tar), `LIBARCHIVE.xattr.NAME` in base 64 with the name URL-encoded (bsdtar, which writes both).

use super::error::Refusal;
use super::pax::Records;

const SCHILY: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";

/// Attributes that are taken over. The others are the node's own: labels of its security modules,
/// and `trusted.`, which overlayfs obeys and no container can have set.
const TAKEN: [&[u8]; 2] = [b"user.", b"system.posix_acl_"];
/// File capabilities (capabilities(7)).
const CAPABILITY: &[u8] = b"security.capability";

/// How many attributes a member may have: more than any file system keeps of one file, and few
/// enough to be compared with each other.
const MOST: usize = 1024;

/// A name and a value.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// The attributes of a member, in their order, each name once.
pub(super) fn of_records(records: &Records) -> Result<Vec<Attribute>, Refusal> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for (key, value) in records.iter() {
        if let Some(name) = key.strip_prefix(SCHILY) {
            set(&mut attributes, unescape(name)?, value.to_vec());
        } else if let Some(name) = key.strip_prefix(LIBARCHIVE) {
            let value = base_64(value).ok_or(Refusal::Attribute)?;
            set(&mut attributes, unescape(name)?, value);
        }
        if attributes.len() > MOST {
            return Err(Refusal::LargeDescription);
        }
    }
    Ok(attributes)
}

/// Whether an attribute of this name is taken over from an archive.
pub(super) fn is_taken(name: &[u8]) -> bool {
    name == CAPABILITY || TAKEN.iter().any(|prefix| name.starts_with(prefix))
}

fn set(attributes: &mut Vec<Attribute>, name: Vec<u8>, value: Vec<u8>) {
    match attributes.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => attributes.push((name, value)),
    }
}

/// Undoes `%XX`: a name with `=` or `%` cannot stand in a record as it is.
fn unescape(name: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => plain.push(high << 4 | low),
            None => plain.push(*byte),
        }
        rest = match escaped {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    match plain.is_empty() || plain.contains(&0) {
        true => Err(Refusal::Attribute),
        false => Ok(plain),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 4648 base 64, with or without its padding.
fn base_64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.get(..end)?.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | digit_64(*digit)?;
        }
        let missing = 4 - group.len();
        if missing == 3 {
            return None;
        }
        bits <<= 6 * missing;
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(3 - missing));
    }
    Some(bytes)
}

fn digit_64(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_of_rfc_4648() {
        for (text, plain) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm8", "fo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base_64(text.as_bytes()).unwrap(), plain.as_bytes());
        }
        assert_eq!(base_64(b"Z"), None);
        assert_eq!(base_64(b"Zm9v-w=="), None);
    }

    #[test]
    fn both_spellings_are_one_attribute() {
        let records =
            Records::parse(b"28 SCHILY.xattr.user.a%3D=x\n35 LIBARCHIVE.xattr.user.a%3D=Zg==\n");
        let attributes = of_records(&records.unwrap()).unwrap();
        assert_eq!(attributes, [(b"user.a=".to_vec(), b"f".to_vec())]);
    }

    #[test]
    fn the_nodes_own_attributes_are_not_taken() {
        assert!(is_taken(b"security.capability"));
        assert!(is_taken(b"user.anything"));
        assert!(!is_taken(b"trusted.overlay.redirect"));
        assert!(!is_taken(b"security.selinux"));
    }
}
