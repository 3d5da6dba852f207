//! The process that makes the container's first process and then becomes its vzmon.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::unistd::Pid;
use vz_conf::exit::Exit;
use vz_sys::cgroup::Cgroup;
use vz_sys::channel::Channel;
use vz_sys::clone::{self, Process, Request};
use vz_sys::fuse::Connection;
use vz_sys::namespace::{self, Namespaces};
use vz_sys::pty::Pair;
use vz_sys::rlimit;

use super::inside::{self, Inside};
use super::message::{self, Failure, Message};
use crate::container::Container;
use crate::description::Description;
use crate::error::{Context, Result};
use crate::group;
use crate::lifecycle::vzmon::Program;

/// What the process needs to know.
struct Monitor {
    line: Channel,
    inside: Inside,
    console: Pair,
    views: Option<Connection>,
    namespaces: Namespaces,
    /// Who owns the user namespace: the container's root, as the node sees it.
    owner: u32,
    group: PathBuf,
    program: Program,
}

/// Makes the process. It waits for [`Message::Begin`] before it does anything, and closes its copy
/// of `our_end`, so that vzctl's death is seen on the line.
///
/// # Errors
/// Those of making groups and of `clone3(2)`.
pub fn spawn(
    container: &Container<'_>,
    description: &Description,
    inside: Inside,
    console: Pair,
    views: Option<Connection>,
    our_end: BorrowedFd<'_>,
) -> Result<Process> {
    let monitor = Monitor {
        line: inside
            .line
            .try_clone()
            .context(Exit::ResourceError, || "Cannot copy a line".into())?,
        namespaces: description.namespaces(),
        owner: container.id_bases()?.0,
        group: description.place.path().join(group::INIT),
        program: Program::of(container),
        inside,
        console,
        views,
    };
    let place = &description.place;
    let birthplace =
        place.make_birthplace().at(Exit::ResourceError, "Cannot make the cgroup", &place.path())?;
    let cgroup = birthplace.as_ref().map(AsFd::as_fd);
    clone::spawn(&Request { cgroup, ..Request::default() }, || {
        clone::close_in_child(our_end);
        monitor.run()
    })
    .context(Exit::ResourceError, || "Cannot make a process".into())
}

impl Monitor {
    fn run(self) -> i32 {
        let line = match self.line.try_clone() {
            Ok(line) => line,
            Err(_) => return 1,
        };
        match self.begin() {
            Ok(never) => match never {},
            Err(failure) => {
                let _ = message::send(&line, &Message::Failed(failure), &[]);
                1
            }
        }
    }

    fn begin(self) -> Result<std::convert::Infallible, Failure> {
        let fail = |action: &'static str| move |error: std::io::Error| Failure::new(action, &error);
        // Not to be reached by what is typed at the admin's terminal.
        let _ = nix::unistd::setsid();
        match message::receive(&self.line).map_err(fail("Cannot hear from vzctl"))? {
            Some((Message::Begin, _)) => {}
            _ => return Err(Failure { action: "vzctl has gone".into(), errno: 0 }),
        }
        // What the admin's shell was limited to is not the container's lot. Not fatal: a node
        // may not let limits be raised.
        let _ = rlimit::copy_from(Pid::from_raw(1));
        let _ = std::fs::OpenOptions::new()
            .write(true)
            .open("/proc/self/oom_score_adj")
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"0"));
        nix::unistd::chdir("/").map_err(|error| Failure::new("Cannot enter /", &error.into()))?;
        let group = Cgroup::open(&self.group).map_err(fail("Cannot open the cgroup"))?;
        let request = Request { namespaces: self.namespaces, cgroup: Some(group.as_fd()) };
        let inside = self.inside;
        let make = || clone::spawn(&request, || inside::run(inside));
        let init = namespace::with_effective_user(self.owner, make)
            .map_err(fail("Cannot make the container's first process"))?;
        message::send(&self.line, &Message::Born(init.pid.as_raw()), &[])
            .map_err(fail("Cannot tell vzctl"))?;
        let (action, error) =
            self.program.become_it(init.pidfd.as_fd(), &self.console, self.views.as_ref());
        Err(Failure::new(action, &error))
    }
}
