//! The container's first process, from its birth until it becomes the container's init.
//!
//! It runs in all its namespaces but the cgroup one from the start, still with the node's files
//! before its eyes, and as nobody until its ids are mapped. No code of the container has run yet.

use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_sys::caps::{self, Capability};
use vz_sys::channel::Channel;
use vz_sys::mount::{self, Attributes, Change, Place, Setting};
use vz_sys::namespace::{self, Namespaces};
use vz_sys::seccomp::Program;
use vz_sys::{beneath, clone};

use super::hostname;
use super::message::{self, Failure, Message};
use super::mounts::{Action, Entry, TABLE};
use crate::user_quota;
use crate::views::lxcfs::Bound;

/// What may be the container's init, in the order in which it is looked for.
const INITS: [&str; 3] = ["/sbin/init", "/etc/init", "/bin/init"];

/// All that the process needs to know and hold, prepared before its birth.
pub struct Inside {
    /// The line to the vzctl that starts the container.
    pub line: Channel,
    /// The container's `/dev`.
    pub devices: OwnedFd,
    /// The container's `/dev/pts`.
    pub terminals: OwnedFd,
    /// The console: a mount of its device, and the device open.
    pub console_mount: OwnedFd,
    /// The console's terminal.
    pub console: OwnedFd,
    /// What lies at `/sys/fs/cgroup/systemd` for a guest that knows only cgroup v1.
    pub old_cgroup: Option<OwnedFd>,
    /// Where in `devices` there is a file to lie over `/etc/inittab` until the boot has finished.
    pub inittab: Option<&'static str>,
    /// What lies over files of its `/proc` and over its `/dev/vz`, where they are there.
    pub bound: Vec<Bound>,
    /// The host name.
    pub hostname: OsString,
    /// The host name that the configuration gives, to be written where the guest looks for it.
    pub configured_hostname: Option<String>,
    /// What its processes may keep.
    pub capabilities: HashSet<Capability>,
    /// The system calls they may not make.
    pub seccomp: Program,
    /// To who answers for quotas of its users, where they have some.
    pub user_quota: Option<Channel>,
    /// init's environment, `NAME=value`.
    pub environment: Vec<CString>,
}

impl Inside {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let always =
            [&self.devices, &self.terminals, &self.console_mount, &self.console].map(AsFd::as_fd);
        let bound = self.bound.iter().map(|one| one.mount.as_fd());
        let user_quota = self.user_quota.iter().map(AsFd::as_fd);
        let optional = self.old_cgroup.iter().map(AsFd::as_fd).chain(bound).chain(user_quota);
        always.into_iter().chain([self.line.as_fd()]).chain(optional).collect()
    }
}

type Step<T> = Result<T, Failure>;

fn step<T, E: Into<io::Error>>(result: Result<T, E>, action: impl Into<String>) -> Step<T> {
    result.map_err(|error| Failure::new(action, &error.into()))
}

/// Runs as the container's first process; returns only when something went wrong, its exit code.
pub fn run(inside: Inside) -> i32 {
    // The lock and all else that vzctl had open: nothing of the node's is to be found in
    // `/proc/self/fd`, where the container's links may lead, and a lock ends with vzctl.
    clone::close_in_child_all_but(&inside.descriptors());
    match prepare(&inside).and_then(|()| become_init(&inside)) {
        Ok(never) => match never {},
        Err(failure) => {
            // Nobody left to tell: the line's end says enough.
            let _ = message::send(&inside.line, &Message::Failed(failure), &[]);
            1
        }
    }
}

