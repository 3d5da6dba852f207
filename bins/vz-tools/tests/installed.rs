//! The tools as they are installed and described: `./setup` makes their links, each has a manual
//! page with all of its options, and `--help` says how to use it.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vz-tools");

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn names() -> Vec<String> {
    let names: Vec<String> = text(run(&["--list"]).stdout).lines().map(str::to_owned).collect();
    assert!(names.len() >= 9, "{names:?}");
    names
}

fn project(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).unwrap()
}

/// The options of a page: `Fl -help` is `--help`, and `Fl rv` is `-r` and `-v`.
fn options(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let places = words.iter().enumerate().filter(|(_, word)| word.trim_matches('.') == "Fl");
        for word in places.filter_map(|(place, _)| words.get(place + 1)) {
            match word.strip_prefix('-') {
                Some("") => {}
                Some(long) => drop(found.insert(format!("--{long}"))),
                None => found.extend(word.chars().map(|letter| format!("-{letter}"))),
            }
        }
    }
    // `.Fl l | c` and `.It Fl h , Fl -help` have more letters behind a bar.
    for line in page.lines().filter(|line| line.starts_with(".Fl") || line.starts_with(".Op Fl")) {
        let (_, others) = line.split_once('|').unwrap_or_default();
        let words = others.split_whitespace().filter(|word| *word != "Fl");
        found.extend(words.filter(|word| word.len() == 1).map(|letter| format!("-{letter}")));
    }
    found
}

/// The options of a usage text, between brackets, bars and blanks.
fn options_of_usage(usage: &str) -> BTreeSet<String> {
    let words = usage.split(|c: char| c.is_whitespace() || "[]{}|,".contains(c));
    let is_option = |word: &&str| word.len() > 1 && word.starts_with('-') && *word != "--";
    words.filter(is_option).map(str::to_owned).collect()
}

/// The options of what `--help` prints. The quota tools have it on standard error, with code 2, and
/// vzquota one for each command.
fn usage(name: &str) -> BTreeSet<String> {
    let output = run(&[name, "--help"]);
    if name == "vztmpl-dl" {
        assert!(output.status.success() && output.stdout.is_empty());
        return options_of_usage(&text(output.stderr));
    }
    if !(name == "vzquota" || name.starts_with("vzdq")) {
        assert!(output.status.success() && output.stderr.is_empty(), "{name}");
        return options_of_usage(&text(output.stdout));
    }
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{name}");
    let mut found = options_of_usage(&text(output.stderr));
    if name == "vzquota" {
        let commands = ["init", "on", "off", "drop", "setlimit", "setlimit2", "reload2"];
        for command in commands.into_iter().chain(["stat", "show"]) {
            let output = run(&[name, "-h", command]);
            let of_command = options_of_usage(&text(output.stderr));
            assert!(of_command.contains("-p"), "{command}");
            found.extend(of_command);
        }
    }
    found
}

#[test]
fn links_are_made_for_all() {
    let setup = project("setup");
    let start = setup.split_once("\nlinks=\"").unwrap().1;
    let links = start.split_once('"').unwrap().0.split_whitespace();
    let made: Vec<_> = links.map(|link| link.strip_suffix(":vz-tools").unwrap()).collect();
    assert_eq!(made, names());
}

#[test]
fn pages_and_usages_name_the_same_options() {
    for name in names() {
        let mut usage = usage(&name);
        let mut page = options(&project(&format!("man/{name}.8")));
        assert!(page.contains("--help"), "{name}");
        // Options that say how to use the tool need not say so themselves.
        usage.extend(["--help".to_owned()]);
        if page.contains("-h") {
            usage.insert("-h".to_owned());
        }
        if name == "vzcptcheck" {
            usage.retain(|option| option == "--help");
        }
        if name == "vzubc" {
            // Its short options are words of their own, `-wd` and the like.
            let is_long = |option: &String| option.starts_with("--");
            page.retain(is_long);
            usage =
                usage.iter().map(|option| option.trim_end_matches([':', '.']).to_owned()).collect();
            usage.retain(is_long);
        }
        assert_eq!(page, usage, "{name}");
    }
}

#[test]
fn a_tool_by_its_name_and_by_the_first_word() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("vzcalc");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    let linked = Command::new(&link).arg("abc").output().unwrap();
    assert_eq!(text(linked.stderr), "Invalid CT ID: abc\n");
    assert_eq!(text(run(&["vzcalc", "abc"]).stderr), "Invalid CT ID: abc\n");
    for words in [&[][..], &["vzfoo"], &["-v"]] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(output.stderr).starts_with("Usage: vz-tools "), "{words:?}");
    }
}
