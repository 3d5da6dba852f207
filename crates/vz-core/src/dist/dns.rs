//! The name servers that a container inherits: those of the node's resolv.conf(5).

use std::net::IpAddr;
use std::path::Path;

use crate::node::Node;

/// The node's own name servers and search domains, as its resolver has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Addresses of name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
}

impl Resolver {
    /// The node's. A stub on the node's loopback is out of a container's reach: then what
    /// systemd-resolved(8) asks itself counts, where it says so.
    pub fn of(node: &Node) -> Resolver {
        let resolver = read(&node.path("/etc/resolv.conf"));
        let stub = !resolver.servers.is_empty() && resolver.servers.iter().all(|s| is_loopback(s));
        let upstream = match stub {
            true => read(&node.path("/run/systemd/resolve/resolv.conf")),
            false => Resolver::default(),
        };
        if upstream.servers.is_empty() { resolver } else { upstream }
    }

    fn parse(text: &str) -> Resolver {
        let mut resolver = Resolver::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().map(str::to_owned)),
                // The last one counts (resolv.conf(5)).
                Some("search" | "domain") => {
                    resolver.search = words.map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        resolver
    }
}

fn read(path: &Path) -> Resolver {
    Resolver::parse(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()))
}

fn is_loopback(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or(server);
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let text = "# c\nnameserver 10.0.0.1 x\n nameserver\t2001:db8::1\ndomain a\nsearch b c\n";
        let resolver = Resolver::parse(text);
        assert_eq!(resolver.servers, ["10.0.0.1", "2001:db8::1"]);
        assert_eq!(resolver.search, ["b", "c"]);
        assert_eq!(Resolver::parse("nameserver\noptions x\n"), Resolver::default());
    }

    #[test]
    fn loopback() {
        assert!(["127.0.0.53", "::1"].into_iter().all(is_loopback));
        assert!(!["10.0.0.1", "fe80::1%eth0", "x"].into_iter().any(is_loopback));
    }
}
