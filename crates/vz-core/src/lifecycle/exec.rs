//! `vzctl exec`, `exec2`, `exec3`, `runscript`: a command inside a running container.
//!
//! vzctl enters the container's pid namespace for its children, makes one in the cgroup of the
//! container's init, and that child enters all the other namespaces by one setns(2). Until its
//! exec it cannot be looked into from inside (CVE-2016-9962).

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;
use vz_conf::exit::Exit;
use vz_sys::cancel::{self, Waited};
use vz_sys::cgroup::{self, Cgroup};
use vz_sys::channel::Channel;
use vz_sys::clone::{self, Process, Request};
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pidfd::{self, Ended};
use vz_sys::seccomp::Program;
use vz_sys::{caps, proc, rlimit};

use crate::container::Container;
use crate::description::{Entry, PATH};
use crate::error::{Context, Error, Result};
use crate::lifecycle::script::{self, Script};
use crate::lifecycle::stop::open_init;
use crate::limits::InForce;
use crate::report::Report;
use crate::user_quota;

/// A child's exit code for: none of the programs could be executed. Not one that shells use.
const NOT_STARTED: i32 = 254;
/// A child's exit code for: the container could not be entered.
const NOT_ENTERED: i32 = 253;

/// How often a cgroup that init is just leaving is looked up again.
const MOVE_TRIES: u32 = 10;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Command {
    /// Programs, of which the first that is there is run, each with its arguments (the first is
    /// the name it sees as its own).
    pub programs: Vec<(CString, Vec<CString>)>,
    /// Its environment.
    pub environment: Vec<CString>,
}

fn c_string(text: impl AsRef<[u8]>) -> Result<CString> {
    CString::new(text.as_ref()).map_err(|_| {
        Error::Refused(Exit::InvalidValue, "A command cannot hold a NUL character".into())
    })
}

fn environment() -> Vec<CString> {
    [c"HOME=/".to_owned(), c"TERM=linux".to_owned()].into_iter().chain(CString::new(PATH)).collect()
}

impl Command {
    /// The container's shell reading from its standard input.
    pub fn shell() -> Command {
        Command::shell_with(environment())
    }

    /// The same with this environment.
    pub fn shell_with(environment: Vec<CString>) -> Command {
        let shell = |path: &std::ffi::CStr| (path.to_owned(), vec![path.to_owned()]);
        Command { programs: vec![shell(c"/bin/bash"), shell(c"/bin/sh")], environment }
    }

    /// `exec` and `exec2`: the words joined by blanks, for the container's shell to take apart.
    ///
    /// # Errors
    /// For a NUL in a word.
    pub fn shell_line<S: AsRef<OsStr>>(words: &[S]) -> Result<Command> {
        let mut line = Vec::new();
        for word in words {
            let word = word.as_ref().as_bytes();
            line.extend_from_slice(if word.is_empty() { b"''" } else { word });
            line.push(b' ');
        }
        let line = c_string(line)?;
        let shell = |path: &std::ffi::CStr| {
            (path.to_owned(), vec![path.to_owned(), c"-c".to_owned(), line.clone()])
        };
        Ok(Command {
            programs: vec![shell(c"/bin/bash"), shell(c"/bin/sh")],
            environment: environment(),
        })
    }

    /// `exec3`: the words as they are, the first looked up along the container's PATH.
    ///
    /// # Errors
    /// For a NUL in a word.
    pub fn direct<S: AsRef<OsStr>>(words: &[S]) -> Result<Command> {
        let arguments = words
            .iter()
            .map(|word| c_string(word.as_ref().as_bytes()))
            .collect::<Result<Vec<_>>>()?;
        let name = arguments.first().cloned().unwrap_or_default();
        let programs = if name.as_bytes().contains(&b'/') {
            vec![(name, arguments)]
        } else {
            search_path(&name).map(|path| (path, arguments.clone())).collect()
        };
        Ok(Command { programs, environment: environment() })
    }

    /// Becomes the command; returns its exit code only when it could not.
    pub(super) fn execute(&self) -> i32 {
        for (program, arguments) in &self.programs {
            clone::execute(program, arguments, &self.environment);
        }
        NOT_STARTED
    }

    fn not_found(&self) -> String {
        let name = self.programs.first().and_then(|(_, arguments)| arguments.first());
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        format!("Unable to execute {name}: not found in the container")
    }
}

fn search_path(name: &std::ffi::CStr) -> impl Iterator<Item = CString> + '_ {
    PATH.strip_prefix("PATH=").unwrap_or(PATH).split(':').filter_map(|directory| {
        CString::new([directory.as_bytes(), b"/", name.to_bytes()].concat()).ok()
    })
}

/// The way into a running container.
pub struct Entrance<'a> {
    init: BorrowedFd<'a>,
    pid: Pid,
    hierarchy: PathBuf,
    namespaces: Namespaces,
    entry: Entry,
    seccomp: Program,
    /// To who answers for quotas of its users.
    user_quota: Option<Channel>,
    /// What its processes' scores for being killed are moved by.
    score: i64,
}

