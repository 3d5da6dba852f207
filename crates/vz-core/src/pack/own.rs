//! What names ids of the node, where a tree is seen with shifted owners: each becomes the container's
//! own number.

use std::ffi::OsString;

use crate::lifecycle::start::IDS;
use crate::unpack::acl::{self, Owner};

/// Whom an id stands for that is none of the container's.
const NOBODY: u32 = 65534;
/// The attribute of file capabilities (capabilities(7)).
const CAPABILITY: &str = "security.capability";
/// Revisions in the first number of its value (`include/uapi/linux/capability.h`): one that counts in
/// all user namespaces below, and one for that whose root stands in the last number.
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const REVISION: u32 = 0xff00_0000;

/// The first ids of a container, as its files show them: 0 where they are as on disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shift {
    /// Of users.
    pub uid: u32,
    /// Of groups.
    pub gid: u32,
}

/// What a file has beside its contents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Names and values.
    pub(super) plain: Vec<(OsString, Vec<u8>)>,
    /// PAX records of ACLs.
    pub(super) acls: Vec<(&'static str, String)>,
}

impl Shift {
    /// The container's own number of a user.
    pub(super) fn user(self, id: u32) -> u32 {
        own(id, self.uid).unwrap_or(NOBODY)
    }

    /// The same of a group.
    pub(super) fn group(self, id: u32) -> u32 {
        own(id, self.gid).unwrap_or(NOBODY)
    }

    /// Attributes with the container's own numbers in them.
    pub(super) fn attributes(self, seen: Vec<(OsString, Vec<u8>)>) -> Attributes {
        let mut attributes = Attributes::default();
        for (name, value) in seen {
            let record = match name.to_str() {
                Some(acl::ACCESS_ATTRIBUTE) => Some(acl::ACCESS_RECORD),
                Some(acl::DEFAULT_ATTRIBUTE) => Some(acl::DEFAULT_RECORD),
                _ => None,
            };
            if let Some(record) = record {
                attributes.acls.extend(self.acl(&value).map(|text| (record, text)));
            } else if name == CAPABILITY {
                attributes.plain.extend(self.capability(value).map(|value| (name, value)));
            } else {
                attributes.plain.push((name, value));
            }
        }
        attributes
    }

    fn acl(self, value: &[u8]) -> Option<String> {
        acl::text(value, &|owner| match owner {
            Owner::User(id) => self.user(id),
            Owner::Group(id) => self.group(id),
        })
    }

    /// Capabilities of a root that is none of the container's count for nobody in it.
    fn capability(self, mut value: Vec<u8>) -> Option<Vec<u8>> {
        let number = |at: usize| Some(u32::from_le_bytes(*value.get(at..)?.first_chunk()?));
        let (Some(magic), Some(root)) = (number(0), number(20)) else { return Some(value) };
        if self.uid == 0 || magic & REVISION != REVISION_3 {
            return Some(value);
        }
        let root = own(root, self.uid)?;
        if root == 0 {
            // As a container writes it, and as it is read on any node.
            value.truncate(20);
            put(&mut value, 0, magic & !REVISION | REVISION_2);
        } else {
            put(&mut value, 20, root);
        }
        Some(value)
    }
}

fn put(value: &mut [u8], at: usize, number: u32) {
    let place = value.get_mut(at..).unwrap_or_default();
    place.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
}

/// The container's own number of an id that is shifted by `base`, if it is of its range.
fn own(id: u32, base: u32) -> Option<u32> {
    match base {
        0 => Some(id),
        base => id.checked_sub(base).filter(|own| *own < IDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = 6_619_136;
    const SHIFT: Shift = Shift { uid: BASE, gid: BASE };

    #[test]
    fn owners_are_the_containers() {
        assert_eq!((Shift::default().user(1000), SHIFT.user(BASE + 33)), (1000, 33));
        // The node's own root, and another container's.
        assert_eq!((SHIFT.user(0), SHIFT.group(BASE + 65536)), (65534, 65534));
    }

    #[test]
    fn capabilities_are_the_containers() {
        let value = |magic: u32, root: &[u32]| {
            let numbers = [&[magic, 0x2000, 0, 0, 0], root].concat();
            numbers.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
        };
        let own = value(REVISION_2 | 1, &[]);
        assert_eq!(SHIFT.capability(value(REVISION_3 | 1, &[BASE])).unwrap(), own);
        let nested = value(REVISION_3 | 1, &[1000]);
        assert_eq!(SHIFT.capability(value(REVISION_3 | 1, &[BASE + 1000])).unwrap(), nested);
        assert_eq!(SHIFT.capability(value(REVISION_3 | 1, &[0])), None);
        for value in [own, nested, vec![0, 0]] {
            assert_eq!(Shift::default().capability(value.clone()).unwrap(), value);
        }
    }

    #[test]
    fn acls_are_the_containers() {
        let text = format!("user::rw-,user:{}:r--,group::r--,mask::r--,other::---", BASE + 1000);
        let value = acl::attribute(text.as_bytes(), |_| None).unwrap();
        let seen = vec![(acl::ACCESS_ATTRIBUTE.into(), value), ("user.a".into(), vec![1])];
        let attributes = SHIFT.attributes(seen);
        let own = text.replace(&(BASE + 1000).to_string(), "1000");
        assert_eq!(attributes.acls, [(acl::ACCESS_RECORD, own)]);
        assert_eq!(attributes.plain, [(OsString::from("user.a"), vec![1])]);
    }
}
