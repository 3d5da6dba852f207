//! What is packed comes back, from our own unpacker and from GNU tar.

#![allow(clippy::disallowed_methods, reason = "the tests' own directories")]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::unpack::{self, acl};

fn pack(top: &Path, excluded: &dyn Fn(&Path, &FileStat) -> bool) -> (Vec<u8>, Summary) {
    let (bytes, summary, unread) = pack_with(top, excluded, PATIENCE);
    assert_eq!((summary.unread, unread), (0, Vec::new()));
    (bytes, summary)
}

fn pack_with(
    top: &Path,
    excluded: &dyn Fn(&Path, &FileStat) -> bool,
    patience: Duration,
) -> (Vec<u8>, Summary, Vec<String>) {
    let (mut bytes, mut unread) = (Vec::new(), Vec::new());
    let mut tell = |error: &CopyError| unread.push(error.to_string());
    let mut packer = Packer::new(&mut bytes, &mut tell);
    packer.patience = patience;
    let top = File::open(top).unwrap();
    packer.add_tree(&Tree { top: top.as_fd(), shift: Shift::default(), excluded }).unwrap();
    let summary = packer.finish().unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    (bytes, summary, unread)
}

fn unpacked(bytes: &[u8]) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let archive = tempfile::NamedTempFile::new().unwrap();
    fs::write(archive.path(), bytes).unwrap();
    let top = File::open(to.path()).unwrap();
    unpack::unpack(File::open(archive.path()).unwrap(), top.as_fd(), &mut |_| {}).unwrap();
    to
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

#[test]
fn a_file_all_of_whose_names_are_there_is_forgotten() {
    let from = tempfile::tempdir().unwrap();
    tree(from.path());
    let top = File::open(from.path()).unwrap();
    let excluded = |path: &Path, _: &FileStat| path == Path::new("out");
    fs::hard_link(from.path().join("empty"), from.path().join("out")).unwrap();
    let (mut bytes, mut tell) = (Vec::new(), |error: &CopyError| panic!("{error}"));
    let mut packer = Packer::new(&mut bytes, &mut tell);
    let tree = Tree { top: top.as_fd(), shift: Shift::default(), excluded: &excluded };
    packer.add_tree(&tree).unwrap();
    let left: Vec<_> = packer.links.into_values().collect();
    assert_eq!(left, [(PathBuf::from("empty"), 1)]);
}

#[test]
fn a_deep_tree() {
    let from = tempfile::tempdir().unwrap();
    let deep = |count| "d/".repeat(count);
    fs::create_dir_all(from.path().join(deep(400))).unwrap();
    fs::write(from.path().join(deep(400)).join("file"), "text").unwrap();
    let (bytes, summary) = pack(from.path(), &|_, _| false);
    assert_eq!(summary.entries, 402);
    let to = unpacked(&bytes);
    assert_eq!(fs::read(to.path().join(deep(400)).join("file")).unwrap(), b"text");
}

#[test]
fn what_is_too_deep_costs_only_itself() {
    let from = tempfile::tempdir().unwrap();
    let name = "d".repeat(200);
    let mut directory = OwnedFd::from(File::open(from.path()).unwrap());
    for _ in 0..25 {
        beneath::make_directory(directory.as_fd(), name.as_ref(), Mode::S_IRWXU).unwrap();
        directory = beneath::open_directory(directory.as_fd(), name.as_ref()).unwrap();
    }
    fs::write(from.path().join("file"), "text").unwrap();
    let (bytes, summary, unread) = pack_with(from.path(), &|_, _| false, PATIENCE);
    assert_eq!((summary.unread, unread.len()), (1, 1));
    assert!(unread[0].ends_with("File name too long"), "{unread:?}");
    assert!(unpacked(&bytes).path().join("file").is_file());
}

