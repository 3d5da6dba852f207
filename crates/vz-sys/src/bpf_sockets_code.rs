//! The programs of [`bpf_sockets`](crate::bpf_sockets), instruction by instruction.
//!
//! Each socket that is counted carries a mark (a value in a map of type SK_STORAGE, which lives
//! and dies with the socket). The bits of a mark say what has happened to the socket; whoever
//! takes [`COUNTED`] away takes the socket off the counter, so that it happens once whatever runs
//! at the same time on other CPUs. A mark also has the cookie of its socket: the kernel clones a
//! listener with its storage, and a mark with another's cookie is none. The end of a TCP socket has two halves, in either order: its
//! last descriptor is closed, and the connection is over.

use std::os::fd::BorrowedFd;

use crate::bpf_code::Register::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use crate::bpf_code::{Code, Label, Register, When};

/// Bits of a mark. The socket is on the counter.
const COUNTED: i32 = 1;
/// It was made by socket(2), so the hook of the last close will come. Of an accepted one nobody
/// says whether it was taken out of the listener's queue.
const OWNED: i32 = 2;
/// The last descriptor was closed.
const RELEASED: i32 = 4;
/// The connection is over.
const CLOSED: i32 = 8;

/// Where the bits and the cookie lie in a mark.
const BITS: i16 = 0;
const COOKIE: i16 = 8;

/// Where the counters of a class lie in the map of counters, and what they consist of.
const OTHER_COUNTERS: i32 = 24;
const HELD: i16 = 0;
const MAXHELD: i16 = 8;
const FAILCNT: i16 = 16;
/// Where the limit of a class lies in the map of limits.
const OTHER_LIMIT: i32 = 8;

/// Helpers (linux/bpf.h `enum bpf_func_id`).
const SOCKET_COOKIE: i32 = 46;
const SET_CALLBACKS: i32 = 59;
const FULL_SOCKET: i32 = 95;
const SOCKET_STORAGE: i32 = 107;
const READ_KERNEL: i32 = 113;
const VARIABLE_OF_CPU: i32 = 153;
const SET_RETURN_VALUE: i32 = 187;
/// The storage is made when there is none (`BPF_SK_STORAGE_GET_F_CREATE`).
const CREATE: i32 = 1;

/// Fields of `struct bpf_sock`.
const SOCKET_TYPE: i16 = 8;
const SOCKET_PROTOCOL: i16 = 12;
const SOCKET_STATE: i16 = 72;
/// Fields of `struct bpf_sock_ops`.
const EVENT: i16 = 0;
const EVENT_NEW_STATE: i16 = 8;
const EVENT_CALLBACKS: i16 = 84;
const EVENT_SOCKET: i16 = 184;
/// A field of `struct __sk_buff`.
const PACKET_SOCKET: i16 = 168;

/// Events of a TCP socket (`BPF_SOCK_OPS_*`).
const CONNECTS: i32 = 3;
const ACCEPTED: i32 = 5;
const STATE_CHANGES: i32 = 10;
const LISTENS: i32 = 11;
/// Ask for [`STATE_CHANGES`] (`BPF_SOCK_OPS_STATE_CB_FLAG`).
const STATE_CALLBACK: i32 = 1 << 2;

/// States of a TCP socket (`BPF_TCP_*`).
const STATE_CLOSE: i32 = 7;
const STATE_LISTEN: i32 = 10;

/// How often the maximum is tried to be raised. Each failure means that another CPU has raised it.
const MAXIMUM_TRIES: usize = 4;

/// Arguments of `socket_post_create`.
const MADE: i16 = 0;
const MADE_FAMILY: i16 = 8;
const MADE_TYPE: i16 = 16;
const MADE_PROTOCOL: i16 = 24;
const MADE_BY_KERNEL: i16 = 32;

/// Where the kernel keeps how many sockets a network namespace has, by its own description.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// `sk` of `struct socket`.
    pub sock: i16,
    /// The network namespace in `struct sock`.
    pub namespace: i16,
    /// The numbers of each CPU in `struct net`; the first is of all sockets.
    pub in_use: i32,
    /// The variable of each CPU that says where its variables lie.
    pub cpu_offset: u32,
    /// How many CPUs there may be.
    pub cpus: i32,
}

/// The maps that the programs of one group share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maps<'m> {
    pub counters: BorrowedFd<'m>,
    pub limits: BorrowedFd<'m>,
    /// Marks of TCP sockets: one that comes in starts with a copy of its listener's storage.
    pub tcp_marks: BorrowedFd<'m>,
    /// Marks of other sockets: a clone has none. An MPTCP socket that comes in is a clone of its
    /// listener, cookie and all, and no event tells of it.
    pub marks: BorrowedFd<'m>,
}

