//! The device control of cgroup v2: a BPF program of type CGROUP_DEVICE that is asked at every
//! open(2) and mknod(2) of a device (kernel doc: admin-guide/cgroup-v2.rst, "Device controller").
//!
//! A program is made from an allow list; what no rule allows fails with EPERM. Programs of a
//! group and of all above it must agree, so a group below can only be narrower.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::bpf_code::Instruction;
use crate::bpf_syscall::{self as syscall, Hook};

/// The device hook (`BPF_PROG_TYPE_CGROUP_DEVICE`, `BPF_CGROUP_DEVICE`).
const DEVICE: Hook = Hook { program: 15, attach: 6, function: 0 };

/// `access_type` of `struct bpf_cgroup_dev_ctx`: the kind below, what is asked above.
const DEVICE_BLOCK: i32 = 1;
const DEVICE_CHAR: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const ACCESS_ALL: i32 = ACCESS_MKNOD | ACCESS_READ | ACCESS_WRITE;

/// The kernel's limits of a number (`MINORBITS` 20, the other 12 bits are the major).
const LARGEST_MAJOR: u32 = (1 << 12) - 1;
const LARGEST_MINOR: u32 = (1 << 20) - 1;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Character devices.
    Char,
    /// Block devices.
    Block,
    /// Both.
    All,
}

/// One line of the allow list. A request is allowed when one single rule allows all of it:
/// opening for reading and writing needs a rule with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Kind of device.
    pub kind: Kind,
    /// Major number; any when `None`.
    pub major: Option<u32>,
    /// Minor number; any when `None`.
    pub minor: Option<u32>,
    /// May be opened for reading.
    pub read: bool,
    /// May be opened for writing.
    pub write: bool,
    /// Its node may be made.
    pub mknod: bool,
}

