//! `vzctl snapshot-list`: its options, and the table of its fields.

use std::ffi::OsString;

use vz_conf::exit::Exit;
use vz_conf::uuid::Uuid;
use vz_core::container::Container;
use vz_core::error::{Error, Result};
use vz_core::lifecycle::image;

use crate::change::texts;
use vzctl::getopt::{Found, LongOption, Scanner, Table};

/// Fields: name and header.
const FIELDS: [(&str, &str); 10] = [
    ("uuid", "UUID"),
    ("id", "UUID"),
    ("parent_uuid", "PARENT_UUID"),
    ("parent_id", "PARENT_UUID"),
    ("current", "C"),
    ("date", "DATE"),
    ("name", "NAME"),
    ("desc", "DESC"),
    ("device", "DEVICE"),
    ("target", "TARGET"),
];

const USAGE: &str = "\
Usage: vzctl snapshot-list <ctid|name> [-H] [-o <field>[,<field>...]] [--id <uuid>]
       vzctl snapshot-list <ctid|name> -L
";

const LONG: [LongOption; 6] = [
    LongOption { long: "no-header", takes_value: false, meaning: 'H' as usize },
    LongOption { long: "output", takes_value: true, meaning: 'o' as usize },
    LongOption { long: "help", takes_value: false, meaning: 'h' as usize },
    LongOption { long: "uuid", takes_value: true, meaning: 'u' as usize },
    LongOption { long: "id", takes_value: true, meaning: 'u' as usize },
    LongOption { long: "list", takes_value: false, meaning: 'L' as usize },
];

/// Lists the container's snapshots.
///
/// # Errors
/// For options that are wrong, and where there are no snapshots.
pub fn run(container: &Container<'_>, words: &[OsString]) -> Result<()> {
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: &LONG, short: "HhLo:u:" }, texts(words)?);
    let mut fields = None;
    for found in scanner.by_ref() {
        let (letter, value) = match found {
            Ok(Found::Short(letter, value)) => (letter, value),
            Ok(Found::Long(index, value)) => (char::from(LONG[index].meaning as u8), value),
            Err(line) => {
                eprint!("{line}\n{USAGE}");
                return Err(Error::Reported(Exit::InvalidSyntax));
            }
        };
        match (letter, value.unwrap_or_default()) {
            ('h', _) => {
                print!("{USAGE}");
                return Ok(());
            }
            ('L', _) => {
                print_fields();
                return Ok(());
            }
            ('u', text) if text.parse::<Uuid>().is_err() => {
                return wrong(Exit::InvalidValue, &format!("Invalid guid is specified: {text}"));
            }
            ('o', list) => fields = Some(list),
            _ => {}
        }
    }
    let others = scanner.others();
    if !others.is_empty() {
        let words: String = others.iter().map(|word| format!("{word} ")).collect();
        return wrong(Exit::InvalidSyntax, &format!("non-option ARGV-elements: {words}"));
    }
    for field in fields.iter().flat_map(|list| list.split(',')).filter(|field| !field.is_empty()) {
        if !FIELDS.iter().any(|(name, _)| *name == field) {
            return wrong(Exit::InvalidValue, &format!("Unknown field: {field}"));
        }
    }
    image::snapshot(container, Exit::SnapshotListFailed)
}

fn print_fields() {
    for (name, header) in FIELDS {
        println!("{name:<15} {header:<15}");
    }
}

fn wrong(exit: Exit, line: &str) -> Result<()> {
    eprintln!("{line}");
    Err(Error::Reported(exit))
}
