//! What the walk does to projects, which a table stands for: few file systems have them.

#![expect(clippy::disallowed_methods, reason = "a directory of the test alone")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::*;

const ID: u32 = 101;
const DONE: Project = Project { id: ID, inherit: true };

/// Projects by inode.
#[derive(Default)]
struct Table {
    projects: RefCell<HashMap<u64, Project>>,
    /// This inode's cannot be set, as with `chattr +i`.
    immutable: Cell<u64>,
    /// Made in the top directory when this inode is set.
    makes: RefCell<Option<(u64, std::path::PathBuf)>>,
}

impl Table {
    fn of(&self, path: &Path) -> Project {
        self.get(File::open(path).unwrap().as_fd()).unwrap()
    }

    fn put(&self, path: &Path, id: u32) {
        self.projects.borrow_mut().insert(inode(path), Project { id, inherit: true });
    }

    fn run(&self, top: &Path) -> Result<TreeSummary, TreeError> {
        set_recursive(self, File::open(top).unwrap().as_fd(), ID)
    }
}

impl Projects for Table {
    fn get(&self, file: BorrowedFd<'_>) -> io::Result<Project> {
        let known = self.projects.borrow();
        Ok(known.get(&fstat(file)?.st_ino).copied().unwrap_or(Project { id: 0, inherit: false }))
    }

    fn set(&self, file: BorrowedFd<'_>, project: Project) -> io::Result<()> {
        let inode = fstat(file)?.st_ino;
        if inode == self.immutable.get() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.projects.borrow_mut().insert(inode, project);
        if let Some((_, path)) = self.makes.borrow_mut().take_if(|(when, _)| *when == inode) {
            fs::create_dir_all(path.join("in it")).unwrap();
        }
        Ok(())
    }

    fn set_special(&self, _: BorrowedFd<'_>, _: &CStr, _: u32) -> io::Result<bool> {
        Ok(false)
    }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

fn tree() -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir_all(top.path().join("a/b")).unwrap();
    fs::write(top.path().join("a/b/file"), "x").unwrap();
    top
}

#[test]
fn a_walk_that_failed_can_be_told_from_one_that_ended() {
    let (top, table) = (tree(), Table::default());
    let top = top.path();
    let file = top.join("a/b/file");
    table.immutable.set(inode(&file));
    assert_eq!(table.run(top).unwrap_err().path, Path::new("a/b/file"));
    assert_eq!(table.of(top), Project { id: ID, inherit: false });
    table.immutable.set(0);
    assert_eq!(table.run(top).unwrap().changed, 4);
    assert_eq!((table.of(top), table.of(&file).id), (DONE, ID));
    // The same when all of it is done anew.
    table.immutable.set(inode(&file));
    table.run(top).unwrap_err();
    assert_ne!(table.of(top), DONE);
}

#[test]
fn what_is_made_in_the_top_meanwhile_is_done_too() {
    let (top, table) = (tree(), Table::default());
    let new = top.path().join("new");
    *table.makes.borrow_mut() = Some((inode(&top.path().join("a")), new.clone()));
    table.run(top.path()).unwrap();
    assert_eq!((table.of(&new), table.of(&new.join("in it"))), (DONE, DONE));
}

#[test]
fn what_another_project_counts_is_not_taken() {
    let (top, table) = (tree(), Table::default());
    let below = top.path().join("a/b");
    table.put(&below, 300);
    let before = table.projects.borrow().clone();
    let error = table.run(top.path()).unwrap_err();
    assert_eq!(
        (error.path.as_path(), error.source.kind()),
        (Path::new("a/b"), io::ErrorKind::ResourceBusy)
    );
    assert_eq!(*table.projects.borrow(), before);
}

#[test]
fn a_tree_of_another_project_is_taken_over_also_in_two_steps() {
    let (top, table) = (tree(), Table::default());
    let (below, file) = (top.path().join("a/b"), top.path().join("a/b/file"));
    table.put(top.path(), 300);
    table.put(&below, 300);
    table.immutable.set(inode(&below));
    table.run(top.path()).unwrap_err();
    assert_ne!(table.of(top.path()), DONE);
    table.immutable.set(0);
    table.run(top.path()).unwrap();
    assert_eq!((table.of(top.path()), table.of(&below), table.of(&file).id), (DONE, DONE, ID));
}
