//! An overlay with an id map, on whatever file system tests may write to.

#![allow(clippy::disallowed_methods, reason = "a test's own files")]

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use super::*;

const BASE: u32 = 7_000 << 16;

struct Place {
    _kept: tempfile::TempDir,
    below: PathBuf,
    above: PathBuf,
}

fn place() -> Place {
    let kept = tempfile::tempdir().unwrap();
    let (below, above) = (kept.path().join("below"), kept.path().join("above"));
    for directory in [below.join("etc"), above.join(UPPER), above.join(WORK)] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(below.join("etc/file"), "shared").unwrap();
    Place { _kept: kept, below, above }
}

fn is_root(name: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: {name}: needs root");
    }
    root
}

#[test]
fn changes_stay_above_and_owners_are_shifted() {
    if !is_root("changes_stay_above_and_owners_are_shifted") {
        return;
    }
    let place = place();
    let user_namespace = namespace::mapped(BASE, BASE, 65_536).unwrap();
    let id_map = IdMap { user_namespace: user_namespace.as_fd(), uid: BASE, gid: BASE };
    let layers = Layers {
        below: &place.below,
        above: &place.above,
        id_map: Some(id_map),
        access: Access::Volatile,
    };
    let made = make(&layers).unwrap();
    let root = PathBuf::from(format!("/proc/self/fd/{}", made.as_raw_fd()));
    assert_eq!(fs::metadata(root.join("etc/file")).unwrap().uid(), BASE);
    // The node's root has no place in the map: it can change what is there, and make nothing.
    fs::write(root.join("etc/file"), "own").unwrap();
    assert_eq!(fs::write(root.join("new"), "").unwrap_err().raw_os_error(), Some(libc::EOVERFLOW));
    assert_eq!(fs::read_to_string(place.below.join("etc/file")).unwrap(), "shared");
    let copied = place.above.join(UPPER).join("etc/file");
    assert_eq!(fs::read_to_string(&copied).unwrap(), "own");
    assert_eq!(fs::metadata(&copied).unwrap().uid(), 0);
}

#[test]
fn without_a_map_owners_are_those_on_disk() {
    if !is_root("without_a_map_owners_are_those_on_disk") {
        return;
    }
    let place = place();
    let layers =
        Layers { below: &place.below, above: &place.above, id_map: None, access: Access::Volatile };
    let made = make(&layers).unwrap();
    let root = PathBuf::from(format!("/proc/self/fd/{}", made.as_raw_fd()));
    fs::write(root.join("new"), "").unwrap();
    fs::remove_file(root.join("etc/file")).unwrap();
    assert_eq!(fs::metadata(place.above.join(UPPER).join("new")).unwrap().uid(), 0);
    let whiteout = fs::symlink_metadata(place.above.join(UPPER).join("etc/file")).unwrap();
    assert_eq!((whiteout.mode() & libc::S_IFMT, whiteout.rdev()), (libc::S_IFCHR, 0));
    assert!(place.below.join("etc/file").exists());
}

#[test]
fn the_caller_keeps_its_namespace_and_ids() {
    if !is_root("the_caller_keeps_its_namespace_and_ids") {
        return;
    }
    let place = place();
    let before = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let user_namespace = namespace::mapped(BASE, BASE, 65_536).unwrap();
    let id_map = IdMap { user_namespace: user_namespace.as_fd(), uid: BASE, gid: BASE };
    make(&Layers {
        below: &place.below,
        above: &place.above,
        id_map: Some(id_map),
        access: Access::Volatile,
    })
    .unwrap();
    assert_eq!(fs::read_link("/proc/thread-self/ns/mnt").unwrap(), before);
    fs::write(place.above.join("mine"), "").unwrap();
    assert_eq!(fs::metadata(place.above.join("mine")).unwrap().uid(), 0);
    assert!(!mount::is_mount_point(&place.below).unwrap());
}

#[test]
fn what_was_volatile_is_mounted_again_with_an_empty_work_directory() {
    if !is_root("what_was_volatile_is_mounted_again_with_an_empty_work_directory") {
        return;
    }
    let place = place();
    let layers = |access| Layers { below: &place.below, above: &place.above, id_map: None, access };
    drop(make(&layers(Access::Volatile)).unwrap());
    assert!(make(&layers(Access::Write)).is_err());
    fs::remove_dir_all(place.above.join(WORK).join(WORK_INSIDE)).unwrap();
    let made = make(&layers(Access::Read)).unwrap();
    let root = PathBuf::from(format!("/proc/self/fd/{}", made.as_raw_fd()));
    let refused = fs::write(root.join("new"), "").unwrap_err().raw_os_error();
    assert_eq!(refused, Some(libc::EROFS));
}

#[test]
fn a_link_is_no_layer() {
    if !is_root("a_link_is_no_layer") {
        return;
    }
    let place = place();
    fs::remove_dir(place.above.join(UPPER)).unwrap();
    symlink("/etc", place.above.join(UPPER)).unwrap();
    let layers =
        Layers { below: &place.below, above: &place.above, id_map: None, access: Access::Volatile };
    let error = make(&layers).unwrap_err().raw_os_error();
    assert!(matches!(error, Some(libc::ELOOP | libc::ENOTDIR)), "{error:?}");
}
