//! Trees that are made, kept and removed, of archives made by tar(1).

#![allow(clippy::disallowed_methods, reason = "small programs of the test's own")]

use std::process::Command;

use super::*;

struct Place {
    top: tempfile::TempDir,
    node: Node,
}

impl Place {
    fn new() -> Place {
        let top = tempfile::tempdir().unwrap();
        for directory in ["etc/vz/conf", "t/cache"] {
            std::fs::create_dir_all(top.path().join(directory)).unwrap();
        }
        std::fs::write(top.path().join("etc/vz/vz.conf"), "TEMPLATE=/t\n").unwrap();
        let node = Node::load(Some(top.path().to_owned())).unwrap();
        Place { top, node }
    }

    /// Puts an archive into the cache, in the place of one that is there.
    fn archive(&self, name: &str, text: &str) {
        let files = self.top.path().join("files");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("text"), text).unwrap();
        let path = self.top.path().join(format!("t/cache/{name}.tar"));
        let new = path.with_extension("new");
        let made = Command::new("tar").arg("-cf").arg(&new).arg("-C").arg(&files).arg(".").status();
        assert!(made.unwrap().success());
        std::fs::rename(new, path).unwrap();
    }

    fn hold(&self, name: &str) -> Result<Held> {
        let template = super::super::find(&self.node, name, &mut Silent)?;
        hold(&self.node, &template, &mut Silent, &mut |_| {})
    }

    fn configure(&self, id: u32, layout: &str, version: &Version) {
        let text = format!("VE_LAYOUT=\"{layout}\"\nOVERLAY_TEMPLATE=\"{version}\"\n");
        std::fs::write(self.top.path().join(format!("etc/vz/conf/{id}.conf")), text).unwrap();
    }

    fn destroy(&self, id: u32) {
        std::fs::remove_file(self.top.path().join(format!("etc/vz/conf/{id}.conf"))).unwrap();
    }

    fn text(&self, version: &Version) -> Option<String> {
        std::fs::read_to_string(version.path(&self.node).unwrap().join("text")).ok()
    }

    fn is_there(&self, path: &str) -> bool {
        self.top.path().join(path).exists()
    }
}

