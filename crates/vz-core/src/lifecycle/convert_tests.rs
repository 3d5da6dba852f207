//! What a conversion that was killed leaves, and what becomes of it.

#![allow(clippy::disallowed_methods, reason = "a test's own files")]

use std::fs;

use vz_conf::ctid::Ctid;

use super::*;
use crate::lifecycle::{teardown, temporary};
use crate::node::Node;

struct Place {
    top: tempfile::TempDir,
    node: Node,
}

impl Place {
    /// A node with container 7 of `layout`; `areas` are what lies at its private area and beside it,
    /// each with a file of its content's name.
    fn new(layout: &str, areas: &[(&str, &str)]) -> Place {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("etc/vz/conf")).unwrap();
        let global = "VE_PRIVATE=/p/$VEID\nVE_ROOT=/r/$VEID\nLOCKDIR=/lock\n";
        fs::write(top.path().join("etc/vz/vz.conf"), global).unwrap();
        for (name, content) in areas {
            fs::create_dir_all(top.path().join("p").join(name).join(content)).unwrap();
        }
        let node = Node::load(Some(top.path().to_owned())).unwrap();
        let place = Place { top, node };
        place.configure(layout);
        place
    }

    fn configure(&self, layout: &str) {
        let text = format!("VE_LAYOUT=\"{layout}\"\n");
        fs::write(self.top.path().join("etc/vz/conf/7.conf"), text).unwrap();
    }

    /// What a killed command has left.
    fn unfinished(&self, content: &str) -> PathBuf {
        let area = self.top.path().join("p/7.tmp");
        temporary::make(&area).unwrap();
        fs::create_dir_all(area.join(content)).unwrap();
        area
    }

    fn container(&self) -> Container<'_> {
        Container::load(&self.node, Ctid::new(7).unwrap()).unwrap()
    }

    /// What lies at the private area; nothing may lie beside it.
    fn content(&self) -> String {
        let names = |path: &Path| -> Vec<String> {
            let entries = fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(&self.top.path().join("p")), ["7"]);
        names(&self.top.path().join("p/7")).join(" ")
    }
}

const TO_OVERLAY: &str = "7.convert-to-overlay";
const OLD: &str = "7.convert-old";

#[test]
fn the_configuration_decides_forward_or_back() {
    for (layout, areas, expected) in [
        ("simfs", vec![("7", "old"), (TO_OVERLAY, "new")], "old"),
        ("overlay", vec![("7", "old"), (TO_OVERLAY, "new")], "new"),
        ("overlay", vec![(OLD, "old"), (TO_OVERLAY, "new")], "new"),
        ("overlay", vec![("7", "new"), (OLD, "old")], "new"),
        ("overlay", vec![("7", "old"), (OLD, "older"), (TO_OVERLAY, "new")], "new"),
        ("simfs", vec![("7", "as it was")], "as it was"),
    ] {
        let place = Place::new(layout, &areas);
        finish(&place.container()).unwrap();
        assert_eq!(place.content(), expected, "{layout} {areas:?}");
        finish(&place.container()).unwrap();
        assert_eq!(place.content(), expected, "{layout} {areas:?}, again");
    }
}

#[test]
fn what_was_never_whole_goes_with_the_next_command() {
    for content in ["half", ""] {
        let place = Place::new("simfs", &[("7", "old")]);
        let left = place.unfinished(content);
        teardown::recover(&place.container(), &mut Silent).unwrap();
        assert!(place.content() == "old" && !left.exists(), "{content}");
    }
    let place = Place::new("simfs", &[("7", "old"), ("7.tmp", "of the admin")]);
    teardown::recover(&place.container(), &mut Silent).unwrap();
    assert!(place.top.path().join("p/7.tmp/of the admin").exists());
}

#[test]
fn without_a_configuration_it_goes_when_nobody_is_at_work() {
    let place = Place::new("simfs", &[("7", "")]);
    fs::remove_file(place.top.path().join("etc/vz/conf/7.conf")).unwrap();
    let (container, left) = (place.container(), place.unfinished("half"));
    let lock = container.lock(&mut Silent).unwrap();
    temporary::remove_traces(&container, &mut Silent).unwrap();
    assert!(left.exists() && container.private.exists());
    drop(lock);
    temporary::remove_traces(&container, &mut Silent).unwrap();
    assert!(!left.exists() && !container.private.exists());
}

#[test]
fn a_configuration_that_was_read_before_the_lock_does_not_decide() {
    let place = Place::new("simfs", &[("7", "old"), (TO_OVERLAY, "new")]);
    let container = place.container();
    place.configure("overlay");
    finish(&container).unwrap();
    assert_eq!(place.content(), "new");
}

#[test]
fn a_place_that_cannot_be_renamed_is_refused() {
    let place = Place::new("simfs", &[("elsewhere", "old")]);
    std::os::unix::fs::symlink("elsewhere", place.top.path().join("p/7")).unwrap();
    let mut container = place.container();
    let refused = convert(&mut container, Layout::Overlay, &mut Silent).unwrap_err();
    assert_eq!(refused.exit(), Exit::InvalidValue);
    assert_eq!(place.container().layout(), Layout::Simfs);
}
