//! A file system of small read-only files in this program: the kernel's side of it is `/dev/fuse`
//! (fuse(4), `include/uapi/linux/fuse.h`; Documentation/filesystems/fuse.rst).
//!
//! # A connection outlives who serves it
//!
//! [`Connection::open`] makes the file system and answers the kernel's first question at once, so
//! that a mount can be handed out before anybody serves it. Who keeps the connection open need not
//! be who serves: [`serve`] works on a clone of it (`FUSE_DEV_IOC_CLONE`). When the server dies,
//! the kernel ends what that one had taken with ECONNABORTED, and all else waits for the next
//! server. That is why the protocol is spoken here, and not by a library: those make the handshake
//! themselves, each time, and a connection has but one.
//!
//! Nothing is kept of a file that is open but the text that is being read, and of those few: a
//! guest that opens many costs nothing.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::mount::{self, Attributes, Setting};

/// The number of the top directory.
pub const ROOT: u64 = 1;

const DEVICE: &str = "/dev/fuse";

/// The protocol that is spoken: 7.31, Linux 5.4. The kernel adapts to the older side.
const MAJOR: u32 = 7;
const MINOR: u32 = 31;

/// No request is longer: `FUSE_MIN_READ_BUFFER`.
const LONGEST_REQUEST: usize = 8192;
/// The longest write, never used: the file system is read-only. The least the kernel takes.
const LONGEST_WRITE: u32 = 4096;

/// How much text of files being read is kept, in bytes; that of the last reader always.
const KEPT: usize = 1 << 20;

/// `FOPEN_DIRECT_IO`: what is read is never older than the reader. splice(2) and sendfile(2) go by
/// the file's length all the same, so that one must be right.
const DIRECT_IO: u32 = 1;
/// `FOPEN_NOFLUSH` (Linux 5.16): close(2) asks nothing. It could not be killed while it waits.
const NO_FLUSH: u32 = 1 << 5;

const IN_HEADER: usize = 40;
const OUT_HEADER: usize = 16;

/// Requests of `enum fuse_opcode`.
mod opcode {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const INIT: u32 = 26;
    pub const OPENDIR: u32 = 27;
    pub const READDIR: u32 = 28;
    pub const RELEASEDIR: u32 = 29;
    pub const INTERRUPT: u32 = 36;
    pub const BATCH_FORGET: u32 = 42;
}

mod device {
    // _IOR(229, 0, uint32_t)
    nix::ioctl_read!(clone, 229, 0, u32);
}

/// What is found under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its number; [`ROOT`] is the top directory. The same for ever for the same thing: a server
    /// that takes another's place is asked for the numbers that one has given.
    pub number: u64,
    /// It is a directory.
    pub is_directory: bool,
    /// Who may do what.
    pub mode: u32,
    /// For how many seconds the name stands for it without asking again; 0 for every file, whose
    /// length is told with its name.
    pub lasts: u64,
}

/// The files.
pub trait Tree {
    /// What `name` stands for in a directory.
    fn find(&mut self, directory: u64, name: &OsStr) -> Option<Node>;

    /// What has this number, if it is still there.
    fn node(&mut self, number: u64) -> Option<Node>;

    /// The names in a directory.
    fn list(&mut self, directory: u64) -> Vec<(String, Node)>;

    /// The text of a file at this moment.
    ///
    /// # Errors
    /// Whatever makes it unreadable; the reader gets the error's number, or EIO.
    fn read(&mut self, file: u64) -> io::Result<Vec<u8>>;
}

/// The end of a file system at which it can be served.
#[derive(Debug)]
pub struct Connection {
    device: OwnedFd,
}

impl Connection {
    /// Makes a file system whose files belong to `uid` and `gid`, and its mount, read-only and
    /// attached nowhere yet.
    ///
    /// # Errors
    /// Those of opening `/dev/fuse` and of mounting.
    pub fn open(name: &str, uid: u32, gid: u32) -> io::Result<(Connection, OwnedFd)> {
        let device = open_device()?;
        let mount = mount::make(
            c"fuse",
            &[
                Setting::Text("source", name),
                Setting::Text("subtype", name),
                Setting::Text("fd", &device.as_raw_fd().to_string()),
                Setting::Text("rootmode", "40555"),
                Setting::Text("user_id", &uid.to_string()),
                Setting::Text("group_id", &gid.to_string()),
                Setting::Flag("default_permissions"),
                Setting::Flag("allow_other"),
            ],
            Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC,
        )?;
        answer_first(&device)?;
        Ok((Connection { device: device.into() }, mount))
    }

