//! The manual pages say what the tables hold: every option, key and exit code, and no other.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::collections::BTreeSet;
use std::process::Command;

use vz_conf::exit::Exit;
use vz_conf::param::{PARAMS, Scope};

const VZCTL: &str = include_str!("../../../man/vzctl.8");
const VZ_CONF: &str = include_str!("../../../man/vz.conf.5");
const CTID_CONF: &str = include_str!("../../../man/ctid.conf.5");

/// Options that are no parameters: those before the command, and those of other commands.
const OTHER_OPTIONS: [&str; 31] = [
    "--quiet",
    "--verbose",
    "--skiplock",
    "--version",
    "--help",
    "--wait",
    "--skip-fsck",
    "--skip-remount",
    "--skip_ve_setup",
    "--fast",
    "--skip-umount",
    "--exec",
    "--suspend",
    "--dump",
    "--undump",
    "--resume",
    "--kill",
    "--dumpfile",
    "--flags",
    "--context",
    "--id",
    "--uuid",
    "--skip-suspend",
    "--skip-config",
    "--skip-resume",
    "--must-resume",
    "--target",
    "--no-header",
    "--output",
    "--list",
    "--layout",
];

/// The words of the lines that use a macro of mdoc(7), at their beginning or within.
fn words_of<'p>(page: &'p str, name: &'p str) -> impl Iterator<Item = &'p str> {
    page.lines()
        .filter(|line| line.starts_with('.'))
        .filter(move |line| {
            line.trim_start_matches('.').split_whitespace().any(|word| word == name)
        })
        .flat_map(str::split_whitespace)
}

/// The options a page names: `Fl -ram` is `--ram`, and `Fl k` is `-k`.
fn options(page: &str) -> BTreeSet<String> {
    words_of(page, "Fl")
        .filter(|word| word.starts_with('-') || word.len() == 1)
        // In capitals it is what stands for a value.
        .filter(|word| word.chars().any(|c| c.is_ascii_lowercase()))
        .map(|word| format!("-{word}"))
        .collect()
}

/// The keys a page has an entry for.
fn entries(page: &str) -> BTreeSet<&str> {
    page.lines()
        .filter(|line| line.starts_with(".It "))
        .flat_map(str::split_whitespace)
        .filter(|word| word.len() > 2)
        .filter(|word| {
            word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

#[test]
fn every_option_and_no_other() {
    let mut known: BTreeSet<String> = OTHER_OPTIONS.map(str::to_owned).into();
    for param in PARAMS {
        known.extend(param.options.iter().map(|option| format!("--{option}")));
        known.extend(param.short.map(|short| format!("-{short}")));
    }
    let named = options(VZCTL);
    let missing: Vec<_> = known.difference(&named).collect();
    let invented: Vec<_> = named.difference(&known).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:?}, not ours {invented:?}"
    );
}

#[test]
fn every_key_where_it_may_stand() {
    let (node, container) = (entries(VZ_CONF), entries(CTID_CONF));
    let mut known = BTreeSet::new();
    for param in PARAMS {
        let Some(key) = param.key else { continue };
        known.insert(key);
        let found = match param.scope {
            Scope::Node => node.contains(key),
            Scope::Container => container.contains(key),
            Scope::Both => node.contains(key) || container.contains(key),
        };
        assert!(found, "{key} has no entry");
        for alias in param.aliases {
            assert!(CTID_CONF.contains(alias), "{alias}, an older name of {key}, is not named");
        }
    }
    let invented: Vec<_> = node.union(&container).filter(|key| !known.contains(*key)).collect();
    assert!(invented.is_empty(), "no keys of ours: {invented:?}");
}

#[test]
fn every_exit_code_with_its_meaning() {
    let lines: Vec<&str> = VZCTL.lines().collect();
    let entry = |exit: &Exit| {
        let item = format!(".It {}", exit.code());
        let place = lines.iter().position(|line| *line == item)?;
        Some(lines[place + 1].to_lowercase())
    };
    for exit in Exit::ALL {
        let wanted = format!("{}.", exit.meaning()).to_lowercase();
        assert_eq!(entry(exit), Some(wanted), "{}", exit.code());
    }
}

#[test]
fn every_command() {
    let output = Command::new(env!("CARGO_BIN_EXE_vzctl")).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut commands = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("vzctl ")) {
        let words = line.split_whitespace().take_while(|word| !word.starts_with(['<', '[']));
        for word in words.filter(|word| *word != "|" && !line.starts_with("version")) {
            assert!(words_of(VZCTL, "Cm").any(|known| known == word) || heading(word), "{word}");
            commands += 1;
        }
    }
    assert!(commands >= 15, "only {commands} commands in --help");
}

/// Says whether a part of the page is about this command.
fn heading(command: &str) -> bool {
    VZCTL
        .lines()
        .filter_map(|line| line.strip_prefix(".Ss "))
        .any(|title| title.split(", ").any(|word| word == command))
}