impl<'a> Entrance<'a> {
    /// Finds the way into the container whose init is behind `init`.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when its state is gone.
    pub fn find(container: &Container<'_>, init: BorrowedFd<'a>) -> Result<Entrance<'a>> {
        let state = container.state()?.ok_or(Error::NotRunning)?;
        let pid = Pid::from_raw(state.init.ok_or(Error::NotRunning)?.pid);
        let user_namespace = state.uid_base != 0;
        let user_quota = match state.user_quota {
            true => user_quota::connect(container.node, container.id),
            false => None,
        };
        let entry = Entry::of(&container.config, user_namespace, user_quota.is_some());
        let seccomp = Program::build(&entry.seccomp)
            .map_err(|error| Error::Refused(Exit::SystemError, error.to_string()))?;
        let mut namespaces = Namespaces::MOUNT
            | Namespaces::UTS
            | Namespaces::IPC
            | Namespaces::NET
            | Namespaces::CGROUP;
        if user_namespace {
            namespaces |= Namespaces::USER;
        }
        let hierarchy = container.node.cgroup_hierarchy()?;
        let score = InForce::load(container.node, container.id).score;
        Ok(Entrance { init, pid, hierarchy, namespaces, entry, seccomp, user_quota, score })
    }

    /// Makes a process in the container that runs `body`, whose value is its exit code. What
    /// `body` does is done with the container's rights, in its namespaces and cgroup; of the
    /// descriptors it has the standard streams and `kept`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn spawn(&self, kept: &[BorrowedFd<'_>], body: impl FnOnce() -> i32) -> Result<Process> {
        let failed = |action: &'static str| move || action.to_owned();
        clone::make_undumpable().context(Exit::SystemError, failed("Cannot hide this process"))?;
        let ours = File::open("/proc/self/ns/pid")
            .context(Exit::SystemError, failed("Cannot open /proc/self/ns/pid"))?;
        namespace::join(self.init, Namespaces::PID)
            .context(Exit::EnterFailed, failed("Cannot enter the container's pid namespace"))?;
        let spawned = self.spawn_in_group(kept, body);
        // Later children of this process (scripts of the node) belong to the node again.
        namespace::join(ours.as_fd(), Namespaces::PID)
            .context(Exit::SystemError, failed("Cannot return to the node's pid namespace"))?;
        spawned.context(Exit::EnterFailed, failed("Cannot make a process in the container"))
    }

    /// In the cgroup of the container's init, a leaf, where processes can be. init may be leaving
    /// it for another at this moment (systemd does, at boot), which makes it a leaf no more: then
    /// it is looked up again.
    fn spawn_in_group(
        &self,
        kept: &[BorrowedFd<'_>],
        body: impl FnOnce() -> i32,
    ) -> io::Result<Process> {
        let mut body = Some(body);
        let mut tries = 0;
        loop {
            let group = Cgroup::open(
                &self.hierarchy.join(cgroup::of_process(self.pid)?.ok_or(io::ErrorKind::NotFound)?),
            )?;
            let request =
                Request { namespaces: Namespaces::default(), cgroup: Some(group.as_fd()) };
            let spawned = clone::spawn(&request, || match (self.enter(kept), body.take()) {
                (Ok(()), Some(body)) => body(),
                _ => NOT_ENTERED,
            });
            tries += 1;
            match spawned {
                Err(error) if is_moving(&error) && tries < MOVE_TRIES => {}
                other => return other,
            }
        }
    }

    fn enter(&self, kept: &[BorrowedFd<'_>]) -> io::Result<()> {
        // Before it can be looked at from inside: a process that is ending, its memory gone, can
        // be, whatever it was before, and what it has open is not closed until after that.
        let line = self.user_quota.iter().map(AsFd::as_fd);
        let needed: Vec<_> = kept.iter().copied().chain([self.init]).chain(line).collect();
        clone::close_in_child_all_but(&needed);
        let _ = rlimit::copy_from(Pid::from_raw(1));
        if self.score != 0 {
            let _ = proc::set_out_of_memory_score(None, self.score);
        }
        namespace::join(self.init, self.namespaces)?;
        namespace::become_root()?;
        // The old directory is the node's: it must not be reachable as `.` (CVE-2024-21626).
        nix::unistd::chdir("/")?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        clone::reset_signals();
        clone::close_on_exec_from(3)?;
        match &self.user_quota {
            Some(line) => user_quota::install_if_served(&self.seccomp, line)?,
            None => self.seccomp.install().map_err(io::Error::other)?,
        }
        caps::keep_only(&self.entry.capabilities)
    }
}

/// What the kernel answers for a group that is no leaf any more, or not there any more.
fn is_moving(error: &io::Error) -> bool {
    use nix::libc::{EBUSY, ENODEV, ENOENT, EOPNOTSUPP};
    matches!(error.raw_os_error(), Some(EBUSY | ENODEV | ENOENT | EOPNOTSUPP))
}

/// What a command's streams are to be. Terminals are not handed in: see [`super::enter`].
#[derive(Debug, Default)]
pub struct Streams {
    /// In place of standard input.
    pub input: Option<OwnedFd>,
    /// In place of standard output.
    pub output: Option<OwnedFd>,
    /// In place of standard error.
    pub error: Option<OwnedFd>,
}

impl Streams {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [&self.input, &self.output, &self.error].into_iter().flatten().map(AsFd::as_fd).collect()
    }

    fn apply(&self) -> io::Result<()> {
        for (stream, descriptor) in [&self.input, &self.output, &self.error].iter().enumerate() {
            if let Some(descriptor) = descriptor {
                clone::duplicate_to(descriptor.as_fd(), stream as i32)?;
            }
        }
        Ok(())
    }
}

