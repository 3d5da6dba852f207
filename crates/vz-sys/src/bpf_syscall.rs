//! bpf(2) as the programs of a cgroup need it: loading, attaching and finding programs, and maps.
//! The layouts are those of `union bpf_attr` in linux/bpf.h.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands (linux/bpf.h `enum bpf_cmd`).
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_BTF_LOAD: libc::c_int = 18;
const BPF_BTF_GET_FD_BY_ID: libc::c_int = 19;

const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// The kernel gives a group at most this many programs of one type.
const MOST_ATTACHED: usize = 64;
/// More maps than any program of ours uses.
const MOST_MAPS: usize = 8;
/// Room for what the verifier says of a refused program.
const LOG_SIZE: usize = 64 * 1024;
/// The longest name of a program or map, without its end (`BPF_OBJ_NAME_LEN`).
pub(crate) const LONGEST_NAME: usize = 15;

/// A place of the kernel where a program is asked, and the type of such programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// `enum bpf_prog_type`.
    pub program: u32,
    /// `enum bpf_attach_type`.
    pub attach: u32,
    /// For a hook of the security modules: the number of its function in the kernel's types.
    pub function: u32,
}

/// The attach type of all hooks of the security modules.
const BPF_LSM_CGROUP: u32 = 43;

/// Why the kernel took no program.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What the verifier says, with the words to append it to a message; may be empty.
    pub log: String,
    pub source: io::Error,
}

/// What is to be known of a map before it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapShape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub entries: u32,
    pub flags: u32,
}

/// A description of key and value types that the kernel has taken (BTF).
#[derive(Debug)]
pub(crate) struct Types<'t> {
    pub descriptor: BorrowedFd<'t>,
    pub key: u32,
    pub value: u32,
}

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
    types: u32,
    record_size: u32,
    records: u64,
    records_count: u32,
    line_size: u32,
    lines: u64,
    lines_count: u32,
    function: u32,
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    /// Room for flags of each program: a must for the hooks of the security modules, which share
    /// an attach type, and unknown to older kernels.
    flags: u64,
}

#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

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

/// The first part of `struct bpf_map_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    name: [u8; LONGEST_NAME + 1],
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; LONGEST_NAME + 1],
    interface: u32,
    types: u32,
    key_type: u32,
    value_type: u32,
}

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct TypesLoad {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
}

