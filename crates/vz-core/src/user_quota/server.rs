//! The server: hears, decides, and makes the call.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::{Arc, OnceLock};
use std::thread::Scope;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_sys::channel::{self, Channel};
use vz_sys::quota::Owner;
use vz_sys::quota::call::{Command, Data, call};
use vz_sys::seccomp::Syscall;
use vz_sys::seccomp_notify::{Call, Listener};

use super::READY;
use super::caller::{self, Caller};
use super::crowd::Crowd;
use crate::error::{Context, Error, Result};
use crate::lifecycle::start::IDS;
use crate::node::Node;
use crate::state::State;

/// `struct if_dqblk` as a 32-bit program has it: without the hole at its end.
const SHORT_QUOTA: usize = 68;

/// What a thread that makes a call has for its stack, in bytes.
const STACK: usize = 128 << 10;

/// How long it is left alone that nobody can be let in.
const REST: Duration = Duration::from_millis(100);

/// What a call asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    command: Command,
    owner: Owner,
    file_system: FileSystem,
    id: u32,
    /// Where its data is in the caller's memory.
    data: u64,
}

/// How it names the file system.
#[derive(Debug, PartialEq, Eq)]
enum FileSystem {
    /// By the path of its device, which is at this address; 0 is none.
    Path(u64),
    /// By a descriptor of a file on it.
    Descriptor(i32),
}

impl Request {
    /// quotactl(2): `int cmd, const char *special, int id, void *addr`; quotactl_fd(2): `unsigned int
    /// fd, unsigned int cmd, int id, void *addr`.
    fn of(call: &Call) -> std::result::Result<Request, Errno> {
        let [first, second, id, data, ..] = call.arguments;
        let (file_system, command) = if call.is(Syscall::Quotactl) {
            (FileSystem::Path(second), first as u32)
        } else if call.is(Syscall::QuotactlFd) {
            (FileSystem::Descriptor(first as i32), second as u32)
        } else {
            return Err(Errno::ENOSYS);
        };
        let owner = match command & 0xff {
            0 => Owner::User,
            1 => Owner::Group,
            // Project quota is the node's own.
            _ => return Err(Errno::EINVAL),
        };
        let command = Command::from_number(command >> 8).ok_or(Errno::EINVAL)?;
        Ok(Request { command, owner, file_system, id: id as u32, data })
    }
}

/// Serves the container until nobody is under any of its filters.
///
/// # Errors
/// When it has no state, and those of poll(2).
pub fn serve(node: &Node, id: Ctid, listener: channel::Listener, first: Channel) -> Result<()> {
    let server = Server::of(node, id)?;
    // vzctl waits for this, and lets go of nobody before.
    first.send(READY, &[]).context(Exit::SystemError, || "Nobody waits for it".into())?;
    std::thread::scope(|threads| server.listen(threads, listener, first))
}

/// What there is to do of each: of the socket, of the lines, of what is listened to.
fn wait(
    listener: BorrowedFd<'_>,
    lines: &[Channel],
    heard: &[Arc<Listener>],
) -> nix::Result<Vec<PollFlags>> {
    let all = [listener].into_iter().chain(lines.iter().map(AsFd::as_fd));
    let mut waited: Vec<PollFd<'_>> = all
        .chain(heard.iter().map(|from| from.as_fd()))
        .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
        .collect();
    match poll(&mut waited, PollTimeout::NONE) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(vec![PollFlags::empty(); waited.len()]),
        Err(error) => return Err(error),
    }
    Ok(waited.iter().map(|one| one.revents().unwrap_or(PollFlags::empty())).collect())
}

/// Takes the listener of a process that is about to enter the container: one, and nothing after it.
fn take_listener(line: &Channel) -> Option<Listener> {
    let descriptor = line.receive().ok()?.descriptors.into_iter().next()?;
    let listener = Listener::from_descriptor(descriptor);
    listener.is_one().then_some(listener)
}

/// What is served, and for whom.
struct Server<'a> {
    node: &'a Node,
    id: Ctid,
    state: State,
    /// The device of the container's file system.
    device: u64,
    /// The container's user namespace, once there is one.
    user_namespace: OnceLock<(u64, u64)>,
    crowd: Crowd,
}

impl<'a> Server<'a> {
    fn of(node: &'a Node, id: Ctid) -> Result<Server<'a>> {
        let state = State::load(&node.state_path(id)).ok().flatten().ok_or(Error::NotRunning)?;
        let root = std::fs::metadata(&state.root);
        let device = root.at(Exit::SystemError, "Cannot look at", &state.root)?.dev();
        let (user_namespace, crowd) = Default::default();
        Ok(Server { node, id, state, device, user_namespace, crowd })
    }

    fn listen<'s>(
        &'s self,
        threads: &'s Scope<'s, '_>,
        listener: channel::Listener,
        first: Channel,
    ) -> Result<()> {
        let mut lines = vec![first];
        let mut heard: Vec<Arc<Listener>> = Vec::new();
        while !(lines.is_empty() && heard.is_empty()) {
            let found = wait(listener.as_fd(), &lines, &heard)
                .context(Exit::SystemError, || "Cannot wait for calls".into())?;
            let (found_lines, found_heard) = found[1..].split_at(lines.len());
            let mut nth = found_heard.iter();
            heard.retain(|from| nth.next().is_none_or(|found| self.hear(threads, from, *found)));
            let mut nth = found_lines.iter();
            lines.retain(|line| {
                let has_spoken = nth.next().is_some_and(|found| !found.is_empty());
                if has_spoken {
                    heard.extend(take_listener(line).map(Arc::new));
                }
                !has_spoken
            });
            if !found[0].is_empty() {
                // Out of descriptors it would be asked again and again: those who wait there go on
                // without when it is gone.
                match listener.accept() {
                    Ok(line) => lines.extend(line),
                    Err(_) => std::thread::sleep(REST),
                }
            }
        }
        Ok(())
    }

