//! Namespaces: which there are, joining them, id maps, host name (namespaces(7), user_namespaces(7)).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::unistd::{Gid, Pid, Uid, setfsgid, setfsuid};

use crate::clone::{self, Request};
use crate::pidfd;

bitflags::bitflags! {
    /// Kinds of namespaces, with the kernel's `CLONE_NEW*` numbers.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Namespaces: i32 {
        /// Mounts.
        const MOUNT = libc::CLONE_NEWNS;
        /// cgroup root.
        const CGROUP = libc::CLONE_NEWCGROUP;
        /// Host and domain name.
        const UTS = libc::CLONE_NEWUTS;
        /// System V IPC and POSIX message queues.
        const IPC = libc::CLONE_NEWIPC;
        /// User and group ids.
        const USER = libc::CLONE_NEWUSER;
        /// Process ids.
        const PID = libc::CLONE_NEWPID;
        /// Network.
        const NET = libc::CLONE_NEWNET;
    }
}

/// Joins namespaces of the process behind `pidfd` in one step (`setns(2)` with a pidfd, Linux 5.8).
/// Joining a pid namespace concerns children made afterwards.
///
/// # Errors
/// Those of `setns(2)`; `ESRCH` when the process is gone.
pub fn join(pidfd: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: setns takes a descriptor and flags; it touches no memory.
    let result = unsafe { libc::setns(pidfd.as_raw_fd(), namespaces.bits()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs it in a thread of its own that has joined a namespace, given by a descriptor of its own or a
/// pidfd: the caller's namespaces stay. Of use for network namespaces; a thread cannot join
/// another mount or user namespace alone.
///
/// # Errors
/// Those of starting a thread and of `setns(2)`.
pub fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    kind: Namespaces,
    run: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    std::thread::scope(|scope| {
        let joined = move || join(namespace, kind).map(|()| run());
        let thread = std::thread::Builder::new().spawn_scoped(scope, joined)?;
        thread.join().map_err(|_| io::Error::other("the thread has panicked"))?
    })
}

/// More threads would only wait for each other, and a smaller share is not worth one.
const MOST_THREADS: usize = 4;
const SMALLEST_SHARE: usize = 16;

/// Looks into namespaces, one after the other, by a few threads of their own: the caller's stay.
/// `begin` makes what a thread looks with; it is told whether the namespace could be joined.
///
/// # Errors
/// Those of starting a thread.
pub fn within_each<T: Send, L: FnMut(io::Result<()>) -> T>(
    namespaces: &[BorrowedFd<'_>],
    kind: Namespaces,
    begin: impl Fn() -> L + Sync,
) -> io::Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let share = namespaces.len().div_ceil(threads).max(SMALLEST_SHARE);
    std::thread::scope(|scope| {
        let begin = &begin;
        let look = move |share: &[BorrowedFd<'_>]| {
            let mut look = begin();
            share.iter().map(|namespace| look(join(*namespace, kind))).collect::<Vec<T>>()
        };
        let start = |share| std::thread::Builder::new().spawn_scoped(scope, move || look(share));
        let threads = namespaces.chunks(share).map(start).collect::<io::Result<Vec<_>>>()?;
        let mut found = Vec::with_capacity(namespaces.len());
        for thread in threads {
            let ended = thread.join();
            found.extend(ended.map_err(|_| io::Error::other("the thread has panicked"))?);
        }
        Ok(found)
    })
}

/// Leaves the caller's namespaces of these kinds for new ones (`unshare(2)`).
///
/// # Errors
/// Those of `unshare(2)`.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: unshare takes flags only; it touches no memory.
    let result = unsafe { libc::unshare(namespaces.bits()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Maps ids 0…`count`-1 of the user namespace of `pid` to `uid_base`… and `gid_base`… outside.
/// To be called by root of the parent user namespace, once.
///
/// # Errors
/// Those of writing `/proc/PID/uid_map` and `gid_map` (user_namespaces(7)).
pub fn write_id_maps(pid: Pid, uid_base: u32, gid_base: u32, count: u32) -> io::Result<()> {
    let write = |name: &str, base: u32| {
        let mut file =
            std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/{name}"))?;
        io::Write::write_all(&mut file, format!("0 {base} {count}\n").as_bytes())
    };
    write("uid_map", uid_base)?;
    write("gid_map", gid_base)
}

/// Makes a user namespace with such a map that nobody lives in, for id-mapped mounts. Call it from
/// a process with one thread only.
///
/// # Errors
/// Those of `clone3(2)`, of [`write_id_maps`] and of opening the namespace.
pub fn mapped(uid_base: u32, gid_base: u32, count: u32) -> io::Result<OwnedFd> {
    let request = Request { namespaces: Namespaces::USER, ..Request::default() };
    let maker = nix::unistd::getpid();
    // It only has to be there: a process that has ended has no namespaces any more.
    let holder = clone::spawn(&request, || {
        clone::reset_signals();
        // Its maker may be killed before it has come to killing this one.
        let bound = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
        if bound.is_err() || nix::unistd::getppid() != maker {
            return 1;
        }
        loop {
            nix::unistd::pause();
        }
    })?;
    let opened = write_id_maps(holder.pid, uid_base, gid_base, count)
        .and_then(|()| std::fs::File::open(format!("/proc/{}/ns/user", holder.pid)));
    pidfd::send_signal(holder.pidfd.as_fd(), libc::SIGKILL)?;
    pidfd::reap(holder.pidfd.as_fd())?;
    opened.map(Into::into)
}

/// Becomes root of the user namespace the process is in: ids 0, no supplementary groups.
///
/// # Errors
/// Those of `setgroups(2)`, `setresgid(2)`, `setresuid(2)`; `EINVAL` when id 0 is not mapped.
pub fn become_root() -> io::Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(())
}

/// Sets the host name of the current UTS namespace (64 bytes at most).
///
/// # Errors
/// Those of `sethostname(2)`.
pub fn set_host_name(name: &OsStr) -> io::Result<()> {
    nix::unistd::sethostname(name).map_err(Into::into)
}

/// Brings the loopback interface of the current network namespace up.
///
/// # Errors
/// Those of `SIOCGIFFLAGS` and `SIOCSIFFLAGS` (netdevice(7)).
pub fn bring_loopback_up() -> io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain data; all zeroes is valid, and the name "lo" with its NUL fits in it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // The flags need no reading first: a fresh loopback interface has none but these.
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq that lives across the call.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `make` with another effective user, all capabilities kept, which is to make a process in a
/// user namespace: one without would inherit that changes of its user take no capabilities away.
///
/// Whoever makes a user namespace owns it (user_namespaces(7)), and what is counted by user
/// (inotify instances, queued signals, locked memory, namespaces) is counted for the owner as well:
/// with one owner for all, one namespace could use up what the others need.
///
/// # Errors
/// Those of `setresuid(2)` and `prctl(2)`, before or after `make` has run; else its own.
pub fn with_effective_user<T>(uid: u32, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = nix::unistd::geteuid();
    if before.as_raw() == uid {
        return make();
    }
    let securebits = securebits()?;
    set_securebits(securebits | SECBIT_NO_SETUID_FIXUP)?;
    let become_user = |uid| {
        let unchanged = Uid::from_raw(libc::uid_t::MAX);
        nix::unistd::setresuid(unchanged, uid, unchanged).map_err(io::Error::from)
    };
    let made = become_user(Uid::from_raw(uid)).and_then(|()| make());
    become_user(before)?;
    set_securebits(securebits)?;
    made
}

/// `SECBIT_NO_SETUID_FIXUP` of linux/securebits.h.
const SECBIT_NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;

fn securebits() -> io::Result<libc::c_ulong> {
    // SAFETY: PR_GET_SECUREBITS takes nothing and answers a number.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
    libc::c_ulong::try_from(bits).map_err(|_| io::Error::last_os_error())
}

fn set_securebits(bits: libc::c_ulong) -> io::Result<()> {
    // SAFETY: PR_SET_SECUREBITS takes a number and changes this thread's credentials alone.
    match unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Files that this thread makes belong to these ids from now on, and its capabilities stay: ids of
/// file systems are a thread's own (setfsuid(2)), and so are securebits, which keep a change of them
/// from taking capabilities away (capabilities(7)). Only for a child that then does nothing else.
///
/// # Errors
/// Those of prctl(2); `EPERM` when it is not allowed these ids.
pub fn take_file_ids(uid: u32, gid: u32) -> io::Result<()> {
    set_securebits(SECBIT_NO_SETUID_FIXUP)?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setfsgid(gid);
    setfsuid(uid);
    // They do not say whether they have worked; what they answer is what was in force before.
    match setfsuid(uid) == uid && setfsgid(gid) == gid {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::EPERM)),
    }
}
