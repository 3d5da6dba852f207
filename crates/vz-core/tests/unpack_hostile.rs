//! Archives that no honest tool writes: refused by name, and nothing outside the tree touched.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use support::{Sandbox, Tar, octal};
use vz_core::unpack::{Refusal, UnpackError};

fn refusal(answer: Result<vz_core::unpack::Summary, UnpackError>) -> (String, Refusal) {
    match answer {
        Err(UnpackError::Refused { name, reason }) => (name, reason),
        other => panic!("not refused: {other:?}"),
    }
}

fn assert_refused(archive: &[u8], name: &str, reason: Refusal) {
    let sandbox = Sandbox::new();
    assert_eq!(refusal(sandbox.unpack(archive)), (name.to_owned(), reason));
}

#[test]
fn tar_dotdot() {
    for name in ["../canary", "../../../../root/pwn", "a/../../canary", "/../canary", "..", "a/.."]
    {
        assert_refused(&Tar::new().file(name, "pwned").end(), name, Refusal::DotDot);
        let long = Tar::new().pax(&[("path", name.as_bytes())]).file("honest", "pwned").end();
        assert_refused(&long, name, Refusal::DotDot);
        let long = Tar::new().member(b'L', "././@LongLink", "", name.as_bytes());
        assert_refused(&long.file("honest", "pwned").end(), name, Refusal::DotDot);
    }
}

#[test]
fn tar_absolute_names_are_taken_below_the_top() {
    let sandbox = Sandbox::new();
    let name = sandbox.canary();
    let archive = Tar::new().file(name.to_str().unwrap(), "inside").end();
    sandbox.unpack(&archive).unwrap();
    let inside = sandbox.tree().join(name.strip_prefix("/").unwrap());
    assert_eq!(std::fs::read(inside).unwrap(), b"inside");
}

#[test]
fn tar_symlink_then_file() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path().to_str().unwrap().to_owned();
    for target in [outside.as_str(), "..", "../../..", "/etc", "."] {
        for (name, member) in [
            ("etc/canary", Tar::new().file("etc/canary", "pwned")),
            ("etc/canary", Tar::new().symlink("etc/canary", "x")),
            ("etc/canary", Tar::new().member(b'6', "etc/canary", "", b"")),
            ("etc/new", Tar::new().directory("etc/new")),
            ("etc/new/deep", Tar::new().file("etc/new/deep", "pwned")),
        ] {
            let mut archive = Tar::new().symlink("etc", target);
            archive.0.extend(member.0);
            let sandbox = Sandbox::new();
            let answer = refusal(sandbox.unpack(&archive.end()));
            assert_eq!(answer, (name.to_owned(), Refusal::ThroughSymlink), "{target}");
        }
    }
}

#[test]
fn a_file_replaces_a_symlink_and_does_not_follow_it() {
    let sandbox = Sandbox::new();
    let archive = Tar::new().symlink("x", "../canary").file("x", "mine").end();
    sandbox.unpack(&archive).unwrap();
    let x = std::fs::symlink_metadata(sandbox.tree().join("x")).unwrap();
    assert!(x.is_file());
}

#[test]
fn a_directory_replaces_a_symlink_and_does_not_follow_it() {
    let sandbox = Sandbox::new();
    let archive = Tar::new().symlink("x", "..").directory("x").file("x/canary", "mine").end();
    sandbox.unpack(&archive).unwrap();
    assert_eq!(std::fs::read(sandbox.tree().join("x/canary")).unwrap(), b"mine");
}

#[test]
fn a_device_or_a_fifo_replaces_a_symlink_and_does_not_follow_it() {
    let sandbox = Sandbox::new();
    let archive = Tar::new().symlink("x", "../canary").member(b'6', "x", "", b"").end();
    sandbox.unpack(&archive).unwrap();
    let mode = std::fs::symlink_metadata(sandbox.tree().join("x")).unwrap().mode();
    assert_eq!(mode & 0o170_000, 0o010_000);
}