/// Starts `command` in the container in a session of its own, with these streams.
///
/// # Errors
/// When the container cannot be entered.
pub fn spawn(entrance: &Entrance<'_>, command: &Command, streams: &Streams) -> Result<Process> {
    entrance.spawn(&streams.descriptors(), || {
        let _ = nix::unistd::setsid();
        match streams.apply() {
            Ok(()) => command.execute(),
            Err(_) => NOT_ENTERED,
        }
    })
}

/// The exit code for `vzctl` of how a command ended.
///
/// # Errors
/// [`Exit::EnterFailed`] when it was never started; [`Exit::SystemError`] when a signal ended it.
pub fn outcome(ended: Ended, command: &Command, report: &mut dyn Report) -> Result<i32> {
    match ended {
        Ended::Code(NOT_ENTERED) => {
            Err(Error::Refused(Exit::EnterFailed, "The container could not be entered".into()))
        }
        Ended::Code(NOT_STARTED) => Err(Error::Refused(Exit::EnterFailed, command.not_found())),
        Ended::Code(code) => Ok(code),
        // Whoever read its output has read enough.
        Ended::Signal(nix::libc::SIGPIPE) => Err(Error::Reported(Exit::SystemError)),
        Ended::Signal(signal) => {
            report.error(&format!("Got signal {signal}"));
            Err(Error::Reported(Exit::SystemError))
        }
    }
}

/// Opens the container's init, which must run.
///
/// # Errors
/// [`Error::NotRunning`].
pub fn require_running(container: &Container<'_>) -> Result<OwnedFd> {
    container
        .state()?
        .filter(|state| state.is_running())
        .as_ref()
        .and_then(open_init)
        .ok_or(Error::NotRunning)
}

/// Feeds `script` to the container's shell and returns its exit code. With a `patience`, a shell
/// that takes longer is killed: it is the container's, and need not end at all.
///
/// # Errors
/// When the container cannot be entered, or a signal ended the shell; [`Exit::ExecTimeout`].
pub fn run_script(
    container: &Container<'_>,
    init: BorrowedFd<'_>,
    script: File,
    patience: Option<Duration>,
    report: &mut dyn Report,
) -> Result<i32> {
    let mut text = Vec::new();
    let mut script = script;
    script.read_to_end(&mut text).context(Exit::SystemError, || "Cannot read the script".into())?;
    let entrance = Entrance::find(container, init)?;
    let script = Script { text, environment: environment(), patience };
    script::run(&entrance, &script, report)
}

/// Runs the container's own `halt`; says whether it did its work (0 and 1 count as that) in time.
///
/// # Errors
/// When the container cannot be entered.
pub fn run_halt(
    container: &Container<'_>,
    init: BorrowedFd<'_>,
    patience: Duration,
) -> Result<bool> {
    let entrance = Entrance::find(container, init)?;
    let command = Command::direct(&["halt"])?;
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from).ok();
    let streams = Streams { input: null(), output: null(), error: null() };
    let process = spawn(&entrance, &command, &streams)?;
    let ended = wait_or_kill(&process, Some(patience))?;
    // The halted init may take the command along.
    Ok(matches!(ended, Some(Ended::Code(0 | 1) | Ended::Signal(_))))
}

/// Reaps a process when it has ended; `None` when it had to be killed because it did not in time.
fn wait_or_kill(process: &Process, patience: Option<Duration>) -> Result<Option<Ended>> {
    let failed = || "Cannot wait for a process in the container".to_owned();
    let waited = cancel::wait_readable(process.pidfd.as_fd(), patience)
        .context(Exit::SystemError, failed)?;
    if waited != Waited::Ready {
        pidfd::send_signal(process.pidfd.as_fd(), nix::libc::SIGKILL)
            .context(Exit::SystemError, failed)?;
    }
    let ended = pidfd::reap(process.pidfd.as_fd()).context(Exit::SystemError, failed)?;
    match waited {
        Waited::Ready => Ok(Some(ended)),
        Waited::TimedOut => Ok(None),
        Waited::Cancelled => Err(Error::Cancelled),
    }
}
