//! The sockets of a cgroup, counted and limited by BPF programs attached to it (kernel doc:
//! bpf/prog_cgroup_sysctl.rst and its neighbours; linux/bpf.h).
//!
//! A stock kernel has no controller for sockets. Four hooks together know of every inet socket:
//!
//! | hook | what for |
//! |---|---|
//! | INET_SOCK_CREATE | socket(2): counts it, or refuses it with ENOBUFS |
//! | SOCK_OPS | a TCP connection came in by a listener; a connection is over |
//! | INET_SOCK_RELEASE | the last descriptor is closed |
//! | INET_INGRESS | drops packets for listeners at the limit; there only while there is a limit |
//!
//! A TCP socket counts from socket(2), or from the end of the handshake when it came in, also while
//! nobody has accepted it, until it has neither a descriptor nor a connection: one that was closed
//! and has something to send still counts, one in TIME_WAIT (the kernel keeps no socket for that)
//! does not. Of a connection that came in nobody tells whether it was accepted, so when the other
//! side resets it, it stops counting, though a descriptor may still be open; connect(2) or
//! listen(2) with that descriptor count it again, also above the limit. MPTCP counts as TCP, and so
//! does each of its subflows. An SCTP association that was accepted does not count.
//!
//! A socket counts for the group of the process that made it, wherever it is handed to, and for
//! all groups above. Sockets that were there before the programs do not count, except TCP ones
//! that connect or listen later; attach before anything runs in the group.
//!
//! unix, netlink and packet sockets, and any other family, pass by all of these hooks. Where BPF is
//! an active security module (`lsm=`), a fifth one, `socket_post_create`, refuses to make one while
//! there is a limit. It cannot count: no hook tells a group that such a socket is gone
//! (`sk_free_security` is asked for the group of the process that happens to run, not of the
//! socket, often in softirq). So it takes the kernel's own number of all sockets of the network
//! namespace (`sockets: used` of `/proc/net/sockstat`) without the TCP sockets counted here:
//! a network namespace made inside has a limit of its own; sockets that accept(2) makes are in
//! the number and not refused; a closed netlink socket is in it for one more RCU grace period, and
//! a reset TCP connection until its descriptor is closed. A group whose processes share the node's
//! network namespace would be measured by the node's sockets: give it none such limit.
//! Elsewhere these are only accounted, by [`sock_diag`](crate::sock_diag).
//!
//! Nothing is pinned: the group holds the programs, the programs hold the maps, and both are found
//! through it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::bpf_sockets_code::{self as code, Layout, Maps};
use crate::bpf_syscall::{self as syscall, Hook, MapShape, Types};
use crate::btf::{self, Wanted};
use crate::security_modules;

const CREATE: Hook = Hook { program: 9, attach: 2, function: 0 };
const RELEASE: Hook = Hook { program: 9, attach: 34, function: 0 };
const EVENT: Hook = Hook { program: 13, attach: 3, function: 0 };
const PACKET: Hook = Hook { program: 8, attach: 0, function: 0 };

/// The hook of the security modules after a socket is made; its function is the kernel's to tell.
const MADE: Hook = Hook { program: 29, attach: 43, function: 0 };

/// Names of the programs, by which they are found again.
const CREATE_NAME: &str = "vz_sock_create";
const RELEASE_NAME: &str = "vz_sock_release";
const EVENT_NAME: &str = "vz_sock_event";
const PACKET_NAME: &str = "vz_sock_packet";
const MADE_NAME: &str = "vz_sock_made";
/// Every hook of every kernel that may have a program of ours, the one that says that all are there
/// first.
const ALL: [(Hook, &str); 4] =
    [(CREATE, CREATE_NAME), (PACKET, PACKET_NAME), (RELEASE, RELEASE_NAME), (EVENT, EVENT_NAME)];

/// Names of the maps.
const COUNTERS_NAME: &str = "vz_sock_count";
const LIMITS_NAME: &str = "vz_sock_limit";
const TCP_MARKS_NAME: &str = "vz_sock_tcp";
const MARKS_NAME: &str = "vz_sock_mark";

/// Numbers of 8 bytes in the maps: held, maxheld and failcnt of two classes; a limit of each.
const COUNTERS: usize = 6;
const LIMITS: usize = 2;

