use super::*;

use crate::report::Kept;

/// A node with these files in its `dists`.
fn node_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Node) {
    let place = tempfile::tempdir().unwrap();
    let make = |path: &str, text: &str| {
        let path = place.path().join(path);
        std::fs::DirBuilder::new().recursive(true).create(path.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create_new(path).unwrap(), text.as_bytes())
            .unwrap();
    };
    make("etc/vz/vz.conf", "");
    make("etc/vz/dists/scripts/found.sh", "");
    for (name, text) in files {
        make(&format!("etc/vz/dists/{name}"), text);
    }
    let node = Node::load(Some(place.path().to_owned())).unwrap();
    (place, node)
}

/// What was found for a template (the script of ADD_IP), and what was said.
fn look_up(files: &[(&str, &str)], template: Option<&str>) -> (Result<bool>, Vec<(i32, String)>) {
    let (_place, node) = node_with(files);
    let mut said = Kept::default();
    let found = Distribution::find(&node, template, &mut said)
        .map(|found| found.script(Action::AddIp).is_some());
    (found, said.0)
}

const FOUND: &str = "ADD_IP=found.sh\n";

#[test]
fn names_are_cut_at_dashes() {
    for (template, file) in [
        ("a-b-c", "a-b-c.conf"),
        ("a-b-c", "a-b.conf"),
        ("a-b-c", "a.conf"),
        ("foo-", "foo.conf"),
        ("foo--bar", "foo-.conf"),
        ("foo--bar", "foo.conf"),
        ("a_b-1.0", "a_b.conf"),
        ("x/y/a-b", "a.conf"),
    ] {
        let (found, said) = look_up(&[(file, FOUND), ("default", "")], Some(template));
        assert!(found.unwrap() && said.is_empty(), "{template} {file} {said:?}");
    }
}

#[test]
fn the_longest_name_wins() {
    let files = [("a-b.conf", FOUND), ("a.conf", ""), ("default", "")];
    assert!(look_up(&files, Some("a-b-c")).0.unwrap());
    assert!(!look_up(&files, Some("a-c")).0.unwrap());
}

#[test]
fn all_others_have_the_default() {
    let warning = |text: &str| {
        vec![(-1, format!("Warning: {text}, using defaults from /etc/vz/dists/default"))]
    };
    for (template, text) in [
        (Some("-foo"), "configuration file for distribution -foo not found"),
        (Some("a.b"), "configuration file for distribution a.b not found"),
        (Some(""), "configuration file for distribution  not found"),
        (Some(".."), "configuration file for distribution .. not found"),
        (None, "distribution not specified in CT config"),
    ] {
        let (found, said) = look_up(&[(".conf", ""), ("a.conf", ""), ("default", FOUND)], template);
        assert!(found.unwrap(), "{template:?}");
        assert_eq!(said, warning(text), "{template:?}");
    }
}

#[test]
fn without_a_default_it_is_an_error() {
    let (found, said) = look_up(&[], Some("zz"));
    let error = found.unwrap_err();
    assert_eq!(error.exit().code(), 107);
    let text = "Distribution configuration file /etc/vz/dists/default not found";
    assert_eq!(error.to_string(), text);
    assert_eq!(said.len(), 1);
}

#[test]
fn odd_lines_are_told_in_their_order() {
    let text =
        "ADD_IP=nope.sh\nUNKNOWN=foo\nSET_DNS=\nadd_ip=x\njunk line\n# c\nDEL_IP=\"found.sh\"\n";
    let (_place, node) = node_with(&[("zz.conf", text)]);
    let mut said = Kept::default();
    let found = Distribution::find(&node, Some("zz"), &mut said).unwrap();
    let lines: Vec<&str> = said.0.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "Action script /etc/vz/dists/scripts/nope.sh not found",
            "Warning: can't parse /etc/vz/dists/zz.conf:5 ('=' not found), skipping"
        ]
    );
    assert!(found.script(Action::AddIp).is_none() && found.script(Action::SetDns).is_none());
    assert!(found.script(Action::DelIp).unwrap().ends_with("scripts/found.sh"));
}

#[test]
fn functions_come_before_the_scripts_that_have_them() {
    let (place, node) = node_with(&[("a.conf", FOUND), ("scripts/functions", "f() { :; }")]);
    let found = Distribution::find(&node, Some("a"), &mut Kept::default()).unwrap();
    let script = place.path().join("etc/vz/dists/a.conf");
    let text = |action| String::from_utf8(found.text(action, &script).unwrap()).unwrap();
    assert_eq!(text(Action::AddIp), format!("f() {{ :; }}\n{FOUND}"));
    assert_eq!(text(Action::PreStart), FOUND);
    assert_eq!(text(Action::SetConsole), FOUND);
}
