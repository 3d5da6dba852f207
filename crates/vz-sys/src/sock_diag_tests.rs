use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::netlink_dump::forge::{done, message, refused};
use crate::netlink_dump::walk;

const UNIX: Kind = KINDS[6];

fn add_answers(answer: &[u8], kind: &Kind, sum: &mut Sockets) -> io::Result<bool> {
    walk(answer, &mut |entry| {
        add_socket(entry, kind, sum);
        ControlFlow::Continue(())
    })
}

fn attribute_of(kind: u16, numbers: &[u32]) -> Vec<u8> {
    let mut bytes = (4 + numbers.len() as u16 * 4).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
    bytes
}

#[test]
fn answers_are_summed_up() {
    let with_memory =
        [vec![0; 16], attribute_of(1, &[9]), attribute_of(5, &[1, 0, 2, 0, 0, 3, 0, 4])];
    let without = [0; 16];
    let answer = [message(20, &with_memory.concat()), message(20, &without)].concat();
    let mut sum = Sockets::default();
    assert!(!add_answers(&answer, &UNIX, &mut sum).unwrap());
    assert_eq!(sum, Sockets { count: 2, send: 3, receive: 5 });
    assert!(add_answers(&done(), &UNIX, &mut sum).unwrap());
    let refused = refused(libc::ENOENT);
    let error = add_answers(&refused, &UNIX, &mut sum).unwrap_err();
    assert!(is_unknown(&error), "{error}");
    add_answers(&answer[..answer.len() - 4], &UNIX, &mut sum).unwrap_err();
}

#[test]
fn requests_are_as_long_as_the_kernel_wants() {
    let lengths = KINDS.map(|kind| (kind.request)().len());
    assert_eq!(lengths, [60, 60, 56, 56, 56, 56, 24, 20, 20]);
}

#[test]
fn sockstat_is_read() {
    let text = "sockets: used 71\nTCP: inuse 1 orphan 0 tw 0 alloc 2 mem 1\nUDP: inuse 0 mem 0\n\
                UDPLITE: inuse 9\nRAW: inuse 4\nFRAG: inuse 0 memory 0\nTCP6: inuse 2\nUDP6: x\n";
    assert_eq!(InUse::parse(text), InUse { all: Some(71), tcp: 3, udp: 0, raw: 4 });
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(bytes: Vec<u8>, kind in 0..KINDS.len()) {
        let _ = add_answers(&bytes, &KINDS[kind], &mut Sockets::default());
        let framed = message(20, &bytes);
        let _ = add_answers(&framed, &KINDS[kind], &mut Sockets::default());
    }
}

/// A network namespace of its own, that this thread is in until the end.
struct Namespace {
    home: File,
    own: File,
}

fn current() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

impl Namespace {
    fn new(name: &str) -> Option<Self> {
        let home = current();
        if let Err(error) = namespace::unshare(Namespaces::NET) {
            assert_eq!(error.raw_os_error(), Some(libc::EPERM));
            eprintln!("skipped: {name}: needs CAP_SYS_ADMIN");
            return None;
        }
        namespace::bring_loopback_up().unwrap();
        Some(Self { home, own: current() })
    }

    fn usage(&self) -> Usage {
        usage(&[self.own.as_fd()]).unwrap().remove(0).unwrap()
    }

    /// Waits until so many are there: a closed netlink socket goes after a grace period.
    fn wait_all(&self, count: u64) {
        let end = Instant::now() + Duration::from_secs(5);
        while self.usage().all != Some(count) {
            assert!(Instant::now() < end, "{:?}", self.usage());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        namespace::join(self.home.as_fd(), Namespaces::NET).unwrap();
    }
}

/// Those of kinds that every kernel here monitors.
fn known(sockets: Option<Sockets>) -> Sockets {
    sockets.unwrap()
}

#[test]
fn a_new_namespace_has_none() {
    let Some(namespace) = Namespace::new("a_new_namespace_has_none") else { return };
    let usage = namespace.usage();
    for sockets in [usage.tcp, usage.udp, usage.unix, usage.netlink, usage.packet] {
        assert_eq!(known(sockets), Sockets::default());
    }
    assert_eq!(usage.all, Some(0));
}

#[test]
fn sockets_and_their_buffers_are_seen() {
    let Some(namespace) = Namespace::new("sockets_and_their_buffers_are_seen") else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_server, _) = listener.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(length) = client.write(&[0; 4096]) {
        written += length as u64;
    }
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for _ in 0..10 {
        udp.send_to(&[0; 1000], udp.local_addr().unwrap()).unwrap();
    }
    let (mut one, _other) = UnixStream::pair().unwrap();
    one.write_all(&[0; 20_000]).unwrap();
    let route = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Netlink,
        nix::sys::socket::SockType::Raw,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        nix::sys::socket::SockProtocol::NetlinkRoute,
    )
    .unwrap();
    nix::sys::socket::bind(route.as_raw_fd(), &nix::sys::socket::NetlinkAddr::new(0, 0)).unwrap();

    // What is sent reaches the other side a little later.
    let end = Instant::now() + Duration::from_secs(5);
    let usage = loop {
        let usage = namespace.usage();
        let tcp = known(usage.tcp);
        if tcp.send + tcp.receive >= written && tcp.receive > 0 {
            break usage;
        }
        assert!(Instant::now() < end, "{tcp:?} of {written}");
    };
    let tcp = known(usage.tcp);
    assert_eq!(tcp.count, 3);
    // Kernel memory for data is more than the data, but not many times more.
    assert!(tcp.send + tcp.receive < written * 3, "{tcp:?} of {written}");
    let udp = known(usage.udp);
    assert_eq!((udp.count, udp.send), (1, 0));
    assert!((10_000..60_000).contains(&udp.receive), "{udp:?}");
    let unix = known(usage.unix);
    assert_eq!((unix.count, unix.receive), (2, 0));
    assert!((20_000..80_000).contains(&unix.send), "{unix:?}");
    assert_eq!(known(usage.netlink).count, 1);
    assert_eq!(known(usage.packet).count, 0);
    namespace.wait_all(3 + 1 + 2 + 1);
    // Without a port it is in no table.
    let _unbound = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet6,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    assert_eq!(known(namespace.usage().tcp).count, 3);
    namespace.wait_all(8);
}

#[test]
fn many_namespaces_are_read_quickly() {
    let Some(first) = Namespace::new("many_namespaces_are_read_quickly") else { return };
    let mut sockets = Vec::new();
    let namespaces: Vec<File> = (0..100)
        .map(|_| {
            namespace::unshare(Namespaces::NET).unwrap();
            namespace::bring_loopback_up().unwrap();
            sockets.push(UnixStream::pair().unwrap());
            current()
        })
        .collect();
    let borrowed: Vec<_> = namespaces.iter().map(AsFd::as_fd).collect();
    let start = Instant::now();
    let found = usage(&borrowed).unwrap();
    let spent = start.elapsed();
    eprintln!("100 namespaces: {spent:?}");
    // Far above what it takes, also on an emulated processor, and far below a wait of any kind.
    assert!(spent < Duration::from_secs(1));
    assert!(found.iter().all(|usage| known(usage.as_ref().unwrap().unix).count == 2));
    drop(first);
}

#[test]
fn what_is_no_namespace_is_an_error() {
    let null = File::open("/dev/null").unwrap();
    let found = usage(&[null.as_fd()]).unwrap();
    assert!(matches!(found[0], Err(Error::Join(_))));
}