    /// Has the call made that waits, if one does. Says whether there may be another.
    fn hear<'s>(
        &'s self,
        threads: &'s Scope<'s, '_>,
        from: &Arc<Listener>,
        found: PollFlags,
    ) -> bool {
        if found.is_empty() {
            return true;
        }
        if !found.contains(PollFlags::POLLIN) {
            return false;
        }
        match from.receive() {
            Ok(Some(call)) => {
                if let Err(errno) = self.begin(threads, from, call) {
                    let _ = from.answer(&call, Err(errno as i32));
                }
                true
            }
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Has the call made by a thread: nobody knows how long that takes.
    fn begin<'s>(
        &'s self,
        threads: &'s Scope<'s, '_>,
        from: &Arc<Listener>,
        call: Call,
    ) -> std::result::Result<(), Errno> {
        let request = Request::of(&call)?;
        let caller = Caller::open(call.thread)?;
        let place = self.crowd.enter(caller.rights.user()).ok_or(Errno::EAGAIN)?;
        let from = Arc::clone(from);
        let make = move || {
            let result = self.make(&from, &call, &request, &caller);
            drop(place);
            // Of one whose thread is gone nobody waits for an answer.
            let _ = from.answer(&call, result.map_err(|errno| errno as i32));
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(threads, make);
        thread.map(drop).map_err(|_| Errno::EAGAIN)
    }

    fn make(
        &self,
        from: &Listener,
        call: &Call,
        request: &Request,
        caller: &Caller,
    ) -> std::result::Result<(), Errno> {
        if !from.is_waiting(call) {
            return Err(Errno::ESRCH);
        }
        self.check_file_system(caller, request)?;
        self.check_rights(caller, request)?;
        let short = call.is_32_bit() && matches!(request.command, Command::Get | Command::Set);
        let length = |full: usize| if short { full.min(SHORT_QUOTA) } else { full };
        let mut data: Data = [0; size_of::<Data>()];
        caller.read(request.data, &mut data[..length(request.command.takes())])?;
        self.call(request, &mut data)?;
        if request.command == Command::GetNext && !self.is_own(u32_at(&data, 68)) {
            return Err(Errno::ESRCH);
        }
        // Without WAIT_KILLABLE_RECV it may have gone on.
        if !from.is_waiting(call) {
            return Err(Errno::ESRCH);
        }
        caller.write(request.data, &data[..length(request.command.gives())])
    }

    /// Only the container's own file system.
    fn check_file_system(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> std::result::Result<(), Errno> {
        let device = match request.file_system {
            // All file systems: all that there are for it.
            FileSystem::Path(0) if request.command == Command::Sync => return Ok(()),
            FileSystem::Path(0) => return Err(Errno::ENODEV),
            FileSystem::Path(address) => caller.block_device(address)?,
            FileSystem::Descriptor(number) => caller.device_of_descriptor(number)?,
        };
        match device == self.device {
            true => Ok(()),
            false => Err(Errno::ENODEV),
        }
    }

    /// As quotactl(2) has it, for the container's user namespace in the place of the node's.
    fn check_rights(&self, caller: &Caller, request: &Request) -> std::result::Result<(), Errno> {
        let names_one = matches!(request.command, Command::Get | Command::Set | Command::GetNext);
        if names_one && !self.is_own(request.id) {
            return Err(Errno::EINVAL);
        }
        let base = match request.owner {
            Owner::User => self.state.uid_base,
            Owner::Group => self.state.gid_base,
        };
        let is_allowed = match request.command {
            Command::Sync | Command::Format | Command::Info => true,
            Command::Get if caller.rights.are_of(request.owner, base + request.id) => true,
            _ => caller.rights.have_admin() && self.is_container(caller.user_namespace),
        };
        if is_allowed { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Says whether an id is one that the container has.
    fn is_own(&self, id: u32) -> bool {
        self.state.uid_base == 0 || id < IDS
    }

    /// Says whether a user namespace is the container's: root of one that was made inside is nobody.
    fn is_container(&self, user_namespace: (u64, u64)) -> bool {
        let known = self.user_namespace.get().copied().or_else(|| {
            let state = State::load(&self.node.state_path(self.id)).ok().flatten()?;
            let init = state.init.filter(|init| init.is_running())?;
            let found = caller::namespace(Pid::from_raw(init.pid)).ok()?;
            Some(*self.user_namespace.get_or_init(|| found))
        });
        known == Some(user_namespace)
    }

    fn call(&self, request: &Request, data: &mut Data) -> std::result::Result<(), Errno> {
        // Opened for this call alone: it would keep the file system from being unmounted.
        let root = File::options()
            .read(true)
            .custom_flags(nix::libc::O_PATH | nix::libc::O_DIRECTORY)
            .open(&self.state.root)
            .map_err(|_| Errno::ENODEV)?;
        if root.metadata().map_err(|_| Errno::ENODEV)?.dev() != self.device {
            return Err(Errno::ENODEV);
        }
        call(root.as_fd(), request.owner, request.command, request.id, data)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
    }
}

fn u32_at(data: &Data, at: usize) -> u32 {
    data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
#[path = "server_tests.rs"]
mod tests;