#[test]
fn names_are_read_back_and_lead_nowhere_else() {
    let version = Version::parse("debian-12-x86_64/1700000000.000000001-10-11").unwrap();
    assert_eq!(Version::parse(&version.to_string()), Some(version.clone()));
    let place = Place::new();
    let path = version.path(&place.node).unwrap();
    assert_eq!(place.node.shown(&path), Path::new("/t").join(version.to_string()));
    for text in
        ["", "a", "a/", "/a", "../a", "a/..", "a/b/c", "a/.lock", "cache/a", "a/b\n", "a/\0"]
    {
        assert_eq!(Version::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_tree_is_made_once_and_another_archive_is_another_tree() {
    let place = Place::new();
    place.archive("a", "one");
    let first = place.hold("a").unwrap().version;
    std::fs::write(first.path(&place.node).unwrap().join("mark"), "").unwrap();
    assert_eq!(place.hold("a").unwrap().version, first);
    assert!(first.path(&place.node).unwrap().join("mark").exists());
    let mode = std::fs::metadata(place.top.path().join("t/a")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o700);

    place.configure(7, "overlay", &first);
    place.archive("a", "two");
    let second = place.hold("a").unwrap().version;
    assert_ne!(first, second);
    assert_eq!(place.text(&first).as_deref(), Some("one"));
    assert_eq!(place.text(&second).as_deref(), Some("two"));
}

#[test]
fn a_tree_in_use_stays_and_goes_with_its_last_container() {
    let place = Place::new();
    place.archive("a", "one");
    let first = place.hold("a").unwrap().version;
    place.configure(7, "overlay", &first);
    place.configure(8, "overlay", &first);
    place.archive("a", "two");
    let second = place.hold("a").unwrap().version;
    place.destroy(7);
    clean(&place.node, "a").unwrap();
    assert!(place.text(&first).is_some());
    // Whatever the layout, as a configuration may be read in more than one way.
    place.configure(8, "simfs", &first);
    clean(&place.node, "a").unwrap();
    assert!(place.text(&first).is_some());
    place.destroy(8);
    clean(&place.node, "a").unwrap();
    assert!(place.text(&first).is_none() && place.text(&second).is_some());
    // The archive in the cache keeps its tree; without it, all goes.
    std::fs::remove_file(place.top.path().join("t/cache/a.tar")).unwrap();
    clean(&place.node, "a").unwrap();
    assert!(!place.is_there("t/a"));
    clean(&place.node, "a").unwrap();
}

#[test]
fn what_others_keep_beside_the_templates_stays() {
    let place = Place::new();
    let foreign = ["t/a/x86_64/packages", "t/a/7-8-9", "t/a/1.5-2-3", "t/b/1.000000000-2-3"];
    for path in foreign {
        std::fs::create_dir_all(place.top.path().join(path)).unwrap();
    }
    assert!(!has(&place.node, "b"));
    clean(&place.node, "b").unwrap();
    place.archive("a", "one");
    let version = place.hold("a").unwrap().version;
    std::fs::create_dir_all(place.top.path().join("t/a/.removing/half")).unwrap();
    std::fs::remove_file(place.top.path().join("t/cache/a.tar")).unwrap();
    clean(&place.node, "a").unwrap();
    assert!(place.text(&version).is_none());
    for path in foreign {
        assert!(place.is_there(path), "{path}");
    }
    assert!(!place.is_there("t/a/.removing") && !place.is_there("t/b/.lock"));
}

#[test]
fn a_tree_that_a_create_has_chosen_is_not_removed() {
    let place = Place::new();
    place.archive("a", "one");
    let held = place.hold("a").unwrap();
    std::fs::remove_file(place.top.path().join("t/cache/a.tar")).unwrap();
    clean(&place.node, "a").unwrap();
    assert!(place.text(&held.version).is_some());
    let version = held.version.clone();
    drop(held);
    clean(&place.node, "a").unwrap();
    assert!(place.text(&version).is_none());
}

#[test]
fn what_is_unfinished_counts_for_nothing() {
    let place = Place::new();
    place.archive("a", "one");
    std::fs::create_dir_all(place.top.path().join("t/a/.unpacking/half")).unwrap();
    let version = place.hold("a").unwrap().version;
    assert_eq!(place.text(&version).as_deref(), Some("one"));
    assert!(!version.path(&place.node).unwrap().join("half").exists());
    assert!(!place.is_there("t/a/.unpacking"));

    std::fs::write(place.top.path().join("t/cache/b.tar"), [b'x'; 1024]).unwrap();
    assert_eq!(place.hold("b").unwrap_err().exit(), Exit::UnpackFailed);
    assert!(!place.is_there("t/b/.unpacking"));
    std::fs::remove_file(place.top.path().join("t/cache/b.tar")).unwrap();
    clean(&place.node, "b").unwrap();
    assert!(!place.is_there("t/b"));
}

#[test]
fn a_configuration_that_cannot_be_read_may_name_any() {
    let place = Place::new();
    place.archive("a", "one");
    let first = place.hold("a").unwrap().version;
    std::fs::create_dir(place.top.path().join("etc/vz/conf/9.conf")).unwrap();
    place.archive("a", "two");
    let second = place.hold("a").unwrap().version;
    assert!(place.text(&first).is_some() && place.text(&second).is_some());
    assert_eq!(clean(&place.node, "a").unwrap_err().exit(), Exit::SystemError);
}

#[test]
fn the_caches_own_name_is_no_template() {
    let place = Place::new();
    place.archive("cache", "one");
    assert_eq!(place.hold("cache").unwrap_err().exit(), Exit::OsTemplateNotFound);
}