fn prepare(inside: &Inside) -> Step<()> {
    let trees = wait_for_trees(&inside.line)?;
    step(namespace::become_root(), "Cannot become the container's root")?;
    // The cgroup namespace's root is where a process is at that moment; the IPC namespace's
    // message queues belong to whoever makes it.
    step(
        namespace::unshare(Namespaces::CGROUP | Namespaces::IPC),
        "Cannot make the cgroup and IPC namespaces",
    )?;
    // Without a user namespace the copies of the node's mounts would still send events to it.
    let slaves = Change { slave: true, recursive: true, ..Change::default() };
    step(
        mount::change(Place::Path("/".as_ref()), &slaves),
        "Cannot detach from the node's mounts",
    )?;
    let root = attach_trees(trees)?;
    attach_devices(inside, root.as_fd())?;
    mount_table(inside, root.as_fd())?;
    attach_views(inside, root.as_fd())?;
    step(nix::unistd::fchdir(&root), "Cannot enter the root area")?;
    step(mount::pivot_here(), "Cannot make the root area the root")?;
    step(namespace::set_host_name(&inside.hostname), "Cannot set the host name")?;
    if let Some(name) = &inside.configured_hostname {
        step(hostname::write(root.as_fd(), name), "Cannot write /etc/hostname")?;
    }
    step(namespace::bring_loopback_up(), "Cannot bring the loopback interface up")?;
    Ok(())
}

fn wait_for_trees(line: &Channel) -> Step<Vec<(String, OwnedFd)>> {
    match step(message::receive(line), "Cannot hear from vzctl")? {
        Some((Message::Trees(paths), mounts)) if paths.len() == mounts.len() => {
            Ok(paths.into_iter().zip(mounts).collect())
        }
        _ => Err(Failure { action: "vzctl has gone".into(), errno: nix::libc::EPIPE }),
    }
}

/// Attaches the container's root, and what is mounted in it, in this mount namespace.
fn attach_trees(trees: Vec<(String, OwnedFd)>) -> Step<OwnedFd> {
    let mut trees = trees.into_iter();
    let Some((_, root)) = trees.next() else {
        return Err(Failure { action: "No root file system came".into(), errno: 0 });
    };
    // On top of the node's root, out of sight until the pivot: the one place that nobody needs
    // a permission to reach. VE_ROOT itself lies in a directory that is closed to the container.
    step(mount::attach(root.as_fd(), Place::Path("/".as_ref())), "Cannot attach the root area")?;
    for (path, tree) in trees {
        let target = open_target(root.as_fd(), &path)?;
        let attached = mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd()));
        step(attached, format!("Cannot attach the mount /{path}"))?;
    }
    Ok(root)
}

fn attach_devices(inside: &Inside, root: BorrowedFd<'_>) -> Step<()> {
    let target = open_directory(root, "dev")?;
    step(
        mount::attach(inside.devices.as_fd(), Place::Descriptor(target.as_fd())),
        "Cannot mount /dev",
    )?;
    let target = open_directory(root, "dev/pts")?;
    let terminals = Place::Descriptor(target.as_fd());
    step(mount::attach(inside.terminals.as_fd(), terminals), "Cannot mount /dev/pts")?;
    let target = open_target(root, "dev/console")?;
    let console = Place::Descriptor(target.as_fd());
    step(mount::attach(inside.console_mount.as_fd(), console), "Cannot mount /dev/console")?;
    if let Some(inittab) = inside.inittab {
        let target = open_target(root, "etc/inittab")?;
        // Cloned here, where `/dev` is attached: before Linux 6.15 nothing else can be cloned.
        let attached = open_target(inside.devices.as_fd(), inittab).and_then(|file| {
            let tree = mount::clone_tree(Place::Descriptor(file.as_fd()), false);
            let tree = step(tree, "Cannot clone the inittab")?;
            let attached = mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd()));
            step(attached, "Cannot mount /etc/inittab")
        });
        attached?;
    }
    Ok(())
}

/// Only views: a container that cannot have one starts without.
fn attach_views(inside: &Inside, root: BorrowedFd<'_>) -> Step<()> {
    for one in &inside.bound {
        if let Some(target) = find_target(root, one.path.trim_start_matches('/'))? {
            let _ = mount::attach(one.mount.as_fd(), Place::Descriptor(target.as_fd()));
        }
    }
    Ok(())
}

