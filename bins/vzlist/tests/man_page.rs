//! The manual page names every field and every option.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::collections::BTreeSet;
use std::process::Command;

const PAGE: &str = include_str!("../../../man/vzlist.8");

fn output(option: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vzlist")).arg(option).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The words of the page's entries.
fn entries() -> BTreeSet<&'static str> {
    PAGE.lines().filter(|line| line.starts_with(".It ")).flat_map(str::split_whitespace).collect()
}

#[test]
fn every_field_with_its_parts() {
    let entries = entries();
    let text = output("-L");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() > 100, "{text}");
    for name in names {
        let (whole, part) = name.split_once('.').unwrap_or((name, ""));
        assert!(entries.contains(whole), "{whole}");
        assert!(part.is_empty() || PAGE.contains(&format!(".Cm .{part}\n")), "{name}");
    }
}

#[test]
fn every_option() {
    let entries = entries();
    let text = output("--help");
    let mut options = 0;
    for line in text.lines().filter(|line| line.starts_with("  -")) {
        let words = line.split_whitespace().take(2);
        for word in
            words.map(|word| word.trim_end_matches(',')).filter(|word| word.starts_with('-'))
        {
            let name = word.strip_prefix('-').unwrap();
            assert!(entries.contains(name), "{word}");
            options += 1;
        }
    }
    assert!(options > 20, "{text}");
}