/// Asked when socket(2) makes an inet socket: counts and marks it, or refuses it with ENOBUFS.
pub(crate) fn create(maps: Maps<'_>) -> Vec<[u8; 8]> {
    let mut code = Code::default();
    let (tcp, refuse) = (code.label(), code.label());
    code.copy(R6, R1);
    code.map_value(R7, maps.counters);
    code.map_value(R8, maps.limits);
    jump_if_tcp(&mut code, tcp);
    code.plus(R7, OTHER_COUNTERS);
    code.plus(R8, OTHER_LIMIT);
    code.place(tcp);
    code.load_u64(R9, R8, 0);
    code.set(R8, 1);
    code.fetch_add(R7, HELD, R8);
    code.plus(R8, 1);
    code.jump_if_register(R8, When::Above, R9, refuse);
    // An accepted socket gets a copy of its listener's storage before it is anything, so one
    // that there is no memory to mark is never made.
    storage_of_own(&mut code, maps, CREATE, refuse);
    make_mark(&mut code, COUNTED | OWNED);
    raise_maximum(&mut code, R7, R8);
    code.answer(1);

    code.place(refuse);
    add(&mut code, R7, HELD, -1);
    add(&mut code, R7, FAILCNT, 1);
    code.set(R1, -libc::ENOBUFS);
    code.call(SET_RETURN_VALUE);
    code.answer(0);
    code.finish()
}

/// Told when the last descriptor of an inet socket is closed.
pub(crate) fn release(maps: Maps<'_>) -> Vec<[u8; 8]> {
    let mut code = Code::default();
    let (tcp, uncount, done) = (code.label(), code.label(), code.label());
    code.copy(R6, R1);
    code.map_value(R7, maps.counters);
    // Without one it is not ours: made before the programs were attached, or by the kernel.
    storage_of_own(&mut code, maps, 0, done);
    jump_if_cloned(&mut code, done);
    code.set(R8, RELEASED);
    code.fetch_or(R9, R8);
    jump_if_tcp(&mut code, tcp);
    code.plus(R7, OTHER_COUNTERS);
    code.jump(uncount);

    code.place(tcp);
    code.jump_if(R8, When::AnyBit, CLOSED, uncount);
    // MPTCP: its subflows are TCP sockets with an end of their own.
    code.load_u32(R1, R6, SOCKET_PROTOCOL);
    code.jump_if(R1, When::Unequal, libc::IPPROTO_TCP, uncount);
    code.load_u32(R1, R6, SOCKET_STATE);
    // Never connected, so no event has told of the end.
    code.jump_if(R1, When::Equal, STATE_CLOSE, uncount);
    // Any other connection goes on for a while without a descriptor, until all is sent.
    code.jump_if(R1, When::Unequal, STATE_LISTEN, done);
    code.place(uncount);
    take_off(&mut code, R9, R7, done);
    code.place(done);
    code.answer(1);
    code.finish()
}

/// Told what happens to a TCP socket.
pub(crate) fn event(maps: Maps<'_>) -> Vec<[u8; 8]> {
    let mut code = Code::default();
    let (opened, accepted, changed, done) =
        (code.label(), code.label(), code.label(), code.label());
    code.copy(R6, R1);
    code.map_value(R7, maps.counters);
    code.load_u32(R1, R6, EVENT);
    code.jump_if(R1, When::Equal, STATE_CHANGES, changed);
    code.jump_if(R1, When::Equal, ACCEPTED, accepted);
    code.jump_if(R1, When::Equal, CONNECTS, opened);
    code.jump_if(R1, When::Equal, LISTENS, opened);
    code.place(done);
    code.answer(1);

    code.place(changed);
    code.load_u32(R1, R6, EVENT_NEW_STATE);
    code.jump_if(R1, When::Unequal, STATE_CLOSE, done);
    storage_of_event(&mut code, maps, 0, done);
    jump_if_cloned(&mut code, done);
    code.set(R1, CLOSED);
    code.fetch_or(R9, R1);
    let uncount = code.label();
    code.jump_if(R1, When::AnyBit, RELEASED, uncount);
    code.jump_if(R1, When::AnyBit, OWNED, done);
    code.place(uncount);
    take_off(&mut code, R9, R7, done);
    code.jump(done);

    code.place(accepted);
    ask_for_changes(&mut code);
    storage_of_event(&mut code, maps, CREATE, done);
    let new = code.label();
    code.jump(new);

    // One that had ended may be used again, and one that was there before us is found here.
    code.place(opened);
    ask_for_changes(&mut code);
    storage_of_event(&mut code, maps, CREATE, done);
    jump_if_cloned(&mut code, new);
    code.set(R1, !CLOSED);
    code.fetch_and(R9, R1);
    code.set(R1, COUNTED);
    code.fetch_or(R9, R1);
    code.jump_if(R1, When::AnyBit, COUNTED, done);
    let count = code.label();
    code.jump(count);

    code.place(new);
    make_mark(&mut code, COUNTED);
    code.place(count);
    code.set(R8, 1);
    code.fetch_add(R7, HELD, R8);
    code.plus(R8, 1);
    raise_maximum(&mut code, R7, R8);
    code.jump(done);
    code.finish()
}

