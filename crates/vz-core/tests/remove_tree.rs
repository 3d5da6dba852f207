//! Removal of trees that fight back.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::sys::stat::Mode;
use support::{Sandbox, is_root, new_file};
use vz_core::remove_tree::{RemoveError, remove_tree};
use vz_sys::beneath;

fn remove(sandbox: &Sandbox, name: &str) -> Result<(), RemoveError> {
    let tree = File::open(sandbox.tree()).unwrap();
    let answer = remove_tree(tree.as_fd(), OsStr::new(name));
    sandbox.assert_untouched();
    answer
}

#[test]
fn links_go_and_what_they_lead_to_stays() {
    let sandbox = Sandbox::new();
    let tree = sandbox.tree();
    std::fs::create_dir(tree.join("x")).unwrap();
    symlink(sandbox.path(), tree.join("x/up")).unwrap();
    symlink(sandbox.path(), tree.join("link")).unwrap();
    new_file(&tree.join("x/file"), b"");
    remove(&sandbox, "link").unwrap();
    remove(&sandbox, "x").unwrap();
    remove(&sandbox, "x").unwrap();
    assert_eq!(std::fs::read_dir(tree).unwrap().count(), 0);
}

#[test]
fn only_one_name_is_taken() {
    let sandbox = Sandbox::new();
    for name in ["", ".", "..", "a/b", "/", "../canary"] {
        let answer = remove(&sandbox, name);
        assert!(matches!(answer, Err(RemoveError::Name(_))), "{name}: {answer:?}");
    }
}

#[test]
fn a_tree_of_ten_thousand_levels() {
    let sandbox = Sandbox::new();
    let mut at: OwnedFd = File::open(sandbox.tree()).unwrap().into();
    for _ in 0..10_000 {
        beneath::make_directory(at.as_fd(), OsStr::new("d"), Mode::S_IRWXU).unwrap();
        at = beneath::open_directory(at.as_fd(), OsStr::new("d")).unwrap();
    }
    drop(at);
    remove(&sandbox, "d").unwrap();
    assert_eq!(std::fs::read_dir(sandbox.tree()).unwrap().count(), 0);
}

#[test]
fn more_names_than_are_read_at_once() {
    let sandbox = Sandbox::new();
    let top = sandbox.tree().join("x");
    std::fs::create_dir(&top).unwrap();
    for number in 0..5000 {
        std::fs::create_dir(top.join(format!("d{number}"))).unwrap();
        new_file(&top.join(format!("f{number}")), b"");
    }
    remove(&sandbox, "x").unwrap();
    assert!(!top.exists());
}

#[test]
fn immutable_files_go() {
    let sandbox = Sandbox::new();
    let top = sandbox.tree().join("x");
    std::fs::create_dir(&top).unwrap();
    std::fs::create_dir(top.join("d")).unwrap();
    new_file(&top.join("d/f"), b"");
    new_file(&top.join("d/g"), b"");
    for (flag, path) in [("+i", "d/f"), ("+a", "d/g"), ("+i", "d"), ("+a", "")] {
        let set = Command::new("chattr").arg(flag).arg(top.join(path)).output();
        if !set.is_ok_and(|set| set.status.success()) {
            eprintln!("skipped immutable_files_go: chattr {flag} does not work here");
            let _ = Command::new("chattr").arg("-Ria").arg(&top).output();
            return;
        }
    }
    let answer = remove(&sandbox, "x");
    let _ = Command::new("chattr").arg("-Ria").arg(&top).output();
    answer.unwrap();
}

#[test]
fn a_mount_point_is_not_crossed() {
    if !is_root() {
        eprintln!("skipped a_mount_point_is_not_crossed: needs root");
        return;
    }
    let sandbox = Sandbox::new();
    let inside = sandbox.tree().join("x/mnt");
    std::fs::create_dir(sandbox.tree().join("x")).unwrap();
    std::fs::create_dir(&inside).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&inside).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("skipped a_mount_point_is_not_crossed: cannot mount a tmpfs");
        return;
    }
    new_file(&inside.join("kept"), b"");
    let answer = remove(&sandbox, "x");
    let kept = inside.join("kept").exists();
    let unmounted = Command::new("umount").arg(&inside).status().unwrap();
    assert!(kept && unmounted.success());
    assert!(matches!(answer, Err(RemoveError::MountPoint(_))), "{answer:?}");
    remove(&sandbox, "x").unwrap();
}

#[test]
fn directories_that_are_exchanged_with_links_meanwhile() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let sandbox = Sandbox::new();
    let tree = sandbox.tree();
    for round in 0..20 {
        let top = tree.join("x");
        std::fs::create_dir(&top).unwrap();
        for number in 0..50 {
            std::fs::create_dir(top.join(format!("d{number}"))).unwrap();
            new_file(&top.join(format!("d{number}/canary")), b"");
        }
        symlink(sandbox.path(), top.join("link")).unwrap();
        let directory = File::open(&top).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let at = directory.as_fd();
                while !done.load(Ordering::Relaxed) {
                    for number in 0..50 {
                        let name = format!("d{number}");
                        let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                        let _ =
                            beneath::rename(at, OsStr::new(&name), at, OsStr::new("link"), flags);
                    }
                }
            });
            let answer = remove(&sandbox, "x");
            done.store(true, Ordering::Relaxed);
            assert!(answer.is_ok(), "round {round}: {answer:?}");
        });
        assert!(!top.exists());
    }
}