fn mount_table(inside: &Inside, root: BorrowedFd<'_>) -> Step<()> {
    let mut kept = Vec::new();
    let mut empty = None;
    for entry in TABLE {
        match (entry.action, &inside.old_cgroup) {
            (Action::FileSystem(..), Some(systemd)) if entry.target == "sys/fs/cgroup" => {
                mount_old_cgroup(root, systemd.as_fd())?;
            }
            (Action::FileSystem(fstype, settings, attributes), _) => {
                mount_file_system(root, entry, fstype, settings, attributes)?;
            }
            (Action::Mask, _) => mask(inside, root, entry, &mut empty)?,
            (Action::ReadOnly, _) => make_read_only(root, entry)?,
            (Action::Keep, _) => {
                if let Some(target) = find_target(root, entry.target)? {
                    let tree = mount::clone_tree(Place::Descriptor(target.as_fd()), false);
                    kept.push((entry, step(tree, format!("Cannot clone /{}", entry.target))?));
                }
            }
        }
    }
    for (entry, tree) in kept {
        let target = open_target(root, entry.target)?;
        let attached = mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd()));
        step(attached, format!("Cannot mount /{}", entry.target))?;
    }
    Ok(())
}

fn mount_file_system(
    root: BorrowedFd<'_>,
    entry: &Entry,
    fstype: &std::ffi::CStr,
    settings: &[Setting<'_>],
    attributes: Attributes,
) -> Step<()> {
    let target = open_directory(root, entry.target)?;
    let attached = mount::make(fstype, settings, attributes)
        .and_then(|tree| mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd())));
    match attached {
        Err(_) if !entry.required => Ok(()),
        other => step(other, format!("Cannot mount /{}", entry.target)),
    }
}

/// What a guest with a systemd before 230 looks for: a tmpfs with the hierarchy of that name in it.
fn mount_old_cgroup(root: BorrowedFd<'_>, systemd: BorrowedFd<'_>) -> Step<()> {
    let target = open_directory(root, "sys/fs/cgroup")?;
    let settings = [Setting::Text("mode", "0755"), Setting::Text("size", "64k")];
    let attributes = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let tree = step(mount::make(c"tmpfs", &settings, attributes), "Cannot make a tmpfs")?;
    let mode = Mode::from_bits_truncate(0o755);
    step(
        beneath::make_directory(tree.as_fd(), "systemd".as_ref(), mode),
        "Cannot make /sys/fs/cgroup/systemd",
    )?;
    step(
        mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd())),
        "Cannot mount /sys/fs/cgroup",
    )?;
    let target = open_directory(root, "sys/fs/cgroup/systemd")?;
    step(
        mount::attach(systemd, Place::Descriptor(target.as_fd())),
        "Cannot mount /sys/fs/cgroup/systemd",
    )
}

/// Covers a directory with an empty one, a file with our null device.
fn mask(
    inside: &Inside,
    root: BorrowedFd<'_>,
    entry: &Entry,
    empty: &mut Option<OwnedFd>,
) -> Step<()> {
    let Some(target) = find_target(root, entry.target)? else { return Ok(()) };
    let action = || format!("Cannot mask /{}", entry.target);
    let cover = if is_directory(target.as_fd()) {
        match &*empty {
            // The first is attached itself: before Linux 6.15 only what is attached can be cloned.
            None => {
                let tree = step(make_empty_directory(), action())?;
                let attached = mount::attach(tree.as_fd(), Place::Descriptor(target.as_fd()));
                *empty = Some(tree);
                return step(attached, action());
            }
            Some(tree) => mount::clone_tree(Place::Descriptor(tree.as_fd()), false),
        }
    } else {
        let null = step(
            beneath::open_beneath(
                inside.devices.as_fd(),
                "null".as_ref(),
                OFlag::O_PATH,
                Mode::empty(),
            ),
            action(),
        )?;
        mount::clone_tree(Place::Descriptor(null.as_fd()), false)
    };
    let cover = step(cover, action())?;
    step(mount::attach(cover.as_fd(), Place::Descriptor(target.as_fd())), action())
}

fn make_empty_directory() -> io::Result<OwnedFd> {
    let settings = [Setting::Text("mode", "0755"), Setting::Text("size", "0")];
    let attributes =
        Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    mount::make(c"tmpfs", &settings, attributes)
}

