//! NUMTCPSOCK, NUMOTHERSOCK and the socket buffers: what the kernel can enforce of them, and what
//! is held.
//!
//! | resource | held | enforced |
//! |---|---|---|
//! | NUMTCPSOCK | counted by programs on the container's cgroup | by them |
//! | NUMOTHERSOCK | inet sockets by them; unix, netlink and packet by sock_diag | by them, all or inet only: see [`families`] |
//! | TCPSNDBUF, TCPRCVBUF | sock_diag | the most of one socket, see [`sysctls`] |
//! | OTHERSOCKBUF, DGRAMRCVBUF | sock_diag | no: the kernel's bounds are of the whole node |
//!
//! To be done with it: [`attach`] on the container's group (the one with the limits) before anything
//! runs in it, [`set`] when a limit changes, [`apply_sysctls`] in its network namespace at start and
//! when a limit changes; [`counters`], [`buffers`] and [`beancounter`] to read. A restart makes a
//! new group, and so starts all counters anew.
//!
//! A socket(2) at the limit answers ENOBUFS, as the original did; a connection coming in waits, and
//! is retried by the other side.

use std::io;
use std::os::fd::BorrowedFd;

use vz_conf::config::Config;
use vz_conf::ubc::{Resource, UNLIMITED};
use vz_sys::namespace::{self, Namespaces};
use vz_sys::{bpf_sockets, sock_diag};

use crate::accounting::Counter;

pub use vz_sys::bpf_sockets::{Counters, Limits};
pub use vz_sys::sock_diag::{Sockets, Usage};

/// The resources this module knows of.
pub const RESOURCES: [Resource; 6] = [
    Resource::Numtcpsock,
    Resource::Numothersock,
    Resource::Tcpsndbuf,
    Resource::Tcprcvbuf,
    Resource::Othersockbuf,
    Resource::Dgramrcvbuf,
];

/// The limits of a configuration, for [`attach`] and [`set`].
pub fn limits(config: &Config) -> Limits {
    let limit = |resource| match config.ubc.get(resource).map(|value| value.limit) {
        None | Some(UNLIMITED) => u64::MAX,
        Some(limit) => limit,
    };
    Limits { tcp: limit(Resource::Numtcpsock), other: limit(Resource::Numothersock) }
}

/// Starts to count and limit the sockets of a group; where that is done already, sets the limits.
///
/// # Errors
/// Those of [`bpf_sockets::attach`]. A container without it runs all the same: nothing is counted
/// and nothing limited then.
pub fn attach(group: BorrowedFd<'_>, limits: Limits) -> Result<(), bpf_sockets::Error> {
    bpf_sockets::attach(group, limits)
}

/// Changes the limits of a group at once.
///
/// # Errors
/// Those of [`bpf_sockets::set`], among them that nothing was attached.
pub fn set(group: BorrowedFd<'_>, limits: Limits) -> Result<(), bpf_sockets::Error> {
    bpf_sockets::set(group, limits)
}

/// What a group has held since it was made; `None` when nothing counts it.
///
/// # Errors
/// Those of [`bpf_sockets::counters`].
pub fn counters(group: BorrowedFd<'_>) -> Result<Option<Counters>, bpf_sockets::Error> {
    bpf_sockets::counters(group)
}

