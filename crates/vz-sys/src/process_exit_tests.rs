use std::process::{Child, Command};

use super::*;

fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: takes no address; a success returns a descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as libc::c_int)
    }
}

fn ready(watch: &ExitWatch, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(watch.fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(milliseconds)).unwrap() > 0
}

fn wait(watch: &mut ExitWatch) -> ExitStatus {
    loop {
        if let Some(status) = watch.status().unwrap() {
            return status;
        }
        assert!(ready(watch, 5000), "nothing within 5 s");
    }
}

fn child(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).spawn().unwrap()
}

#[test]
fn release_is_compared_by_number() {
    assert_eq!(release_numbers("6.15.0-rc1\n"), Some((6, 15)));
    assert_eq!(release_numbers("6.1.0-56-cloud-amd64"), Some((6, 1)));
    assert_eq!(release_numbers("7.0"), Some((7, 0)));
    assert_eq!(release_numbers("x"), None);
}

#[test]
fn message_of_the_connector_is_read_and_cut_ones_are_not() {
    let mut message = listen_request();
    message.truncate(NETLINK_HEADER + CONNECTOR_HEADER);
    let event = [PROC_EVENT_EXIT, 0, 0, 0, 42, 42, 0x0700, 17];
    message.extend(event.into_iter().flat_map(u32::to_ne_bytes));
    assert_eq!(exit_of(&message, 42).unwrap().code(), Some(7));
    assert!(exit_of(&message, 43).is_none());
    for length in 0..message.len() - 4 {
        assert!(exit_of(&message[..length], 42).is_none());
    }
}

#[test]
fn pidfd_tells_the_end_after_the_parent_has_waited() {
    if !pidfd_tells_exit().unwrap() {
        let name = "pidfd_tells_the_end_after_the_parent_has_waited";
        eprintln!("skipped: {name}: needs Linux 6.15");
        return;
    }
    let mut child = child("read line; exit 7");
    let watch = ExitWatch::new(pidfd(child.id()), child.id());
    let mut watch = watch.unwrap();
    assert!(watch.status().unwrap().is_none() && !ready(&watch, 0));
    child.kill().unwrap();
    assert!(!ready(&watch, 100), "it has not been waited for");
    let seen = child.wait().unwrap();
    assert_eq!(wait(&mut watch), seen);
    assert_eq!(seen.signal(), Some(libc::SIGKILL));
}

#[test]
fn connector_tells_the_end() {
    let socket = match connector() {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("skipped: connector_tells_the_end: proc connector: {error}");
            return;
        }
    };
    let mut child = child("sleep 0.2; exit 7");
    let source = Source::Connector { socket, lossy: false };
    let mut watch = ExitWatch::with_source(pidfd(child.id()), child.id(), source).unwrap();
    assert!(watch.status().unwrap().is_none());
    let status = wait(&mut watch);
    assert_eq!(status.code(), Some(7));
    assert_eq!(child.wait().unwrap(), status);
}

/// What only the parent of a container's init is told: why it ended.
#[test]
fn reboot_in_a_pid_namespace_is_told_to_the_parent_alone() {
    let name = "reboot_in_a_pid_namespace_is_told_to_the_parent_alone";
    if !pidfd_tells_exit().unwrap() || !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: {name}: needs Linux 6.15 and root");
        return;
    }
    let commands = [
        (libc::LINUX_REBOOT_CMD_RESTART, libc::SIGHUP),
        (libc::LINUX_REBOOT_CMD_HALT, libc::SIGINT),
    ];
    for (command, signal) in commands {
        let mut arguments = [0_u64; 8]; // `struct clone_args`
        arguments[0] = libc::CLONE_NEWPID as u64;
        arguments[4] = libc::SIGCHLD as u64;
        // SAFETY: the child of this fork-like clone makes only system calls. In a pid namespace
        // of its own reboot(2) ends that namespace and touches no machine; were it not in one,
        // its pid would not be 1.
        let pid = unsafe {
            let pid = libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments));
            if pid == 0 {
                if libc::syscall(libc::SYS_getpid) == 1 {
                    libc::sleep(1);
                    libc::reboot(command);
                }
                libc::_exit(1);
            }
            assert!(pid > 0, "{}", io::Error::last_os_error());
            pid as u32
        };
        let mut watch = ExitWatch::new(pidfd(pid), pid).unwrap();
        let mut status = 0;
        // SAFETY: `status` is writable.
        assert_eq!(unsafe { libc::waitpid(pid as i32, &raw mut status, 0) }, pid as i32);
        assert_eq!(ExitStatus::from_raw(status).signal(), Some(signal));
        assert_eq!(wait(&mut watch).code(), Some(0));
    }
}
