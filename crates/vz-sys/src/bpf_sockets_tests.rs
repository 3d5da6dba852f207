use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::namespace::{self, Namespaces};

const UNLIMITED: Limits = Limits { tcp: u64::MAX, other: u64::MAX };

/// A group of its own on the machine's cgroup2, with the programs, and this process in it and in a
/// network namespace of its own; at the end the process is back where it was. Tests have one thread (see .cargo/config.toml), so
/// nothing else makes sockets meanwhile.
struct Group {
    path: PathBuf,
    directory: File,
    home: PathBuf,
    home_network: File,
}

fn skip(name: &str) {
    eprintln!("skipped: {name}: needs a writable cgroup2 and CAP_BPF");
}

fn join(group: &Path) {
    let mut procs = File::options().write(true).open(group.join("cgroup.procs")).unwrap();
    procs.write_all(b"0").unwrap();
}

impl Group {
    /// One without programs, where they can be had; this process is not in it.
    fn bare(name: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let root = PathBuf::from(line.split(' ').nth(4)?);
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let path = root.join(format!("vz-sys-sock-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let directory = File::open(&path).unwrap();
        let home_network = File::open("/proc/thread-self/ns/net").unwrap();
        let group = Self { home: root.join(own), home_network, directory, path };
        namespace::unshare(Namespaces::NET).ok()?;
        namespace::bring_loopback_up().unwrap();
        match syscall::create_map("vz_probe", array(1), None) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => None,
            other => other.map(|_| group).ok(),
        }
    }

    fn new(name: &str, limits: Limits) -> Option<Self> {
        let group = Self::bare(name).or_else(|| {
            skip(name);
            None
        })?;
        attach(group.directory.as_fd(), limits).unwrap();
        join(&group.path);
        Some(group)
    }

    fn set(&self, tcp: u64, other: u64) {
        set(self.directory.as_fd(), Limits { tcp, other }).unwrap();
    }

    fn counters(&self) -> Counters {
        counters(self.directory.as_fd()).unwrap().unwrap()
    }

    fn tcp(&self) -> u64 {
        self.counters().tcp.held
    }

    /// Waits until so many TCP sockets are held: the kernel ends some in softirqs and timers.
    fn wait_tcp(&self, held: u64) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.tcp() != held {
            assert!(Instant::now() < end, "{:?} instead of {held}", self.counters());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        namespace::join(self.home_network.as_fd(), Namespaces::NET).unwrap();
        join(&self.home);
        std::fs::remove_dir(&self.path).unwrap();
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn raw_socket(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: a success returns a descriptor that nobody else owns.
    unsafe {
        match libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

fn socket_address(of: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(of) = of else { unreachable!() };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: of.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*of.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// connect(2), of a socket that exists.
fn connect(socket: i32, to: SocketAddr) -> io::Result<()> {
    let address = socket_address(to);
    let length = size_of_val(&address) as u32;
    // SAFETY: the address lives over the call and is as long as said.
    let result = unsafe { libc::connect(socket, (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// connect(2) to nothing: a socket that was connected may be connected again.
fn disconnect(socket: i32) {
    let none = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
    // SAFETY: the address lives over the call and is as long as said.
    let result = unsafe { libc::connect(socket, &raw const none, size_of_val(&none) as u32) };
    assert_eq!(result, 0);
}

/// Closes with a reset.
fn reset(stream: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the value lives over the call and is as long as said.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as u32,
        )
    };
    assert_eq!(result, 0);
}

/// Runs it in a child and returns the child, which ends with the result.
fn child(run: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: there is one thread, so no lock is held by another; the child leaves by _exit.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0);
        if pid == 0 {
            libc::_exit(i32::from(!run()));
        }
        pid
    }
}

fn wait(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` lives over the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

#[test]
fn classes_are_counted_apart() {
    let Some(group) = Group::new("classes_are_counted_apart", UNLIMITED) else { return };
    let tcp = raw_socket(libc::AF_INET6, libc::SOCK_STREAM, 0).unwrap();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // It has the number of TCP, and is none.
    let raw = raw_socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP).unwrap();
    let unix = raw_socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).unwrap();
    let counters = group.counters();
    assert_eq!((counters.tcp.held, counters.other.held), (1, 2));
    drop((udp, unix));
    let counters = group.counters();
    assert_eq!((counters.tcp.held, counters.other.held), (1, 1));
    drop((tcp, raw));
    let counters = group.counters();
    assert_eq!(counters.tcp, Counter { held: 0, maxheld: 1, failcnt: 0 });
    assert_eq!(counters.other, Counter { held: 0, maxheld: 2, failcnt: 0 });
    assert_eq!(counters.limits, UNLIMITED);
}

#[test]
fn limit_refuses_and_counts_it() {
    let limits = Limits { tcp: 2, other: 1 };
    let Some(group) = Group::new("limit_refuses_and_counts_it", limits) else { return };
    let socket = |domain, kind| raw_socket(domain, kind, 0);
    let held = [
        socket(libc::AF_INET, libc::SOCK_STREAM).unwrap(),
        socket(libc::AF_INET6, libc::SOCK_STREAM).unwrap(),
        socket(libc::AF_INET, libc::SOCK_DGRAM).unwrap(),
    ];
    for _ in 0..3 {
        let refused = socket(libc::AF_INET, libc::SOCK_STREAM).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
    }
    let refused = socket(libc::AF_INET6, libc::SOCK_DGRAM).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
    let counters = group.counters();
    assert_eq!(counters.tcp, Counter { held: 2, maxheld: 2, failcnt: 3 });
    assert_eq!(counters.other, Counter { held: 1, maxheld: 1, failcnt: 1 });

    // Live, and the counters stay; attaching once more is the same.
    group.set(3, 1);
    drop(socket(libc::AF_INET, libc::SOCK_STREAM).unwrap());
    attach(group.directory.as_fd(), Limits { tcp: 1, other: 1 }).unwrap();
    drop(held);
    let _one = socket(libc::AF_INET, libc::SOCK_STREAM).unwrap();
    socket(libc::AF_INET, libc::SOCK_STREAM).unwrap_err();
    assert_eq!(group.counters().tcp, Counter { held: 1, maxheld: 3, failcnt: 4 });
}

#[test]
fn accepted_ones_count_and_come_back() {
    let Some(group) = Group::new("accepted_ones_count_and_come_back", UNLIMITED) else { return };
    let (listener, address) = listener();
    let mut pairs = Vec::new();
    for _ in 0..100 {
        let client = TcpStream::connect(address).unwrap();
        pairs.push((client, listener.accept().unwrap().0));
    }
    group.wait_tcp(201);
    pairs.clear();
    group.wait_tcp(1);
    // Each side closes first in turn, with data on the way in both directions.
    for round in 0..2000 {
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"question").unwrap();
        let mut question = [0; 8];
        server.read_exact(&mut question).unwrap();
        server.write_all(b"answer").unwrap();
        if round % 2 == 0 {
            drop(server);
            drop(client);
        } else {
            drop(client);
            drop(server);
        }
    }
    group.wait_tcp(1);
    drop(listener);
    group.wait_tcp(0);
    assert_eq!(group.counters().tcp.maxheld, 201);
}

#[test]
fn ones_never_accepted_come_back() {
    let Some(group) = Group::new("ones_never_accepted_come_back", UNLIMITED) else { return };
    let (waiting, address) = listener();
    let clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    group.wait_tcp(41);
    // The listener's end resets them all; the clients' descriptors are still open.
    drop(waiting);
    group.wait_tcp(20);
    drop(clients);
    group.wait_tcp(0);
}

#[test]
fn reset_ones_come_back() {
    let Some(group) = Group::new("reset_ones_come_back", UNLIMITED) else { return };
    let (listener, address) = listener();
    // Before it is accepted; the kernel hands out the dead one nevertheless.
    reset(TcpStream::connect(address).unwrap());
    group.wait_tcp(1);
    let (dead, _) = listener.accept().unwrap();
    drop(dead);
    group.wait_tcp(1);
    // After it was accepted.
    let client = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    reset(client);
    server.read_exact(&mut [0]).unwrap_err();
    drop(server);
    group.wait_tcp(1);
    // By the side that accepted: the other still has its descriptor.
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    reset(server);
    group.wait_tcp(2);
    drop(client);
    group.wait_tcp(1);
    // Refused ones and ones that are given up.
    drop(listener);
    group.wait_tcp(0);
    TcpStream::connect(address).unwrap_err();
    group.wait_tcp(0);
}

#[test]
fn a_dead_one_that_is_used_again_counts() {
    let Some(group) = Group::new("a_dead_one_that_is_used_again_counts", UNLIMITED) else { return };
    let (listener, address) = listener();
    let client = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    reset(client);
    server.read_exact(&mut [0]).unwrap_err();
    group.wait_tcp(1);
    disconnect(server.as_raw_fd());
    connect(server.as_raw_fd(), address).unwrap();
    let (other, _) = listener.accept().unwrap();
    group.wait_tcp(3);
    drop((server, other));
    group.wait_tcp(1);
}

#[test]
fn one_that_has_something_to_send_still_counts() {
    let name = "one_that_has_something_to_send_still_counts";
    let Some(group) = Group::new(name, UNLIMITED) else { return };
    let (listener, address) = listener();
    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    while client.write(&[0; 65536]).is_ok() {}
    drop(client);
    group.wait_tcp(3);
    std::io::copy(&mut server, &mut std::io::sink()).unwrap();
    // It is in FIN_WAIT2 until the other side closes as well.
    drop(server);
    group.wait_tcp(1);
    // TIME_WAIT is no socket.
    let client = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.read_to_end(&mut Vec::new()).unwrap();
    drop(server);
    group.wait_tcp(2);
    drop(client);
    group.wait_tcp(1);
}

#[test]
fn one_that_is_shared_counts_once() {
    let Some(group) = Group::new("one_that_is_shared_counts_once", UNLIMITED) else { return };
    let (listener, address) = listener();
    let client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    group.wait_tcp(3);
    let (mut end, mut start) = std::os::unix::net::UnixStream::pair().unwrap();
    let pid = child(|| start.read_exact(&mut [0]).is_ok());
    drop((client, server));
    assert_eq!(group.tcp(), 3);
    end.write_all(b"!").unwrap();
    wait(pid);
    group.wait_tcp(1);
}

#[test]
fn those_of_others_do_not_count() {
    let name = "those_of_others_do_not_count";
    let Some(group) = Group::bare(name) else { return skip(name) };
    // Made in another group, or before the programs, and closed here.
    let udp = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let tcp = raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    join(&group.path);
    let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let early = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert!(counters(group.directory.as_fd()).unwrap().is_none());
    assert!(matches!(set(group.directory.as_fd(), UNLIMITED), Err(Error::NotAttached)));
    attach(group.directory.as_fd(), UNLIMITED).unwrap();
    drop((udp, tcp, here));
    let before = group.counters();
    assert_eq!((before.tcp, before.other), (Counter::default(), Counter::default()));
    // A listener that was there before does not count, what it accepts does.
    let client = TcpStream::connect(early.local_addr().unwrap()).unwrap();
    let (server, _) = early.accept().unwrap();
    group.wait_tcp(2);
    drop((client, server, early));
    group.wait_tcp(0);
    // One of ours counts here though it is used and closed elsewhere.
    let ours = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    join(&group.home);
    let client = TcpStream::connect(ours.local_addr().unwrap()).unwrap();
    let (server, _) = ours.accept().unwrap();
    group.wait_tcp(2);
    drop((client, server, ours));
    group.wait_tcp(0);
}

#[test]
fn connections_wait_at_the_limit() {
    let name = "connections_wait_at_the_limit";
    let Some(group) = Group::new(name, Limits { tcp: 1, other: 0 }) else { return };
    let (listener, address) = listener();
    // Two clients from outside; the group is full with its listener.
    join(&group.home);
    let connecting = || {
        let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
        let client = TcpStream::from(raw_socket(libc::AF_INET, kind, 0).unwrap());
        let error = connect(client.as_raw_fd(), address).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINPROGRESS));
        client
    };
    let waiting = connecting();
    assert_eq!(group.counters().tcp, Counter { held: 1, maxheld: 1, failcnt: 1 });
    waiting.peer_addr().unwrap_err();
    // With room the next one comes in, and the one that waited when it tries again.
    group.set(3, 0);
    let (server, _) = listener.accept().unwrap();
    group.wait_tcp(2);
    let another = TcpStream::connect(address).unwrap();
    group.wait_tcp(3);
    // Existing connections go on at the limit.
    (&waiting).write_all(b"goes on").unwrap();
    (&server).read_exact(&mut [0; 7]).unwrap();
    // Nothing asks packets any more when there is no limit.
    assert_eq!(named(group.directory.as_fd(), PACKET, PACKET_NAME).unwrap().len(), 1);
    group.set(u64::MAX, 0);
    assert!(named(group.directory.as_fd(), PACKET, PACKET_NAME).unwrap().is_empty());
    drop((waiting, server, another, listener));
    group.wait_tcp(0);
}

#[test]
fn no_number_is_lost_between_cpus() {
    let Some(group) = Group::new("no_number_is_lost_between_cpus", UNLIMITED) else { return };
    let churn = || {
        for _ in 0..300 {
            let (listener, address) = listener();
            let clients = [(); 5].map(|()| TcpStream::connect(address).unwrap());
            let (server, _) = listener.accept().unwrap();
            let [first, ..] = clients;
            reset(first);
            drop(server);
            drop(raw_socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap());
        }
        true
    };
    let children = [(); 4].map(|()| child(churn));
    children.into_iter().for_each(wait);
    group.wait_tcp(0);
    let counters = group.counters();
    assert_eq!((counters.other.held, counters.tcp.failcnt), (0, 0));
    assert!((6..=64).contains(&counters.tcp.maxheld), "{counters:?}");
}

#[test]
fn a_killed_attach_is_finished() {
    let name = "a_killed_attach_is_finished";
    let Some(group) = Group::bare(name) else { return skip(name) };
    let cgroup = group.directory.as_fd();
    let maps = OwnedMaps::new().unwrap();
    put(cgroup, EVENT, EVENT_NAME, &code::event(maps.borrowed())).unwrap();
    assert!(counters(cgroup).unwrap().is_none());
    attach(cgroup, Limits { tcp: 0, other: 0 }).unwrap();
    for (hook, name) in ALL {
        assert_eq!(named(cgroup, hook, name).unwrap().len(), 1, "{name}");
    }
    join(&group.path);
    raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap_err();
    detach(cgroup).unwrap();
    raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    assert!(counters(cgroup).unwrap().is_none());
}

#[test]
fn groups_below_count_together() {
    let limits = Limits { tcp: 3, other: u64::MAX };
    let Some(group) = Group::new("groups_below_count_together", limits) else { return };
    let here = raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
    let below = group.path.join("below");
    std::fs::create_dir(&below).unwrap();
    join(&below);
    let there = [(); 2].map(|()| raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap());
    raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap_err();
    assert_eq!(group.counters().tcp, Counter { held: 3, maxheld: 3, failcnt: 1 });
    // What a group that is gone made counts on until it is gone as well.
    join(&group.path);
    std::fs::remove_dir(&below).unwrap();
    assert_eq!(group.tcp(), 3);
    drop((here, there));
    group.wait_tcp(0);
}

#[test]
fn limit_of_others_is_of_every_family() {
    let name = "limit_of_others_is_of_every_family";
    let Some(group) = Group::bare(name) else { return skip(name) };
    attach(group.directory.as_fd(), Limits { tcp: u64::MAX, other: 4 }).unwrap();
    if !limits_all(group.directory.as_fd()) {
        let maps = OwnedMaps::of(group.directory.as_fd()).unwrap().unwrap();
        let why = put_made(group.directory.as_fd(), &maps).unwrap_err();
        eprintln!(
            "skipped: {name}: BPF {}: {why}",
            match security_modules::has_bpf() {
                true => "is an active security module, but",
                false => "is no active security module",
            }
        );
        return;
    }
    join(&group.path);
    let socket = |domain, kind| raw_socket(domain, kind, 0);
    let tcp = [(); 10].map(|()| socket(libc::AF_INET, libc::SOCK_STREAM).unwrap());
    let mut held = vec![
        socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap(),
        socket(libc::AF_NETLINK, libc::SOCK_RAW).unwrap(),
        socket(libc::AF_PACKET, libc::SOCK_RAW).unwrap(),
        socket(libc::AF_INET6, libc::SOCK_DGRAM).unwrap(),
    ];
    for domain in [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_INET] {
        let refused = socket(domain, libc::SOCK_DGRAM).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
    }
    assert_eq!(group.counters().other, Counter { held: 1, maxheld: 2, failcnt: 4 });
    // TCP has its own limit.
    drop(socket(libc::AF_INET6, libc::SOCK_STREAM).unwrap());
    drop(tcp);
    socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap_err();
    held.remove(0);
    let pair = std::os::unix::net::UnixStream::pair();
    assert_eq!(pair.unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
    held.push(socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap());
    group.set(u64::MAX, 6);
    std::os::unix::net::UnixStream::pair().unwrap();
    group.set(u64::MAX, u64::MAX);
    assert!(!limits_all(group.directory.as_fd()));
    held.extend([(); 10].map(|()| socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap()));
}

#[test]
fn multipath_ones_come_back() {
    let name = "multipath_ones_come_back";
    let Some(group) = Group::new(name, UNLIMITED) else { return };
    let Ok(socket) = raw_socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP) else {
        eprintln!("skipped: {name}: this kernel has no MPTCP");
        return;
    };
    let any = socket_address((Ipv4Addr::LOCALHOST, 0).into());
    // SAFETY: the address lives over the call and is as long as said.
    let bound = unsafe {
        let length = size_of_val(&any) as u32;
        libc::bind(socket.as_raw_fd(), (&raw const any).cast(), length)
            | libc::listen(socket.as_raw_fd(), 16)
    };
    assert_eq!(bound, 0);
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    for round in 0..50 {
        let client = raw_socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP).unwrap();
        connect(client.as_raw_fd(), address).unwrap();
        let mut client = TcpStream::from(client);
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"question").unwrap();
        server.read_exact(&mut [0; 8]).unwrap();
        // The two ends at least, and what each consists of.
        assert!(group.tcp() >= 3);
        match round % 3 {
            0 => drop((client, server)),
            1 => drop((server, client)),
            _ => reset(client),
        }
    }
    let waiting = TcpStream::connect(address).unwrap();
    drop(listener);
    drop(waiting);
    group.wait_tcp(0);
}

/// The root of a network namespace may leave its sockets no memory for marks.
#[test]
fn one_that_cannot_be_marked_is_not_made() {
    let name = "one_that_cannot_be_marked_is_not_made";
    let Some(group) = Group::new(name, UNLIMITED) else { return };
    let (listener, address) = listener();
    let client = raw_socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0).unwrap();
    let set = |bytes: &str| {
        let mut file = File::options().write(true).open("/proc/sys/net/core/optmem_max")?;
        file.write_all(bytes.as_bytes())
    };
    if set("0").is_err() {
        eprintln!("skipped: {name}: this kernel has one optmem_max for all");
        return;
    }
    let refused = raw_socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
    connect(client.as_raw_fd(), address).unwrap_err();
    listener.set_nonblocking(true).unwrap();
    // Over loopback all of a handshake that there is has happened when connect(2) is back.
    listener.accept().unwrap_err();
    assert_eq!(group.counters().tcp, Counter { held: 2, maxheld: 2, failcnt: 1 });
    // The other side tries again, and then there is room.
    set("131072").unwrap();
    listener.set_nonblocking(false).unwrap();
    let (server, _) = listener.accept().unwrap();
    group.wait_tcp(3);
    drop((client, server));
    group.wait_tcp(1);
}
