//! The console: what the guest writes is read as it comes, its end kept in a ring, and handed to
//! the `vzctl console` that is attached, one at a time.
//!
//! The ring is at once what is shown on attach and the buffer of a slow admin: nobody is waited
//! for. One who falls behind by more than the ring and the line hold misses what was in between.
//!
//! # What goes over the line
//!
//! Messages, a `SOCK_SEQPACKET` socket's. vzmon first says [`ATTACHED`] and the number of the
//! console's `/dev/pts/N` as text, or [`BUSY`] and hangs up; after that it sends what the guest
//! writes, as it is. vzctl sends [`INPUT`] and what was typed, or [`SIZE`] and the window's rows and
//! columns, two little-endian bytes each.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use vz_sys::channel::{Channel, Listener};
use vz_sys::pty::{self, WindowSize};

/// vzmon's first message to the one that is attached.
const ATTACHED: u8 = b'A';
/// vzmon's only message to another.
const BUSY: u8 = b'B';
/// What was typed.
const INPUT: u8 = b'i';
/// The size of the admin's window.
const SIZE: u8 = b'w';

/// What is read from the console at once, in bytes: a terminal holds no more.
const CHUNK: usize = 4096;
/// How much of what was written is kept, in bytes.
const KEPT: usize = 8192;
/// The longest message from vzctl, in bytes; a longer one is cut.
const LONGEST: usize = 1024;

/// The last bytes the guest has written.
struct Ring {
    bytes: [u8; KEPT],
    /// How many were ever written.
    written: u64,
}

impl Ring {
    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let place = self.place(self.written);
            let length = bytes.len().min(KEPT - place);
            self.bytes[place..place + length].copy_from_slice(&bytes[..length]);
            self.written += length as u64;
            bytes = &bytes[length..];
        }
    }

    fn place(&self, position: u64) -> usize {
        (position % KEPT as u64) as usize
    }

    /// The first byte that is still there.
    fn first(&self) -> u64 {
        self.written.saturating_sub(KEPT as u64)
    }

    /// Where to begin for one who has seen nothing: at a line's beginning, if some are gone.
    fn beginning(&self) -> u64 {
        let first = self.first();
        let next_line = |position: &u64| self.bytes[self.place(*position)] == b'\n';
        match first {
            0 => 0,
            _ => (first..self.written).find(next_line).map_or(first, |end| end + 1),
        }
    }

    /// What comes next for one who has seen all before `position`, as far as it lies in one piece.
    fn from(&self, position: u64) -> &[u8] {
        let place = self.place(position);
        let length = (self.written - position).min((KEPT - place) as u64).min(CHUNK as u64);
        &self.bytes[place..place + length as usize]
    }
}

/// The admin who is attached.
struct Attached {
    line: Channel,
    /// What has been sent of all that was ever written.
    sent: u64,
    /// What was typed and the guest's terminal does not take yet.
    typed: [u8; LONGEST],
    /// Where that begins and ends.
    waiting: (usize, usize),
}

/// The console of a container.
pub struct Console {
    master: OwnedFd,
    /// Kept open, so that a guest that closes its console does not hang it up.
    terminal: OwnedFd,
    listener: Listener,
    ring: Ring,
    attached: Option<Attached>,
    is_listening: bool,
    rest: Rest,
}

/// Whether the terminal is read. A guest may hang it up as often as it likes.
#[derive(PartialEq, Eq)]
enum Rest {
    /// It is.
    No,
    /// It was hung up and has been opened again.
    Next,
    /// And was again before anything came: left alone until the next pause is over.
    Now,
}

/// A descriptor to be waited for.
pub type Wanted<'a> = Option<(BorrowedFd<'a>, PollFlags)>;

