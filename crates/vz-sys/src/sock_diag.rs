//! The sockets of a network namespace and the memory of their buffers, as the kernel's socket
//! monitoring tells (sock_diag(7); linux/sock_diag.h, inet_diag.h, unix_diag.h, netlink_diag.h,
//! packet_diag.h).
//!
//! What no monitoring knows has no kind of its own here: sockets of TCP, UDP and raw that were
//! neither bound nor connected, and families like vsock or AF_ALG; [`Usage::all`] has them.
//! Namespaces made inside the one that is asked for are others.
//!
//! The kernel keeps the connections of all namespaces in one table and walks all of it for each
//! question: half a millisecond on a large node. So `/proc/net/sockstat` is read first (proc(5)),
//! and what there is none of is not asked for.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use crate::namespace::{self, Namespaces};
use crate::netlink_dump::{Dumper, Entry, ROOM, attribute, number};

/// Message types.
const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// `INET_DIAG_SKMEMINFO`, and the bit that asks for it.
const INET_MEMORY: u16 = 7;
const INET_ASK: u8 = 1 << (INET_MEMORY - 1);
const LISTENING: u32 = 1 << 10;
/// All other states that have a socket: TIME_WAIT, SYN_RECV and NEW_SYN_RECV have none or a small
/// one.
const CONNECTED: u32 = 0xfff & !(1 << 3 | 1 << 6 | LISTENING);

/// Numbers of an answer of memory (linux/sock_diag.h `SK_MEMINFO_*`).
const RECEIVED: usize = 0;
const SENT: usize = 2;
const QUEUED: usize = 5;
const BACKLOG: usize = 7;

/// Sockets of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// How many.
    pub count: u64,
    /// What they have to send or is on its way, in bytes of kernel memory. For unix sockets also
    /// what the other end has not read, which stays on the sender's account.
    pub send: u64,
    /// What they have received and nobody has read, in bytes of kernel memory.
    pub receive: u64,
}

/// The sockets of a network namespace. `None`: this kernel has no monitoring of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All sockets of user space of any family, also those of no kind below.
    pub all: Option<u64>,
    /// TCP, IPv4 and IPv6.
    pub tcp: Option<Sockets>,
    /// UDP, IPv4 and IPv6.
    pub udp: Option<Sockets>,
    /// Raw, IPv4 and IPv6.
    pub raw: Option<Sockets>,
    /// Unix.
    pub unix: Option<Sockets>,
    /// Netlink, without the kernel's own ends.
    pub netlink: Option<Sockets>,
    /// Packet. The memory of a mapped ring is not in it.
    pub packet: Option<Sockets>,
}