/// Asked for each packet a socket is to get: at the limit of TCP sockets, those for a listener are
/// dropped, be it the first of a connection or the one that would make a socket of it. The other
/// side sends it again.
pub(crate) fn packet(maps: Maps<'_>) -> Vec<[u8; 8]> {
    let mut code = Code::default();
    let pass = code.label();
    code.map_value(R7, maps.counters);
    code.map_value(R8, maps.limits);
    code.load_u64(R2, R7, HELD);
    code.load_u64(R3, R8, 0);
    code.jump_if_register(R3, When::Above, R2, pass);
    code.load_u64(R1, R1, PACKET_SOCKET);
    code.jump_if(R1, When::Equal, 0, pass);
    code.call(FULL_SOCKET);
    code.jump_if(R0, When::Equal, 0, pass);
    code.load_u32(R1, R0, SOCKET_STATE);
    code.jump_if(R1, When::Unequal, STATE_LISTEN, pass);
    code.load_u32(R1, R0, SOCKET_PROTOCOL);
    code.jump_if(R1, When::Unequal, libc::IPPROTO_TCP, pass);
    add(&mut code, R7, FAILCNT, 1);
    code.answer(0);
    code.place(pass);
    code.answer(1);
    code.finish()
}

/// Asked when any socket is made, by a hook of the security modules: refuses it with ENOBUFS when
/// the network namespace then has more sockets than the limit allows, without those of TCP.
///
/// There is no hook for the end of such a socket, so nothing can be counted here; but the kernel
/// counts all sockets of a namespace, in a number for each CPU.
pub(crate) fn made(maps: Maps<'_>, layout: Layout) -> Vec<[u8; 8]> {
    let mut code = Code::default();
    let (check, allow) = (code.label(), code.label());
    code.copy(R6, R1);
    code.load_u32(R1, R6, MADE_BY_KERNEL);
    code.jump_if(R1, When::Unequal, 0, allow);
    let inet = code.label();
    code.load_u32(R1, R6, MADE_FAMILY);
    code.jump_if(R1, When::Equal, libc::AF_INET, inet);
    code.jump_if(R1, When::Unequal, libc::AF_INET6, check);
    code.place(inet);
    code.load_u32(R1, R6, MADE_TYPE);
    code.jump_if(R1, When::Unequal, libc::SOCK_STREAM, check);
    code.load_u32(R1, R6, MADE_PROTOCOL);
    for tcp in [0, libc::IPPROTO_TCP, libc::IPPROTO_MPTCP] {
        code.jump_if(R1, When::Equal, tcp, allow);
    }

    code.place(check);
    sum_up_cpus(&mut code, layout, allow);
    code.map_value(R7, maps.counters);
    code.map_value(R8, maps.limits);
    code.load_u64(R1, R7, HELD);
    code.minus_register(R9, R1);
    // Namespaces made inside share the counter of TCP sockets, and may have none of them.
    code.jump_if(R9, When::SignedBelow, 0, allow);
    code.load_u64(R1, R8, OTHER_LIMIT as i16);
    code.jump_if_register(R1, When::NotBelow, R9, allow);
    code.plus(R7, OTHER_COUNTERS);
    add(&mut code, R7, FAILCNT, 1);
    code.set(R1, -libc::ENOBUFS);
    code.call(SET_RETURN_VALUE);
    code.answer(0);
    code.place(allow);
    code.answer(1);
    code.finish()
}

/// R9 = all sockets of the namespace of the socket that R6 is about.
fn sum_up_cpus(code: &mut Code, layout: Layout, none: Label) {
    const NUMBER: i16 = -8;
    code.load_u64(R1, R6, MADE);
    code.load_u64(R1, R1, layout.sock);
    code.jump_if(R1, When::Equal, 0, none);
    code.load_u64(R3, R1, layout.namespace);
    code.jump_if(R3, When::Equal, 0, none);
    code.plus(R3, layout.in_use);
    read_kernel(code, NUMBER, 8);
    code.load_u64(R7, R10, NUMBER);
    code.set(R8, 0);
    code.set(R9, 0);
    let (next, end) = (code.label(), code.label());
    code.place(next);
    code.kernel_variable(R1, layout.cpu_offset);
    code.copy(R2, R8);
    code.call(VARIABLE_OF_CPU);
    code.jump_if(R0, When::Equal, 0, end);
    code.load_u64(R3, R0, 0);
    code.plus_register(R3, R7);
    read_kernel(code, NUMBER, 4);
    // A number of one CPU may be negative, all together are not.
    code.load_u32(R1, R10, NUMBER);
    code.plus_register(R9, R1);
    code.plus(R8, 1);
    code.jump_if(R8, When::Below, layout.cpus, next);
    code.place(end);
    code.cut_to_u32(R9);
}

