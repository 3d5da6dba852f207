use std::fs::File;
use std::os::fd::AsFd;

use proptest::prelude::*;
use vz_conf::ubc::BarrierLimit;

use super::*;

const NODE: NodeBuffers = NodeBuffers {
    send: TcpBuffer { least: 4096, first: 16384, most: 4_194_304 },
    receive: TcpBuffer { least: 4096, first: 131_072, most: 6_291_456 },
};

fn config(values: &[(Resource, u64, u64)]) -> Config {
    let mut config = Config::default();
    for (resource, barrier, limit) in values {
        let value = BarrierLimit { barrier: *barrier, limit: *limit };
        config.ubc.set(*resource, Some(value));
    }
    config
}

#[test]
fn limits_of_a_configuration() {
    assert_eq!(limits(&config(&[])), Limits { tcp: u64::MAX, other: u64::MAX });
    let set = config(&[(Resource::Numtcpsock, 1, 360), (Resource::Numothersock, 0, UNLIMITED)]);
    assert_eq!(limits(&set), Limits { tcp: 360, other: u64::MAX });
}

#[test]
fn buffers_are_bounded_by_the_barrier() {
    let values = |config: &Config| sysctls(config, &NODE).into_iter().map(|sysctl| sysctl.value);
    let sent = config(&[(Resource::Tcpsndbuf, 1_720_320, 2_703_360), (Resource::Tcprcvbuf, 0, 0)]);
    assert!(values(&sent).eq(["4096 16384 1720320", "4096 4096 4096"]));
    assert!(values(&config(&[])).eq(["4096 16384 4194304", "4096 131072 6291456"]));
    let (names, keys) = (["net/ipv4/tcp_wmem", "net/ipv4/tcp_rmem"], ["TCPSNDBUF", "TCPRCVBUF"]);
    let found = sysctls(&sent, &NODE);
    assert!(
        found.iter().map(|sysctl| (sysctl.path, sysctl.parameter)).eq(names.into_iter().zip(keys))
    );
    assert_eq!(TcpBuffer::parse("4096\t16384\t4194304\n"), Some(NODE.send));
    for text in ["", "1 2", "1 2 x", "1 2 3 4", "-1 2 3"] {
        assert_eq!(TcpBuffer::parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn more_is_never_less(one: u64, other: u64, node in (0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1 << 40)) {
        let node = TcpBuffer { least: node.0, first: node.0 + node.1, most: node.0 + node.1 + node.2 };
        let small = node.bounded(one.min(other));
        let large = node.bounded(one.max(other));
        prop_assert!(small.most <= large.most && small.first <= large.first);
        prop_assert!(large.least <= large.first && large.first <= large.most);
        prop_assert!(large.most <= node.most);
    }
}

#[test]
fn beancounters_of_what_was_read() {
    let programs = Counters {
        tcp: bpf_sockets::Counter { held: 3, maxheld: 9, failcnt: 1 },
        other: bpf_sockets::Counter { held: 2, maxheld: 4, failcnt: 5 },
        limits: Limits { tcp: 10, other: u64::MAX },
    };
    let sockets = |count, send, receive| Some(Sockets { count, send, receive });
    let usage = Usage {
        all: Some(40),
        tcp: sockets(2, 100, 200),
        udp: sockets(1, 10, 20),
        raw: None,
        unix: sockets(5, 1000, 0),
        netlink: sockets(6, 0, 7),
        packet: sockets(0, 0, 0),
    };
    let counter = |resource| beancounter(resource, Some(&programs), Some(&usage));
    let tcp = Counter { held: Some(3), maxheld: Some(9), barrier: 10, limit: 10, failcnt: Some(1) };
    assert_eq!(counter(Resource::Numtcpsock), tcp);
    let other = Counter {
        held: Some(13),
        maxheld: Some(13),
        barrier: UNLIMITED,
        limit: UNLIMITED,
        failcnt: Some(5),
    };
    assert_eq!(counter(Resource::Numothersock), other);
    let held = RESOURCES.map(|resource| counter(resource).held);
    assert_eq!(held, [3, 13, 100, 200, 1017, 20].map(Some));
    // Without programs, and with nothing at all.
    let held = RESOURCES.map(|resource| beancounter(resource, None, Some(&usage)).held);
    assert_eq!(held, [2, 12, 100, 200, 1017, 20].map(Some));
    for resource in RESOURCES {
        assert_eq!(beancounter(resource, None, None), Counter::UNCOUNTED);
    }
}

#[test]
fn sysctls_are_of_the_namespace() {
    let name = "sysctls_are_of_the_namespace";
    let node = NodeBuffers::read().unwrap();
    let own = File::open("/proc/thread-self/ns/net").unwrap();
    if let Err(error) = namespace::unshare(Namespaces::NET) {
        eprintln!("skipped: {name}: {error}");
        return;
    }
    let new = File::open("/proc/thread-self/ns/net").unwrap();
    namespace::join(own.as_fd(), Namespaces::NET).unwrap();
    let bound = config(&[(Resource::Tcpsndbuf, 65536, 65536)]);
    apply_sysctls(new.as_fd(), &sysctls(&bound, &node)).unwrap();
    let read = || NodeBuffers::read().unwrap();
    let there = namespace::within(new.as_fd(), Namespaces::NET, || {
        std::fs::read_to_string("/proc/thread-self/net/sockstat").unwrap();
        read()
    });
    let there = there.unwrap();
    assert_eq!(there.send.most, 65536);
    assert_eq!(there.receive, node.receive);
    // This one's are what they were.
    assert_eq!(read(), node);
    // Without a limit it gets back what the node has.
    apply_sysctls(new.as_fd(), &sysctls(&config(&[]), &node)).unwrap();
    assert_eq!(namespace::within(new.as_fd(), Namespaces::NET, read).unwrap(), node);
    let unknown = Sysctl { parameter: "X", path: "net/ipv4/no_such", value: "1".into() };
    let error = apply_sysctls(new.as_fd(), &[unknown]).unwrap_err().to_string();
    assert!(error.starts_with("write 1 to /proc/sys/net/ipv4/no_such: "), "{error}");
}
