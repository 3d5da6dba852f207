//! vzpid on files in the OpenVZ kernel's form, and on this kernel.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs vzpid on two processes: 30 of container 7, 31 without a word of the OpenVZ kernel.
fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    for (pid, status) in [
        (30, "Name:\tmysqld\nTgid:\t30\nenvID:\t7\nVPid:\t3\n"),
        (31, "Name:\tcron job\nTgid:\t31\n"),
    ] {
        let process = directory.path().join(pid.to_string());
        fs::create_dir(&process).unwrap();
        fs::write(process.join("status"), status).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_vzpid"))
        .args(arguments)
        .env("VZ_PROC", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn containers_of_processes() {
    let table = "Pid\tCTID\tName\n30\t7\tmysqld\n31\t0\tcron job\n";
    assert_eq!(run(&["30", "31"], ""), (0, table.into(), String::new()));
    assert_eq!(run(&["-"], "30\n\n 31 "), (0, table.into(), String::new()));
}

#[test]
fn ids_inside() {
    let table = "Pid\tCT/Pid\tCTID\tName\n30\t3\t7\tmysqld\n31\t31\t0\tcron job\n";
    assert_eq!(run(&["-p", "30", "31"], ""), (0, table.into(), String::new()));
}

#[test]
fn processes_that_are_not_there() {
    let header = "Pid\tCTID\tName\n";
    assert_eq!(run(&["32"], ""), (1, header.into(), String::new()));
    assert_eq!(run(&["../30"], ""), (1, header.into(), String::new()));
    let table = format!("{header}30\t7\tmysqld\n");
    assert_eq!(run(&["32", "30"], ""), (0, table, String::new()));
}

#[test]
fn usage() {
    let (code, stdout, stderr) = run(&[], "");
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with("Usage: vzpid [-p] <pid> ...\n"), "{stderr}");
    assert_eq!(run(&["-h"], ""), (0, stderr, String::new()));
}

#[test]
fn this_kernel() {
    let pid = std::process::id();
    let output =
        Command::new(env!("CARGO_BIN_EXE_vzpid")).args(["-p", &pid.to_string()]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let line = stdout.lines().nth(1).unwrap();
    assert!(line.starts_with(&format!("{pid}\t{pid}\t0\t")), "{stdout}");
}
