//! vzmon: becoming it, and putting another in the place of one that was killed.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use vz_conf::exit::Exit;
use vz_sys::channel::{self, Channel, Listener};
use vz_sys::clone::{self, Request};
use vz_sys::fuse::Connection;
use vz_sys::{proc, pty};

use super::console::{self, Console};
use super::stop::open_init;
use crate::container::Container;
use crate::error::{Context, Result};
use crate::group::{self, Place};
use crate::lock::{self, Outcome};
use crate::report::Report;
use crate::state::{Phase, ProcessId, State};
use crate::views::{self, Views};

/// The program with what it is told, prepared before there is a process for it.
pub(super) struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Where it waits for `vzctl console`, and under which name.
    directory: PathBuf,
    socket: String,
    listener: Option<Listener>,
    /// What it starts when somebody reads below the container's `/dev/vz`.
    server: CString,
}

impl Program {
    /// The vzmon of this container.
    pub fn of(container: &Container<'_>) -> Program {
        let node = container.node;
        let c_string = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
        let environment = node.helper_environment();
        Program {
            path: c_string(node.helper("vzmon").as_os_str().as_bytes()),
            arguments: vec![
                c"vzmon".to_owned(),
                c_string(container.id.to_string().as_bytes()),
                c_string(node.helper("vzevent").as_os_str().as_bytes()),
            ],
            environment: environment.iter().map(|text| c_string(text.as_bytes())).collect(),
            directory: node.run_dir(),
            socket: console::socket_name(container.id),
            listener: None,
            server: c_string(node.helper(views::PROGRAM).as_os_str().as_bytes()),
        }
    }

    /// Becomes vzmon, with a descriptor of the container's init, its console, and the connection of
    /// its `/dev/vz` if it has one.
    ///
    /// # Errors
    /// What was tried, and the kernel's answer.
    pub fn become_it(
        mut self,
        init: BorrowedFd<'_>,
        console: &pty::Pair,
        views: Option<&Connection>,
    ) -> (String, io::Error) {
        let error = match self.prepare(init, console, views) {
            Ok(()) => clone::execute(&self.path, &self.arguments, &self.environment),
            Err(error) => error,
        };
        (format!("Cannot execute {}", self.path.to_string_lossy()), error)
    }

    /// Nothing of ours is passed on but what it is told of.
    fn prepare(
        &mut self,
        init: BorrowedFd<'_>,
        console: &pty::Pair,
        views: Option<&Connection>,
    ) -> io::Result<()> {
        clone::detach_streams()?;
        clone::close_on_exec_from(3)?;
        // Its memory is the container's, and it is the last that a lack of it is cured by.
        let _ = proc::set_out_of_memory_score(None, proc::NEVER_KILLED);
        let listener = Listener::bind(File::open(&self.directory)?.as_fd(), &self.socket)?;
        for kept in [init, console.master.as_fd(), console.slave.as_fd(), listener.as_fd()] {
            self.pass_on(kept)?;
        }
        self.listener = Some(listener);
        if let Some(views) = views {
            self.pass_on(views.as_fd())?;
            self.arguments.push(self.server.clone());
        }
        Ok(())
    }

    fn pass_on(&mut self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        clone::keep_on_exec(descriptor)?;
        self.arguments.push(CString::new(descriptor.as_raw_fd().to_string()).unwrap_or_default());
        Ok(())
    }
}

/// Makes sure that a running container has a vzmon: puts another in the place of one that was
/// killed. A failure is reported, and is no reason for a command to fail: the container lives.
/// The lock is held by the caller.
pub fn ensure(container: &Container<'_>, report: &mut dyn Report) {
    ensure_at(container, -1, report);
}