/// The sockets and buffers of containers now, each by a descriptor of its network namespace or a
/// pidfd of its init. All at once, because each call starts threads.
///
/// # Errors
/// Those of [`sock_diag::usage`]; what concerns one container is in its place.
pub fn buffers(
    namespaces: &[BorrowedFd<'_>],
) -> Result<Vec<Result<Usage, sock_diag::Error>>, sock_diag::Error> {
    sock_diag::usage(namespaces)
}

/// The beancounter of one of [`RESOURCES`], of what could be read. Buffers have no limit here, as
/// the kernel keeps none of their sum, and no maximum: who looks more often keeps one.
pub fn beancounter(
    resource: Resource,
    counters: Option<&Counters>,
    usage: Option<&Usage>,
) -> Counter {
    let count = |sockets: Option<Sockets>| sockets.map(|sockets| sockets.count);
    match resource {
        Resource::Numtcpsock => match counters {
            Some(counters) => counted(&counters.tcp, counters.limits.tcp, 0),
            None => held(usage.and_then(|usage| count(usage.tcp))),
        },
        Resource::Numothersock => {
            let local = usage.map(|usage| sum(&[usage.unix, usage.netlink, usage.packet]).count);
            let inet = usage.map(|usage| sum(&[usage.udp, usage.raw]).count);
            match counters {
                Some(counters) => {
                    counted(&counters.other, counters.limits.other, local.unwrap_or(0))
                }
                None => held(local.zip(inet).map(|(local, inet)| local + inet)),
            }
        }
        _ => held(usage.and_then(|usage| buffer(resource, usage))),
    }
}

/// A counter of the programs, with `more` that they do not count.
fn counted(counter: &bpf_sockets::Counter, limit: u64, more: u64) -> Counter {
    let held = counter.held.saturating_add(more);
    let limit = limit.min(UNLIMITED);
    Counter {
        held: Some(held),
        maxheld: Some(counter.maxheld.max(held)),
        barrier: limit,
        limit,
        failcnt: Some(counter.failcnt),
    }
}

fn held(held: Option<u64>) -> Counter {
    Counter { held, ..Counter::UNCOUNTED }
}

fn sum(kinds: &[Option<Sockets>]) -> Sockets {
    let mut sum = Sockets::default();
    for sockets in kinds.iter().flatten() {
        sum.count = sum.count.saturating_add(sockets.count);
        sum.send = sum.send.saturating_add(sockets.send);
        sum.receive = sum.receive.saturating_add(sockets.receive);
    }
    sum
}

/// Bytes held of a buffer, as the beancounters divided them (ubc(5)): OTHERSOCKBUF is unix sockets
/// and what datagram sockets send, DGRAMRCVBUF what these receive.
fn buffer(resource: Resource, usage: &Usage) -> Option<u64> {
    let local = sum(&[usage.unix, usage.netlink, usage.packet]);
    let datagram = sum(&[usage.udp, usage.raw]);
    match resource {
        Resource::Tcpsndbuf => usage.tcp.map(|tcp| tcp.send),
        Resource::Tcprcvbuf => usage.tcp.map(|tcp| tcp.receive),
        Resource::Othersockbuf => usage.unix.map(|_| local.send + local.receive + datagram.send),
        Resource::Dgramrcvbuf => usage.udp.map(|_| datagram.receive),
        _ => None,
    }
}

/// For which families a limit of a number of sockets holds, by their names in socket(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// Making one more than the limit is refused.
    pub enforced: &'static [&'static str],
    /// They are in held, and there is no limit to them.
    pub accounted: &'static [&'static str],
}

/// What holds of the limits of NUMTCPSOCK and NUMOTHERSOCK that [`attach`] or [`set`] has given to a
/// group. Where `accounted` is not empty, a limit deserves a warning that names them.
pub fn families(group: BorrowedFd<'_>, resource: Resource) -> Families {
    match resource {
        Resource::Numtcpsock => Families { enforced: &["tcp"], accounted: &[] },
        Resource::Numothersock if bpf_sockets::limits_all(group) => Families {
            enforced: &["udp", "raw", "icmp", "sctp", "unix", "netlink", "packet"],
            accounted: &[],
        },
        Resource::Numothersock => Families {
            enforced: &["udp", "raw", "icmp", "sctp"],
            accounted: &["unix", "netlink", "packet"],
        },
        _ => Families { enforced: &[], accounted: &[] },
    }
}

/// A value for a file of `/proc/sys`, as seen from the container's network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// The parameter it comes from.
    pub parameter: &'static str,
    /// The file, below `/proc/sys`.
    pub path: &'static str,
    /// The value, in the kernel's form.
    pub value: String,
}