#[test]
fn a_directory_held_open_is_not_used_after_it_was_replaced() {
    let sandbox = Sandbox::new();
    let archive = Tar::new()
        .directory("a/b")
        .file("a/b/f", "1")
        .hard_link("keep", "a/b/f")
        .directory("a/c")
        .symlink("a/c", "../..")
        .file("a/c/canary", "pwned")
        .end();
    let answer = refusal(sandbox.unpack(&archive));
    assert_eq!(answer, ("a/c/canary".to_owned(), Refusal::ThroughSymlink));
}

#[test]
fn tar_hardlink_out() {
    let sandbox = Sandbox::new();
    let outside = sandbox.canary().to_str().unwrap().to_owned();
    let shadow = std::fs::metadata("/etc/shadow").map(|shadow| shadow.nlink()).ok();
    for (target, reason) in [
        (outside.as_str(), Refusal::LinkTargetMissing),
        ("/etc/shadow", Refusal::LinkTargetMissing),
        ("../canary", Refusal::LinkDotDot),
        ("../../../etc/shadow", Refusal::LinkDotDot),
        ("out/canary", Refusal::LinkThroughSymlink),
        ("out/x/y", Refusal::LinkThroughSymlink),
        ("plain/x", Refusal::LinkThroughSymlink),
        (".", Refusal::LinkToDirectory),
        ("directory", Refusal::LinkToDirectory),
    ] {
        let archive = Tar::new()
            .symlink("out", "..")
            .directory("directory")
            .file("plain", "")
            .hard_link("x", target)
            .end();
        let sandbox = Sandbox::new();
        assert_eq!(refusal(sandbox.unpack(&archive)), ("x".to_owned(), reason), "{target}");
    }
    assert_eq!(std::fs::metadata("/etc/shadow").map(|shadow| shadow.nlink()).ok(), shadow);
}

#[test]
fn a_hard_link_to_a_symlink_links_the_symlink() {
    let sandbox = Sandbox::new();
    let archive = Tar::new().symlink("s", "../canary").hard_link("x", "s").file("x", "mine").end();
    sandbox.unpack(&archive).unwrap();
    assert!(std::fs::symlink_metadata(sandbox.tree().join("s")).unwrap().is_symlink());
}

#[test]
fn a_hard_link_to_itself_keeps_the_file() {
    let sandbox = Sandbox::new();
    let archive = Tar::new().file("x", "kept").hard_link("x", "./x").hard_link("y", "x").end();
    sandbox.unpack(&archive).unwrap();
    assert_eq!(std::fs::read(sandbox.tree().join("y")).unwrap(), b"kept");
    assert_refused(&Tar::new().hard_link("x", "x").end(), "x", Refusal::LinkTargetMissing);
}

#[test]
fn a_later_member_does_not_write_into_an_earlier_link() {
    let sandbox = Sandbox::new();
    let archive = Tar::new().file("a", "first").hard_link("b", "a").file("a", "second").end();
    sandbox.unpack(&archive).unwrap();
    assert_eq!(std::fs::read(sandbox.tree().join("a")).unwrap(), b"second");
    assert_eq!(std::fs::read(sandbox.tree().join("b")).unwrap(), b"first");
}

#[test]
fn names_that_are_none() {
    assert_refused(&Tar::new().file("", "x").end(), ".", Refusal::EmptyName);
    let nul = Tar::new().pax(&[("path", b"a\0b")]).file("x", "").end();
    assert_refused(&nul, "a\\0b", Refusal::NulInName);
    let nul = Tar::new().member(b'L', "l", "", b"a\0b").file("x", "").end();
    assert_refused(&nul, "a\\0b", Refusal::NulInName);
    let nul = Tar::new().pax(&[("linkpath", b"a\0b")]).symlink("x", "y").end();
    assert_refused(&nul, "x", Refusal::NulInName);
    assert_refused(&Tar::new().symlink("x", "").end(), "x", Refusal::EmptyName);
    assert_refused(&Tar::new().file(".", "x").end(), ".", Refusal::TopNotDirectory);
    let long = vec![b'a'; 5000];
    let answer = Sandbox::new().unpack(&Tar::new().pax(&[("path", &long)]).file("x", "").end());
    assert_eq!(refusal(answer).1, Refusal::LongName);
}

