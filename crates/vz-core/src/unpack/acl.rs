//! POSIX ACLs: the text that tar archives hold (acl(5), "ACL TEXT FORMS"), and the value of the
//! extended attribute that the kernel reads (`include/uapi/linux/posix_acl_xattr.h`).

use super::error::Refusal;

/// The PAX record of an access ACL.
pub(crate) const ACCESS_RECORD: &str = "SCHILY.acl.access";
/// The PAX record of the default ACL of a directory.
pub(crate) const DEFAULT_RECORD: &str = "SCHILY.acl.default";
/// The attribute of an access ACL.
pub(crate) const ACCESS_ATTRIBUTE: &str = "system.posix_acl_access";
/// The attribute of a default ACL.
pub(crate) const DEFAULT_ATTRIBUTE: &str = "system.posix_acl_default";

/// `POSIX_ACL_XATTR_VERSION`.
const VERSION: u32 = 2;
/// The id of an entry that names nobody (`ACL_UNDEFINED_ID`).
const NOBODY: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// Whose id a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who<'a> {
    User(&'a [u8]),
    Group(&'a [u8]),
}

/// Why a text did not become an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AclError {
    Malformed,
    /// A name that `id_of` does not know.
    UnknownName,
}

impl From<AclError> for Refusal {
    fn from(_: AclError) -> Self {
        Self::Acl
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tag: u16,
    id: u32,
    permissions: u16,
}

/// The attribute's value for `text`. Names are asked of `id_of`, unless a fourth field gives the
/// number (star's form).
pub(crate) fn attribute(
    text: &[u8],
    id_of: impl Fn(Who<'_>) -> Option<u32>,
) -> Result<Vec<u8>, AclError> {
    let mut entries = Vec::new();
    for part in text.split(|byte| matches!(byte, b'\n' | b',')) {
        let part = part.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if !part.is_empty() {
            entries.push(entry(part, &id_of)?);
        }
    }
    entries.sort_unstable();
    add_mask(&mut entries);
    Ok(bytes(&entries))
}

fn entry(text: &[u8], id_of: impl Fn(Who<'_>) -> Option<u32>) -> Result<Entry, AclError> {
    let mut fields = text.split(|byte| *byte == b':');
    let mut field = || fields.next();
    let tag = field().unwrap_or_default();
    let (name, permissions, number) = (field(), field(), field());
    let name = name.ok_or(AclError::Malformed)?;
    // `mask:rwx` and `other:rwx` do without the empty name.
    let (name, permissions) = match permissions {
        Some(permissions) => (name, permissions),
        None => (&b""[..], name),
    };
    let permissions = permission_bits(permissions)?;
    let named = |who| match super::number::decimal(number.unwrap_or(name)) {
        Some(id) => u32::try_from(id).map_err(|_| AclError::Malformed),
        None => id_of(who).ok_or(AclError::UnknownName),
    };
    let (tag, id) = match (tag, name) {
        (b"user" | b"u", b"") => (USER_OBJ, NOBODY),
        (b"user" | b"u", name) => (USER, named(Who::User(name))?),
        (b"group" | b"g", b"") => (GROUP_OBJ, NOBODY),
        (b"group" | b"g", name) => (GROUP, named(Who::Group(name))?),
        (b"mask" | b"m", b"") => (MASK, NOBODY),
        (b"other" | b"o", b"") => (OTHER, NOBODY),
        _ => return Err(AclError::Malformed),
    };
    Ok(Entry { tag, id, permissions })
}

fn permission_bits(text: &[u8]) -> Result<u16, AclError> {
    let mut bits = 0;
    for letter in text.trim_ascii() {
        bits |= match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return Err(AclError::Malformed),
        };
    }
    Ok(bits)
}

/// An ACL that names somebody has a mask: where the text leaves it out, all that the group class
/// was given, as setfacl(1) computes it.
fn add_mask(entries: &mut Vec<Entry>) {
    let names = entries.iter().any(|entry| matches!(entry.tag, USER | GROUP));
    if !names || entries.iter().any(|entry| entry.tag == MASK) {
        return;
    }
    let class = entries.iter().filter(|entry| matches!(entry.tag, USER | GROUP_OBJ | GROUP));
    let permissions = class.fold(0, |all, entry| all | entry.permissions);
    entries.push(Entry { tag: MASK, id: NOBODY, permissions });
    entries.sort_unstable();
}

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for entry in entries {
        bytes.extend(entry.tag.to_le_bytes());
        bytes.extend(entry.permissions.to_le_bytes());
        bytes.extend(entry.id.to_le_bytes());
    }
    bytes
}

/// The text of an attribute's value, with numbers for names; `own` says what a user's number, and a
/// group's, is to be. `None` for what the kernel does not write.
pub(crate) fn text(value: &[u8], own: &dyn Fn(Owner) -> u32) -> Option<String> {
    let mut parts = Vec::new();
    for entry in value.strip_prefix(&VERSION.to_le_bytes())?.chunks(8) {
        let [tag, tag_high, permissions, 0, id @ ..] = entry else { return None };
        let id = u32::from_le_bytes(id.try_into().ok()?);
        let (tag, name) = match u16::from_le_bytes([*tag, *tag_high]) {
            USER_OBJ => ("user", String::new()),
            USER => ("user", own(Owner::User(id)).to_string()),
            GROUP_OBJ => ("group", String::new()),
            GROUP => ("group", own(Owner::Group(id)).to_string()),
            MASK => ("mask", String::new()),
            OTHER => ("other", String::new()),
            _ => return None,
        };
        let letter = |bit: u8, letter| if permissions & bit == 0 { '-' } else { letter };
        let [read, write, execute] = [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')];
        parts.push(format!("{tag}:{name}:{read}{write}{execute}"));
    }
    Some(parts.join(","))
}

/// Whom an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A user.
    User(u32),
    /// A group.
    Group(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(text: &str) -> Result<Vec<u8>, AclError> {
        attribute(text.as_bytes(), |_| None)
    }

    #[test]
    fn entries_come_out_in_the_kernels_order() {
        let value =
            numeric("other::r--\nmask::rw-\nuser:7:rwx\nuser::rwx\ngroup::r-x\n# x\n").unwrap();
        let tags: Vec<u8> = value[4..].chunks(8).map(|entry| entry[0]).collect();
        assert_eq!(value[..4], [2, 0, 0, 0]);
        assert_eq!(tags, [1, 2, 4, 0x10, 0x20]);
        assert_eq!(value[12..20], [2, 0, 7, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn a_missing_mask_is_what_the_group_class_has() {
        let value = numeric("user::rwx,group::r--,user:1:--x,other::---").unwrap();
        assert_eq!(value[4 + 3 * 8..4 + 3 * 8 + 3], [0x10, 0, 5]);
    }

    #[test]
    fn names_are_asked_for_once_a_number_is_missing() {
        assert_eq!(numeric("user:joe:rwx"), Err(AclError::UnknownName));
        assert!(numeric("user:joe:rwx:1000").is_ok());
        let known = attribute(b"group:adm:r-x", |who| {
            assert_eq!(who, Who::Group(b"adm"));
            Some(4)
        });
        assert_eq!(known.unwrap()[8..12], [4, 0, 0, 0]);
    }

    #[test]
    fn a_text_and_its_value() {
        let written = "user::rw-,user:1000:r--,group::r-x,group:7:--x,mask::rwx,other::---";
        let value = numeric(written).unwrap();
        let own = |owner| match owner {
            Owner::User(id) | Owner::Group(id) => id,
        };
        assert_eq!(text(&value, &own).unwrap(), written);
        let own = |owner| match owner {
            Owner::User(id) => id - 1000,
            Owner::Group(id) => id + 1,
        };
        let shifted = written.replace("1000", "0").replace(":7:", ":8:");
        assert_eq!(text(&value, &own).unwrap(), shifted);
        for bad in [&value[1..], &value[..7], &[value.as_slice(), &[1]].concat(), b""] {
            assert_eq!(text(bad, &own), None, "{bad:?}");
        }
    }

    #[test]
    fn malformed_texts() {
        for bad in
            ["user", "user:1", "user:1:rwz", "nobody::rwx", "mask:1:rwx", "user:4294967296:r"]
        {
            assert_eq!(numeric(bad), Err(AclError::Malformed), "{bad}");
        }
    }
}
