//! The built tools in a directory of their own: what they do with files, connections and any words.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails so, in its own directory"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

const CONF: &str = "etc/vz/conf/101.conf";
const CLASSIC: &str = include_str!("../../../etc/conf/ve-basic.conf-sample");

/// A node with 8 GB, 4 processors and a container.
fn node() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/vz/vz.conf", "VE_PRIVATE=/vz/private/$VEID\nDISK_QUOTA=yes\n");
    write(CONF, CLASSIC);
    write("vz/private/keep", "");
    write("proc/meminfo", "MemTotal: 8388608 kB\nSwapTotal: 4194304 kB\n");
    write("proc/sys/kernel/threads-max", "63000\n");
    write("proc/cpuinfo", "bogomips : 4000.00\n");
    write("proc/fairsched", "Version: 2.6 debug\nveid id parent weight\n0 101 0 500\n");
    write("proc/vz/veinfo", "101 0 5\n");
    write("proc/vz/vswap", "");
    write("proc/user_beancounters", "Version: 2.5\n101: kmemsize 4096 4096 8192 8192 0\n");
    directory
}

fn command(node: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vz-tools"));
    command.args(words).env("VZ_SYSROOT", node).env("VZ_PROC", node.join("proc"));
    command.stdin(Stdio::null());
    command
}

