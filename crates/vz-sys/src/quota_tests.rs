#![expect(clippy::disallowed_methods, reason = "a directory of the test alone")]

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

#[test]
fn limits_become_blocks_and_come_back_as_bytes() {
    let kernel =
        KernelQuota { space_hard: 2, space_soft: 1, space_held: 1500, ..Default::default() };
    let quota = from_kernel(101, &kernel);
    assert_eq!(quota.limits.space, Limit { soft: 1024, hard: 2048 });
    assert_eq!((quota.id, quota.space_held), (101, 1500));
    let huge = KernelQuota { space_hard: u64::MAX, ..Default::default() };
    assert_eq!(from_kernel(1, &huge).limits.space.hard, u64::MAX);
}

#[test]
fn file_system_without_quota_says_so() {
    let proc = File::open("/proc").unwrap();
    assert_eq!(support(proc.as_fd()).unwrap(), Support::None);
    assert!(quota(proc.as_fd(), 1).is_err());
    assert!(project(proc.as_fd()).is_err());
    assert!(set_project_recursive(proc.as_fd(), 1).is_err());
}

/// A directory on a file system with project quota: that of `TMPDIR`, by `tempfile`.
fn quota_directory(test: &str, least: Support) -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir().unwrap();
    let found = support(File::open(directory.path()).unwrap().as_fd()).unwrap();
    if found == least || found == Support::Enforced {
        return Some(directory);
    }
    eprintln!("skipped: {test}: needs TMPDIR with project quota {least:?}, found {found:?}");
    None
}

fn open(path: &Path) -> File {
    File::open(path).unwrap()
}

#[test]
fn project_is_inherited_and_counted() {
    let name = "project_is_inherited_and_counted";
    let Some(directory) = quota_directory(name, Support::AccountingOnly) else { return };
    let top = open(directory.path());
    let id = 4_000_101;
    set_project(top.as_fd(), Project { id, inherit: true }).unwrap();
    assert_eq!(project(top.as_fd()).unwrap(), Project { id, inherit: true });
    let mut file = File::create_new(directory.path().join("file")).unwrap();
    file.write_all(&[1; 100_000]).unwrap();
    nix::unistd::syncfs(&file).unwrap();
    assert_eq!(project(file.as_fd()).unwrap(), Project { id, inherit: false });
    let held = quota(top.as_fd(), id).unwrap();
    assert_eq!(held.inodes_held, 2);
    assert!((100_000..150_000).contains(&held.space_held), "{held:?}");
    assert_eq!(next_quota(top.as_fd(), id).unwrap(), Some(held));
    assert_eq!(next_quota(top.as_fd(), u32::MAX - 1).unwrap(), None);
}

#[test]
fn limits_hold() {
    let Some(directory) = quota_directory("limits_hold", Support::Enforced) else { return };
    let top = open(directory.path());
    let id = 4_000_102;
    set_project(top.as_fd(), Project { id, inherit: true }).unwrap();
    let limits = Limits {
        space: Limit { soft: 512 * 1024 - 1, hard: 1024 * 1024 },
        inodes: Limit { soft: 3, hard: 4 },
    };
    set_limits(top.as_fd(), id, &limits).unwrap();
    let read = quota(top.as_fd(), id).unwrap().limits;
    assert_eq!(read.space, Limit { soft: 512 * 1024, hard: 1024 * 1024 });
    assert_eq!(read.inodes, limits.inodes);
    // Root with CAP_SYS_RESOURCE passes hard limits: write as a thread that lacks it.
    std::thread::scope(|scope| scope.spawn(|| fill(directory.path())).join().unwrap());
    let held = quota(top.as_fd(), id).unwrap();
    assert_eq!(held.inodes_held, 4);
    assert!(held.space_held <= 1024 * 1024 && held.space_grace_end > 0, "{held:?}");
    set_limits(top.as_fd(), id, &Limits::default()).unwrap();
}

fn fill(directory: &Path) {
    let capability = caps::Capability::CAP_SYS_RESOURCE;
    caps::drop(None, caps::CapSet::Effective, capability).unwrap();
    let edquot = |error: io::Error| assert_eq!(error.raw_os_error(), Some(libc::EDQUOT));
    let mut file = File::create_new(directory.join("big")).unwrap();
    let written = file.write_all(&vec![1; 2 * 1024 * 1024]).and_then(|()| file.sync_all());
    edquot(written.unwrap_err());
    fs::create_dir(directory.join("directory")).unwrap();
    symlink("nowhere", directory.join("link")).unwrap();
    edquot(fs::create_dir(directory.join("one too many")).unwrap_err());
}

#[test]
fn grace_is_kept() {
    let Some(directory) = quota_directory("grace_is_kept", Support::Enforced) else { return };
    let top = open(directory.path());
    let before = grace(top.as_fd()).unwrap();
    let other = Grace { space: Duration::from_secs(12_345), inodes: Duration::from_secs(54_321) };
    set_grace(top.as_fd(), other).unwrap();
    assert_eq!(grace(top.as_fd()).unwrap(), other);
    set_grace(top.as_fd(), before).unwrap();
}

#[test]
fn tree_gets_a_project_and_nothing_outside_does() {
    let name = "tree_gets_a_project_and_nothing_outside_does";
    let Some(directory) = quota_directory(name, Support::AccountingOnly) else { return };
    let outside = directory.path().join("outside");
    let tree = directory.path().join("tree");
    fs::write(&outside, "x").unwrap();
    let deep = tree.join("a/".repeat(300));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "x").unwrap();
    symlink(&outside, tree.join("link")).unwrap();
    symlink(directory.path(), tree.join("link to a directory")).unwrap();
    nix::unistd::mkfifo(&tree.join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();

    let id = 4_000_103;
    let top = open(&tree);
    let summary = set_project_recursive(top.as_fd(), id).unwrap();
    assert_eq!(summary.changed + summary.unreachable, 301 + 1 + 2 + 1);
    assert!(matches!(summary.unreachable, 0 | 3), "{summary:?}");
    assert_eq!(quota(top.as_fd(), id).unwrap().inodes_held, summary.changed);
    assert_eq!(project(open(&deep).as_fd()).unwrap(), Project { id, inherit: true });
    assert_eq!(project(open(&deep.join("file")).as_fd()).unwrap().id, id);
    assert_eq!(project(open(&outside).as_fd()).unwrap().id, 0);
    assert_eq!(project(open(directory.path()).as_fd()).unwrap().id, 0);
}
