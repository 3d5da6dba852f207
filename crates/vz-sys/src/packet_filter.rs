//! How many rules the packet filters of a network namespace have: those of nftables
//! (linux/netfilter/nf_tables.h), which iptables makes today as well, and those of the older
//! iptables (linux/netfilter_ipv4/ip_tables.h).

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::namespace::{self, Namespaces};
use crate::netlink_dump::{Dumper, ROOM};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE`.
const GET_RULES: u16 = 10 << 8 | 7;
/// `struct nfgenmsg` of all families.
const ALL_FAMILIES: [u8; 4] = [libc::AF_UNSPEC as u8, 0, 0, 0];

/// `IPT_SO_GET_INFO`, the same of IPv6.
const GET_INFO: i32 = 64;
/// `struct ipt_getinfo`: the table's name, valid hooks, five entry points and five ends of chains,
/// the number of entries and their size.
const INFO: usize = 32 + 4 + 20 + 20 + 4 + 4;
const NAME: usize = 32;
const ENTRIES: usize = INFO - 8;

/// Where the tables in use are named, the family and the level of the question.
const TABLES: [(&str, AddressFamily, i32); 2] = [
    ("/proc/thread-self/net/ip_tables_names", AddressFamily::Inet, libc::IPPROTO_IP),
    ("/proc/thread-self/net/ip6_tables_names", AddressFamily::Inet6, libc::IPPROTO_IPV6),
];

/// No more than so many are counted: the kernel begins at the first rule again for each answer, so
/// that a guest with a million would keep whoever counts them for minutes.
pub const MOST: u64 = 65_536;

/// Counts the rules of network namespaces, each given by a descriptor of the namespace or a pidfd of
/// a process in it; [`MOST`] for more. `None` for one that cannot be asked. Needs CAP_SYS_ADMIN over
/// each.
///
/// # Errors
/// Those of starting a thread.
pub fn rules(namespaces: &[BorrowedFd<'_>]) -> io::Result<Vec<Option<u64>>> {
    namespace::within_each(namespaces, Namespaces::NET, || {
        let mut room = vec![0; ROOM];
        move |joined: io::Result<()>| {
            joined.ok()?;
            Some(nftables(&mut room).ok()? + iptables().unwrap_or(0))
        }
    })
}

/// Those of the namespace this thread is in; none where the kernel has no such filter.
fn nftables(room: &mut [u8]) -> io::Result<u64> {
    let mut count = 0;
    let mut ask = || -> io::Result<()> {
        let mut dumper = Dumper::open(libc::NETLINK_NETFILTER, room)?;
        dumper.dump(GET_RULES, &ALL_FAMILIES, &mut |_| {
            count += 1;
            if count < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    };
    match ask() {
        Ok(()) => Ok(count),
        Err(error) if is_missing(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    let missing = [libc::EPROTONOSUPPORT, libc::EINVAL, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|number| missing.contains(&number))
}

/// The entries of the tables in use. A question for a table that is not would load it.
fn iptables() -> io::Result<u64> {
    let mut count = 0;
    for (names, family, level) in TABLES {
        // The file is there when the module is.
        let Ok(names) = fs::read_to_string(names) else { continue };
        if names.is_empty() {
            continue;
        }
        let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .or_else(|_| socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None))?;
        for name in names.lines() {
            count += entries(&socket, level, name)?;
        }
    }
    Ok(count)
}

fn entries(socket: &OwnedFd, level: i32, table: &str) -> io::Result<u64> {
    let mut info = [0_u8; INFO];
    let name = table.as_bytes();
    let room = info[..NAME - 1].get_mut(..name.len());
    room.ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(name);
    let mut length = INFO as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`, which has as many.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            GET_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let number = crate::netlink_dump::number(&info, ENTRIES).map_or(0, u32::from_ne_bytes);
    Ok(u64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_namespace_begins_without_rules() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: not root");
            return;
        }
        let fresh = std::thread::spawn(|| {
            namespace::unshare(Namespaces::NET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let fresh = fresh.join().unwrap();
        let not_a_namespace = File::open("/dev/null").unwrap();
        let found = rules(&[fresh.as_fd(), not_a_namespace.as_fd()]).unwrap();
        assert_eq!(found, [Some(0), None]);
    }
}