/// The sizes of a TCP buffer in bytes (tcp(7), `tcp_wmem` and `tcp_rmem`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpBuffer {
    /// Always granted.
    pub least: u64,
    /// At first.
    pub first: u64,
    /// What it may grow to.
    pub most: u64,
}

impl TcpBuffer {
    /// Reads the kernel's form: three numbers. `None` for another.
    pub fn parse(text: &str) -> Option<TcpBuffer> {
        let mut numbers = text.split_ascii_whitespace().map(|word| word.parse().ok());
        let buffer =
            TcpBuffer { least: numbers.next()??, first: numbers.next()??, most: numbers.next()?? };
        numbers.next().is_none().then_some(buffer)
    }

    /// No larger than `barrier`, and never larger than this one. One socket may use all of a barrier,
    /// as it was.
    fn bounded(self, barrier: u64) -> TcpBuffer {
        let most = self.most.min(barrier.max(self.least));
        TcpBuffer { most, first: self.first.min(most), ..self }
    }
}

impl std::fmt::Display for TcpBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.least, self.first, self.most)
    }
}

/// The buffers that a new network namespace starts with, which are the node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeBuffers {
    /// `net.ipv4.tcp_wmem`.
    pub send: TcpBuffer,
    /// `net.ipv4.tcp_rmem`.
    pub receive: TcpBuffer,
}

const SEND_PATH: &str = "net/ipv4/tcp_wmem";
const RECEIVE_PATH: &str = "net/ipv4/tcp_rmem";

impl NodeBuffers {
    /// Reads those of the network namespace this process is in.
    ///
    /// # Errors
    /// Those of reading the files; `InvalidData` when one is not three numbers.
    pub fn read() -> io::Result<NodeBuffers> {
        let read = |path: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/{path}"))?;
            TcpBuffer::parse(&text).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{path} is {text:?}"))
            })
        };
        Ok(NodeBuffers { send: read(SEND_PATH)?, receive: read(RECEIVE_PATH)? })
    }
}

/// What bounds the buffers of a container's TCP sockets: at most the barrier each. The kernel has
/// no bound of their sum.
///
/// `tcp_wmem` and `tcp_rmem` are all the bounds in bytes that a network namespace has of its own
/// (Linux 6.12, 6.18): `net.core.wmem_max`, `rmem_max` and their defaults are the node's and only
/// shown inside, `tcp_mem` and `udp_mem` are not even that, `udp_rmem_min` and `udp_wmem_min` are
/// guarantees, and `net.unix.max_dgram_qlen` counts messages. A namespace's root may write these
/// two files where it can reach them, and set a socket's own size up to `net.core.wmem_max`: the
/// memory is on the container's memory limit either way.
pub fn sysctls(config: &Config, node: &NodeBuffers) -> Vec<Sysctl> {
    let bounded = |resource: Resource, path, buffer: TcpBuffer| {
        let barrier = config.ubc.get(resource).map_or(UNLIMITED, |value| value.barrier);
        Sysctl { parameter: resource.key(), path, value: buffer.bounded(barrier).to_string() }
    };
    vec![
        bounded(Resource::Tcpsndbuf, SEND_PATH, node.send),
        bounded(Resource::Tcprcvbuf, RECEIVE_PATH, node.receive),
    ]
}

/// Writes them in the network namespace behind a descriptor, its own or a pidfd.
///
/// # Errors
/// The first file that could not be written, by name.
pub fn apply_sysctls(namespace: BorrowedFd<'_>, sysctls: &[Sysctl]) -> io::Result<()> {
    namespace::within(namespace, Namespaces::NET, || {
        sysctls.iter().try_for_each(|sysctl| {
            let path = format!("/proc/sys/{}", sysctl.path);
            let write =
                |mut file: std::fs::File| io::Write::write_all(&mut file, sysctl.value.as_bytes());
            std::fs::OpenOptions::new().write(true).open(&path).and_then(write).map_err(|error| {
                io::Error::new(error.kind(), format!("write {} to {path}: {error}", sysctl.value))
            })
        })
    })?
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