/// What went wrong with a device program.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Error {
    #[error("build device rule: {what} number {number} is above {most}")]
    Number { what: &'static str, number: u32, most: u32 },
    #[error("name device program {name:?}: 1 to 15 of letters, digits, '_' and '.' are allowed")]
    Name { name: String },
    #[error("load device program {name:?} of {length} instructions: {source}{log}")]
    Load { name: String, length: usize, log: String, source: io::Error },
    #[error("{verb} device programs of a cgroup: {source}")]
    Cgroup { verb: &'static str, source: io::Error },
}

/// Registers: what is asked, and of which device.
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The program of an allow list as the kernel takes it, eight bytes an instruction.
pub fn assemble(rules: &[DeviceRule]) -> Result<Vec<[u8; 8]>, Error> {
    let mut code = vec![
        Instruction::load(KIND, 1, 0),
        Instruction::load(MAJOR, 1, 4),
        Instruction::load(MINOR, 1, 8),
        Instruction::copy(ACCESS, KIND),
        Instruction::shift_right(ACCESS, 16),
        Instruction::and(KIND, 0xffff),
    ];
    let mut all_allowed = false;
    for rule in rules {
        let tests = tests(rule)?;
        // The verifier refuses a program with instructions that nothing leads to.
        if !all_allowed {
            all_allowed = tests.is_empty();
            code.extend(tests);
            code.extend(Instruction::answer(true));
        }
    }
    if !all_allowed {
        code.extend(Instruction::answer(false));
    }
    Ok(code.into_iter().map(Instruction::bytes).collect())
}

/// What must hold for a rule; each test jumps behind the rule's answer when it does not.
fn tests(rule: &DeviceRule) -> Result<Vec<Instruction>, Error> {
    let mut code = Vec::new();
    match rule.kind {
        Kind::All => {}
        Kind::Block => code.push(Instruction::unless_equal(KIND, DEVICE_BLOCK)),
        Kind::Char => code.push(Instruction::unless_equal(KIND, DEVICE_CHAR)),
    }
    let access = [(rule.read, ACCESS_READ), (rule.write, ACCESS_WRITE), (rule.mknod, ACCESS_MKNOD)];
    let access: i32 = access.iter().filter(|(allowed, _)| *allowed).map(|(_, bit)| bit).sum();
    if access != ACCESS_ALL {
        code.push(Instruction::copy(SCRATCH, ACCESS));
        code.push(Instruction::and(SCRATCH, access));
        code.push(Instruction::unless_same(SCRATCH, ACCESS));
    }
    let numbers =
        [("major", MAJOR, rule.major, LARGEST_MAJOR), ("minor", MINOR, rule.minor, LARGEST_MINOR)];
    for (what, register, number, most) in numbers {
        let Some(number) = number else { continue };
        let value = i32::try_from(number).ok().filter(|_| number <= most);
        let value = value.ok_or(Error::Number { what, number, most })?;
        code.push(Instruction::unless_equal(register, value));
    }
    let length = code.len();
    for (at, instruction) in code.iter_mut().enumerate() {
        if matches!(instruction.code, 0x55 | 0x5d) {
            // At most six tests, then the two instructions of the answer.
            instruction.offset = (length - at - 1 + 2) as i16;
        }
    }
    Ok(code)
}

/// A device program in the kernel. It lives as long as it is attached or this value exists.
#[derive(Debug)]
pub struct DeviceProgram {
    fd: OwnedFd,
    name: String,
}

impl DeviceProgram {
    /// Loads the program of an allow list. `name` tells it from those of others on the same
    /// group. Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
    pub fn load(name: &str, rules: &[DeviceRule]) -> Result<Self, Error> {
        check_name(name)?;
        let code = assemble(rules)?;
        let fd = syscall::load(name, DEVICE, &code).map_err(|refused| Error::Load {
            name: name.to_owned(),
            length: code.len(),
            log: refused.log,
            source: refused.source,
        })?;
        Ok(Self { fd, name: name.to_owned() })
    }

    /// Makes this program decide for the group, besides those of other names that are attached
    /// to it. A program of the same name is replaced in one step, so a live change has no
    /// moment without control; further ones of that name are then detached.
    pub fn attach(&self, cgroup: BorrowedFd<'_>) -> Result<(), Error> {
        let old = named(cgroup, &self.name)?;
        let replaced = old.first().map(AsFd::as_fd);
        syscall::attach(cgroup, DEVICE, self.fd.as_fd(), replaced)
            .map_err(|source| Error::Cgroup { verb: "attach to", source })?;
        old.iter().skip(1).try_for_each(|program| detach_one(cgroup, program))
    }
}

/// Takes every device program of that name off the group; returns how many there were.
pub fn detach(cgroup: BorrowedFd<'_>, name: &str) -> Result<usize, Error> {
    let programs = named(cgroup, name)?;
    programs.iter().try_for_each(|program| detach_one(cgroup, program))?;
    Ok(programs.len())
}

/// The names of the device programs attached to the group itself, in the order they are asked.
pub fn attached(cgroup: BorrowedFd<'_>) -> Result<Vec<String>, Error> {
    Ok(programs(cgroup)?.into_iter().map(|(name, _)| name).collect())
}

fn named(cgroup: BorrowedFd<'_>, name: &str) -> Result<Vec<OwnedFd>, Error> {
    let programs = programs(cgroup)?.into_iter();
    Ok(programs.filter(|(other, _)| other == name).map(|(_, fd)| fd).collect())
}

fn programs(cgroup: BorrowedFd<'_>) -> Result<Vec<(String, OwnedFd)>, Error> {
    syscall::programs(cgroup, DEVICE).map_err(|source| Error::Cgroup { verb: "list", source })
}

fn detach_one(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> Result<(), Error> {
    syscall::detach(cgroup, DEVICE, program.as_fd())
        .map_err(|source| Error::Cgroup { verb: "detach", source })
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'.';
    if (1..=syscall::LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::Name { name: name.to_owned() })
}

#[cfg(test)]
#[path = "bpf_tests.rs"]
mod tests;