/// An array of one value (`BPF_MAP_TYPE_ARRAY`).
const fn array(numbers: usize) -> MapShape {
    MapShape { kind: 2, key_size: 4, value_size: numbers as u32 * 8, entries: 1, flags: 0 }
}

/// A mark on each socket (`BPF_MAP_TYPE_SK_STORAGE` with `BPF_F_NO_PREALLOC`, as it must be).
const MARKS: MapShape = MapShape { kind: 24, key_size: 4, value_size: 16, entries: 0, flags: 1 };
/// The same, and a socket that comes in starts with a copy of its listener's (`BPF_F_CLONE`).
const TCP_MARKS: MapShape = MapShape { flags: MARKS.flags | 1 << 9, ..MARKS };

/// How many sockets there may be; [`u64::MAX`] is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP sockets.
    pub tcp: u64,
    /// Other inet sockets: UDP, raw, ICMP, SCTP …
    pub other: u64,
}

/// What is known of one class of sockets, since the programs were attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Sockets now.
    pub held: u64,
    /// The most there were at once.
    pub maxheld: u64,
    /// Refusals: a socket(2), or a packet of a connection coming in.
    pub failcnt: u64,
}

/// The counters of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// TCP sockets.
    pub tcp: Counter,
    /// Other inet sockets.
    pub other: Counter,
    /// The limits in force.
    pub limits: Limits,
}

/// What went wrong with the socket programs of a group.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Error {
    #[error("load socket program {name:?} of {length} instructions: {source}{log}")]
    Load { name: &'static str, length: usize, log: String, source: io::Error },
    #[error("{verb} socket map {name:?}: {source}")]
    Map { verb: &'static str, name: &'static str, source: io::Error },
    #[error("{verb} socket program {name:?} of a cgroup: {source}")]
    Cgroup { verb: &'static str, name: &'static str, source: io::Error },
    #[error("read the kernel's types for socket program \"vz_sock_made\": {0}")]
    Layout(io::Error),
    #[error("find socket map {name:?} of a cgroup: its program has none of this name")]
    NoMap { name: &'static str },
    #[error("set socket limits of a cgroup: no socket programs are attached to it")]
    NotAttached,
}

/// Starts to count and to limit the sockets of a group. Where that is done already the counters
/// stay and the limits are set. Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
///
/// # Errors
/// [`Error`]; [`Error::Load`] where the kernel has not such programs. Nothing is left attached.
pub fn attach(cgroup: BorrowedFd<'_>, limits: Limits) -> Result<(), Error> {
    match set(cgroup, limits) {
        Err(Error::NotAttached) => {}
        other => return other,
    }
    let made = attach_new(cgroup, limits);
    if made.is_err() {
        // What made it fail is what there is to say.
        let _ = detach(cgroup);
    }
    made
}

fn attach_new(cgroup: BorrowedFd<'_>, limits: Limits) -> Result<(), Error> {
    let maps = OwnedMaps::new()?;
    maps.set(limits)?;
    // The last one says that all are there: whoever is killed on the way is found out by it.
    put(cgroup, EVENT, EVENT_NAME, &code::event(maps.borrowed()))?;
    put(cgroup, RELEASE, RELEASE_NAME, &code::release(maps.borrowed()))?;
    switch(cgroup, &maps, limits)?;
    put(cgroup, CREATE, CREATE_NAME, &code::create(maps.borrowed()))
}

/// Changes the limits; what is above a new limit stays. There is no moment without a limit.
///
/// # Errors
/// [`Error::NotAttached`] when [`attach`] has not been called for the group; those of bpf(2).
pub fn set(cgroup: BorrowedFd<'_>, limits: Limits) -> Result<(), Error> {
    let maps = OwnedMaps::of(cgroup)?.ok_or(Error::NotAttached)?;
    maps.set(limits)?;
    switch(cgroup, &maps, limits)
}

/// Has the programs attached that only a limit gives something to do, because they cost every
/// packet, or every start, a little.
fn switch(cgroup: BorrowedFd<'_>, maps: &OwnedMaps, limits: Limits) -> Result<(), Error> {
    match (limits.tcp != u64::MAX, is_attached(cgroup, PACKET, PACKET_NAME)?) {
        (true, false) => put(cgroup, PACKET, PACKET_NAME, &code::packet(maps.borrowed()))?,
        (false, true) => take_away(cgroup, PACKET, PACKET_NAME)?,
        _ => {}
    }
    match (limits.other != u64::MAX, is_attached(cgroup, MADE, MADE_NAME).unwrap_or(false)) {
        // What cannot be had is missed by `limits_all`; the rest holds without it.
        (true, false) if security_modules::has_bpf() => put_made(cgroup, maps).or(Ok(())),
        (false, true) => take_away(cgroup, MADE, MADE_NAME),
        _ => Ok(()),
    }
}

fn put_made(cgroup: BorrowedFd<'_>, maps: &OwnedMaps) -> Result<(), Error> {
    let (function, layout) = layout().map_err(Error::Layout)?;
    let hook = Hook { function, ..MADE };
    put(cgroup, hook, MADE_NAME, &code::made(maps.borrowed(), layout))
}

/// Says whether the limit of other sockets that is in force holds for those of every family: only
/// where BPF is one of the kernel's active security modules (`lsm=`). Else it holds for inet
/// sockets. Without a limit the answer is no.
pub fn limits_all(cgroup: BorrowedFd<'_>) -> bool {
    is_attached(cgroup, MADE, MADE_NAME).unwrap_or(false)
}

/// The number of the hook's function, and what its program must know.
fn layout() -> io::Result<(u32, Layout)> {
    let [function, cpu_offset, sock, namespace, core, in_use] = btf::find([
        Wanted::Function("bpf_lsm_socket_post_create"),
        Wanted::Variable("this_cpu_off"),
        Wanted::Member("socket", "sk"),
        Wanted::Member("sock_common", "skc_net"),
        Wanted::Member("net", "core"),
        Wanted::Member("netns_core", "prot_inuse"),
    ])?;
    let far = |_| io::Error::new(io::ErrorKind::InvalidData, "a member lies too far");
    let layout = Layout {
        sock: sock.try_into().map_err(far)?,
        namespace: namespace.try_into().map_err(far)?,
        in_use: core.saturating_add(in_use).try_into().map_err(far)?,
        cpu_offset,
        cpus: possible_cpus()?,
    };
    Ok((function, layout))
}

/// The last part of a list like `0-7` or `0,2-3`, and one more.
fn possible_cpus() -> io::Result<i32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<i32>().ok());
    let last = last.and_then(|last| last.checked_add(1));
    last.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no list of CPUs"))
}