    /// One that was opened before, by another process.
    pub fn from_descriptor(device: OwnedFd) -> Connection {
        Connection { device }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn open_device() -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC)
        .open(DEVICE)
}

/// Another descriptor of the same connection, with requests of its own.
fn clone_device(connection: BorrowedFd<'_>) -> io::Result<File> {
    let device = open_device()?;
    let mut number = connection.as_raw_fd().cast_unsigned();
    // SAFETY: the ioctl reads the number of a descriptor, which lives across the call.
    unsafe { device::clone(device.as_raw_fd(), &raw mut number) }?;
    Ok(device)
}

/// Answers FUSE_INIT, which the kernel asks as soon as there is a mount.
fn answer_first(device: &File) -> io::Result<()> {
    let mut buffer = [0; LONGEST_REQUEST];
    let mut device = device;
    let length = device.read(&mut buffer)?;
    let request = Request::parse(&buffer[..length]).filter(|one| one.opcode == opcode::INIT);
    let request = request.ok_or_else(|| io::Error::from_raw_os_error(nix::libc::EPROTO))?;
    if request.u32(0) != Some(MAJOR) {
        return Err(io::Error::from_raw_os_error(nix::libc::EPROTONOSUPPORT));
    }
    let minor = request.u32(4).unwrap_or(0).min(MINOR);
    let mut out = Bytes::default();
    // struct fuse_init_out: no flags; few requests at once that nobody waits for.
    out.u32(MAJOR).u32(minor).u32(0).u32(0);
    out.u32(16 | 12 << 16).u32(LONGEST_WRITE).u32(1);
    out.0.resize(64, 0);
    reply(device, request.unique, Ok(&out.0)).map(drop)
}

/// Why serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is mounted nowhere any more.
    Unmounted,
    /// Nobody has asked for anything for as long as was given.
    Idle,
}

/// Answers what is asked about `tree`, until nothing has been asked for `idle`, or for ever.
///
/// # Errors
/// Those of `/dev/fuse`.
pub fn serve(
    connection: &Connection,
    tree: &mut dyn Tree,
    owner: (u32, u32),
    idle: Option<Duration>,
) -> io::Result<End> {
    let device = match clone_device(connection.as_fd()) {
        Ok(device) => device,
        Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => return Ok(End::Unmounted),
        Err(error) => return Err(error),
    };
    let timeout = match idle {
        None => PollTimeout::NONE,
        Some(idle) => PollTimeout::try_from(idle).unwrap_or(PollTimeout::MAX),
    };
    let mut server =
        Server { device: &device, tree, owner, texts: Texts::default(), measured: None };
    let mut buffer = vec![0; LONGEST_REQUEST];
    loop {
        let mut descriptors = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(0) => return Ok(End::Idle),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut reader = &device;
        match reader.read(&mut buffer) {
            Ok(length) => server.answer(&buffer[..length])?,
            Err(error) => match error.raw_os_error() {
                Some(nix::libc::ENODEV) => return Ok(End::Unmounted),
                // Taken back by the one who asked, or by another server.
                Some(nix::libc::ENOENT | nix::libc::EINTR | nix::libc::EAGAIN) => {}
                _ => return Err(error),
            },
        }
    }
}

struct Server<'a> {
    device: &'a File,
    tree: &'a mut dyn Tree,
    owner: (u32, u32),
    texts: Texts,
    /// The text of a file whose length was told last: who opens it then reads just that.
    measured: Option<(u64, Vec<u8>)>,
}

/// What is answered: bytes, an error, or nothing at all.
type Answer = Option<Result<Vec<u8>, Errno>>;