fn run(node: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(node, words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_repair_keeps_all_else_of_the_file() {
    let node = node();
    let path = node.path().join(CONF);
    let text = CLASSIC.replace("NUMPROC=\"240:240\"", "NUMPROC=240:200");
    let text = format!("{text}# Ours\nODD=\"1\"\nNUMFILE=\"5:5\"\n");
    assert_ne!(text, CLASSIC);
    fs::write(&path, &text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(run(node.path(), &["vzcfgvalidate", "/etc/vz/conf/101.conf"]).0, Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let (code, stdout, stderr) =
        run(node.path(), &["vzcfgvalidate", "-r", "/etc/vz/conf/101.conf"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.ends_with("CT configuration saved to /etc/vz/conf/101.conf\n"), "{stdout}");
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.ends_with("# Ours\nODD=\"1\"\n"), "{after}");
    // The line that counted is gone, and the one that stays has its repaired value.
    assert_eq!(after.matches("NUMFILE=").count(), 1);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    let (code, stdout, stderr) = run(node.path(), &["vzcfgvalidate", "/etc/vz/conf/101.conf"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
}

#[test]
fn a_share_of_the_node_is_valid() {
    let node = node();
    for (name, vswap) in [("a", "yes"), ("b", "no")] {
        let words = ["vzsplit", "-n", "3", "-v", vswap, "-f", name];
        let (code, stdout, stderr) = run(node.path(), &words);
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
        let file = format!("/etc/vz/conf/ve-{name}.conf-sample");
        assert!(stderr.ends_with(&format!("Config {file} was created\n")), "{stderr}");
        let (code, _, stderr) = run(node.path(), &["vzcfgvalidate", &file]);
        assert_eq!((code, stderr.as_str()), (Some(0), "Validation completed: success\n"));
        let (code, _, stderr) = run(node.path(), &words);
        assert_eq!((code, stderr), (Some(1), format!("File {file} already exist\n")));
    }
}

#[test]
fn scaled() {
    let node = node();
    let conf = "/etc/vz/conf/101.conf";
    fs::write(
        node.path().join(CONF),
        "# a\nNAME=x\nNUMPROC=10\nPRIVVMPAGES=\"10:unlimited\"\nCPUUNITS=100\nDISKSPACE=\"4:8\"\nIP_ADDRESS=\"10.0.0.1\"\n",
    )
    .unwrap();
    let (code, stdout, _) = run(node.path(), &["vzcfgscale", "-a", "2.5", conf]);
    assert_eq!(code, Some(0));
    let wanted = "# a\nNAME=x\nNUMPROC=\"25\"\nPRIVVMPAGES=\"25:unlimited\"\nCPUUNITS=\"250\"\nDISKSPACE=\"10:20\"\nIP_ADDRESS=\"10.0.0.1\"\n";
    assert_eq!(stdout, wanted);
    let words = ["vzcfgscale", "-r", "--ubc=3", "--output-file", conf, conf];
    assert_eq!(run(node.path(), &words).0, Some(0));
    let text = |file: &str| fs::read_to_string(node.path().join(file)).unwrap();
    assert!(text(CONF).contains("NUMPROC=\"30\"\n") && !text(CONF).contains("NAME"));
    assert!(text(&format!("{CONF}.bak")).contains("NAME=x\nNUMPROC=10\n"));
    let (code, _, stderr) = run(node.path(), &["vzcfgscale", "-v", "-u", "2", conf]);
    assert_eq!(code, Some(1));
    assert!(stderr.ends_with("Scaled parameters are not valid\n"), "{stderr}");
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_program_at_each_end_of_a_connection() {
    let node = node();
    let port = free_port().to_string();
    let mut listener = command(node.path(), &["vznnc", "-l", "-p", &port, "tr", "a-z", "A-Z"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port.parse().unwrap())) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    stream.write_all(b"hello\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HELLO\n");
    assert!(listener.wait().unwrap().success());

    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let words = ["vznnc", "-c", "-p", &port, "-f", "7", "--", "sh", "-c", "echo to7 >&7; exit 3"];
    let mut client = command(node.path(), &words).spawn().unwrap();
    let mut answer = String::new();
    server.accept().unwrap().0.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "to7\n");
    assert_eq!(client.wait().unwrap().code(), Some(3));
}

#[test]
fn without_a_connection() {
    let node = node();
    let port = free_port().to_string();
    let (code, _, stderr) = run(node.path(), &["vznnc", "-c", "-p", &port, "true"]);
    assert_eq!(code, Some(220));
    assert_eq!(stderr, "vznnc: connect(): Connection refused\n");
    // Who has started the listener goes, and it does not wait for ever.
    let mut listener = command(node.path(), &["vznnc", "-l", "-p", &port, "true"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(listener.stdin.take());
    assert_eq!(listener.wait().unwrap().code(), Some(220));
}

#[test]
fn a_command_that_is_not_there() {
    let node = node();
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let (code, _, stderr) = run(node.path(), &["vznnc", "-c", "-p", &port, "/nonexistent"]);
    assert_eq!(code, Some(127));
    assert_eq!(stderr, "vznnc: execvp(): No such file or directory\n");
}

/// Any words and any files end in an exit code of a tool's own.
#[test]
fn nothing_panics() {
    let words = prop_oneof![
        "-[a-zA-Z]{1,3}",
        Just("/etc/vz/conf/101.conf".to_owned()),
        Just("101".to_owned()),
        Just("-n".to_owned()),
        Just("/proc/user_beancounters".to_owned()),
        "-?[0-9]{1,20}",
        ".{0,4}",
    ];
    let tools = prop::sample::select(vec![
        "vzcalc",
        "vzcfgscale",
        "vzcfgvalidate",
        "vzcptcheck",
        "vzcpucheck",
        "vzmemcheck",
        "vzoversell",
        "vzsplit",
    ]);
    let value = "(unlimited|[0-9]{0,22}[KMGP]?)(:[0-9]{0,20})?";
    let conf = prop::collection::vec(
        (
            prop::sample::select(vec![
                "NUMPROC",
                "KMEMSIZE",
                "PHYSPAGES",
                "SWAPPAGES",
                "DISKSPACE",
            ]),
            value,
        )
            .prop_map(|(key, value)| format!("{key}=\"{value}\"\n")),
        0..6,
    );
    let table =
        "(Version: 2.5\n)?([0-9]{1,12}: )?(kmemsize|physpages|x)( [0-9]{0,22}){0,6}\n(.*\n){0,2}";
    let node = node();
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let all = (tools, prop::collection::vec(words, 0..4), conf, table);
    let result = runner.run(&all, |(tool, words, conf, table)| {
        fs::write(node.path().join(CONF), conf.concat()).unwrap();
        for file in ["user_beancounters", "fairsched", "meminfo", "cpuinfo"] {
            fs::write(node.path().join("proc").join(file), format!("MemTotal: 9 kB\n{table}"))
                .unwrap();
        }
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| !word.contains("\0") && !word.contains(".."))
            .collect();
        let output = command(node.path(), &[&[tool], &words[..]].concat()).output().unwrap();
        let code = output.status.code();
        prop_assert!(matches!(code, Some(0..=2)), "{tool} {words:?}: {code:?} {output:?}");
        Ok(())
    });
    result.unwrap();
}