fn make_read_only(root: BorrowedFd<'_>, entry: &Entry) -> Step<()> {
    let Some(target) = find_target(root, entry.target)? else { return Ok(()) };
    let place = Place::Descriptor(target.as_fd());
    let change = Change { set: Attributes::READ_ONLY, ..Change::default() };
    let done = mount::clone_tree(place, false).and_then(|tree| {
        mount::change(Place::Descriptor(tree.as_fd()), &change)?;
        mount::attach(tree.as_fd(), place)
    });
    step(done, format!("Cannot make /{} read-only", entry.target))
}

/// Opens a target below the container's root, refusing links; `None` when it is not there.
fn find_target(root: BorrowedFd<'_>, path: &str) -> Step<Option<OwnedFd>> {
    match beneath::open_beneath(root, path.as_ref(), OFlag::O_PATH, Mode::empty()) {
        Ok(target) => Ok(Some(target)),
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => Ok(None),
        Err(error) => Err(Failure::new(format!("Cannot use /{path}"), &error.into())),
    }
}

fn open_target(root: BorrowedFd<'_>, path: &str) -> Step<OwnedFd> {
    let opened = beneath::open_beneath(root, path.as_ref(), OFlag::O_PATH, Mode::empty());
    step(opened, format!("Cannot use /{path}"))
}

/// Opens a directory to mount on; one right below the root is made where it is missing.
fn open_directory(root: BorrowedFd<'_>, path: &str) -> Step<OwnedFd> {
    let open = || {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        beneath::open_beneath(root, path.as_ref(), flags, Mode::empty())
    };
    let opened = match open() {
        Err(nix::errno::Errno::ENOENT) if !path.contains('/') => {
            beneath::make_directory(root, path.as_ref(), Mode::from_bits_truncate(0o755))
                .and_then(|()| open())
        }
        other => other,
    };
    step(opened, format!("Cannot use /{path}"))
}

fn is_directory(descriptor: BorrowedFd<'_>) -> bool {
    beneath::status(descriptor).is_ok_and(|status| {
        nix::sys::stat::SFlag::from_bits_truncate(status.st_mode)
            .contains(nix::sys::stat::SFlag::S_IFDIR)
    })
}

/// Says that all is ready, waits to be let go, sheds what init must not have, and becomes init.
fn become_init(inside: &Inside) -> Step<std::convert::Infallible> {
    step(message::send(&inside.line, &Message::Ready, &[]), "Cannot tell vzctl")?;
    match step(message::receive(&inside.line), "Cannot hear from vzctl")? {
        Some((Message::Go, _)) => {}
        _ => return Err(Failure { action: "vzctl has gone".into(), errno: nix::libc::EPIPE }),
    }
    step(nix::unistd::setsid(), "Cannot start a session")?;
    for stream in 0..3 {
        step(clone::duplicate_to(inside.console.as_fd(), stream), "Cannot open the console")?;
    }
    // As when a kernel starts an init, the console does not control its session: a getty, which may
    // not take it from another session without rights on the node, must find it free.
    clone::reset_signals();
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    step(clone::close_on_exec_from(3), "Cannot close descriptors")?;
    // The filter is installed while CAP_SYS_ADMIN is still there to do so.
    let installed = match &inside.user_quota {
        Some(line) => {
            let ready = user_quota::wait_ready(line);
            step(ready, "Cannot reach the server of second-level disk quota")?;
            user_quota::install(&inside.seccomp, line)
        }
        None => inside.seccomp.install().map_err(io::Error::other),
    };
    step(installed, "Cannot install the system call filter")?;
    step(caps::keep_only(&inside.capabilities), "Cannot drop capabilities")?;
    debug_assert!(inside.line.as_fd().as_raw_fd() > 2);
    Err(Failure::new("init", &execute_init(&inside.environment)))
}

fn execute_init(environment: &[CString]) -> io::Error {
    let mut last = io::Error::from_raw_os_error(nix::libc::ENOENT);
    for path in INITS {
        let Ok(path) = CString::new(path) else { continue };
        last = clone::execute(&path, &[c"init".to_owned()], environment);
        if last.kind() != io::ErrorKind::NotFound {
            break;
        }
    }
    last
}
