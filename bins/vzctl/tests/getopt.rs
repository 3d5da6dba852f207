//! Options beside the C library's own getopt_long(3): the same options, values, order, other words
//! and error lines, for random command lines over the real tables.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails so")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use vz_conf::param::{Commands, PARAMS};
use vzctl::getopt::{Found, LongOption, Scanner, Table};

/// What vzctl takes as short options.
const SHORT: &str = "e:p:f:t:i:l:k:a:b:n:x:h";
/// Command lines for each table.
const LINES: usize = 4000;

fn compile(directory: &Path) -> Option<PathBuf> {
    let program = directory.join("getopt_peer");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/getopt_peer.c");
    let built = Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(source).status();
    match built {
        Ok(status) => {
            assert!(status.success(), "cc does not take getopt_peer.c");
            Some(program)
        }
        Err(error) => {
            eprintln!("skipped: getopt beside the C library: no cc ({error})");
            None
        }
    }
}

fn table(command: Commands) -> Vec<LongOption> {
    let rows = PARAMS.iter().enumerate().filter(|(_, param)| param.commands.has(command));
    rows.flat_map(|(meaning, param)| {
        let takes_value = param.takes_value();
        param.options.iter().map(move |long| LongOption { long, takes_value, meaning })
    })
    .collect()
}

/// One word: an option, whole or cut short, with a value or without, or something like it.
fn word(table: &[LongOption]) -> impl Strategy<Value = String> + use<> {
    let names: Vec<&'static str> = table.iter().map(|option| option.long).collect();
    let name = prop::sample::select(names);
    let cut =
        (name, 1..20_usize).prop_map(|(name, length)| name[..name.len().min(length)].to_owned());
    prop_oneof![
        4 => cut.clone().prop_map(|name| format!("--{name}")),
        2 => (cut, "[a-z0-9=-]{0,4}").prop_map(|(name, value)| format!("--{name}={value}")),
        2 => "-[epftilkabnxhz:;-]{0,3}",
        2 => "[a-z0-9:/. -]{0,6}",
        1 => Just("--".to_owned()),
        1 => "--[a-z_=-]{0,5}",
    ]
}

fn ours(table: Table<'_>, words: &[String]) -> String {
    let mut scanner = Scanner::new(table, words.to_vec());
    let mut text = String::new();
    let value = |value: Option<String>| value.unwrap_or_else(|| "(none)".into());
    for found in scanner.by_ref() {
        text += &match found {
            Ok(Found::Long(index, given)) => format!("L {index} {}\n", value(given)),
            Ok(Found::Short(letter, given)) => format!("S {letter} {}\n", value(given)),
            Err(line) => line + "\n",
        };
    }
    for other in scanner.others() {
        text += &format!("O {other}\n");
    }
    text + ".\n"
}

/// What the C library makes of many command lines, in one process.
fn theirs(program: &Path, table: Table<'_>, lines: &[Vec<String>]) -> String {
    let mut input = Vec::new();
    for line in lines {
        for word in line {
            input.extend_from_slice(word.as_bytes());
            input.push(0);
        }
        input.push(1);
    }
    let out = tempfile::NamedTempFile::new().unwrap();
    // In the order written.
    let both = || std::fs::File::options().append(true).open(out.path()).unwrap();
    let mut command = Command::new(program);
    command.arg(table.short);
    for option in table.long {
        command.arg(format!("{}:{}:{}", option.long, u8::from(option.takes_value), option.meaning));
    }
    let mut child = command.stdin(Stdio::piped()).stdout(both()).stderr(both()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    assert!(child.wait().unwrap().success());
    std::fs::read_to_string(out.path()).unwrap()
}

#[test]
fn agrees_with_the_c_library() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path()) else { return };
    for (command, short) in
        [(Commands::SET, SHORT), (Commands::CREATE, SHORT), (Commands::CONVERT, "")]
    {
        let long = table(command);
        let table = Table { program: "vzctl", long: &long, short };
        let lines = prop::collection::vec(word(&long), 0..7);
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
        );
        let lines: Vec<Vec<String>> =
            (0..LINES).map(|_| lines.new_tree(&mut runner).unwrap().current()).collect();
        let answers = theirs(&program, table, &lines);
        let mut rest = answers.as_str();
        for line in &lines {
            let expected = ours(table, line);
            let length = rest.find("\n.\n").map(|end| end + 3);
            let end = if rest.starts_with(".\n") { 2 } else { length.unwrap_or(rest.len()) };
            assert_eq!(&rest[..end], expected, "of {line:?}");
            rest = &rest[end..];
        }
        assert!(rest.is_empty());
    }
}