#[test]
fn a_file_where_a_directory_is_needed() {
    let archive = Tar::new().file("a", "").file("a/b", "").end();
    assert_refused(&archive, "a/b", Refusal::ParentNotDirectory);
    let archive = Tar::new().file("a/b", "").file("a", "").end();
    assert_refused(&archive, "a", Refusal::OverDirectory);
}

#[test]
fn a_pax_size_counts_before_the_headers() {
    // RUSTSEC-2026-0068: a reader that goes by the header's size sees a member "hidden".
    let hidden = Tar::new().file("hidden", "").0;
    let archive = Tar::new()
        .pax(&[("size", b"512")])
        .with(b'0', b"outer", b"", b"", |_| {})
        .raw(&hidden)
        .file("last", "")
        .end();
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.unpack(&archive).unwrap().entries, 2);
    assert_eq!(std::fs::read(sandbox.tree().join("outer")).unwrap(), hidden);
    assert!(!sandbox.tree().join("hidden").exists());
}

#[test]
fn contents_of_a_kind_that_has_none() {
    for kind in [b'2', b'3', b'4', b'5', b'6'] {
        let archive = Tar::new().member(kind, "x", "y", b"data").end();
        assert_refused(&archive, "x", Refusal::UnexpectedData);
    }
    let archive = Tar::new().pax(&[("size", b"512")]).hard_link("x", "y").end();
    assert_refused(&archive, "x", Refusal::UnexpectedData);
}

#[test]
fn two_headers_for_one_thing() {
    let long = Tar::new().member(b'L', "l", "", b"one").member(b'L', "l", "", b"two");
    let answer = Sandbox::new().unpack(&long.file("x", "").end());
    assert_eq!(refusal(answer).1, Refusal::Ambiguous("name"));
    let long = Tar::new().member(b'L', "l", "", b"one").pax(&[("path", b"two")]);
    assert_refused(&long.file("x", "").end(), "two", Refusal::Ambiguous("name"));
    let two = Tar::new().pax(&[("path", b"one")]).pax(&[("path", b"two")]);
    let answer = Sandbox::new().unpack(&two.file("x", "").end());
    assert_eq!(refusal(answer).1, Refusal::Ambiguous("PAX header"));
    let sparse = Tar::new().pax(&[("GNU.sparse.name", b"two")]).file("x", "").end();
    assert_refused(&sparse, "two", Refusal::Ambiguous("name"));
    for key in ["path", "linkpath", "size", "GNU.sparse.size"] {
        let global = Tar::new().pax_kind(b'g', &[(key, b"1")]).file("x", "").end();
        assert_refused(&global, "./PaxHeaders/x", Refusal::GlobalRecord);
    }
}

#[test]
fn malformed_pax_records() {
    for data in [&b"8 path=a\n"[..], b"x", b"99999999999999999999 a=b\n", b"0 a=b\n", b"5 ab\n"] {
        let archive = Tar::new().member(b'x', "p", "", data).file("x", "").end();
        assert_refused(&archive, "p", Refusal::PaxRecord);
    }
    for (key, value, what) in [
        ("size", &b"-1"[..], "size"),
        ("size", b"99999999999999999999", "size"),
        ("size", b"9223372036854775808", "size"),
        ("uid", b"4294967295", "uid"),
        ("gid", b"4294967296", "gid"),
        ("mtime", b"yesterday", "time"),
    ] {
        let archive = Tar::new().pax(&[(key, value)]).file("x", "").end();
        assert_refused(&archive, "x", Refusal::Number(what));
    }
}