impl Usage {
    /// The sockets of all kinds.
    fn seen(&self) -> u64 {
        let kinds = [self.tcp, self.udp, self.raw, self.unix, self.netlink, self.packet];
        kinds.into_iter().flatten().map(|sockets| sockets.count).sum()
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Error {
    #[error("start a thread to look at sockets: {0}")]
    Thread(io::Error),
    #[error("join a network namespace to look at its sockets: {0}")]
    Join(io::Error),
    #[error("open the socket monitoring of a network namespace: {0}")]
    Open(io::Error),
    #[error("count the sockets of a network namespace: {0}")]
    Count(io::Error),
    #[error("list {what} sockets: {source}")]
    List { what: &'static str, source: io::Error },
}

/// Looks at the sockets of network namespaces, each given by a descriptor of the namespace or a
/// pidfd of a process in it. Threads of its own join them, so the caller's namespace stays. Needs
/// CAP_SYS_ADMIN over each.
///
/// # Errors
/// [`Error::Thread`]; what concerns one namespace is in its place.
pub fn usage(namespaces: &[BorrowedFd<'_>]) -> Result<Vec<Result<Usage, Error>>, Error> {
    let begin = || {
        let (mut kinds, mut room) = (KINDS.map(Some), vec![0; ROOM]);
        move |joined: io::Result<()>| {
            joined.map_err(Error::Join)?;
            usage_of_one(&mut kinds, &mut room)
        }
    };
    namespace::within_each(namespaces, Namespaces::NET, begin).map_err(Error::Thread)
}

/// One kind of sockets, as it is asked for and answered.
#[derive(Clone, Copy, Debug)]
struct Kind {
    what: &'static str,
    place: fn(&mut Usage) -> &mut Option<Sockets>,
    /// Says whether there are any, by what is known of the namespace so far.
    is_there: fn(&InUse, &Usage) -> bool,
    message: u16,
    request: fn() -> Vec<u8>,
    /// Bytes before the attributes of an answer, and the attribute with the memory.
    fixed: usize,
    memory: u16,
}

const KINDS: [Kind; 9] = [
    Kind { request: || tcp_request(LISTENING), ..TCP },
    Kind { request: || tcp_request(CONNECTED), is_there: has_connections, ..TCP },
    Kind { what: "UDP", request: || inet_request(libc::AF_INET, libc::IPPROTO_UDP), ..INET },
    Kind { what: "UDP", request: || inet_request(libc::AF_INET6, libc::IPPROTO_UDP), ..INET },
    Kind { request: || inet_request(libc::AF_INET, libc::IPPROTO_RAW), ..RAW },
    Kind { request: || inet_request(libc::AF_INET6, libc::IPPROTO_RAW), ..RAW },
    Kind {
        what: "unix",
        place: |usage| &mut usage.unix,
        is_there: has_others,
        message: SOCK_DIAG_BY_FAMILY,
        request: unix_request,
        fixed: 16,
        memory: 5,
    },
    Kind {
        what: NETLINK,
        place: |usage| &mut usage.netlink,
        is_there: has_others,
        message: SOCK_DIAG_BY_FAMILY,
        request: || short_request(libc::AF_NETLINK, NETLINK_ALL, 1),
        fixed: 28,
        memory: 0,
    },
    Kind {
        what: "packet",
        place: |usage| &mut usage.packet,
        is_there: has_others,
        message: SOCK_DIAG_BY_FAMILY,
        request: || short_request(libc::AF_PACKET, 0, 1 << 4),
        fixed: 16,
        memory: 6,
    },
];

/// What all inet sockets have in common.
const INET: Kind = Kind {
    what: "inet",
    place: |usage| &mut usage.udp,
    is_there: |in_use, _| in_use.udp > 0,
    message: SOCK_DIAG_BY_FAMILY,
    request: Vec::new,
    fixed: 72,
    memory: INET_MEMORY,
};

const RAW: Kind = Kind {
    what: "raw",
    place: |usage| &mut usage.raw,
    is_there: |in_use, _| in_use.raw > 0,
    ..INET
};

const TCP: Kind = Kind {
    what: "TCP",
    place: |usage| &mut usage.tcp,
    is_there: |in_use, _| in_use.tcp > 0,
    message: TCPDIAG_GETSOCK,
    ..INET
};

fn has_connections(in_use: &InUse, usage: &Usage) -> bool {
    usage.tcp.is_none_or(|listening| in_use.tcp > listening.count)
}

/// Any that were not seen yet; the kinds are asked for in their order.
fn has_others(in_use: &InUse, usage: &Usage) -> bool {
    in_use.all.is_none_or(|all| all > usage.seen())
}

const NETLINK: &str = "netlink";
/// `NDIAG_PROTO_ALL`.
const NETLINK_ALL: u8 = 255;

/// `struct inet_diag_req`, the older form: only it asks for IPv4 and IPv6 at once, and the kernel
/// walks the connections of the whole node for each request.
fn tcp_request(states: u32) -> Vec<u8> {
    let mut request = vec![libc::AF_UNSPEC as u8, 0, 0, INET_ASK];
    request.extend([0; 48]);
    request.extend(states.to_ne_bytes());
    request.extend([0; 4]);
    request
}

/// `struct inet_diag_req_v2`.
fn inet_request(family: i32, protocol: i32) -> Vec<u8> {
    let mut request = vec![family as u8, protocol as u8, INET_ASK, 0];
    request.extend(u32::MAX.to_ne_bytes());
    request.extend([0; 48]);
    request
}

/// `struct unix_diag_req` with `UDIAG_SHOW_MEMINFO`.
fn unix_request() -> Vec<u8> {
    let mut request = vec![libc::AF_UNIX as u8, 0, 0, 0];
    [u32::MAX, 0, 1 << 5, 0, 0].iter().for_each(|number| request.extend(number.to_ne_bytes()));
    request
}

/// `struct netlink_diag_req` and `struct packet_diag_req`.
fn short_request(family: i32, protocol: u8, show: u32) -> Vec<u8> {
    let mut request = vec![family as u8, protocol, 0, 0];
    [0, show, 0, 0].iter().for_each(|number| request.extend(number.to_ne_bytes()));
    request
}

/// Looks at the namespace this thread is in. Kinds that the kernel does not know are taken out: each question costs
/// it a search for a module.
fn usage_of_one(kinds: &mut [Option<Kind>], room: &mut [u8]) -> Result<Usage, Error> {
    let mut monitor = Dumper::open(libc::NETLINK_SOCK_DIAG, room).map_err(Error::Open)?;
    let mut in_use = InUse::read().map_err(Error::Count)?;
    // The monitor is a socket of the namespace as well.
    in_use.all = in_use.all.map(|all| all.saturating_sub(1));
    let mut usage = Usage { all: in_use.all, ..Usage::default() };
    for slot in kinds {
        let Some(kind) = *slot else { continue };
        if !(kind.is_there)(&in_use, &usage) {
            (kind.place)(&mut usage).get_or_insert_default();
            continue;
        }
        match list(&mut monitor, &kind) {
            Ok(sockets) => {
                let sum = (kind.place)(&mut usage).get_or_insert_default();
                sum.count += sockets.count;
                sum.send += sockets.send;
                sum.receive += sockets.receive;
            }
            Err(error) if is_unknown(&error) => *slot = None,
            Err(source) => return Err(Error::List { what: kind.what, source }),
        }
    }
    Ok(usage)
}

/// How many sockets of some kinds are in the kernel's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct InUse {
    all: Option<u64>,
    tcp: u64,
    udp: u64,
    raw: u64,
}

impl InUse {
    /// Of the namespace this thread is in.
    fn read() -> io::Result<Self> {
        // Both together are far smaller; so they are read at once.
        let mut room = [0; 4096];
        let mut length = File::open("/proc/thread-self/net/sockstat")?.read(&mut room)?;
        match File::open("/proc/thread-self/net/sockstat6") {
            Ok(mut file) => length += file.read(&mut room[length..])?,
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self::parse(&String::from_utf8_lossy(&room[..length])))
    }

    /// `NAME: KEY NUMBER KEY NUMBER ...`, the number of sockets first.
    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let name = words.next();
            let Some(number) = words.nth(1).and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            let of_kind = match name {
                Some("sockets:") => found.all.get_or_insert_default(),
                Some("TCP:" | "TCP6:") => &mut found.tcp,
                Some("UDP:" | "UDP6:") => &mut found.udp,
                Some("RAW:" | "RAW6:") => &mut found.raw,
                _ => continue,
            };
            *of_kind = of_kind.saturating_add(number);
        }
        found
    }
}

/// ENOENT and EINVAL: no such family or protocol. The older form answers EOPNOTSUPP.
fn is_unknown(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    number.is_some_and(|number| [libc::ENOENT, libc::EINVAL, libc::EOPNOTSUPP].contains(&number))
}

fn list(monitor: &mut Dumper<'_>, kind: &Kind) -> io::Result<Sockets> {
    let mut sum = Sockets::default();
    monitor.dump(kind.message, &(kind.request)(), &mut |entry| {
        add_socket(entry, kind, &mut sum);
        ControlFlow::Continue(())
    })?;
    Ok(sum)
}

fn add_socket(Entry { asker, payload }: Entry<'_>, kind: &Kind, sum: &mut Sockets) {
    if kind.what == NETLINK {
        // `ndiag_portid`: 0 is the kernel's end, and the monitor is a socket of the namespace as well.
        let address = number::<4>(payload, 4).map_or(0, u32::from_ne_bytes);
        // `ndiag_protocol`; addresses are unique within one.
        let is_monitoring = payload.get(2) == Some(&(libc::NETLINK_SOCK_DIAG as u8));
        if address == 0 || is_monitoring && address == asker {
            return;
        }
    }
    sum.count += 1;
    let Some(memory) = attribute(payload.get(kind.fixed..).unwrap_or_default(), kind.memory) else {
        return;
    };
    let bytes = |at: usize| number::<4>(memory, at * 4).map_or(0, u32::from_ne_bytes);
    // TCP keeps what is not acknowledged queued; what is on its way is the same memory. Others
    // have nothing but what is on its way.
    sum.send += u64::from(bytes(SENT).max(bytes(QUEUED)));
    sum.receive += u64::from(bytes(RECEIVED)) + u64::from(bytes(BACKLOG));
}

#[cfg(test)]
#[path = "sock_diag_tests.rs"]
mod tests;
