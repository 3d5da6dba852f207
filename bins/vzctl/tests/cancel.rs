//! Ctrl-C while a script of the node runs: it is ended, the step fails with its own line and code,
//! and a second Ctrl-C changes nothing.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails so")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const VZ_CONF: &str = "\
LOCKDIR=/vz/lock
VE_ROOT=/vz/root/$VEID
VE_PRIVATE=/vz/private/$VEID
VE_LAYOUT=simfs
DISK_QUOTA=no
LOGFILE=/vzctl.log
";

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn wait_for(path: &Path) -> String {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(Instant::now() < end, "{} does not come", path.display()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn mount(root: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vzctl"))
        .args(["mount", "101"])
        .env("VZ_SYSROOT", root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_script_is_ended_and_its_step_fails() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (started, ended) = (root.join("started"), root.join("ended"));
    write(&root.join("etc/vz/vz.conf"), VZ_CONF, 0o644);
    write(&root.join("etc/vz/conf/101.conf"), "VE_LAYOUT=\"simfs\"\n", 0o644);
    fs::create_dir_all(root.join("vz/private/101")).unwrap();
    // It does not end by itself, and not at once when it is asked to.
    let script = format!(
        "#!/bin/sh\ntrap 'echo ended > {}; sleep 0.3; exit 0' TERM\n\
         echo $$ > {}\nwhile :; do sleep 0.05; done\n",
        ended.display(),
        started.display()
    );
    write(&root.join("etc/vz/conf/vps.premount"), &script, 0o755);

    let vzctl = mount(root);
    let process = Pid::from_raw(vzctl.id() as i32);
    let pid: i32 = wait_for(&started).trim().parse().unwrap();
    kill(process, Signal::SIGINT).unwrap();
    wait_for(&ended);
    kill(process, Signal::SIGINT).unwrap();
    kill(process, Signal::SIGTERM).unwrap();
    let output = vzctl.wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(79), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "\nCancelling...\nError executing premount script /etc/vz/conf/vps.premount\n"
    );
    assert!(kill(Pid::from_raw(pid), None).is_err(), "the script still runs");
    assert!(!root.join("vz/lock/101.lck").exists(), "the lock is left");
}