/// `level` is that of the line which says that one had been killed.
fn ensure_at(container: &Container<'_>, level: i32, report: &mut dyn Report) {
    let replaced = match container.state() {
        Ok(Some(state)) if is_wanted(&state) => replace(container, state, level, report),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = replaced {
        report.error(&format!("Warning: the container has no vzmon: {error}"));
    }
}

/// The same for a command that takes no lock: when another has it, that one has seen to it.
pub fn ensure_unlocked(container: &Container<'_>, report: &mut dyn Report) {
    if !matches!(container.state(), Ok(Some(state)) if is_wanted(&state)) {
        return;
    }
    let taken = container.node.lock_path(container.id).ok().and_then(|path| lock::take(&path).ok());
    if let Some(Outcome::Taken { lock: _lock, .. }) = taken {
        // What a command inside says is not to be mixed with this.
        ensure_at(container, 1, report);
    }
}

fn is_wanted(state: &State) -> bool {
    let has_one = state.monitor.is_some_and(|monitor| monitor.is_running());
    !has_one && state.phase == Phase::Running && state.is_running()
}

fn replace(
    container: &Container<'_>,
    mut state: State,
    level: i32,
    report: &mut dyn Report,
) -> Result<()> {
    let Some(init) = open_init(&state) else { return Ok(()) };
    report.log(level, "Warning: vzmon of the container has been killed, starting another");
    let console = Console::open(state.uid_base, state.gid_base)?;
    if let Err(error) = console.replace(init.as_fd(), state.uid_base != 0) {
        // A guest may have taken its console away: it needs its vzmon all the same.
        report.error(&format!("Warning: {error}"));
    }
    let views = replace_views(container, &state, init.as_fd(), report);
    let place = Place::at(container.node.cgroup_hierarchy()?, &state.group);
    let group = place.open().and_then(|group| group.make_child(group::MONITOR.as_ref())).at(
        Exit::ResourceError,
        "Cannot make vzmon's cgroup in",
        &place.path(),
    )?;
    let (line, other) =
        channel::pair().context(Exit::ResourceError, || "Cannot make a line".into())?;
    let program = Program::of(container);
    let request = Request { cgroup: Some(group.as_fd()), ..Request::default() };
    let process = clone::spawn(&request, || {
        clone::close_in_child(line.as_fd());
        become_when_told(&other, program, init.as_fd(), &console.pair, views.as_ref())
    })
    .context(Exit::ResourceError, || "Cannot make a process".into())?;
    drop(other);
    // It goes on only once it is known: else, were we killed now, there would come to be two.
    state.monitor = ProcessId::of(process.pid).ok();
    container.save_state(&state)?;
    let started = line.send(b"go", &[]).and_then(|()| wait_for_exec(&line));
    started.context(Exit::SystemError, || "Cannot start vzmon".into())
}

/// Another `/dev/vz` for the container: the connection of the one it had is gone.
fn replace_views(
    container: &Container<'_>,
    state: &State,
    init: BorrowedFd<'_>,
    report: &mut dyn Report,
) -> Option<Connection> {
    let opened = Views::open(container.node, state.uid_base, state.gid_base);
    let views = opened.ok().flatten()?;
    match views.replace(init, state.uid_base != 0) {
        Ok(()) => Some(views.connection),
        Err(error) => {
            // As with the console: a guest may have taken it away.
            report.error(&format!("Warning: {error}"));
            None
        }
    }
}

fn become_when_told(
    line: &Channel,
    program: Program,
    init: BorrowedFd<'_>,
    console: &pty::Pair,
    views: Option<&Connection>,
) -> i32 {
    // Not to be reached by what is typed at the admin's terminal.
    let _ = nix::unistd::setsid();
    let _ = nix::unistd::chdir("/");
    clone::reset_signals();
    match line.receive() {
        Ok(received) if !received.bytes.is_empty() => {}
        _ => return 1,
    }
    let (_, error) = program.become_it(init, console, views);
    let _ = line.send(&error.raw_os_error().unwrap_or(0).to_le_bytes(), &[]);
    1
}

/// The end of the line is what an exec looks like from here.
fn wait_for_exec(line: &Channel) -> io::Result<()> {
    let received = line.receive()?;
    match <[u8; 4]>::try_from(received.bytes.as_slice()) {
        Ok(number) => Err(io::Error::from_raw_os_error(i32::from_le_bytes(number))),
        Err(_) => Ok(()),
    }
}
