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
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::namespace::{self, Namespaces};

/// Message types.
const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
const REQUEST_DUMP: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;

/// The kernel fills answers of 32 KiB at most when it is given as much room.
const ROOM: usize = 32 * 1024;

/// More threads would only wait for each other, and a smaller share is not worth one.
const MOST_THREADS: usize = 4;
const SMALLEST_SHARE: usize = 16;

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
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let share = namespaces.len().div_ceil(threads).max(SMALLEST_SHARE);
    std::thread::scope(|scope| {
        let start = |share| {
            let thread = std::thread::Builder::new().name("sock_diag".to_owned());
            thread.spawn_scoped(scope, move || usage_of_some(share)).map_err(Error::Thread)
        };
        let threads = namespaces.chunks(share).map(start).collect::<Result<Vec<_>, Error>>()?;
        let mut found = Vec::with_capacity(namespaces.len());
        for thread in threads {
            let ended = thread.join();
            found.extend(ended.map_err(|_| Error::Thread(io::Error::other("it panicked")))?);
        }
        Ok(found)
    })
}

/// Joins one namespace after the other.
fn usage_of_some(namespaces: &[BorrowedFd<'_>]) -> Vec<Result<Usage, Error>> {
    let (mut kinds, mut room) = (KINDS.map(Some), vec![0; ROOM]);
    let mut look = |namespace: &BorrowedFd<'_>| usage_of_one(*namespace, &mut kinds, &mut room);
    namespaces.iter().map(&mut look).collect()
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
    Kind {
        what: "raw",
        place: |usage| &mut usage.raw,
        is_there: |in_use, _| in_use.raw > 0,
        request: || inet_request(libc::AF_INET, libc::IPPROTO_RAW),
        ..INET
    },
    Kind {
        what: "raw",
        place: |usage| &mut usage.raw,
        is_there: |in_use, _| in_use.raw > 0,
        request: || inet_request(libc::AF_INET6, libc::IPPROTO_RAW),
        ..INET
    },
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

/// Looks at one namespace. Kinds that the kernel does not know are taken out: each question costs
/// it a search for a module.
fn usage_of_one(
    namespace: BorrowedFd<'_>,
    kinds: &mut [Option<Kind>],
    room: &mut [u8],
) -> Result<Usage, Error> {
    namespace::join(namespace, Namespaces::NET).map_err(Error::Join)?;
    let mut monitor = Monitor::open(room).map_err(Error::Open)?;
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
        match monitor.list(&kind) {
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

/// A socket of the monitoring, and room for its answers.
struct Monitor<'r> {
    socket: OwnedFd,
    room: &'r mut [u8],
}

impl<'r> Monitor<'r> {
    fn open(room: &'r mut [u8]) -> io::Result<Self> {
        // SAFETY: no address is passed; a success is a descriptor that nobody else owns.
        let socket = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            match libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Self { socket, room })
    }

    fn list(&mut self, kind: &Kind) -> io::Result<Sockets> {
        self.send(kind)?;
        let mut sum = Sockets::default();
        loop {
            let length = self.receive()?;
            if add_answers(&self.room[..length], kind, &mut sum)? {
                return Ok(sum);
            }
        }
    }

    fn send(&self, kind: &Kind) -> io::Result<()> {
        let request = (kind.request)();
        let mut message = ((HEADER + request.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.message.to_ne_bytes());
        message.extend(REQUEST_DUMP.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(request);
        loop {
            // SAFETY: the message lives over the call and is as long as said.
            let sent = unsafe {
                libc::send(self.socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0)
            };
            if sent >= 0 {
                return Ok(());
            }
            retry_interrupted()?;
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            // SAFETY: the room lives over the call and is as long as said.
            let received = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    self.room.as_mut_ptr().cast(),
                    self.room.len(),
                    libc::MSG_TRUNC,
                )
            };
            match usize::try_from(received) {
                Ok(length) if length <= self.room.len() => return Ok(length),
                Ok(_) => return Err(malformed("an answer is larger than asked for")),
                Err(_) => retry_interrupted()?,
            }
        }
    }
}

/// The last error, unless it was a signal.
fn retry_interrupted() -> io::Result<()> {
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Adds what an answer's messages say; the result says whether it was the last answer.
fn add_answers(mut answer: &[u8], kind: &Kind, sum: &mut Sockets) -> io::Result<bool> {
    while !answer.is_empty() {
        let length = number::<4>(answer, 0).map(u32::from_ne_bytes);
        let length = length.map(|length| length as usize).filter(|length| *length >= HEADER);
        let message = length.and_then(|length| answer.get(..length));
        let message = message.ok_or_else(|| malformed("a message is cut off"))?;
        let payload = &message[HEADER..];
        match number::<2>(message, 4).map(u16::from_ne_bytes) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => return Err(error_of(payload)),
            _ => {
                // The monitor's own address: it is a netlink socket of the namespace as well.
                let own = number::<4>(message, 12).map_or(0, u32::from_ne_bytes);
                add_socket(payload, kind, own, sum);
            }
        }
        answer = answer.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct nlmsgerr`.
fn error_of(payload: &[u8]) -> io::Error {
    match number::<4>(payload, 0).map(i32::from_ne_bytes) {
        Some(error) => io::Error::from_raw_os_error(error.saturating_neg()),
        None => malformed("an error is cut off"),
    }
}

fn add_socket(payload: &[u8], kind: &Kind, own: u32, sum: &mut Sockets) {
    if kind.what == NETLINK {
        // `ndiag_portid`: 0 is the kernel's end.
        let address = number::<4>(payload, 4).map_or(0, u32::from_ne_bytes);
        // `ndiag_protocol`; addresses are unique within one.
        let is_monitoring = payload.get(2) == Some(&(libc::NETLINK_SOCK_DIAG as u8));
        if address == 0 || is_monitoring && address == own {
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

/// The content of an attribute (`struct nlattr`) of this type.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(number(attributes, 0)?));
        let kind = u16::from_ne_bytes(number(attributes, 2)?);
        let content = attributes.get(4..length)?;
        if kind == wanted {
            return Some(content);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
#[path = "sock_diag_tests.rs"]
mod tests;
