//! Second-level quota: of the users and groups inside a container whose file system is an image.
//!
//! The kernel refuses quotactl(2) to a user namespace, whatever the file system. So the container's
//! system call filter hands these calls to a server on the node (seccomp_unotify(2)), which makes
//! them for the container's own file system and nothing else: the guest's `quota`, `setquota`,
//! `repquota` and `edquota` work as on a machine of its own. The numbers on the image's disk are the
//! container's own ids, so none has to be translated.
//!
//! # Who serves
//!
//! `vzviews quota`, one for each container that has QUOTAUGIDLIMIT, beside its vzmon and in the same
//! cgroup; not vzmon itself, which is to read nothing of what a container wrote. Each process that
//! enters the container from the node (`vzctl exec`) brings a filter of its own, whose listener it
//! hands to the server before it becomes what it is to be. Each call is made by a thread of its own, because
//! the container can make it last: see `crowd`. The server ends when nobody is under any
//! of these filters. When it is killed, quotactl(2) answers ENOSYS inside until the container is
//! restarted: nobody else has the listeners.

mod caller;
mod crowd;
mod server;

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::Pid;
use vz_conf::config::Config;
use vz_conf::ctid::Ctid;
use vz_conf::layout::Layout;
use vz_conf::yesno::YesNo;
use vz_sys::cgroup::Cgroup;
use vz_sys::channel::{self, Channel, Listener};
use vz_sys::clone::{self, Process, Request};
use vz_sys::seccomp::{Action, Program, Rule, Syscall};
use vz_sys::{proc, rlimit};

use crate::container::Container;
use crate::group;
use crate::node::Node;
use crate::views;

pub use server::serve;

/// The calls that are served.
const CALLS: [Syscall; 2] = [Syscall::Quotactl, Syscall::QuotactlFd];

/// The server's first word, on its first line.
const READY: &[u8] = b"R";

/// There where a kernel can count at all.
const KERNEL_HAS_QUOTA: &str = "/proc/sys/fs/quota";

/// Whether a container is to have quotas of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Its configuration does not say so.
    No,
    /// It is.
    Yes,
    /// They cannot be had: this is why, and what to do.
    Refused(&'static str),
}

impl Wanted {
    /// As the container's configuration says.
    pub fn of(container: &Container<'_>) -> Wanted {
        let counts = container.node.path(KERNEL_HAS_QUOTA).exists();
        Wanted::with(&container.config, container.layout(), counts)
    }

    /// As `config` says, for a container of this layout, on a kernel that can count or not.
    pub(crate) fn with(config: &Config, layout: Layout, kernel_counts: bool) -> Wanted {
        if config.quotaugidlimit.unwrap_or(0) == 0 || config.disk_quota == Some(YesNo::No) {
            return Wanted::No;
        }
        if !matches!(layout, Layout::Ploop(_)) {
            return Wanted::Refused(
                "second-level disk quota needs a file system of the container's own \
                 (cure: vzctl convert, to layout ploop)",
            );
        }
        match kernel_counts {
            true => Wanted::Yes,
            false => Wanted::Refused(
                "second-level disk quota needs a kernel that counts (CONFIG_QUOTA, CONFIG_QFMT_V2)",
            ),
        }
    }

    /// Says whether it is [`Wanted::Yes`].
    pub fn is_yes(self) -> bool {
        self == Wanted::Yes
    }
}

/// The filter's rules for a container that is served.
pub fn with_notification(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.retain(|rule| !CALLS.contains(&rule.syscall));
    rules.extend(CALLS.map(|syscall| Rule { syscall, action: Action::Notify, when: None }));
    rules
}

/// Puts the calling process under a filter and hands its listener to the server at the other end of
/// `line`. Until it is there, a call waits.
///
/// # Errors
/// Those of seccomp(2) and sendmsg(2).
pub fn install(filter: &Program, line: &Channel) -> io::Result<()> {
    let listener = filter.install_with_listener().map_err(io::Error::other)?;
    line.send(b"L", &[listener.as_fd()])
}

/// As [`install`], for a process that can do without: when the server has ended just now, quotactl(2)
/// answers ENOSYS to it, as it does to those that are there already.
///
/// # Errors
/// As [`install`], but for the server's end.
pub fn install_if_served(filter: &Program, line: &Channel) -> io::Result<()> {
    match install(filter, line) {
        Err(error) if is_end(&error) => Ok(()),
        other => other,
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::EPIPE | nix::libc::ECONNRESET))
}

/// Waits at init's end of the first line until the server is there.
///
/// # Errors
/// `EPIPE` when it has ended.
pub fn wait_ready(line: &Channel) -> io::Result<()> {
    match line.receive()?.bytes.as_slice() {
        READY => Ok(()),
        _ => Err(io::Error::from_raw_os_error(nix::libc::EPIPE)),
    }
}

/// What the server of container `id` is called in `/run/vz`.
pub(crate) fn socket_name(id: Ctid) -> String {
    format!("{id}.quota")
}

/// A line to the container's server; `None` when there is none any more.
pub fn connect(node: &Node, id: Ctid) -> Option<Channel> {
    channel::connect(File::open(node.run_dir()).ok()?.as_fd(), &socket_name(id)).ok()
}