/// The counters of a group; `None` when no socket programs are attached to it.
///
/// # Errors
/// Those of bpf(2): `PermissionDenied` without the capabilities of [`attach`].
pub fn counters(cgroup: BorrowedFd<'_>) -> Result<Option<Counters>, Error> {
    let Some(maps) = OwnedMaps::of(cgroup)? else { return Ok(None) };
    let [held, maxheld, failcnt, other_held, other_maxheld, other_failcnt] =
        syscall::read_array::<COUNTERS>(maps.counters.as_fd())
            .map_err(map_failed("read", COUNTERS_NAME))?;
    let [tcp, other] = syscall::read_array::<LIMITS>(maps.limits.as_fd())
        .map_err(map_failed("read", LIMITS_NAME))?;
    Ok(Some(Counters {
        tcp: Counter { held, maxheld, failcnt },
        other: Counter { held: other_held, maxheld: other_maxheld, failcnt: other_failcnt },
        limits: Limits { tcp, other },
    }))
}

/// Stops counting and limiting. A group that is removed needs none of this.
///
/// # Errors
/// Those of bpf(2).
pub fn detach(cgroup: BorrowedFd<'_>) -> Result<(), Error> {
    ALL.into_iter().try_for_each(|(hook, name)| take_away(cgroup, hook, name))?;
    if limits_all(cgroup) { take_away(cgroup, MADE, MADE_NAME) } else { Ok(()) }
}

/// The maps of a group's programs.
struct OwnedMaps {
    counters: OwnedFd,
    limits: OwnedFd,
    tcp_marks: OwnedFd,
    marks: OwnedFd,
}