/// `struct bpf_btf_info`.
#[repr(C)]
#[derive(Default)]
struct TypesInfo {
    types: u64,
    size: u32,
    id: u32,
    name: u64,
    name_length: u32,
    of_kernel: u32,
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

/// bpf(2) with a command that returns a descriptor.
///
/// # Safety
/// As [`bpf`].
unsafe fn bpf_open<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: by this function's own contract.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: a success returns a descriptor (close-on-exec) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number of a descriptor, as the kernel wants it in attributes.
fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

fn padded(name: &str) -> [u8; LONGEST_NAME + 1] {
    let mut padded = [0; LONGEST_NAME + 1];
    padded.iter_mut().zip(name.bytes().take(LONGEST_NAME)).for_each(|(to, from)| *to = from);
    padded
}

fn unpadded(name: &[u8]) -> String {
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Loads a program for a hook. Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
pub(crate) fn load(name: &str, hook: Hook, code: &[[u8; 8]]) -> Result<OwnedFd, Refused> {
    // The log costs time and memory, so it is asked for only of a refused program.
    load_logging(name, hook, code, None).or_else(|_| {
        let mut log = vec![0; LOG_SIZE];
        load_logging(name, hook, code, Some(&mut log))
            .map_err(|source| Refused { log: log_text(&log), source })
    })
}

fn log_text(log: &[u8]) -> String {
    let text = unpadded(log);
    if text.trim().is_empty() { String::new() } else { format!("; verifier: {}", text.trim()) }
}

fn load_logging(
    name: &str,
    hook: Hook,
    code: &[[u8; 8]],
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let mut attributes = Load {
        kind: hook.program,
        length: code.len() as u32,
        instructions: code.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        log_level: log.is_some().into(),
        log_size: log.as_ref().map_or(0, |log| log.len() as u32),
        log: log.map_or(0, |log| log.as_mut_ptr().expose_provenance() as u64),
        kernel_version: 0,
        flags: 0,
        name: padded(name),
        interface: 0,
        attach_kind: hook.attach,
        types: 0,
        record_size: 0,
        records: 0,
        records_count: 0,
        line_size: 0,
        lines: 0,
        lines_count: 0,
        function: hook.function,
    };
    // SAFETY: instructions, licence and log live over the call and are as long as said.
    unsafe { bpf_open(BPF_PROG_LOAD, &mut attributes) }
}

/// Attaches a program to a group, beside others, or in one step in the place of another.
pub(crate) fn attach(
    cgroup: BorrowedFd<'_>,
    hook: Hook,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attributes = Attach {
        target: number(cgroup),
        program: number(program),
        kind: hook.attach,
        flags: BPF_F_ALLOW_MULTI,
        replaced: 0,
    };
    if let Some(old) = replaced {
        attributes.flags |= BPF_F_REPLACE;
        attributes.replaced = number(old);
    }
    // SAFETY: the descriptors are open over the call; the kernel only reads the attributes.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attributes) }.map(drop)
}

/// Takes a program off a group.
pub(crate) fn detach(
    cgroup: BorrowedFd<'_>,
    hook: Hook,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut attributes = Attach {
        target: number(cgroup),
        program: number(program),
        kind: hook.attach,
        flags: 0,
        replaced: 0,
    };
    // SAFETY: the descriptors are open over the call; the kernel only reads the attributes.
    unsafe { bpf(BPF_PROG_DETACH, &mut attributes) }.map(drop)
}

/// The programs attached to the group itself, by name, in the order they are asked.
pub(crate) fn programs(cgroup: BorrowedFd<'_>, hook: Hook) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut found = Vec::new();
    for id in program_ids(cgroup, hook)? {
        match by_id(BPF_PROG_GET_FD_BY_ID, id) {
            Ok(program) => found.push((program_name(&program)?, program)),
            // Detached since it was listed.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn program_ids(cgroup: BorrowedFd<'_>, hook: Hook) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; MOST_ATTACHED];
    let mut flags = [0_u32; MOST_ATTACHED];
    let mut attributes = Query {
        target: number(cgroup),
        kind: hook.attach,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: MOST_ATTACHED as u32,
        padding: 0,
        flags: match hook.attach {
            BPF_LSM_CGROUP => flags.as_mut_ptr().expose_provenance() as u64,
            _ => 0,
        },
    };
    // SAFETY: `ids` and `flags` have room for `count` numbers and live over the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attributes) }?;
    ids.truncate(attributes.count as usize);
    Ok(ids)
}

fn by_id(command: libc::c_int, id: u32) -> io::Result<OwnedFd> {
    let mut attributes = ById { id, next: 0, flags: 0 };
    // SAFETY: no address in it.
    unsafe { bpf_open(command, &mut attributes) }
}

/// Fills the first part of the kernel's description of a program or a map.
///
/// # Safety
/// `T` must be the first part of `struct bpf_prog_info`, `bpf_map_info` or `bpf_btf_info`, whichever
/// the descriptor is of, and addresses in it valid for as much as it says.
unsafe fn fill_info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attributes = InfoByFd {
        fd: number(fd),
        length: size_of::<T>() as u32,
        info: std::ptr::from_mut(info).expose_provenance() as u64,
    };
    // SAFETY: `info` lives over the call and is as long as said; its content by the contract.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }.map(drop)
}

fn program_name(program: &OwnedFd) -> io::Result<String> {
    let mut info = ProgramInfo::default();
    // SAFETY: the layout is that of a program, and it holds no address.
    unsafe { fill_info(program.as_fd(), &mut info) }?;
    Ok(unpadded(&info.name))
}

/// The maps that a program uses, by name.
pub(crate) fn maps_of(program: BorrowedFd<'_>) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut ids = [0_u32; MOST_MAPS];
    let mut info = ProgramInfo {
        maps: MOST_MAPS as u32,
        map_ids: ids.as_mut_ptr().expose_provenance() as u64,
        ..ProgramInfo::default()
    };
    // SAFETY: `ids` has room for as many numbers as said, and lives over the call.
    unsafe { fill_info(program, &mut info) }?;
    let mut maps = Vec::new();
    for id in ids.iter().take(info.maps as usize) {
        let map = by_id(BPF_MAP_GET_FD_BY_ID, *id)?;
        let mut info = MapInfo::default();
        // SAFETY: the layout is that of a map, and it holds no address.
        unsafe { fill_info(map.as_fd(), &mut info) }?;
        maps.push((unpadded(&info.name), map));
    }
    Ok(maps)
}

/// Makes a map.
pub(crate) fn create_map(
    name: &str,
    shape: MapShape,
    types: Option<&Types<'_>>,
) -> io::Result<OwnedFd> {
    let mut attributes = MapCreate {
        kind: shape.kind,
        key_size: shape.key_size,
        value_size: shape.value_size,
        entries: shape.entries,
        flags: shape.flags,
        name: padded(name),
        types: types.map_or(0, |types| number(types.descriptor)),
        key_type: types.map_or(0, |types| types.key),
        value_type: types.map_or(0, |types| types.value),
        ..MapCreate::default()
    };
    // SAFETY: no address in it; the descriptor is open over the call.
    unsafe { bpf_open(BPF_MAP_CREATE, &mut attributes) }
}

/// Reads the one entry of an array whose value is `N` numbers of 8 bytes.
pub(crate) fn read_array<const N: usize>(map: BorrowedFd<'_>) -> io::Result<[u64; N]> {
    let (key, mut value) = (0_u32, [0_u64; N]);
    check_value_size(map, size_of_val(&value))?;
    let mut attributes = Element {
        map: number(map),
        padding: 0,
        key: (&raw const key).expose_provenance() as u64,
        value: value.as_mut_ptr().expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: key and value live over the call; the map's values are as long as this one.
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attributes) }?;
    Ok(value)
}

/// Writes the one entry of an array whose value is `N` numbers of 8 bytes.
pub(crate) fn write_array<const N: usize>(map: BorrowedFd<'_>, value: &[u64; N]) -> io::Result<()> {
    let key = 0_u32;
    check_value_size(map, size_of_val(value))?;
    let mut attributes = Element {
        map: number(map),
        padding: 0,
        key: (&raw const key).expose_provenance() as u64,
        value: value.as_ptr().expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: key and value live over the call; the map's values are as long as this one.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
}

/// The kernel copies as much as the map's values are long, whatever the caller has room for.
fn check_value_size(map: BorrowedFd<'_>, size: usize) -> io::Result<()> {
    let mut info = MapInfo::default();
    // SAFETY: the layout is that of a map, and it holds no address.
    unsafe { fill_info(map, &mut info) }?;
    if info.key_size as usize == size_of::<u32>() && info.value_size as usize == size {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the map has another layout"))
}

/// Gives the kernel a description of types (BTF), as maps of marks want one.
pub(crate) fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attributes = TypesLoad {
        types: types.as_ptr().addr() as u64,
        log: 0,
        size: types.len() as u32,
        log_size: 0,
        log_level: 0,
    };
    // SAFETY: the description lives over the call and is as long as said.
    unsafe { bpf_open(BPF_BTF_LOAD, &mut attributes) }
}

/// The kernel's description of its own types, in one copy: `/sys/kernel/btf/vmlinux` has it a page
/// at a time. Needs CAP_SYS_ADMIN.
pub(crate) fn kernel_types() -> io::Result<Vec<u8>> {
    // It is made before any other.
    let description = by_id(BPF_BTF_GET_FD_BY_ID, 1)?;
    let mut info = TypesInfo::default();
    // SAFETY: the layout is that of a description of types, and its addresses are of no bytes.
    unsafe { fill_info(description.as_fd(), &mut info) }?;
    let mut types = vec![0; info.size as usize];
    let mut name = [0_u8; LONGEST_NAME + 1];
    info.types = types.as_mut_ptr().expose_provenance() as u64;
    info.name = name.as_mut_ptr().expose_provenance() as u64;
    info.name_length = name.len() as u32;
    // SAFETY: types and name have room for as many bytes as said, and live over the call.
    unsafe { fill_info(description.as_fd(), &mut info) }?;
    if info.of_kernel == 0 || unpadded(&name) != "vmlinux" {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the first types are not the kernel's",
        ));
    }
    Ok(types)
}
