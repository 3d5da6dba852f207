use std::path::PathBuf;

use proptest::prelude::*;
use vz_sys::clone;
use vz_sys::pidfd::{self, Ended};

use super::super::{install, with_notification};
use super::*;
use crate::state::Phase;

const Q_SETQUOTA: u64 = 0x80_0008;
const Q_GETQUOTA: u64 = 0x80_0007;
/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const X86_64: u32 = 0xc000_003e;

fn request(number: u32, arguments: [u64; 6]) -> std::result::Result<Request, Errno> {
    Request::of(&Call::of_thread(nix::unistd::gettid(), X86_64, number, arguments))
}

fn of_descriptor(command: u64, id: u64, descriptor: u64) -> Request {
    request(443, [descriptor, command, id, 0, 0, 0]).unwrap()
}

/// A container whose file system is the one of `device`, with this process in the place of its init.
fn server(node: &Node, device: u64, uid_base: u32) -> Server<'_> {
    let user_namespace = caller::namespace(nix::unistd::gettid()).ok();
    Server {
        node,
        id: Ctid::new(101).unwrap(),
        state: state(uid_base),
        device,
        user_namespace: user_namespace.map(OnceLock::from).unwrap_or_default(),
        crowd: Crowd::default(),
    }
}

fn state(uid_base: u32) -> State {
    State {
        phase: Phase::Running,
        init: None,
        monitor: None,
        group: PathBuf::new(),
        user_quota: true,
        uid_base,
        gid_base: uid_base,
        root: "/".into(),
        since: 0,
        restarts: 0,
    }
}

