//! What the running kernel says of its own types (BTF; kernel doc: bpf/btf.rst), as far as programs
//! need it that look into its structures: numbers of functions and variables, and where members
//! lie.

use std::io;

use crate::bpf_syscall;

const MAGIC: u16 = 0xeb9f;

const STRUCT: u32 = 4;
const FUNCTION: u32 = 12;
const VARIABLE: u32 = 14;

/// Something to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The number of a function's type.
    Function(&'static str),
    /// The number of a variable.
    Variable(&'static str),
    /// Where a member lies in a structure, in bytes.
    Member(&'static str, &'static str),
}

/// Finds all in one pass over the kernel's some hundred thousand types.
///
/// # Errors
/// Those of reading the description; `NotFound` names what is not in it, `InvalidData` says that it
/// is no such description.
pub(crate) fn find<const N: usize>(wanted: [Wanted; N]) -> io::Result<[u32; N]> {
    find_in(&bpf_syscall::kernel_types()?, wanted)
}

fn find_in<const N: usize>(bytes: &[u8], wanted: [Wanted; N]) -> io::Result<[u32; N]> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed type description");
    let (types, names) = sections(bytes).ok_or_else(malformed)?;
    // Each name is there once, so that afterwards only its place is to be compared.
    let places = wanted.map(|wanted| wanted.places(names));
    let mut found = [None; N];
    let (mut at, mut own) = (0, 0);
    while at < types.len() {
        own += 1;
        let kind = Type::at(types, at).ok_or_else(malformed)?;
        for (found, place) in found.iter_mut().zip(&places) {
            if place.is_some_and(|place| place.kind == kind.kind && place.name == kind.name) {
                *found = found.or_else(|| kind.answer(place.and_then(|place| place.member), own));
            }
        }
        at = at.saturating_add(12).saturating_add(kind.members.len());
    }
    let mut result = [0; N];
    for ((result, found), wanted) in result.iter_mut().zip(found).zip(wanted) {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no {wanted:?}"));
        *result = found.ok_or_else(missing)?;
    }
    Ok(result)
}

/// What is to be found, with the places of its names.
#[derive(Clone, Copy)]
struct Places {
    kind: u32,
    name: u32,
    member: Option<u32>,
}

impl Wanted {
    /// `None` when a name does not occur.
    fn places(self, names: &[u8]) -> Option<Places> {
        match self {
            Self::Function(name) => {
                Some(Places { kind: FUNCTION, name: place(names, name)?, member: None })
            }
            Self::Variable(name) => {
                Some(Places { kind: VARIABLE, name: place(names, name)?, member: None })
            }
            Self::Member(name, member) => {
                let member = Some(place(names, member)?);
                Some(Places { kind: STRUCT, name: place(names, name)?, member })
            }
        }
    }
}

/// Where a name is, as types refer to it. The first byte of all names is the end of an empty one.
fn place(names: &[u8], name: &str) -> Option<u32> {
    let whole = [b"\0", name.as_bytes(), b"\0"].concat();
    Some(memchr::memmem::find(names, &whole)? as u32 + 1)
}

/// The types and the names, by `struct btf_header`.
fn sections(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    (u16::from_ne_bytes(*bytes.first_chunk()?) == MAGIC).then_some(())?;
    let header = |at| Some(number(bytes, at)? as usize);
    let section = |start: usize, length: usize| {
        let start = header(4)?.checked_add(start)?;
        bytes.get(start..start.checked_add(length)?)
    };
    Some((section(header(8)?, header(12)?)?, section(header(16)?, header(20)?)?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// `struct btf_type` and what follows it.
struct Type<'b> {
    name: u32,
    kind: u32,
    /// Offsets of members are in the lower 24 bits.
    bit_fields: bool,
    /// All that is behind the fixed part.
    members: &'b [u8],
}

impl<'b> Type<'b> {
    fn at(types: &'b [u8], at: usize) -> Option<Self> {
        let info = number(types, at + 4)?;
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let more = match kind {
            1 | VARIABLE | 17 => 4,
            3 => 12,
            STRUCT | 5 | 15 | 19 => count * 12,
            6 | 13 => count * 8,
            _ => 0,
        };
        let members = types.get(at + 12..at + 12 + more)?;
        Some(Self { name: number(types, at)?, kind, bit_fields: info >> 31 == 1, members })
    }

    /// Where a member lies, or the type's own number.
    fn answer(&self, member: Option<u32>, own: u32) -> Option<u32> {
        let Some(name) = member else { return Some(own) };
        let mut members = self.members.chunks_exact(12);
        let member = members.find(|member| number(member, 0) == Some(name))?;
        let bits = number(member, 8)?;
        Some(if self.bit_fields { bits & 0xff_ffff } else { bits } / 8)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn description(types: &[u32], names: &[u8]) -> Vec<u8> {
        let length = size_of_val(types) as u32;
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let header = [24, 0, length, length, names.len() as u32];
        header.iter().chain(types).for_each(|number| bytes.extend(number.to_ne_bytes()));
        bytes.extend(names);
        bytes
    }

    #[test]
    fn members_and_numbers() {
        let int = [1, 1 << 24, 4, 32];
        let structure = [5, STRUCT << 24 | 2 | 1 << 31, 8, 9, 1, 0, 11, 1, 8 << 24 | 32];
        let function = [13, FUNCTION << 24, 1];
        let types = [&int[..], &structure, &function].concat();
        let bytes = description(&types, b"\0int\0pos\0x\0y\0f\0");
        let wanted = [Wanted::Member("pos", "y"), Wanted::Function("f")];
        assert_eq!(find_in(&bytes, wanted).unwrap(), [4, 3]);
        let missing = find_in(&bytes, [Wanted::Variable("f")]).unwrap_err();
        assert_eq!(missing.to_string(), "no Variable(\"f\")");
        find_in(&bytes[..bytes.len() - 1], wanted).unwrap_err();
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(types: Vec<u32>, names: Vec<u8>, cut: usize) {
            let mut bytes = description(&types, &names);
            let _ = find_in(&bytes, [Wanted::Member("a", "b")]);
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = find_in(&bytes, [Wanted::Function("a")]);
        }
    }
}