impl Server<'_> {
    fn answer(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(request) = Request::parse(bytes) else { return Ok(()) };
        let answer = self.answer_to(&request);
        let Some(answer) = answer else { return Ok(()) };
        let answer = answer.as_deref().map_err(|errno| *errno);
        reply(self.device, request.unique, answer)
    }

    fn answer_to(&mut self, request: &Request<'_>) -> Answer {
        Some(match request.opcode {
            opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT => return None,
            opcode::LOOKUP => self.look_up(request),
            opcode::GETATTR => self.attributes(request.node),
            opcode::OPEN | opcode::OPENDIR => self.open(request),
            opcode::READ => self.read(request),
            opcode::READDIR => self.read_directory(request),
            opcode::STATFS => Ok(status_of_all()),
            opcode::RELEASE | opcode::RELEASEDIR => {
                self.texts.forget(request.u64(0).unwrap_or(0));
                Ok(Vec::new())
            }
            // Known to the kernel as: do not ask again.
            _ => Err(Errno::ENOSYS),
        })
    }

    fn look_up(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let name = request.rest.strip_suffix(b"\0").ok_or(Errno::EINVAL)?;
        let node = self.tree.find(request.node, OsStr::from_bytes(name)).ok_or(Errno::ENOENT)?;
        let mut out = Bytes::default();
        // struct fuse_entry_out
        out.u64(node.number).u64(0).u64(node.lasts).u64(node.lasts.max(1)).u32(0).u32(0);
        self.put_attributes(&mut out, node);
        Ok(out.0)
    }

    fn attributes(&mut self, number: u64) -> Result<Vec<u8>, Errno> {
        let node = self.tree.node(number).ok_or(Errno::ENOENT)?;
        let mut out = Bytes::default();
        // struct fuse_attr_out
        out.u64(node.lasts.max(1)).u32(0).u32(0);
        self.put_attributes(&mut out, node);
        Ok(out.0)
    }

    /// struct fuse_attr; all times are that of the epoch.
    fn put_attributes(&mut self, out: &mut Bytes, node: Node) {
        let kind = if node.is_directory { 0o040_000 } else { 0o100_000 };
        let length = if node.is_directory { 0 } else { self.measure(node.number) };
        out.u64(node.number).u64(length).u64(0).u64(0).u64(0).u64(0).u32(0).u32(0).u32(0);
        out.u32(kind | node.mode).u32(if node.is_directory { 2 } else { 1 });
        out.u32(self.owner.0).u32(self.owner.1).u32(0).u32(4096).u32(0);
    }

    fn measure(&mut self, file: u64) -> u64 {
        let text = self.tree.read(file).unwrap_or_default();
        let length = text.len() as u64;
        self.measured = Some((file, text));
        length
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        self.tree.node(request.node).ok_or(Errno::ENOENT)?;
        let handle = self.texts.new_handle();
        if let Some((_, text)) = self.measured.take_if(|(file, _)| *file == request.node) {
            self.texts.keep(handle, text, 0, 0);
            self.texts.unread = Some(handle);
        }
        let flags = if request.opcode == opcode::OPEN { DIRECT_IO | NO_FLUSH } else { 0 };
        let mut out = Bytes::default();
        // struct fuse_open_out
        out.u64(handle).u32(flags).u32(0);
        Ok(out.0)
    }

    /// What is read from the beginning is read anew; the rest of it is from the same moment.
    fn read(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let (handle, offset, size) = request.read_arguments().ok_or(Errno::EINVAL)?;
        let is_new = self.texts.unread.take_if(|unread| *unread == handle).is_some();
        let kept = match offset == 0 && !is_new {
            true => None,
            false => self.texts.get(handle, offset, size),
        };
        if let Some(part) = kept {
            return Ok(part);
        }
        let text = self
            .tree
            .read(request.node)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        Ok(self.texts.keep(handle, text, offset, size))
    }

    fn read_directory(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Errno> {
        let (_, offset, size) = request.read_arguments().ok_or(Errno::EINVAL)?;
        self.tree.node(request.node).filter(|node| node.is_directory).ok_or(Errno::ENOTDIR)?;
        let above = |name: &str| {
            (name.to_owned(), Node { number: request.node, is_directory: true, mode: 0, lasts: 0 })
        };
        let mut entries = vec![above("."), above("..")];
        entries.extend(self.tree.list(request.node));
        let mut out = Bytes::default();
        let entries =
            entries.iter().zip(1_u64..).skip(usize::try_from(offset).unwrap_or(usize::MAX));
        for ((name, node), next) in entries {
            // struct fuse_dirent, then its name, filled up to eight bytes.
            let length = (24 + name.len()).next_multiple_of(8);
            if out.0.len() + length > size {
                break;
            }
            let end = out.0.len() + length;
            let kind = if node.is_directory { nix::libc::DT_DIR } else { nix::libc::DT_REG };
            out.u64(node.number).u64(next);
            out.u32(u32::try_from(name.len()).unwrap_or(0)).u32(kind.into());
            out.0.extend_from_slice(name.as_bytes());
            out.0.resize(end, 0);
        }
        Ok(out.0)
    }
}

