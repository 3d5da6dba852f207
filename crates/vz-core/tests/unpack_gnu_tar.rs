//! What GNU tar packs comes out as GNU tar itself unpacks it: modes, owners, times, links,
//! attributes, ACLs, holes, device numbers.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use support::{Sandbox, Tar, checksum, is_root, new_file, pictures};
use vz_core::unpack::{Progress, Summary, UnpackError, unpack};

/// Options with which GNU tar reads all that we read.
const READ: [&str; 6] =
    ["--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*", "--acls", "-xpf"];

/// Whether the comparison can run; says by the test's name why not.
fn can_compare(test: &str) -> bool {
    let version = Command::new("tar").arg("--version").output();
    let gnu = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("GNU tar"));
    if !gnu {
        eprintln!("skipped {test}: tar is not GNU tar");
    } else if !is_root() {
        eprintln!("skipped {test}: needs root");
    }
    gnu && is_root()
}

fn run(command: &str, arguments: &[&str], last: &Path) {
    let done = Command::new(command).args(arguments).arg(last).output().unwrap();
    assert!(done.status.success(), "{command} {arguments:?} {}: {done:?}", last.display());
}

/// How many blocks of 512 bytes a file may have more than another for its index alone.
const INDEX: u64 = 64;

/// Packs the directory `source` and unpacks it with both; the trees must be equal.
fn compare(source: &Path, options: &[&str]) {
    let sandbox = Sandbox::new();
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("archive");
    let mut pack = Command::new("tar");
    // A name that does not fit the format is left out, with a message: what is packed counts.
    pack.args(options).arg("-cf").arg(&archive).arg("-C").arg(source).arg(".").output().unwrap();
    let theirs = work.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    let read = Command::new("tar").args(READ).arg(&archive).arg("-C").arg(&theirs).output();
    let read = read.unwrap();
    assert!(read.status.success(), "{read:?}");
    sandbox.unpack(&std::fs::read(&archive).unwrap()).unwrap();
    let (ours, theirs) = (pictures(&sandbox.tree()), pictures(&theirs));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{options:?}");
    for (path, picture) in &ours {
        // On a fragmented disk one of two equal files needs a block more to say where it lies.
        let mut theirs = theirs.get(path).cloned();
        if let Some(theirs) = &mut theirs
            && picture.blocks.abs_diff(theirs.blocks) <= INDEX
        {
            theirs.blocks = picture.blocks;
        }
        assert_eq!(Some(picture), theirs.as_ref(), "{} {options:?}", path.display());
    }
}