impl OwnedMaps {
    fn new() -> Result<Self, Error> {
        let make = |name, shape, types: Option<&Types<'_>>| {
            syscall::create_map(name, shape, types).map_err(map_failed("make", name))
        };
        let description =
            syscall::load_types(&mark_types()).map_err(map_failed("describe", MARKS_NAME))?;
        let types = Types { descriptor: description.as_fd(), key: 1, value: 2 };
        Ok(Self {
            counters: make(COUNTERS_NAME, array(COUNTERS), None)?,
            limits: make(LIMITS_NAME, array(LIMITS), None)?,
            tcp_marks: make(TCP_MARKS_NAME, TCP_MARKS, Some(&types))?,
            marks: make(MARKS_NAME, MARKS, Some(&types))?,
        })
    }

    /// Those in use; `None` when the group has none.
    fn of(cgroup: BorrowedFd<'_>) -> Result<Option<Self>, Error> {
        let programs = named(cgroup, CREATE, CREATE_NAME)?;
        let Some(program) = programs.first() else { return Ok(None) };
        let failed = |source| Error::Cgroup { verb: "list maps of", name: CREATE_NAME, source };
        let mut maps = syscall::maps_of(program.as_fd()).map_err(failed)?;
        let mut take = |name| {
            let at = maps.iter().position(|(other, _)| other == name);
            at.map(|at| maps.swap_remove(at).1).ok_or(Error::NoMap { name })
        };
        Ok(Some(Self {
            counters: take(COUNTERS_NAME)?,
            limits: take(LIMITS_NAME)?,
            tcp_marks: take(TCP_MARKS_NAME)?,
            marks: take(MARKS_NAME)?,
        }))
    }

    fn borrowed(&self) -> Maps<'_> {
        Maps {
            counters: self.counters.as_fd(),
            limits: self.limits.as_fd(),
            tcp_marks: self.tcp_marks.as_fd(),
            marks: self.marks.as_fd(),
        }
    }

    fn set(&self, limits: Limits) -> Result<(), Error> {
        syscall::write_array(self.limits.as_fd(), &[limits.tcp, limits.other])
            .map_err(map_failed("write", LIMITS_NAME))
    }
}

fn map_failed(verb: &'static str, name: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Map { verb, name, source }
}

/// The types of a mark's key and value as BTF (kernel doc: bpf/btf.rst): a descriptor, and
/// 16 bytes. The kernel takes no map of marks without them.
fn mark_types() -> Vec<u8> {
    const INTEGER: u32 = 1 << 24;
    const SIGNED: u32 = 1 << 24;
    const NAMES: &[u8] = b"\0int\0mark\0";
    let types: [u32; 8] = [1, INTEGER, 4, SIGNED | 32, 5, INTEGER, 16, 128];
    let length = size_of_val(&types) as u32;
    let header: [u32; 5] = [24, 0, length, length, NAMES.len() as u32];
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    header.iter().chain(&types).for_each(|number| bytes.extend(number.to_ne_bytes()));
    bytes.extend(NAMES);
    bytes
}

fn named(cgroup: BorrowedFd<'_>, hook: Hook, name: &'static str) -> Result<Vec<OwnedFd>, Error> {
    let programs = syscall::programs(cgroup, hook).map_err(|source| Error::Cgroup {
        verb: "find",
        name,
        source,
    })?;
    Ok(programs.into_iter().filter(|(other, _)| other == name).map(|(_, fd)| fd).collect())
}

fn is_attached(cgroup: BorrowedFd<'_>, hook: Hook, name: &'static str) -> Result<bool, Error> {
    named(cgroup, hook, name).map(|programs| !programs.is_empty())
}

/// Loads a program and attaches it, in the place of one of that name that a killed process left.
fn put(
    cgroup: BorrowedFd<'_>,
    hook: Hook,
    name: &'static str,
    code: &[[u8; 8]],
) -> Result<(), Error> {
    let program = syscall::load(name, hook, code).map_err(|refused| Error::Load {
        name,
        length: code.len(),
        log: refused.log,
        source: refused.source,
    })?;
    let old = named(cgroup, hook, name)?;
    syscall::attach(cgroup, hook, program.as_fd(), old.first().map(AsFd::as_fd))
        .map_err(|source| Error::Cgroup { verb: "attach", name, source })
}

fn take_away(cgroup: BorrowedFd<'_>, hook: Hook, name: &'static str) -> Result<(), Error> {
    named(cgroup, hook, name)?.iter().try_for_each(|program| {
        syscall::detach(cgroup, hook, program.as_fd()).map_err(|source| Error::Cgroup {
            verb: "detach",
            name,
            source,
        })
    })
}

#[cfg(test)]
#[path = "bpf_sockets_tests.rs"]
mod tests;