#[test]
fn calls_are_understood() {
    let set = request(179, [Q_SETQUOTA << 8, 77, 1000, 88, 0, 0]).unwrap();
    let expected = Request {
        command: Command::Set,
        owner: Owner::User,
        file_system: FileSystem::Path(77),
        id: 1000,
        data: 88,
    };
    assert_eq!(set, expected);
    let get = request(443, [5, Q_GETQUOTA << 8 | 1, 1000, 88, 0, 0]).unwrap();
    assert_eq!((get.owner, get.file_system), (Owner::Group, FileSystem::Descriptor(5)));
    // Project quota, a command of XFS, another call, the same numbers of another architecture.
    assert_eq!(request(179, [Q_GETQUOTA << 8 | 2, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(request(179, [0x5801 << 8, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(request(1, [0; 6]), Err(Errno::ENOSYS));
    let call = Call::of_thread(nix::unistd::gettid(), 0x4000_0003, 179, [0; 6]);
    assert_eq!(Request::of(&call), Err(Errno::ENOSYS));
}

#[test]
fn only_the_own_file_system() {
    let (node, file) = (Node::without_config(None), tempfile::tempfile().unwrap());
    let (caller, number) =
        (Caller::open(nix::unistd::gettid()).unwrap(), std::os::fd::AsRawFd::as_raw_fd(&file));
    let device = file.metadata().unwrap().dev();
    let request = of_descriptor(Q_GETQUOTA << 8, 0, number as u64);
    assert_eq!(server(&node, device, 0).check_file_system(&caller, &request), Ok(()));
    let foreign = server(&node, device + 1, 0).check_file_system(&caller, &request);
    assert_eq!(foreign, Err(Errno::ENODEV));
    let none = of_descriptor(Q_GETQUOTA << 8, 0, u64::from(u32::MAX));
    assert_eq!(server(&node, device, 0).check_file_system(&caller, &none), Err(Errno::EBADF));
}

/// A process under a filter, whose calls the server at the other end of `line` hears, that does `body`.
fn guest(line: &Channel, body: impl FnOnce() -> i32) -> clone::Process {
    let rules = with_notification(vz_sys::seccomp::CONTAINER_DENY.to_vec());
    let filter = vz_sys::seccomp::Program::build(&rules).unwrap();
    let child = clone::spawn(&clone::Request::default(), || match install(&filter, line) {
        Ok(()) => body(),
        Err(_) => 100,
    });
    child.unwrap()
}

#[test]
fn a_call_that_cannot_be_made_holds_up_nobody() {
    const NAME: &str = "a_call_that_cannot_be_made_holds_up_nobody";
    // Nobody serves it: what is asked of it waits until it is closed.
    let (fuse, tree) = match vz_sys::fuse::Connection::open("vztest", 0, 0) {
        Ok(opened) => opened,
        Err(error) => return eprintln!("skipped: {NAME}: {error}"),
    };
    let directory = tempfile::tempdir().unwrap();
    let node = Node::without_config(Some(directory.path().to_owned()));
    let id = Ctid::new(101).unwrap();
    std::fs::create_dir_all(node.run_dir()).unwrap();
    state(0).save(&node.state_path(id)).unwrap();
    let opened = File::open(node.run_dir()).unwrap();
    let listener = channel::Listener::bind(opened.as_fd(), "quota").unwrap();
    let (first, other) = channel::pair().unwrap();
    let mut data: Data = [0; size_of::<Data>()];
    let blocked = guest(&first, || {
        clone::close_in_child(fuse.as_fd());
        let asked = call(tree.as_fd(), Owner::User, Command::Get, 0, &mut data);
        i32::from(asked.is_ok())
    });
    drop(tree);
    let line = channel::connect(opened.as_fd(), "quota").unwrap();
    let free = guest(&line, || match super::super::tests::call_on_this() {
        Some(nix::libc::ENOSYS) | None => 1,
        Some(_) => 7,
    });
    drop((first, line));
    std::thread::scope(|threads| {
        let served = threads.spawn(|| serve(&node, id, listener, other));
        assert!(is_asked(&fuse), "the first call is not made");
        let ended = pidfd::wait_end(free.pidfd.as_fd(), Some(Duration::from_secs(20)));
        assert!(!pidfd::wait_end(blocked.pidfd.as_fd(), Some(Duration::ZERO)).unwrap());
        drop(fuse);
        assert!(ended.unwrap(), "the second call waits for the first one");
        assert_eq!(pidfd::reap(free.pidfd.as_fd()).unwrap(), Ended::Code(7));
        assert_eq!(pidfd::reap(blocked.pidfd.as_fd()).unwrap(), Ended::Code(0));
        served.join().unwrap().unwrap();
    });
}

fn is_asked(fuse: &vz_sys::fuse::Connection) -> bool {
    let mut waited = [PollFd::new(fuse.as_fd(), PollFlags::POLLIN)];
    poll(&mut waited, PollTimeout::from(20_000_u16)) == Ok(1)
}

#[test]
fn only_the_own_ids_and_only_by_the_own_root() {
    let node = Node::without_config(None);
    let caller = Caller::open(nix::unistd::gettid()).unwrap();
    let set = |id| of_descriptor(Q_SETQUOTA << 8, id, 0);
    let mapped = |id| server(&node, 1, 100_000).check_rights(&caller, &set(id));
    assert_eq!(mapped(u64::from(IDS)), Err(Errno::EINVAL));
    if caller.rights.have_admin() {
        assert_eq!(mapped(u64::from(IDS) - 1), Ok(()));
    }
    let mut elsewhere = server(&node, 1, 0);
    elsewhere.user_namespace = OnceLock::from((0, 0));
    assert_eq!(elsewhere.check_rights(&caller, &set(5)), Err(Errno::EPERM));
    // What one holds oneself may be looked at.
    let own = u64::from(nix::unistd::geteuid().as_raw());
    let get = |id| of_descriptor(Q_GETQUOTA << 8, id, 0);
    assert_eq!(elsewhere.check_rights(&caller, &get(own)), Ok(()));
    assert_eq!(elsewhere.check_rights(&caller, &get(own + 1)), Err(Errno::EPERM));
}

/// quotactl(2), quotactl_fd(2) and others; commands that there are, of all kinds of quota, and others.
fn any_call() -> impl Strategy<Value = (u32, u64, [u64; 4])> {
    let number = prop_oneof![Just(179), Just(443), any::<u32>()];
    let known =
        (0x80_0000_u64..0x80_000b, 0_u64..4).prop_map(|(command, kind)| command << 8 | kind);
    (number, prop_oneof![3 => known, 1 => any::<u64>()], any::<[u64; 4]>())
}

proptest! {
    #[test]
    fn whatever_is_asked_stays_with_the_containers_own(
        (number, command, [file_system, id, data, other]) in any_call(),
        uid_base in prop_oneof![Just(0), 1..u32::MAX - IDS],
    ) {
        let arguments = match number {
            443 => [file_system, command, id, data, other, 0],
            _ => [command, file_system, id, data, other, 0],
        };
        let Ok(request) = request(number, arguments) else { return Ok(()) };
        prop_assert!([179, 443].contains(&number));
        prop_assert_eq!(u64::from(command as u32 & 0xff), u64::from(request.owner == Owner::Group));
        let (node, caller) =
            (Node::without_config(None), Caller::open(nix::unistd::gettid()).unwrap());
        let mut server = server(&node, 1, uid_base);
        server.user_namespace = OnceLock::from((0, 0));
        // Not of the container's user namespace: it is told of itself at most.
        let changes = matches!(request.command, Command::On | Command::Off | Command::SetInfo | Command::Set);
        if server.check_rights(&caller, &request).is_ok() {
            prop_assert!(!changes);
            prop_assert!(request.command != Command::Get || request.id < IDS || uid_base == 0);
        }
    }
}
