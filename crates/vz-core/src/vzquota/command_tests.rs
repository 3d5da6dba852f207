//! Commands on a kernel of which every call can be looked at.

use std::cell::RefCell;
use std::path::Path;

use super::super::change::GivenAmount;
use super::super::file::Object;
use super::*;
use crate::report::Silent;

/// Has at most one quota on, at one place.
#[derive(Default)]
struct Fake {
    /// Where it is on, and with what.
    on: RefCell<Option<(PathBuf, Level)>>,
    /// Files are read when it is switched on: the quota's.
    seen: RefCell<Option<QuotaFile>>,
    file: PathBuf,
    fails: bool,
}

impl Kernel for Fake {
    /// A directory answers for its own file system only; without one all are asked.
    fn get(&self, _: u32, directory: Option<&Path>) -> Result<Option<Level>> {
        let on = self.on.borrow();
        let here = |place: &Path| directory.is_none_or(|directory| directory == place);
        Ok(on.as_ref().filter(|(place, _)| here(place)).map(|(_, level)| *level))
    }

    fn on(
        &self,
        id: u32,
        directory: &Path,
        file: &QuotaFile,
        _: bool,
        _: &mut dyn Report,
    ) -> Result<()> {
        *self.seen.borrow_mut() = store::read(&self.file, id).ok().map(|(file, _)| file);
        if self.fails {
            return Err(Error::Kernel("no".into()));
        }
        let level = Level { amounts: file.amounts, grace: (0, 0) };
        *self.on.borrow_mut() = Some((directory.to_owned(), level));
        Ok(())
    }

    fn set(&self, _: u32, _: Option<&Path>, _: &QuotaFile) -> Result<()> {
        Ok(())
    }

    fn off(&self, _: u32, _: Option<&Path>) -> Result<()> {
        *self.on.borrow_mut() = None;
        Ok(())
    }

    fn limits_users(&self, _: &Path) -> bool {
        false
    }

    fn users(&self, _: &Path) -> Result<Option<Vec<Object>>> {
        Ok(None)
    }

    fn set_user(&self, _: &Path, _: &Object) -> Result<()> {
        Ok(())
    }

    fn set_users_grace(&self, _: &Path, _: u32, _: &Grace) -> Result<()> {
        Ok(())
    }
}

/// A node of the test alone, with two directories to put a quota on.
struct Stage {
    node: Node,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::DirBuilder::new().create(directory.path().join(name)).unwrap();
        }
        Stage { node: Node::without_config(Some(directory.path().to_owned())), directory }
    }

    fn kernel(&self) -> Fake {
        let file = self.directory.path().join("var/vzquota/quota.5");
        Fake { file, ..Fake::default() }
    }

    fn run<T>(
        &self,
        kernel: &Fake,
        directory: Option<&str>,
        action: impl FnOnce(&mut Session<'_>) -> Result<T>,
    ) -> Result<T> {
        let place = Place { directory: directory.map(PathBuf::from), ..Place::default() };
        let (node, report) = (&self.node, &mut Silent);
        action(&mut Session { node, kernel, id: 5, place, now: 1000, report })
    }
}

fn limits() -> Given {
    let amount = GivenAmount { soft: Some(500), hard: Some(600), grace: Some(0) };
    Given { space: amount, inodes: amount, ..Given::default() }
}

#[test]
fn what_was_not_switched_on_to_its_end_is_counted_anew() {
    let stage = Stage::new();
    let mut kernel = stage.kernel();
    stage.run(&kernel, Some("/a"), |session| session.init(&limits())).unwrap();
    kernel.fails = true;
    stage.run(&kernel, None, |session| session.on(&Given::default())).unwrap_err();
    let seen = kernel.seen.take().unwrap();
    assert!(seen.has(DIRTY) && !seen.has(ON));
    assert_eq!(stage.run(&kernel, None, |session| session.show()).unwrap().code, DIRTY_FILE);
    kernel.fails = false;
    stage.run(&kernel, None, |session| session.on(&Given::default())).unwrap();
    let file = stage.run(&kernel, None, |session| session.show()).unwrap().file;
    assert!(file.has(ON) && !file.has(DIRTY));
}

#[test]
fn one_that_is_on_elsewhere_is_seen() {
    let stage = Stage::new();
    let kernel = stage.kernel();
    stage.run(&kernel, Some("/a"), |session| session.init(&limits())).unwrap();
    stage.run(&kernel, None, |session| session.on(&Given::default())).unwrap();
    let again = |session: &mut Session<'_>| session.on(&Given::default());
    assert_eq!(stage.run(&kernel, Some("/b"), again).unwrap_err().code(), 5);
    let anew = |session: &mut Session<'_>| session.init(&limits());
    assert_eq!(stage.run(&kernel, Some("/b"), anew).unwrap_err().code(), 5);
    stage.run(&kernel, None, |session| session.off(false)).unwrap();
    stage.run(&kernel, Some("/b"), anew).unwrap();
}
