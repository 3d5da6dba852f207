//! What is packed comes back, from our own unpacker and from GNU tar.

#![allow(clippy::disallowed_methods, reason = "the tests' own directories")]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::unpack::{self, acl};

fn pack(top: &Path, excluded: &dyn Fn(&Path, &FileStat) -> bool) -> (Vec<u8>, Summary) {
    let mut bytes = Vec::new();
    let mut packer = Packer::new(&mut bytes);
    let top = File::open(top).unwrap();
    packer.add_tree(&Tree { top: top.as_fd(), shift: Shift::default(), excluded }).unwrap();
    let summary = packer.finish().unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    (bytes, summary)
}

/// A tree with one of everything that needs no root.
fn tree(top: &Path) {
    let long = "n".repeat(200);
    fs::create_dir_all(top.join("a/b")).unwrap();
    fs::create_dir_all(top.join(&long)).unwrap();
    fs::write(top.join("a/file"), "text").unwrap();
    fs::write(top.join(&long).join("ä\n"), "x".repeat(700)).unwrap();
    fs::write(top.join("empty"), "").unwrap();
    fs::hard_link(top.join("a/file"), top.join(&long).join(&long)).unwrap();
    symlink("t".repeat(300), top.join("link")).unwrap();
    symlink("/etc/passwd", top.join("a/out")).unwrap();
    nix::unistd::mkfifo(&top.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    drop(std::os::unix::net::UnixListener::bind(top.join("socket")).unwrap());
    let sparse = File::create(top.join("sparse")).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.write_all_at(b"end", (3 << 20) + 5).unwrap();
    File::create(top.join("hole")).unwrap().set_len(5 << 20).unwrap();
    fs::set_permissions(top.join("a/b"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(top.join("empty"), fs::Permissions::from_mode(0o4711)).unwrap();
    let early = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1500);
    File::open(top.join("empty")).unwrap().set_modified(early).unwrap();
}

/// What can be seen of each file, but of sockets.
fn listed(top: &Path) -> Vec<String> {
    let format = "%P|%y|%m|%U:%G|%T@|%n|%l|%s\n";
    let mut find = Command::new("find");
    find.arg(top).args(["!", "-type", "s", "-printf", format]);
    let output = find.output().unwrap();
    let mut lines: Vec<_> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    // The size of a directory is its own affair.
    lines
        .iter_mut()
        .filter(|line| line.contains("|d|"))
        .for_each(|line| line.truncate(line.rfind('|').unwrap()));
    lines.sort();
    lines
}

#[test]
fn all_comes_back() {
    let (from, to, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    let (bytes, summary) = pack(from.path(), &|_, _| false);
    assert!(bytes.len() < 1 << 20, "holes are stored: {}", bytes.len());
    assert_eq!(summary.entries, 13);
    let archive = to.path().join("archive");
    fs::write(&archive, &bytes).unwrap();
    let place = to.path().join("place");
    fs::create_dir(&place).unwrap();
    let top = File::open(&place).unwrap();
    unpack::unpack(File::open(&archive).unwrap(), top.as_fd(), &mut |_| {}).unwrap();
    assert_eq!(listed(&place), listed(from.path()));
    for file in ["sparse", "hole", "a/file", &format!("{0}/{0}", "n".repeat(200))] {
        assert_eq!(fs::read(place.join(file)).unwrap(), fs::read(from.path().join(file)).unwrap());
    }
    assert!(fs::metadata(place.join("hole")).unwrap().blocks() < 100);
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(other.path()).args(["--warning=no-timestamp", "-xpf"]).arg(&archive);
    let tar = tar.output().unwrap();
    assert!(tar.status.success() && tar.stderr.is_empty(), "{tar:?}");
    assert_eq!(listed(other.path()), listed(from.path()));
    assert_eq!(
        fs::read(other.path().join("sparse")).unwrap(),
        fs::read(from.path().join("sparse")).unwrap()
    );
}

#[test]
fn attributes_come_back() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = File::create(from.path().join("file")).unwrap();
    let name = OsStr::new("user.a=b%c");
    if vz_sys::xattr::set(file.as_fd(), name, b"1\n\0=2") == Err(Errno::EOPNOTSUPP) {
        eprintln!("skipped: no attributes here");
        return;
    }
    let (bytes, _) = pack(from.path(), &|_, _| false);
    let archive = to.path().join("archive");
    fs::write(&archive, bytes).unwrap();
    unpack::unpack(
        File::open(&archive).unwrap(),
        File::open(to.path()).unwrap().as_fd(),
        &mut |_| {},
    )
    .unwrap();
    let copy = File::open(to.path().join("file")).unwrap();
    assert_eq!(vz_sys::xattr::get(copy.as_fd(), name).unwrap(), b"1\n\0=2");
}

#[test]
fn what_is_left_out() {
    let from = tempfile::tempdir().unwrap();
    tree(from.path());
    let (bytes, summary) =
        pack(from.path(), &|path, _| path.starts_with("a") || path == Path::new("hole"));
    assert_eq!(summary.entries, 8);
    assert!(!bytes.windows(6).any(|piece| piece == b"./hole"));
}

#[test]
fn access_lists_come_back() {
    let (from, to, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("file"), "").unwrap();
    fs::create_dir(from.path().join("directory")).unwrap();
    nix::unistd::mkfifo(&from.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = b"user::rwx,user:1000:r--,group::r-x,mask::r-x,other::---";
    let value = acl::attribute(text, |_| None).unwrap();
    let lists = [
        ("file", acl::ACCESS_ATTRIBUTE),
        ("fifo", acl::ACCESS_ATTRIBUTE),
        ("directory", acl::ACCESS_ATTRIBUTE),
        ("directory", acl::DEFAULT_ATTRIBUTE),
    ];
    let open = |top: &Path, file: &str| {
        File::options().custom_flags(nix::libc::O_PATH).read(true).open(top.join(file)).unwrap()
    };
    for (file, list) in lists {
        let file = open(from.path(), file);
        let set = vz_sys::xattr::set_of_path(file.as_fd(), OsStr::new(list), &value);
        if set == Err(Errno::EOPNOTSUPP) {
            eprintln!("skipped: no access lists here");
            return;
        }
        set.unwrap();
    }
    let (bytes, _) = pack(from.path(), &|_, _| false);
    let archive = from.path().join("archive");
    fs::write(&archive, bytes).unwrap();
    let top = File::open(to.path()).unwrap();
    unpack::unpack(File::open(&archive).unwrap(), top.as_fd(), &mut |_| {}).unwrap();
    let mut tar = Command::new("tar");
    let tar =
        tar.arg("-C").arg(other.path()).args(["--acls", "-xpf"]).arg(&archive).output().unwrap();
    assert!(tar.status.success() && tar.stderr.is_empty(), "{tar:?}");
    for (file, list) in lists {
        for top in [to.path(), other.path()] {
            let file = open(top, file);
            let found = vz_sys::xattr::get_of_path(file.as_fd(), OsStr::new(list));
            assert_eq!(found.as_deref(), Ok(value.as_slice()), "{file:?} {list}");
        }
    }
}
