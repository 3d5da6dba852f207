//! The container's `/dev/vz`: its connection is kept open here, and somebody is started to serve it
//! when something is asked.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::poll::PollFlags;
use vz_sys::clone::{self, Process, Request};
use vz_sys::pidfd::{self, Ended};

use crate::SOON;

/// The connection, and who serves it at the moment.
pub struct Views {
    connection: OwnedFd,
    program: CString,
    container: CString,
    environment: Vec<CString>,
    server: Server,
    /// How often in a row one could not serve.
    failures: u8,
}

/// After so many it is left alone: who reads then gets ENOTCONN.
const MOST_FAILURES: u8 = 10;

enum Server {
    /// Nobody: nothing is being asked.
    None,
    /// This process, since then.
    Runs(Process, Instant),
    /// One was killed soon after its start: the next has to wait a little.
    Resting,
}

impl Views {
    /// Of `container`, served by `program`.
    pub fn new(
        connection: OwnedFd,
        program: CString,
        container: CString,
        environment: Vec<CString>,
    ) -> Views {
        Views { connection, program, container, environment, server: Server::None, failures: 0 }
    }

    /// What is waited for: a question, or the end of who answers.
    pub fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.server {
            Server::None => Some((self.connection.as_fd(), PollFlags::POLLIN)),
            Server::Runs(process, _) => Some((process.pidfd.as_fd(), PollFlags::POLLIN)),
            Server::Resting => None,
        }
    }

    /// Says whether a pause is to be ended by [`Views::wake`].
    pub fn is_resting(&self) -> bool {
        matches!(self.server, Server::Resting)
    }

    /// A pause is over.
    pub fn wake(&mut self) {
        if self.is_resting() {
            self.server = Server::None;
        }
    }

    /// Does what is to be done; `None` when there is no more to do, ever. Who reads then gets
    /// ENOTCONN, and does not wait for an answer that nobody will give.
    pub fn handle(mut self, found: PollFlags) -> Option<Views> {
        if found.is_empty() {
            return Some(self);
        }
        self.server = match self.server {
            Server::Runs(process, since) => match pidfd::reap(process.pidfd.as_fd()) {
                Ok(Ended::Code(0)) => {
                    self.failures = 0;
                    Server::None
                }
                Ok(Ended::Signal(_)) if since.elapsed() < SOON => Server::Resting,
                Ok(Ended::Signal(_)) => Server::None,
                // For the moment: there is no memory for it, or the program is just being replaced.
                Ok(Ended::Code(_)) | Err(_) => {
                    self.failures += 1;
                    if self.failures == MOST_FAILURES {
                        return None;
                    }
                    Server::Resting
                }
            },
            // The container has unmounted it.
            _ if !found.contains(PollFlags::POLLIN) => return None,
            _ => self.start()?,
        };
        Some(self)
    }

    fn start(&self) -> Option<Server> {
        let number = CString::new(self.connection.as_raw_fd().to_string()).ok()?;
        let arguments = [self.program.clone(), self.container.clone(), number];
        let spawned = clone::spawn(&Request::default(), || {
            if clone::keep_on_exec(self.connection.as_fd()).is_ok() {
                clone::execute(&self.program, &arguments, &self.environment);
            }
            1
        });
        match spawned {
            Ok(process) => Some(Server::Runs(process, Instant::now())),
            // The container is at the limit of its processes.
            Err(_) => Some(Server::Resting),
        }
    }
}