#[test]
fn malformed_headers() {
    for (range, what) in
        [(100..108, "mode"), (108..116, "uid"), (124..136, "size"), (136..148, "time")]
    {
        let archive = Tar::new().with(b'0', b"x", b"", b"", |header| header[range].fill(b'z'));
        assert_refused(&archive.end(), "x", Refusal::Number(what));
    }
    let negative = Tar::new().with(b'0', b"x", b"", b"", |header| header[124..136].fill(0xff));
    assert_refused(&negative.end(), "x", Refusal::Number("size"));
    let device = Tar::new().with(b'3', b"x", b"", b"", |header| octal(&mut header[329..337], 4096));
    assert_refused(&device.end(), "x", Refusal::Number("device number"));
    assert_refused(&Tar::new().member(b'D', "x", "", b"").end(), "x", Refusal::UnknownKind);
    let mut broken = Tar::new().file("x", "").end();
    broken[150] ^= 1;
    let answer = Sandbox::new().unpack(&broken);
    assert!(matches!(answer, Err(UnpackError::Header { offset: 0, .. })), "{answer:?}");
    let answer = Sandbox::new().unpack(&[b'#'; 4096]);
    assert!(matches!(answer, Err(UnpackError::Header { offset: 0, .. })), "{answer:?}");
}

#[test]
fn a_truncated_archive_is_an_error_wherever_it_ends() {
    let whole = Tar::new().directory("d").file("d/f", "contents").end();
    let members = whole.len() - 1024;
    for length in 0..=members {
        let answer = Sandbox::new().unpack(&whole[..length]);
        assert!(matches!(answer, Err(UnpackError::Truncated { .. })), "{length}: {answer:?}");
    }
    let described = Tar::new().pax(&[("path", b"x")]).end();
    let answer = Sandbox::new().unpack(&described);
    assert!(matches!(answer, Err(UnpackError::Truncated { .. })), "{answer:?}");
}

#[test]
fn garbage_after_the_end_is_refused() {
    let mut archive = Tar::new().file("x", "").end();
    archive.extend([0; 9000]);
    assert!(Sandbox::new().unpack(&archive).is_ok());
    archive.push(1);
    assert_refused(&archive, "end of the archive", Refusal::TrailingData);
}

#[test]
fn a_description_of_gigabytes_is_not_read_into_memory() {
    for kind in [b'L', b'K', b'x', b'g'] {
        let archive = Tar::new().with(kind, b"big", b"", b"", |header| {
            octal(&mut header[124..136], 4 << 30);
        });
        assert_refused(&archive.end(), "big", Refusal::LargeDescription);
    }
}

#[test]
fn a_sparse_file_of_terabytes_takes_no_room() {
    let size = (1_u64 << 40).to_string();
    let sandbox = Sandbox::new();
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.size", size.as_bytes()),
        ("GNU.sparse.numblocks", b"1"),
        ("GNU.sparse.map", b"4294967296,4"),
        ("GNU.sparse.name", b"sparse"),
    ];
    sandbox.unpack(&Tar::new().pax(&records).file("x", "data").end()).unwrap();
    let sparse = std::fs::metadata(sandbox.tree().join("sparse")).unwrap();
    assert_eq!(sparse.len(), 1 << 40);
    assert!(sparse.blocks() < 64, "{} blocks", sparse.blocks());
}

/// A text in a block of its own.
fn padded(text: &str) -> String {
    format!("{text:\0<512}")
}