/// The program's own memory at `to` = so many bytes of the kernel's at R3.
fn read_kernel(code: &mut Code, to: i16, bytes: i32) {
    code.copy(R1, R10);
    code.plus(R1, to.into());
    code.set(R2, bytes);
    code.call(READ_KERNEL);
}

/// Jumps when the socket in R6 is of TCP. A raw socket may have TCP's number, and is none.
fn jump_if_tcp(code: &mut Code, tcp: Label) {
    let no = code.label();
    code.load_u32(R1, R6, SOCKET_TYPE);
    code.jump_if(R1, When::Unequal, libc::SOCK_STREAM, no);
    code.load_u32(R1, R6, SOCKET_PROTOCOL);
    code.jump_if(R1, When::Equal, libc::IPPROTO_TCP, tcp);
    code.jump_if(R1, When::Equal, libc::IPPROTO_MPTCP, tcp);
    code.place(no);
}

/// R9 = the storage of the socket that R6 is about.
fn storage_of_own(code: &mut Code, maps: Maps<'_>, flags: i32, none: Label) {
    let (plain, chosen) = (code.label(), code.label());
    code.map(R1, maps.tcp_marks);
    code.load_u32(R2, R6, SOCKET_TYPE);
    code.jump_if(R2, When::Unequal, libc::SOCK_STREAM, plain);
    code.load_u32(R2, R6, SOCKET_PROTOCOL);
    code.jump_if(R2, When::Equal, libc::IPPROTO_TCP, chosen);
    code.place(plain);
    code.map(R1, maps.marks);
    code.place(chosen);
    code.copy(R2, R6);
    storage(code, flags, none);
}

/// R9 = the storage of the TCP socket of the event in R6.
fn storage_of_event(code: &mut Code, maps: Maps<'_>, flags: i32, none: Label) {
    code.load_u64(R2, R6, EVENT_SOCKET);
    code.jump_if(R2, When::Equal, 0, none);
    code.map(R1, maps.tcp_marks);
    storage(code, flags, none);
}

/// R9 = the storage in the map of R1 of the socket in R2.
fn storage(code: &mut Code, flags: i32, none: Label) {
    code.set(R3, 0);
    code.set(R4, flags);
    code.call(SOCKET_STORAGE);
    code.jump_if(R0, When::Equal, 0, none);
    code.copy(R9, R0);
}

/// Jumps unless the mark in R9 is of the socket that R6 is about: a new one is not, nor a clone.
fn jump_if_cloned(code: &mut Code, cloned: Label) {
    code.copy(R1, R6);
    code.call(SOCKET_COOKIE);
    code.load_u64(R1, R9, COOKIE);
    code.jump_if_register(R0, When::Unequal, R1, cloned);
}

/// Makes the storage in R9 a mark of the socket that R6 is about. Nobody else has it yet.
fn make_mark(code: &mut Code, bits: i32) {
    code.copy(R1, R6);
    code.call(SOCKET_COOKIE);
    code.store_register(R9, COOKIE, R0);
    code.store_u64(R9, BITS, bits);
}

/// Asks for the events of the states of the socket in R6, besides what others have asked for.
fn ask_for_changes(code: &mut Code) {
    code.load_u32(R2, R6, EVENT_CALLBACKS);
    code.or(R2, STATE_CALLBACK);
    code.copy(R1, R6);
    code.call(SET_CALLBACKS);
}

/// Adds to a counter atomically.
fn add(code: &mut Code, counters: Register, counter: i16, value: i32) {
    code.set(R1, value);
    code.fetch_add(counters, counter, R1);
}

/// The most that was held becomes `held`, unless it is more already.
fn raise_maximum(code: &mut Code, counters: Register, held: Register) {
    let done = code.label();
    code.load_u64(R0, counters, MAXHELD);
    for _ in 0..MAXIMUM_TRIES {
        code.jump_if_register(R0, When::NotBelow, held, done);
        code.compare_exchange(counters, MAXHELD, held);
    }
    code.place(done);
}

/// Takes the socket with that mark off the counter, unless that was done.
fn take_off(code: &mut Code, mark: Register, counters: Register, done: Label) {
    code.set(R1, !COUNTED);
    code.fetch_and(mark, R1);
    code.copy(R2, R1);
    let counted = code.label();
    code.jump_if(R2, When::AnyBit, COUNTED, counted);
    code.jump(done);
    code.place(counted);
    add(code, counters, HELD, -1);
}