#[test]
fn a_lease_is_waited_for_and_costs_only_its_file() {
    let from = tempfile::tempdir().unwrap();
    for name in ["kept", "given up", "other"] {
        fs::write(from.path().join(name), "text").unwrap();
    }
    // F_SETLEASE is 1024; F_WRLCK 1; F_UNLCK 2.
    let holder = "use Fcntl; $| = 1; open(K, '+<', 'kept') and open(G, '+<', 'given up') or die;\
        $SIG{IO} = sub { fcntl(G, 1024, 2) };\
        fcntl(K, 1024, 1) && fcntl(G, 1024, 1) or die; print qq(held\\n); while (1) { sleep 100 }";
    let mut perl = Command::new("perl");
    perl.args(["-e", holder]).current_dir(from.path()).stdout(std::process::Stdio::piped());
    let mut perl = perl.spawn().unwrap();
    let mut line = [0; 5];
    if io::Read::read_exact(perl.stdout.as_mut().unwrap(), &mut line).is_err() {
        eprintln!("skipped: no leases here: {:?}", perl.wait());
        return;
    }
    let (bytes, summary, unread) =
        pack_with(from.path(), &|_, _| false, Duration::from_millis(400));
    perl.kill().unwrap();
    perl.wait().unwrap();
    assert_eq!(summary.unread, 1);
    assert!(unread[0].starts_with("cannot open 'kept'"), "{unread:?}");
    let to = unpacked(&bytes);
    assert!(to.path().join("given up").is_file() && to.path().join("other").is_file());
    assert!(!to.path().join("kept").exists());
}

#[test]
fn a_file_that_ends_early_is_filled_up() {
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("file"), [b'x'; 700]).unwrap();
    fs::write(from.path().join("next"), "text").unwrap();
    // As late as can be: when it was looked at.
    let shorten = |path: &Path, _: &FileStat| {
        if path == Path::new("file") {
            File::options().write(true).open(from.path().join(path)).unwrap().set_len(600).unwrap();
        }
        false
    };
    let (bytes, summary, unread) = pack_with(from.path(), &shorten, PATIENCE);
    assert_eq!((summary.entries, summary.unread), (3, 1));
    assert!(unread[0].contains("shorter"), "{unread:?}");
    let to = unpacked(&bytes);
    let whole = [[b'x'; 600].as_slice(), &[0; 100]].concat();
    assert_eq!(fs::read(to.path().join("file")).unwrap(), whole);
    assert_eq!(fs::read(to.path().join("next")).unwrap(), b"text");
}

#[test]
fn a_large_directory_is_read_in_pieces() {
    let from = tempfile::tempdir().unwrap();
    for number in 0..NAMES + 5 {
        File::create(from.path().join(number.to_string())).unwrap();
    }
    let (_, summary) = pack(from.path(), &|_, _| false);
    assert_eq!(summary.entries, (NAMES + 6) as u64);
    let top = File::open(from.path()).unwrap();
    let mut list = list(top.as_fd()).unwrap();
    assert_eq!(next_names(&mut list.iter()).unwrap().len(), NAMES);
}

#[test]
fn an_archive_that_cannot_be_written_ends_it() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(nix::libc::ENOSPC))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let from = tempfile::tempdir().unwrap();
    tree(from.path());
    let top = File::open(from.path()).unwrap();
    let (mut full, mut tell) = (Full, |error: &CopyError| panic!("{error}"));
    let mut packer = Packer::new(&mut full, &mut tell);
    let tree = Tree { top: top.as_fd(), shift: Shift::default(), excluded: &|_, _| false };
    assert!(matches!(packer.add_tree(&tree), Err(CopyError::Archive(_))));
}

#[test]
fn the_configuration_is_not_in_the_way_of_a_link() {
    let from = tempfile::tempdir().unwrap();
    fs::create_dir_all(from.path().join("usr/etc/vzdump")).unwrap();
    fs::write(from.path().join("usr/etc/vzdump/vps.mount"), "planted").unwrap();
    symlink("usr/etc", from.path().join("etc")).unwrap();
    let (mut bytes, mut tell) = (Vec::new(), |error: &CopyError| panic!("{error}"));
    let mut packer = Packer::new(&mut bytes, &mut tell);
    packer.add_file(Path::new("etc/vzdump/vps.conf"), 0o644, b"ONBOOT=\"no\"\n").unwrap();
    let top = File::open(from.path()).unwrap();
    let tree = Tree { top: top.as_fd(), shift: Shift::default(), excluded: &|_, _| false };
    packer.add_tree(&tree).unwrap();
    packer.finish().unwrap();
    let (to, archive) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    fs::write(archive.path(), &bytes).unwrap();
    let open = || File::open(archive.path()).unwrap();
    let found = unpack::survey::survey(open()).unwrap();
    assert_eq!(found.files.keys().collect::<Vec<_>>(), ["vps.conf"]);
    let top = File::open(to.path()).unwrap();
    unpack::unpack_backup(open(), &found.top, top.as_fd(), &mut |_| {}).unwrap();
    assert_eq!(listed(to.path()), listed(from.path()));
    unpack::check(open()).unwrap();
    archive.as_file().set_len(bytes.len() as u64 - 1024).unwrap();
    assert!(matches!(unpack::check(open()), Err(unpack::UnpackError::Truncated { .. })));
}