#[test]
fn malformed_sparse_maps() {
    for map in ["0", "0,x", "4,4,0,4", "0,8", "0,3", "18446744073709551615,4", "9,4,", "2000,4"] {
        let records: [(&str, &[u8]); 2] =
            [("GNU.sparse.size", b"1000"), ("GNU.sparse.map", map.as_bytes())];
        let answer = Sandbox::new().unpack(&Tar::new().pax(&records).file("x", "data").end());
        assert_eq!(refusal(answer).1, Refusal::SparseMap, "{map}");
    }
    let version_1: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    for map in ["", "1\n0\n", "x\n", "-1\n", "1\n0\n9\n", &"1".repeat(30)] {
        let answer =
            Sandbox::new().unpack(&Tar::new().pax(&version_1).file("x", &padded(map)).end());
        assert_eq!(refusal(answer).1, Refusal::SparseMap, "{map}");
    }
    let answer =
        Sandbox::new().unpack(&Tar::new().pax(&version_1).file("x", &padded("9999999\n")).end());
    assert_eq!(refusal(answer).1, Refusal::LargeDescription);
}

#[test]
fn acls_and_attributes_that_are_malformed() {
    let acl = Tar::new().pax(&[("SCHILY.acl.access", b"user::rwz")]).file("x", "").end();
    assert_refused(&acl, "x", Refusal::Acl);
    let attribute = Tar::new().pax(&[("LIBARCHIVE.xattr.user.a", b"!")]).file("x", "").end();
    assert_refused(&attribute, "x", Refusal::Attribute);
    let attribute = Tar::new().pax(&[("SCHILY.xattr.", b"x")]).file("x", "").end();
    assert_refused(&attribute, "x", Refusal::Attribute);
}

#[test]
fn attributes_of_the_node_are_not_taken_over() {
    let sandbox = Sandbox::new();
    let records: [(&str, &[u8]); 2] =
        [("SCHILY.xattr.trusted.overlay.redirect", b"/"), ("SCHILY.xattr.security.selinux", b"x")];
    let summary = sandbox.unpack(&Tar::new().pax(&records).file("x", "").end()).unwrap();
    assert_eq!(summary.ignored_attributes, 2);
    let file = std::fs::File::open(sandbox.tree().join("x")).unwrap();
    let names = vz_sys::xattr::list(std::os::fd::AsFd::as_fd(&file)).unwrap();
    assert!(!names.iter().any(|name| name.as_bytes().starts_with(b"trusted.")));
}

#[test]
fn a_name_in_a_message_is_printable() {
    let answer = Sandbox::new().unpack(&Tar::new().file("..\x1b[2J\n/..", "").end());
    let message = answer.unwrap_err().to_string();
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn more_attributes_than_any_file_has() {
    let names: Vec<String> = (0..2000).map(|n| format!("SCHILY.xattr.user.{n}")).collect();
    let records: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &b"x"[..])).collect();
    let archive = Tar::new().pax(&records).file("x", "").end();
    assert_refused(&archive, "x", Refusal::LargeDescription);
}

#[test]
fn a_device_node_that_is_not_permitted_is_said() {
    let test = "in_a_user_namespace_a_device_node_is_not_permitted";
    let mut child = std::process::Command::new("unshare");
    child.arg("-r").arg(std::env::current_exe().unwrap()).args(["--exact", "--ignored", test]);
    let done = child.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    if !said.contains("running 1 test") {
        eprintln!("skipped a_device_node_that_is_not_permitted_is_said: no user namespaces here");
        return;
    }
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

/// The part that runs in a user namespace, started by the test above.
#[test]
#[ignore = "runs in a user namespace only"]
fn in_a_user_namespace_a_device_node_is_not_permitted() {
    let node = Tar::new().with(b'3', b"dev/null", b"", b"", |header| {
        octal(&mut header[329..337], 1);
        octal(&mut header[337..345], 3);
    });
    let archive = node.end();
    match Sandbox::new().unpack(&archive) {
        Err(UnpackError::DeviceRefused { name, .. }) => assert_eq!(name, "dev/null"),
        other => panic!("{other:?}"),
    }
}