/// Forgets the name of a server that is gone.
pub(crate) fn remove_socket(container: &Container<'_>) {
    let _ = std::fs::remove_file(container.node.run_dir().join(socket_name(container.id)));
}

/// What quota tools inside look for: a block device that is called as the source of the root's mount
/// is, below `/dev`. It need not be one that can be opened.
///
/// # Errors
/// When the file system of `root` is on no block device.
pub fn device_of(root: &Path) -> io::Result<(CString, u64)> {
    use std::os::unix::fs::MetadataExt;
    let device = std::fs::metadata(root)?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let link = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}"))?;
    let name = link.file_name().map(OsStr::as_bytes).unwrap_or_default();
    Ok((CString::new(name)?, device))
}

/// Starts the server of a container, with its first line, in vzmon's cgroup below `group`. It then
/// says [`READY`] on that line, at whose other end the container's init will be.
///
/// # Errors
/// Those of the cgroup, of bind(2) and of clone3(2).
pub fn start(
    container: &Container<'_>,
    group: &Path,
    first: BorrowedFd<'_>,
) -> io::Result<Process> {
    let node = container.node;
    let c_string = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let program = c_string(node.helper(views::PROGRAM).as_os_str().as_bytes());
    let environment: Vec<CString> =
        node.helper_environment().iter().map(|text| c_string(text.as_bytes())).collect();
    let directory = File::open(node.run_dir())?;
    let listener = Listener::bind(directory.as_fd(), &socket_name(container.id))?;
    let number =
        |descriptor: BorrowedFd<'_>| c_string(descriptor.as_raw_fd().to_string().as_bytes());
    let arguments = [
        program.clone(),
        c"quota".to_owned(),
        c_string(container.id.to_string().as_bytes()),
        number(listener.as_fd()),
        number(first),
    ];
    let group = Cgroup::open(&group.join(group::MONITOR))?;
    clone::spawn(&Request { cgroup: Some(group.as_fd()), ..Request::default() }, || {
        // Not to be reached by what is typed at the admin's terminal.
        let _ = nix::unistd::setsid();
        let _ = nix::unistd::chdir("/");
        clone::reset_signals();
        // Each process from the node that stays inside costs a descriptor.
        let _ = rlimit::copy_from(Pid::from_raw(1));
        let _ = proc::set_out_of_memory_score(None, proc::NEVER_KILLED);
        let ready = clone::detach_streams()
            .and_then(|()| clone::close_on_exec_from(3))
            .and_then(|()| clone::keep_on_exec(listener.as_fd()))
            .and_then(|()| clone::keep_on_exec(first));
        if ready.is_ok() {
            clone::execute(&program, &arguments, &environment);
        }
        1
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use vz_sys::pidfd::{self, Ended};
    use vz_sys::quota::Owner;
    use vz_sys::quota::call::{Command, Data, call};
    use vz_sys::seccomp::CONTAINER_DENY;

    #[test]
    fn both_calls_are_heard_and_neither_refused() {
        let rules = with_notification(CONTAINER_DENY.to_vec());
        assert_eq!(rules.len(), CONTAINER_DENY.len());
        for rule in rules.iter().filter(|rule| CALLS.contains(&rule.syscall)) {
            assert_eq!((rule.action, rule.when), (Action::Notify, None));
        }
        assert!(Program::build(&rules).is_ok());
    }

    #[test]
    fn who_enters_can_do_without_a_server_that_has_just_ended() {
        let filter = Program::build(&with_notification(CONTAINER_DENY.to_vec())).unwrap();
        let (line, other) = channel::pair().unwrap();
        drop(other);
        // In a process of its own: a filter is for good.
        let child = clone::spawn(&Request::default(), || {
            if install_if_served(&filter, &line).is_err() {
                return 1;
            }
            match call_on_this() {
                Some(nix::libc::ENOSYS) => 7,
                _ => 2,
            }
        });
        assert_eq!(pidfd::reap(child.unwrap().pidfd.as_fd()).unwrap(), Ended::Code(7));
        assert!(!is_end(&io::Error::from_raw_os_error(nix::libc::EINVAL)));
    }

    /// The error of a quotactl(2) for user 0 on the file system of the working directory.
    pub(super) fn call_on_this() -> Option<i32> {
        let directory = File::open(".").ok()?;
        let mut data = [0; size_of::<Data>()];
        call(directory.as_fd(), Owner::User, Command::Get, 0, &mut data).err()?.raw_os_error()
    }

    #[test]
    fn only_of_an_image() {
        let config =
            |limit, disk_quota| Config { quotaugidlimit: limit, disk_quota, ..Config::default() };
        let ploop = Layout::Ploop(None);
        let wanted = |limit, layout| Wanted::with(&config(limit, None), layout, true);
        assert_eq!(wanted(None, ploop), Wanted::No);
        assert_eq!(wanted(Some(0), ploop), Wanted::No);
        assert!(wanted(Some(1), ploop).is_yes());
        for layout in [Layout::Simfs, Layout::Overlay] {
            assert!(matches!(wanted(Some(1), layout), Wanted::Refused(_)));
            assert_eq!(wanted(Some(0), layout), Wanted::No);
        }
        assert_eq!(Wanted::with(&config(Some(1), Some(YesNo::No)), ploop, true), Wanted::No);
        assert!(matches!(Wanted::with(&config(Some(1), None), ploop, false), Wanted::Refused(_)));
    }
}
