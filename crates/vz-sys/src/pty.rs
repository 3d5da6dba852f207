//! Pseudoterminals (pty(7), ioctl_tty(2)) and the admin's own terminal.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use crate::{beneath, mount_table};

/// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
pub const DEVPTS_MAGIC: i64 = 0x1cd1;

/// A new pseudoterminal: both ends.
#[derive(Debug)]
pub struct Pair {
    /// The end a terminal emulator holds.
    pub master: OwnedFd,
    /// The end programs hold.
    pub slave: OwnedFd,
}

/// The devpts at the `/dev/pts` of another process, as a place (`O_PATH`); `None` where it has nothing
/// there, or something else. No file system is asked for anything before it is known to be a devpts: the
/// process may have laid one there that it serves itself (FUSE), and whoever asks that waits for as long
/// as it likes.
///
/// # Errors
/// When the process is gone.
pub fn devpts_of(process: Pid) -> io::Result<Option<OwnedFd>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(format!("/proc/{process}/root").as_str(), flags, Mode::empty())?;
    let Ok(place) = beneath::find_mount_point(root.as_fd(), "dev/pts".as_ref()) else {
        return Ok(None);
    };
    let kind = mount_table::type_of(place.as_fd(), process)?;
    Ok((kind.as_deref() == Some("devpts")).then_some(place))
}

/// Opens a pseudoterminal of the devpts instance mounted at the caller's `/dev/pts`. What answers
/// there is checked to be devpts: inside a container the name may be anything.
///
/// # Errors
/// Those of `open(2)` and the ioctls; `ENODEV` when it is no devpts.
pub fn open() -> io::Result<Pair> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let master = nix::fcntl::open("/dev/pts/ptmx", flags, Mode::empty()).or_else(|_| {
        nix::fcntl::open(
            "/dev/ptmx",
            OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
    })?;
    if crate::mount::file_system_type(master.as_fd())? != DEVPTS_MAGIC && !is_ptmx(master.as_fd())?
    {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int that lives across the call.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let slave = open_slave(master.as_fd())?;
    Ok(Pair { master, slave })
}

/// Opens the slave of `master`. It is asked of the master itself: no name is looked up that could
/// be a trap. After the slave was hung up (vhangup(2)), reading the master fails with `EIO` until
/// this is done.
///
/// # Errors
/// Those of `TIOCGPTPEER`.
pub fn open_slave(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor.
    let slave = unsafe {
        libc::ioctl(
            master.as_raw_fd(),
            libc::TIOCGPTPEER,
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        )
    };
    if slave < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(slave) })
}

/// `/dev/ptmx` of old nodes is the device 5:2 outside devpts.
fn is_ptmx(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let status = nix::sys::stat::fstat(descriptor)?;
    Ok(status.st_rdev == nix::sys::stat::makedev(5, 2))
}

/// The number of the slave of `master`: N of `/dev/pts/N`.
///
/// # Errors
/// `ENOTTY` when it is no master.
pub fn number(master: BorrowedFd<'_>) -> io::Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int that lives across the call.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(number)
}

/// Makes `terminal` the controlling terminal of the calling session leader.
///
/// # Errors
/// Those of `TIOCSCTTY`.
pub fn make_controlling(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a number: 0, do not steal.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The window size of `terminal`.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn window_size(terminal: BorrowedFd<'_>) -> io::Result<WindowSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize that lives across the call.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

/// Gives `terminal` a window size; what runs there gets SIGWINCH when it is another one.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn set_window_size(terminal: BorrowedFd<'_>, size: WindowSize) -> io::Result<()> {
    let size =
        libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize that lives across the call.
    if unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives `to` the window size of `from`.
///
/// # Errors
/// `ENOTTY` when one is no terminal.
pub fn copy_window_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    set_window_size(to, window_size(from)?)
}

/// A terminal switched to raw mode for as long as this lives.
#[derive(Debug)]
pub struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawMode<'a> {
    /// Switches `terminal` to raw mode (termios(3) `cfmakeraw`).
    ///
    /// # Errors
    /// `ENOTTY` when it is no terminal.
    pub fn enter(terminal: BorrowedFd<'a>) -> io::Result<RawMode<'a>> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(RawMode { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // A terminal that hung up has no mode to give back.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn pair_talks() {
        let pair = open().unwrap();
        number(pair.master.as_fd()).unwrap();
        let _raw = RawMode::enter(pair.slave.as_fd()).unwrap();
        let mut master = std::fs::File::from(pair.master.try_clone().unwrap());
        let mut slave = std::fs::File::from(pair.slave.try_clone().unwrap());
        slave.write_all(b"hello").unwrap();
        let mut text = [0; 5];
        master.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    }

    #[test]
    fn not_a_terminal() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(RawMode::enter(null.as_fd()).is_err());
        assert!(number(null.as_fd()).is_err());
    }
}