impl Console {
    /// Takes both ends of the console, and what `vzctl console` connects to.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn new(master: OwnedFd, terminal: OwnedFd, listener: OwnedFd) -> io::Result<Console> {
        let flags = OFlag::from_bits_truncate(fcntl(&master, FcntlArg::F_GETFL)?);
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Console {
            master,
            terminal,
            listener: Listener::from_descriptor(listener),
            ring: Ring { bytes: [0; KEPT], written: 0 },
            attached: None,
            is_listening: true,
            rest: Rest::No,
        })
    }

    /// What to wait for: the terminal, the next admin, the one that is attached.
    pub fn wanted(&self) -> [Wanted<'_>; 3] {
        let mut terminal = PollFlags::POLLIN;
        let attached = self.attached.as_ref().map(|attached| {
            let mut events = PollFlags::empty();
            if attached.sent < self.ring.written {
                events |= PollFlags::POLLOUT;
            }
            if attached.is_waiting() {
                terminal |= PollFlags::POLLOUT;
            } else {
                events |= PollFlags::POLLIN;
            }
            (attached.line.as_fd(), events)
        });
        let terminal = (self.rest != Rest::Now).then_some((self.master.as_fd(), terminal));
        let listener = self.is_listening.then_some((self.listener.as_fd(), PollFlags::POLLIN));
        [terminal, listener, attached]
    }

    /// Says whether the terminal is left alone for a moment.
    pub fn is_resting(&self) -> bool {
        self.rest == Rest::Now
    }

    /// The moment is over.
    pub fn wake(&mut self) {
        if self.rest == Rest::Now {
            self.rest = Rest::Next;
        }
    }

    /// Does what there is to do, by what poll(2) has found for [`Console::wanted`].
    pub fn handle(&mut self, [terminal, listener, attached]: [PollFlags; 3]) {
        let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
        if terminal.intersects(PollFlags::POLLIN | ended) {
            self.read();
        }
        if attached.intersects(PollFlags::POLLIN | ended) {
            self.receive(attached.intersects(ended));
        }
        self.write();
        self.send();
        if !listener.is_empty() {
            self.accept();
        }
    }

    /// Reads what the guest has written.
    fn read(&mut self) {
        let mut unread = [0; CHUNK];
        match nix::unistd::read(&self.master, &mut unread) {
            Ok(length) if length > 0 => {
                self.ring.push(&unread[..length]);
                self.rest = Rest::No;
                if let Some(attached) = &mut self.attached {
                    attached.sent = attached.sent.max(self.ring.first());
                }
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // The guest has hung it up, as a getty does first of all.
            _ => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        let was_hung_up = self.rest == Rest::Next;
        self.rest = Rest::Now;
        if let Ok(terminal) = pty::open_slave(self.master.as_fd()) {
            self.terminal = terminal;
            if !was_hung_up {
                self.rest = Rest::Next;
            }
        }
    }

    /// Takes what was typed.
    fn receive(&mut self, has_ended: bool) {
        let Some(attached) = &mut self.attached else { return };
        if attached.is_waiting() {
            // Gone, with something typed that the guest does not read.
            if has_ended {
                self.attached = None;
            }
            return;
        }
        let mut message = [0; 1 + LONGEST];
        match attached.line.try_receive(&mut message) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.attached = None,
            Ok(Some(length)) => match (message[0], &message[1..length]) {
                (INPUT, typed) => attached.wait_for(typed),
                (SIZE, &[a, b, c, d]) => {
                    let (rows, columns) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                    let _ = pty::set_window_size(self.master.as_fd(), WindowSize { rows, columns });
                }
                _ => {}
            },
        }
    }

    /// Writes what was typed, as much as the terminal takes.
    fn write(&mut self) {
        let Some(attached) = &mut self.attached else { return };
        while attached.is_waiting() {
            let (start, end) = attached.waiting;
            match nix::unistd::write(&self.master, &attached.typed[start..end]) {
                Ok(0) | Err(Errno::EAGAIN) => return,
                Ok(length) => attached.waiting.0 += length,
                Err(Errno::EINTR) => {}
                // Hung up: nobody is there to read it.
                Err(_) => attached.waiting = (0, 0),
            }
        }
    }

    /// Hands out what was written, as much as the line takes.
    fn send(&mut self) {
        let Some(attached) = &mut self.attached else { return };
        while attached.sent < self.ring.written {
            let next = self.ring.from(attached.sent);
            match attached.line.try_send(next) {
                Ok(true) => attached.sent += next.len() as u64,
                Ok(false) => return,
                Err(_) => {
                    self.attached = None;
                    return;
                }
            }
        }
    }

    /// Attaches the next admin, or sends it away.
    fn accept(&mut self) {
        let line = match self.listener.accept() {
            Ok(Some(line)) => line,
            Ok(None) => return,
            // Nothing that would pass by itself: better no console than a vzmon that spins.
            Err(_) => {
                self.is_listening = false;
                return;
            }
        };
        if self.attached.is_some() {
            let _ = line.try_send(&[BUSY]);
            return;
        }
        let Ok(number) = pty::number(self.master.as_fd()) else { return };
        let mut message = [ATTACHED; 11];
        let length = 1 + digits(number, &mut message[1..]);
        if let Ok(true) = line.try_send(&message[..length]) {
            let (sent, typed) = (self.ring.beginning(), [0; LONGEST]);
            self.attached = Some(Attached { line, sent, typed, waiting: (0, 0) });
        }
    }
}

impl Attached {
    fn is_waiting(&self) -> bool {
        self.waiting.0 < self.waiting.1
    }

    fn wait_for(&mut self, typed: &[u8]) {
        self.typed[..typed.len()].copy_from_slice(typed);
        self.waiting = (0, typed.len());
    }
}

