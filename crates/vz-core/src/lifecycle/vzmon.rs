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
use vz_sys::pty;

use super::console::{self, Console};
use super::stop::open_init;
use crate::container::Container;
use crate::error::{Context, Result};
use crate::group::{self, Place};
use crate::lock::{self, Outcome};
use crate::report::Report;
use crate::state::{Phase, ProcessId, State};

/// The program with what it is told, prepared before there is a process for it.
pub(super) struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Where it waits for `vzctl console`, and under which name.
    directory: PathBuf,
    socket: String,
    listener: Option<Listener>,
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
        }
    }

    /// Becomes vzmon, with a descriptor of the container's init and its console.
    ///
    /// # Errors
    /// What was tried, and the kernel's answer.
    pub fn become_it(mut self, init: BorrowedFd<'_>, console: &pty::Pair) -> (String, io::Error) {
        let error = match self.prepare(init, console) {
            Ok(()) => clone::execute(&self.path, &self.arguments, &self.environment),
            Err(error) => error,
        };
        (format!("Cannot execute {}", self.path.to_string_lossy()), error)
    }

    /// Nothing of ours is passed on but what it is told of.
    fn prepare(&mut self, init: BorrowedFd<'_>, console: &pty::Pair) -> io::Result<()> {
        clone::detach_streams()?;
        clone::close_on_exec_from(3)?;
        let listener = Listener::bind(File::open(&self.directory)?.as_fd(), &self.socket)?;
        for kept in [init, console.master.as_fd(), console.slave.as_fd(), listener.as_fd()] {
            clone::keep_on_exec(kept)?;
            self.arguments.push(CString::new(kept.as_raw_fd().to_string()).unwrap_or_default());
        }
        self.listener = Some(listener);
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
        become_when_told(&other, program, init.as_fd(), &console.pair)
    })
    .context(Exit::ResourceError, || "Cannot make a process".into())?;
    drop(other);
    // It goes on only once it is known: else, were we killed now, there would come to be two.
    state.monitor = ProcessId::of(process.pid).ok();
    container.save_state(&state)?;
    let started = line.send(b"go", &[]).and_then(|()| wait_for_exec(&line));
    started.context(Exit::SystemError, || "Cannot start vzmon".into())
}

fn become_when_told(
    line: &Channel,
    program: Program,
    init: BorrowedFd<'_>,
    console: &pty::Pair,
) -> i32 {
    // Not to be reached by what is typed at the admin's terminal.
    let _ = nix::unistd::setsid();
    let _ = nix::unistd::chdir("/");
    clone::reset_signals();
    match line.receive() {
        Ok(received) if !received.bytes.is_empty() => {}
        _ => return 1,
    }
    let (_, error) = program.become_it(init, console);
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
