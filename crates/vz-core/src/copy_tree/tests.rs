//! Trees made by hand, copied, and compared by what there is to see of them.

#![allow(clippy::disallowed_methods, reason = "a test's own files")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use nix::sys::time::TimeSpec;
use vz_sys::overlay::{self, Access, Layers, UPPER, WORK};
use vz_sys::xattr;

use super::*;

fn is_root(name: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: {name}: needs root");
    }
    root
}

fn write(top: &Path, name: &str, text: &str) {
    let path = top.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn node(top: &Path, name: &str, kind: SFlag, device: u64) {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    nix::sys::stat::mknod(&top.join(name), kind, mode, device).unwrap();
}

fn attribute(top: &Path, name: &str, value: &[u8]) {
    let file = File::open(top.join(name)).unwrap();
    xattr::set(file.as_fd(), OsStr::new("user.note"), value).unwrap();
}

fn age(path: &Path, seconds: i64) {
    let parent = File::open(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap();
    beneath::set_modified_at(parent.as_fd(), name, TimeSpec::new(seconds, 5)).unwrap();
}

/// All that is to be seen of a tree; files with more than one name by the first of them.
fn seen(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut first = HashMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let place = top.join(&path);
        let status = fs::symlink_metadata(&place).unwrap();
        let of_kind = match status.file_type() {
            kind if kind.is_dir() => {
                let mut names: Vec<_> =
                    fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
                names.sort();
                names.reverse();
                waiting.extend(names.iter().map(|name| path.join(name)));
                String::new()
            }
            kind if kind.is_symlink() => fs::read_link(&place).unwrap().display().to_string(),
            kind if kind.is_file() => {
                let attributes = file::attributes(File::open(&place).unwrap().as_fd()).unwrap();
                let name = first.entry(status.ino()).or_insert_with(|| path.clone());
                let text = fs::read(&place).unwrap();
                format!("{text:?} {attributes:?} {}", name.display())
            }
            _ => status.rdev().to_string(),
        };
        let text = format!(
            "{:o} {}:{} {}.{} {of_kind}",
            status.mode(),
            status.uid(),
            status.gid(),
            status.mtime(),
            status.mtime_nsec()
        );
        seen.insert(path, text);
    }
    seen
}

/// A tree with one of everything.
fn fill(top: &Path) {
    write(top, "etc/passwd", "root");
    write(top, "etc/deep/er/file", "text");
    write(top, "bin/one", "program");
    fs::hard_link(top.join("bin/one"), top.join("bin/two")).unwrap();
    fs::set_permissions(top.join("bin/one"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("/etc/passwd", top.join("link")).unwrap();
    node(top, "fifo", SFlag::S_IFIFO, 0);
    node(top, "null", SFlag::S_IFCHR, nix::sys::stat::makedev(1, 3));
    attribute(top, "etc/passwd", b"a\0b");
    std::os::unix::fs::lchown(top.join("link"), Some(7), Some(8)).unwrap();
    std::os::unix::fs::chown(top.join("etc/deep"), Some(9), Some(10)).unwrap();
    for (number, path) in ["link", "fifo", "null", "bin/one", "etc/deep/er/file", "etc/passwd"]
        .into_iter()
        .chain(["etc/deep/er", "etc/deep", "bin", "etc"])
        .enumerate()
    {
        age(&top.join(path), 1_000_000_000 + number as i64);
    }
}

#[test]
fn a_copy_is_the_same_and_holes_stay() {
    if !is_root("a_copy_is_the_same_and_holes_stay") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    for path in [&from, &to] {
        fs::create_dir(path).unwrap();
    }
    fill(&from);
    let hole = File::create(from.join("hole")).unwrap();
    hole.set_len(64 << 20).unwrap();
    hole.write_at(b"x", 32 << 20).unwrap();
    copy_tree(File::open(&from).unwrap().as_fd(), File::open(&to).unwrap().as_fd(), &mut |_| {})
        .unwrap();
    assert_eq!(seen(&from), seen(&to));
    assert!(fs::metadata(to.join("hole")).unwrap().blocks() < 1000);
}

#[test]
fn the_difference_laid_over_the_other_shows_the_tree() {
    if !is_root("the_difference_laid_over_the_other_shows_the_tree") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let (from, below, above) = (path("from"), path("below"), path("above"));
    for path in [&from, &below, &above.join(UPPER), &above.join(WORK)] {
        fs::create_dir_all(path).unwrap();
    }
    for top in [&from, &below] {
        fill(top);
        write(top, "same/but/one", "1");
        write(top, "gone/file", "");
        write(top, "becomes-file/x", "");
        write(top, "becomes-directory", "");
        write(top, "linked", "x");
        fs::hard_link(top.join("linked"), top.join("linked-too")).unwrap();
        for path in ["same/but/one", "same/but", "same", "becomes-directory", "linked"] {
            age(&top.join(path), 999_999_999);
        }
    }
    fs::remove_dir_all(from.join("gone")).unwrap();
    fs::remove_dir_all(from.join("becomes-file")).unwrap();
    fs::remove_file(from.join("becomes-directory")).unwrap();
    write(&from, "becomes-file", "now");
    write(&from, "becomes-directory/y", "now");
    // As long, and as old: only its text tells.
    fs::write(from.join("same/but/one"), "2").unwrap();
    age(&from.join("same/but/one"), 999_999_999);
    // One more name of a file that is the same in all else.
    fs::hard_link(from.join("linked"), from.join("etc/linked-here")).unwrap();
    age(&from.join("etc"), 1_000_000_009);
    attribute(&from, "etc/deep", b"mine");

    let difference = || {
        let open = |path: &Path| File::open(path).unwrap();
        let upper = open(&above.join(UPPER));
        copy_difference(open(&from).as_fd(), open(&below).as_fd(), upper.as_fd(), &mut |_| {})
    };
    difference().unwrap();
    let layers = Layers { below: &below, above: &above, id_map: None, access: Access::Read };
    let laid = overlay::make(&layers).unwrap();
    let shown = PathBuf::from(format!("/proc/self/fd/{}/.", laid.as_raw_fd()));
    assert_eq!(seen(&from), seen(&shown));
    for shared in ["bin", "link", "null", "fifo", "etc/passwd", "etc/deep/er"] {
        assert!(!above.join(UPPER).join(shared).exists(), "{shared} was copied");
    }
}

#[test]
fn a_whiteout_of_the_containers_own_is_not_taken_over() {
    if !is_root("a_whiteout_of_the_containers_own_is_not_taken_over") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for name in ["from/new", "below", "upper"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    node(&path("from"), "new/planted", SFlag::S_IFCHR, 0);
    let open = |name: &str| File::open(path(name)).unwrap();
    copy_difference(
        open("from").as_fd(),
        open("below").as_fd(),
        open("upper").as_fd(),
        &mut |_| {},
    )
    .unwrap();
    assert!(path("upper/new").is_dir());
    assert!(fs::symlink_metadata(path("upper/new/planted")).is_err());
}

#[test]
fn what_is_too_deep_is_told() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir(&to).unwrap();
    let mut deep = from.clone();
    deep.extend(std::iter::repeat_n("d", DEEPEST + 2));
    fs::create_dir_all(deep).unwrap();
    let copied = copy_tree(
        File::open(&from).unwrap().as_fd(),
        File::open(&to).unwrap().as_fd(),
        &mut |_| {},
    );
    assert!(matches!(copied, Err(CopyError::Deep(_))), "{copied:?}");
}