/// struct fuse_statfs_out: no room for anything.
fn status_of_all() -> Vec<u8> {
    let mut out = Bytes::default();
    out.u64(0).u64(0).u64(0).u64(0).u64(0).u32(4096).u32(255).u32(4096);
    out.0.resize(80, 0);
    out.0
}

/// The texts that are being read, the last one used at the end.
#[derive(Default)]
struct Texts {
    kept: VecDeque<(u64, Vec<u8>)>,
    last: Option<u64>,
    /// One that nobody has read from yet.
    unread: Option<u64>,
}

impl Texts {
    /// A number that no server before this one has given.
    fn new_handle(&mut self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let first = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(0));
        let handle = self.last.map_or(first, |last| last.wrapping_add(1));
        self.last = Some(handle);
        handle
    }

    fn get(&mut self, handle: u64, offset: u64, size: usize) -> Option<Vec<u8>> {
        let index = self.kept.iter().position(|(number, _)| *number == handle)?;
        let found = self.kept.remove(index)?;
        let answer = part(&found.1, offset, size);
        self.kept.push_back(found);
        Some(answer)
    }

    fn keep(&mut self, handle: u64, text: Vec<u8>, offset: u64, size: usize) -> Vec<u8> {
        self.forget(handle);
        let answer = part(&text, offset, size);
        self.kept.push_back((handle, text));
        let mut held: usize = self.kept.iter().map(|(_, text)| text.len()).sum();
        while held > KEPT && self.kept.len() > 1 {
            held -= self.kept.pop_front().map_or(0, |(_, text)| text.len());
        }
        answer
    }

    fn forget(&mut self, handle: u64) {
        self.kept.retain(|(number, _)| *number != handle);
    }
}

fn part(text: &[u8], offset: u64, size: usize) -> Vec<u8> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
    let end = start.saturating_add(size).min(text.len());
    text[start..end].to_vec()
}

/// A request taken apart: struct fuse_in_header, and what follows it.
#[derive(Debug)]
struct Request<'b> {
    opcode: u32,
    unique: u64,
    node: u64,
    rest: &'b [u8],
}

impl<'b> Request<'b> {
    fn parse(bytes: &'b [u8]) -> Option<Request<'b>> {
        let (header, rest) = bytes.split_at_checked(IN_HEADER)?;
        Some(Request {
            opcode: number(header, 4).map(u32::from_ne_bytes)?,
            unique: number(header, 8).map(u64::from_ne_bytes)?,
            node: number(header, 16).map(u64::from_ne_bytes)?,
            rest,
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        number(self.rest, at).map(u32::from_ne_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        number(self.rest, at).map(u64::from_ne_bytes)
    }

    /// struct fuse_read_in: handle, offset, size.
    fn read_arguments(&self) -> Option<(u64, u64, usize)> {
        Some((self.u64(0)?, self.u64(8)?, usize::try_from(self.u32(16)?).ok()?))
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Bytes of an answer, in the machine's byte order.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
}

/// struct fuse_out_header and the answer, in one write, as the kernel wants it.
fn reply(mut device: &File, unique: u64, answer: Result<&[u8], Errno>) -> io::Result<()> {
    let (errno, body) = match answer {
        Ok(body) => (0, body),
        Err(errno) => (-(errno as i32), &[][..]),
    };
    let length = u32::try_from(OUT_HEADER + body.len()).unwrap_or(u32::MAX);
    let mut out = Bytes(Vec::with_capacity(OUT_HEADER + body.len()));
    out.u32(length).u32(errno.cast_unsigned()).u64(unique);
    out.0.extend_from_slice(body);
    match device.write_all(&out.0) {
        // Whoever asked has gone meanwhile.
        Err(error)
            if matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ENODEV)) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "fuse_tests.rs"]
mod tests;