/// One of everything a template holds.
fn everything(top: &Path) {
    let at = |name: &str| top.join(name);
    for directory in ["read-only", "read-only/inside", "sticky", "long"] {
        std::fs::create_dir(at(directory)).unwrap();
    }
    new_file(&at("read-only/inside/file"), b"contents");
    new_file(&at("setuid"), b"#!/bin/sh\n");
    new_file(&at("capable"), b"x");
    new_file(&at("with-acl"), b"x");
    new_file(&at("empty"), b"");
    new_file(&at("large"), &(0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect::<Vec<_>>());
    std::fs::hard_link(at("large"), at("read-only/large-too")).unwrap();
    symlink("../over/there", at("link")).unwrap();
    symlink("x".repeat(300), at("long-link")).unwrap();
    std::fs::hard_link(at("link"), at("link-too")).unwrap();
    let long = at(&format!("long/{}/{}", "d".repeat(120), "e".repeat(150)));
    run("mkdir", &["-p"], &long);
    new_file(&long.join("f".repeat(200)), b"deep");
    std::fs::hard_link(at("empty"), long.join("g".repeat(200))).unwrap();
    new_file(&at("name with\nnewline \u{e9}"), b"");
    new_file(&top.join(OsString::from_vec(b"latin-1 \xe9".to_vec())), b"");
    for (holes, name) in [(1, "sparse"), (40, "sparse-many")] {
        let path = at(name);
        new_file(&path, b"start");
        let mut sparse = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        for hole in 1..=holes {
            sparse.seek(SeekFrom::Start(hole * 1_000_000)).unwrap();
            sparse.write_all(b"data").unwrap();
        }
        sparse.set_len(50_000_000).unwrap();
    }
    new_file(&at("sparse-empty"), b"");
    run("truncate", &["-s", "5G"], &at("sparse-empty"));
    run("mkfifo", &["-m", "0640"], &at("fifo"));
    // A socket is not packed, and a device node may not be permitted here: see below.
    if Command::new("mknod").arg(at("null")).args(["c", "1", "3"]).status().unwrap().success() {
        run("chmod", &["0666"], &at("null"));
        Command::new("mknod").arg(at("disk")).args(["b", "259", "70000"]).status().unwrap();
    }
    run("chown", &["123456:654321"], &at("large"));
    run("chown", &["3000000000:3000000001"], &at("empty"));
    run("chown", &["-h", "12:34"], &at("link"));
    run("chown", &["12:34"], &at("setuid"));
    run("chmod", &["6755"], &at("setuid"));
    run("chmod", &["1777"], &at("sticky"));
    run("chown", &["7:8"], &at("sticky"));
    run("touch", &["-d", "1955-11-05 06:00:00.123456789 UTC"], &at("setuid"));
    run("touch", &["-d", "2100-01-01 00:00:00.987654321 UTC"], &at("large"));
    run("touch", &["-h", "-d", "2001-02-03 04:05:06.7 UTC"], &at("link"));
    optional("setfattr", &["-n", "user.vz", "-v", "0x0a003d"], &at("capable"));
    optional("setfattr", &["-n", "user.dir=%3D", "-v", "x"], &at("sticky"));
    let capability = "0x0100000200200000000000000000000000000000";
    optional("setfattr", &["-n", "security.capability", "-v", capability], &at("capable"));
    optional("setfacl", &["-m", "u:1234:rw,g:4321:r"], &at("with-acl"));
    optional("setfacl", &["-m", "u:99:rwx,d:u:77:r,d:g:88:rwx"], &at("sticky"));
    run("chmod", &["0555"], &at("read-only"));
    for directory in ["read-only/inside", "read-only", "sticky", "long", ""] {
        run("touch", &["-d", "2010-10-10 10:10:10.5 UTC"], &at(directory));
    }
}

/// What needs a tool or a file system that not every machine has.
fn optional(command: &str, arguments: &[&str], path: &Path) {
    let done = Command::new(command).args(arguments).arg(path).output();
    if !done.is_ok_and(|done| done.status.success()) {
        eprintln!("left out: {command} {arguments:?}");
    }
}

#[test]
fn everything_in_every_format() {
    if !can_compare("everything_in_every_format") {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    everything(source.path());
    let numeric = "--numeric-owner";
    for options in [
        &["--format=gnu", numeric, "-S"][..],
        &["--format=gnu", numeric],
        &["--format=pax", numeric, "--xattrs", "--xattrs-include=*", "--acls"],
        &["--format=pax", numeric, "--xattrs", "--acls", "-S", "--sparse-version=0.0"],
        &["--format=pax", numeric, "--xattrs", "--acls", "-S", "--sparse-version=0.1"],
        &["--format=pax", numeric, "--xattrs", "--acls", "-S", "--sparse-version=1.0"],
        &["--format=ustar", numeric, "--exclude=sparse-empty"],
        &["--format=v7", numeric, "--exclude=sparse-empty"],
        &["--format=oldgnu", numeric, "-S"],
        &["--format=gnu", numeric, "-S", "--hard-dereference"],
    ] {
        // Without -S the file of 5 GiB would be packed and written as zeros.
        let whole = options.contains(&"-S");
        let exclude = if whole { "--exclude=nothing" } else { "--exclude=./sparse-empty" };
        compare(source.path(), &[options, &[exclude]].concat());
    }
}

/// A file of a random tree.
#[derive(Debug, Clone)]
struct Node {
    path: Vec<String>,
    kind: u8,
    mode: u32,
    owner: u32,
    seconds: i64,
    size: usize,
}

fn node() -> impl Strategy<Value = Node> {
    let component = prop_oneof![
        4 => "[a-c]",
        1 => "[a-z .=%\\\\\u{e9}\n]{1,12}",
        1 => "[d-e]{90,120}",
    ];
    let path = prop::collection::vec(component, 1..5);
    (path, 0..6_u8, 0..0o10000_u32, 0..u32::MAX, -1_000_000..5_000_000_000_i64, 0..3000_usize)
        .prop_map(|(path, kind, mode, owner, seconds, size)| {
            let usable = |name: &String| !matches!(name.as_str(), "." | "..");
            let path = path.into_iter().filter(usable).collect();
            Node { path, kind, mode, owner, seconds, size }
        })
}

/// Makes a node where its path can be made; another one may be in the way.
fn plant(top: &Path, node: &Node, earlier: &mut Vec<PathBuf>) {
    let Some((name, parents)) = node.path.split_last() else { return };
    let parent = parents.iter().fold(top.to_owned(), |path, name| path.join(name));
    let made = Command::new("mkdir").arg("-p").arg("--").arg(&parent).output().unwrap();
    let path = parent.join(name);
    if !made.status.success() || std::fs::symlink_metadata(&path).is_ok() {
        return;
    }
    match (node.kind, earlier.first()) {
        (0, _) => std::fs::create_dir(&path).unwrap(),
        (1, _) => symlink("a/../b", &path).unwrap(),
        (2, Some(target)) => std::fs::hard_link(target, &path).unwrap(),
        (3, _) => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
        _ => new_file(&path, &vec![b'x'; node.size]),
    }
    let mode = format!("{:o}", node.mode);
    if node.kind != 1 {
        run("chmod", &[&mode, "--"], &path);
        earlier.push(path.clone());
        earlier.retain(|path| !path.is_dir());
    }
    run("chown", &["-h", &format!("{}:{}", node.owner, node.owner / 2), "--"], &path);
    run("touch", &["-h", "-d", &format!("@{}.125", node.seconds), "--"], &path);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_trees_come_out_equal(nodes in prop::collection::vec(node(), 0..16)) {
        if can_compare("random_trees_come_out_equal") {
            let source = tempfile::tempdir().unwrap();
            let mut earlier = Vec::new();
            nodes.iter().for_each(|node| plant(source.path(), node, &mut earlier));
            for format in ["gnu", "pax", "ustar", "v7"] {
                compare(source.path(), &[&format!("--format={format}"), "--numeric-owner"]);
            }
        }
    }
}

/// An archive with every kind of header in it.
fn varied() -> Vec<u8> {
    Tar::new()
        .directory("./")
        .pax(&[("path", b"pax/file"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")])
        .file("x", "contents")
        .member(b'L', "././@LongLink", "", &[b'n'; 200])
        .file("x", "long")
        .hard_link("hard", "pax/file")
        .symlink("soft", "../canary")
        .pax(&[("GNU.sparse.size", b"5000"), ("GNU.sparse.map", b"1024,4")])
        .file("sparse", "data")
        .end()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_archive_touches_nothing_outside(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut archive = varied();
        for (place, byte) in changes {
            let place = place.index(archive.len());
            archive[place] = byte;
            // A header stays one: its checksum is made right again.
            let block = &mut archive[place / 512 * 512..][..512];
            if block[257..262] == *b"ustar" {
                checksum(block);
            }
        }
        if cut {
            archive.truncate(length.index(archive.len()));
        }
        // Whatever comes of it, the sandbox looks at its canary.
        let _ = Sandbox::new().unpack(&archive);
    }
}

/// The archive, compressed in each way, in two parts one after the other.
fn compressed(archive: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (first, second) = archive.split_at(archive.len() / 2);
    let both = |compress: &dyn Fn(&[u8]) -> Vec<u8>| [compress(first), compress(second)].concat();
    vec![
        ("none", archive.to_vec()),
        (
            "gzip",
            both(&|part| {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            }),
        ),
        (
            "zstd",
            both(&|part| {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            }),
        ),
        (
            "xz",
            both(&|part| {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 3);
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            }),
        ),
        (
            "bzip2",
            both(&|part| {
                let mut encoder =
                    bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(3));
                encoder.write_all(part).unwrap();
                encoder.finish().unwrap()
            }),
        ),
    ]
}

/// Contents that do not compress well, larger than all buffers of the ring.
fn noise(size: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + u8::try_from(state % 64).unwrap())
    };
    (0..size).map(|_| letter()).collect()
}

#[test]
fn every_compression_in_concatenated_parts() {
    let contents = noise(4 << 20);
    let archive = Tar::new().file("a", &contents).file("b", "end").end();
    for (name, data) in compressed(&archive) {
        let sandbox = Sandbox::new();
        let summary = sandbox.unpack(&data).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(summary.entries, 2, "{name}");
        assert_eq!(std::fs::read_to_string(sandbox.tree().join("a")).unwrap(), contents, "{name}");
    }
}

#[test]
fn compressed_data_that_is_cut_or_damaged_is_an_error() {
    let archive = Tar::new().file("a", &noise(1 << 20)).end();
    for (name, data) in compressed(&archive) {
        for length in [data.len() - 1, data.len() - 5, data.len() * 3 / 4, data.len() / 3, 7] {
            // The padding of an archive that is not compressed may be cut.
            if name == "none" && length > data.len() - 1024 {
                continue;
            }
            let answer = Sandbox::new().unpack(&data[..length]);
            assert!(
                matches!(answer, Err(UnpackError::Truncated { .. })),
                "{name} {length}: {answer:?}"
            );
        }
        if name != "none" {
            let mut damaged = data.clone();
            let middle = damaged.len() / 3;
            damaged[middle..middle + 8].fill(0xff);
            let answer = Sandbox::new().unpack(&damaged);
            assert!(answer.is_err(), "{name}");
        }
    }
}

#[test]
fn progress_reaches_the_size_of_the_file() {
    let archive = Tar::new().file("a", &noise(1 << 20)).end();
    for (name, data) in compressed(&archive) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        file.rewind().unwrap();
        let sandbox = Sandbox::new();
        let tree = File::open(sandbox.tree()).unwrap();
        let mut last = Progress { read: 0, total: 0 };
        unpack(file, tree.as_fd(), &mut |progress| {
            assert!(progress.read > last.read, "{name}");
            last = progress;
        })
        .unwrap();
        assert_eq!(last, Progress { read: data.len() as u64, total: data.len() as u64 }, "{name}");
    }
}

