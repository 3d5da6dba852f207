//! The device control of cgroup v2: a BPF program of type CGROUP_DEVICE that is asked at every
//! open(2) and mknod(2) of a device (kernel doc: admin-guide/cgroup-v2.rst, "Device controller").
//!
//! A program is made from an allow list; what no rule allows fails with EPERM. Programs of a
//! group and of all above it must agree, so a group below can only be narrower.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands of bpf(2) (linux/bpf.h `enum bpf_cmd`).
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

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

/// The kernel gives a group at most this many programs of one type.
const MOST_ATTACHED: usize = 64;
/// Room for what the verifier says of a refused program.
const LOG_SIZE: usize = 64 * 1024;
/// The longest name of a program, without its end (`BPF_OBJ_NAME_LEN`).
const LONGEST_NAME: usize = 15;

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

/// One instruction of extended BPF (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    value: i32,
}

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, value: i32) -> Self {
        Self { code, registers: destination | source << 4, offset, value }
    }
    /// `destination = *(u32 *)(source + offset)`
    const fn load(destination: u8, source: u8, offset: i16) -> Self {
        Self::new(0x61, destination, source, offset, 0)
    }
    /// `destination = source`
    const fn copy(destination: u8, source: u8) -> Self {
        Self::new(0xbf, destination, source, 0, 0)
    }
    /// `destination &= value`
    const fn and(destination: u8, value: i32) -> Self {
        Self::new(0x57, destination, 0, 0, value)
    }
    /// `destination >>= value`
    const fn shift_right(destination: u8, value: i32) -> Self {
        Self::new(0x77, destination, 0, 0, value)
    }
    /// Skips `offset` instructions unless `register == value`.
    const fn unless_equal(register: u8, value: i32) -> Self {
        Self::new(0x55, register, 0, 0, value)
    }
    /// Skips `offset` instructions unless `register == source`.
    const fn unless_same(register: u8, source: u8) -> Self {
        Self::new(0x5d, register, source, 0, 0)
    }
    /// The answer (1 yes, 0 no), and the end.
    const fn answer(yes: bool) -> [Self; 2] {
        [Self::new(0xb7, 0, 0, 0, yes as i32), Self::new(0x95, 0, 0, 0, 0)]
    }
    fn bytes(self) -> [u8; 8] {
        let [o0, o1] = self.offset.to_ne_bytes();
        let [v0, v1, v2, v3] = self.value.to_ne_bytes();
        [self.code, self.registers, o0, o1, v0, v1, v2, v3]
    }
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
        // The log costs time and memory, so it is asked for only of a refused program.
        let fd = load(name, &code, None).or_else(|_| {
            let mut log = vec![0; LOG_SIZE];
            load(name, &code, Some(&mut log)).map_err(|source| Error::Load {
                name: name.to_owned(),
                length: code.len(),
                log: log_text(&log),
                source,
            })
        })?;
        Ok(Self { fd, name: name.to_owned() })
    }

    /// Makes this program decide for the group, besides those of other names that are attached
    /// to it. A program of the same name is replaced in one step, so a live change has no
    /// moment without control; further ones of that name are then detached.
    pub fn attach(&self, cgroup: BorrowedFd<'_>) -> Result<(), Error> {
        let old = named(cgroup, &self.name)?;
        let mut attributes = Attach {
            target: cgroup.as_raw_fd() as u32,
            program: self.fd.as_raw_fd() as u32,
            kind: BPF_CGROUP_DEVICE,
            flags: BPF_F_ALLOW_MULTI,
            replaced: 0,
        };
        if let Some(first) = old.first() {
            attributes.flags |= BPF_F_REPLACE;
            attributes.replaced = first.as_raw_fd() as u32;
        }
        // SAFETY: the descriptors are open over the call; the kernel only reads the attributes.
        unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }
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
    let failed = |verb| move |source| Error::Cgroup { verb, source };
    let mut found = Vec::new();
    for id in program_ids(cgroup).map_err(failed("list"))? {
        match program_by_id(id) {
            Ok(program) => found.push((program_name(&program).map_err(failed("name"))?, program)),
            // Detached since it was listed.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(failed("open")(error)),
        }
    }
    Ok(found)
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'.';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::Name { name: name.to_owned() })
}

fn log_text(log: &[u8]) -> String {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    if text.trim().is_empty() { String::new() } else { format!("; verifier: {}", text.trim()) }
}

/// `union bpf_attr` of BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; LONGEST_NAME + 1],
    interface: u32,
    attach_kind: u32,
}

/// `union bpf_attr` of BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// `union bpf_attr` of BPF_PROG_QUERY.
#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
}

/// `union bpf_attr` of BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// `union bpf_attr` of BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoByFd {
    fd: u32,
    length: u32,
    info: u64,
}

/// The first part of `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    created_by: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; LONGEST_NAME + 1],
}

/// bpf(2).
///
/// # Safety
/// `attributes` must be the layout that the kernel expects for `command`, and every address in
/// it valid for as many bytes as it says.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: by this function's own contract; the size is that of the value.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

fn load(name: &str, code: &[[u8; 8]], log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let mut padded = [0; LONGEST_NAME + 1];
    padded.iter_mut().zip(name.bytes().take(LONGEST_NAME)).for_each(|(to, from)| *to = from);
    let mut attributes = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        length: code.len() as u32,
        instructions: code.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        log_level: log.is_some().into(),
        log_size: log.as_ref().map_or(0, |log| log.len() as u32),
        log: log.map_or(0, |log| log.as_mut_ptr().expose_provenance() as u64),
        kernel_version: 0,
        flags: 0,
        name: padded,
        interface: 0,
        attach_kind: BPF_CGROUP_DEVICE,
    };
    // SAFETY: instructions, licence and log live over the call and are as long as said.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attributes) }?;
    // SAFETY: a success returns a descriptor (close-on-exec) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn program_ids(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; MOST_ATTACHED];
    let mut attributes = Query {
        target: cgroup.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: MOST_ATTACHED as u32,
    };
    // SAFETY: `ids` has room for `count` numbers and lives over the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }?;
    ids.truncate(attributes.count as usize);
    Ok(ids)
}

fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = ById { id, next: 0, flags: 0 };
    // SAFETY: no address in it.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: a success returns a descriptor (close-on-exec) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn program_name(program: &OwnedFd) -> io::Result<String> {
    let mut info = ProgramInfo::default();
    let mut attributes = InfoByFd {
        fd: program.as_raw_fd() as u32,
        length: size_of::<ProgramInfo>() as u32,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: `info` lives over the call and is as long as said.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn detach_one(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> Result<(), Error> {
    let mut attributes = Attach {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: 0,
        replaced: 0,
    };
    // SAFETY: the descriptors are open over the call; the kernel only reads the attributes.
    unsafe { bpf(BPF_PROG_DETACH, &mut attributes) }
        .map(drop)
        .map_err(|source| Error::Cgroup { verb: "detach", source })
}

#[cfg(test)]
#[path = "bpf_tests.rs"]
mod tests;