/// Writes a number in decimal and says how many digits it has.
fn digits(number: u32, to: &mut [u8]) -> usize {
    let mut to = io::Cursor::new(to);
    let _ = io::Write::write_fmt(&mut to, format_args!("{number}"));
    to.position() as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use nix::poll::{PollFd, PollTimeout, poll};
    use std::fs::File;
    use std::io::Write;

    fn ring() -> Ring {
        Ring { bytes: [0; KEPT], written: 0 }
    }

    #[test]
    fn the_last_bytes_are_kept_and_begin_with_a_line() {
        let mut ring = ring();
        ring.push(b"one\ntwo\n");
        assert_eq!((ring.beginning(), ring.from(4)), (0, &b"two\n"[..]));
        for number in 0..4000 {
            ring.push(format!("line {number}\n").as_bytes());
        }
        let (mut text, mut position) = (Vec::new(), ring.beginning());
        while position < ring.written {
            let piece = ring.from(position);
            text.extend_from_slice(piece);
            position += piece.len() as u64;
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("line ") && text.ends_with("line 3999\n"), "{text}");
        assert!(text.len() > KEPT - 20 && text.len() < KEPT);
    }

    #[test]
    fn a_line_longer_than_the_ring() {
        let mut ring = ring();
        ring.push(&[b'x'; 3 * KEPT]);
        assert_eq!(ring.beginning(), 2 * KEPT as u64);
    }

    /// A console, and the directory its name is in.
    fn console() -> (Console, File, tempfile::TempDir, File) {
        let directory = tempfile::tempdir().unwrap();
        let opened = File::open(directory.path()).unwrap();
        let listener = Listener::bind(opened.as_fd(), "console").unwrap();
        let pair = pty::open().unwrap();
        let guest = File::from(pair.slave.try_clone().unwrap());
        let listener = listener.as_fd().try_clone_to_owned().unwrap();
        (Console::new(pair.master, pair.slave, listener).unwrap(), guest, directory, opened)
    }

    /// What vzmon's loop does, until there is nothing to do.
    fn work(console: &mut Console) {
        loop {
            let wanted = console.wanted();
            let mut events = [PollFlags::empty(); 3];
            let mut any = false;
            for (wanted, event) in wanted.iter().zip(&mut events) {
                let Some((descriptor, flags)) = wanted else { continue };
                let mut slot = [PollFd::new(*descriptor, *flags)];
                poll(&mut slot, PollTimeout::from(5u16)).unwrap();
                *event = slot[0].revents().unwrap();
                any |= !event.is_empty();
            }
            if !any {
                return;
            }
            console.handle(events);
        }
    }

    fn receive(line: &Channel) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; CHUNK];
        while let Ok(Some(length @ 1..)) = line.try_receive(&mut buffer) {
            all.extend_from_slice(&buffer[..length]);
        }
        all
    }

    #[test]
    fn one_admin_at_a_time_sees_what_was_written() {
        let (mut console, mut guest, _directory, opened) = console();
        let number = pty::number(console.master.as_fd()).unwrap();
        guest.write_all(b"login: ").unwrap();
        work(&mut console);
        let one = vz_sys::channel::connect(opened.as_fd(), "console").unwrap();
        work(&mut console);
        assert_eq!(receive(&one), format!("A{number}login: ").as_bytes());
        let two = vz_sys::channel::connect(opened.as_fd(), "console").unwrap();
        work(&mut console);
        assert_eq!(receive(&two), b"B");
        one.send(b"iroot", &[]).unwrap();
        one.send(b"w\x18\0\x50\0", &[]).unwrap();
        work(&mut console);
        assert_eq!(receive(&one), b"root", "the terminal's echo");
        let size = pty::window_size(console.terminal.as_fd()).unwrap();
        assert_eq!(size, WindowSize { rows: 24, columns: 80 });
        one.send(b"i", &[]).unwrap();
        one.send(b"nonsense", &[]).unwrap();
        drop(one);
        work(&mut console);
        assert!(console.attached.is_none());
        let three = vz_sys::channel::connect(opened.as_fd(), "console").unwrap();
        work(&mut console);
        assert_eq!(receive(&three), format!("A{number}login: root").as_bytes());
    }

    #[test]
    fn a_slow_admin_is_not_waited_for() {
        let (mut console, mut guest, _directory, opened) = console();
        let one = vz_sys::channel::connect(opened.as_fd(), "console").unwrap();
        work(&mut console);
        // Much more than a line holds.
        for _ in 0..1000 {
            guest.write_all(&[b'x'; 1023]).unwrap();
            guest.write_all(b"\n").unwrap();
            console.handle([PollFlags::POLLIN, PollFlags::empty(), PollFlags::empty()]);
        }
        guest.write_all(b"the end").unwrap();
        work(&mut console);
        let mut got = Vec::new();
        loop {
            let more = receive(&one);
            if more.is_empty() {
                break;
            }
            got.extend(more);
            work(&mut console);
        }
        assert!(got.ends_with(b"the end") && got.len() < 1_000_000);
    }

    #[test]
    fn what_is_typed_and_not_read_blocks_nobody() {
        let (mut console, _guest, _directory, opened) = console();
        let raw = pty::RawMode::enter(console.terminal.as_fd());
        std::mem::forget(raw);
        let one = vz_sys::channel::connect(opened.as_fd(), "console").unwrap();
        let mut refused = 0;
        for _ in 0..1000 {
            let mut message = [b'x'; 1 + LONGEST];
            message[0] = INPUT;
            refused += usize::from(!one.try_send(&message).unwrap());
            work(&mut console);
            if refused > 0 {
                break;
            }
        }
        assert!(refused > 0);
        drop(one);
        work(&mut console);
        assert!(console.attached.is_none());
    }
}