#[test]
fn an_acl_with_names_goes_by_the_trees_own_database() {
    let sandbox = Sandbox::new();
    let archive = Tar::new()
        .pax(&[("SCHILY.acl.access", b"user::rw-\ngroup::r--\ngroup:journal:r-x\nother::---\n")])
        .file("log", "x")
        .pax(&[("SCHILY.acl.access", b"user::rw-\ngroup::r--\nuser:nobody-here:r-x\nother::---\n")])
        .file("log-2", "x")
        .file("etc/group", "root:x:0:\njournal:x:4711:\n")
        .end();
    let summary = sandbox.unpack(&archive).unwrap();
    let file = File::open(sandbox.tree().join("log")).unwrap();
    match vz_sys::xattr::get(file.as_fd(), "system.posix_acl_access".as_ref()) {
        Ok(value) => {
            assert_eq!(summary.ignored_attributes, 1);
            assert_eq!(value[20..28], [8, 0, 5, 0, 0x67, 0x12, 0, 0]);
        }
        Err(nix::errno::Errno::EOPNOTSUPP) => {
            eprintln!("skipped an_acl_with_names_...: no ACLs on this file system");
        }
        Err(errno) => panic!("{errno}: {summary:?}"),
    }
}

#[test]
fn a_full_file_system_is_told_apart() {
    if !is_root() {
        eprintln!("skipped a_full_file_system_is_told_apart: needs root");
        return;
    }
    let mounted = tempfile::tempdir().unwrap();
    let arguments = ["-t", "tmpfs", "-o", "size=256k", "none"];
    let done = Command::new("mount").args(arguments).arg(mounted.path()).output().unwrap();
    if !done.status.success() {
        eprintln!("skipped a_full_file_system_is_told_apart: cannot mount a tmpfs");
        return;
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&Tar::new().file("small", "x").file("big", &noise(1 << 20)).end()).unwrap();
    file.rewind().unwrap();
    let tree = File::open(mounted.path()).unwrap();
    let answer: Result<Summary, _> = unpack(file, tree.as_fd(), &mut |_| {});
    drop(tree);
    run("umount", &[], mounted.path());
    match answer {
        Err(UnpackError::NoSpace { name, .. }) => assert_eq!(name, "big"),
        other => panic!("{other:?}"),
    }
}
