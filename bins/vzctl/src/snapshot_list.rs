//! `vzctl snapshot-list`: its options, and the table of its fields.

use std::ffi::OsString;
use std::fmt::Write;

use vz_conf::exit::Exit;
use vz_conf::snapshot_tree::{Snapshot, SnapshotTree};
use vz_conf::uuid::Uuid;
use vz_core::container::Container;
use vz_core::error::{Error, Result};
use vz_core::lifecycle::snapshot::{self, Place};

use crate::change::texts;
use vzctl::getopt::{Found, LongOption, Scanner, Table};

/// What a field shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Id,
    Parent,
    Current,
    Date,
    Name,
    Description,
    Device,
    Target,
}

/// A column: its name, its header, how wide it is.
struct Field {
    name: &'static str,
    header: &'static str,
    width: usize,
    shows: Shows,
}

const fn field(name: &'static str, header: &'static str, width: usize, shows: Shows) -> Field {
    Field { name, header, width, shows }
}

const FIELDS: [Field; 10] = [
    field("uuid", "UUID", 38, Shows::Id),
    field("id", "UUID", 38, Shows::Id),
    field("parent_uuid", "PARENT_UUID", 38, Shows::Parent),
    field("parent_id", "PARENT_UUID", 38, Shows::Parent),
    field("current", "C", 1, Shows::Current),
    field("date", "DATE", 19, Shows::Date),
    field("name", "NAME", 32, Shows::Name),
    field("desc", "DESC", 32, Shows::Description),
    field("device", "DEVICE", 16, Shows::Device),
    field("target", "TARGET", 32, Shows::Target),
];
const DEFAULT_FIELDS: &str = "parent_uuid,current,uuid,date,name";
/// A name of a field that is longer, in bytes, is not looked up.
const LONGEST_NAME: usize = 254;

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

/// What is to be listed.
struct Wanted {
    fields: Vec<&'static Field>,
    no_header: bool,
    id: Option<Uuid>,
}

/// Lists the container's snapshots.
///
/// # Errors
/// For options that are wrong, for a container without an image, and when what tells of its
/// snapshots cannot be read.
pub fn run(container: &Container<'_>, words: &[OsString]) -> Result<()> {
    let Some(wanted) = parse(words)? else { return Ok(()) };
    snapshot::require_image(container, Exit::SnapshotListFailed)?;
    let Some(tree) = snapshot::load(container, Exit::SnapshotListFailed)? else {
        print_header(&wanted);
        return Ok(());
    };
    let listed = choose(&tree, wanted.id.as_ref())?;
    print_header(&wanted);
    for snapshot in listed {
        let places = [Shows::Device, Shows::Target];
        let asks = wanted.fields.iter().any(|field| places.contains(&field.shows));
        let place = match asks {
            true => snapshot::place(container, &snapshot.id)?,
            false => None,
        };
        print!("{}", row(&wanted.fields, snapshot, place.as_ref()));
    }
    Ok(())
}

/// Takes the words apart; `None` when they asked for something that has been said.
fn parse(words: &[OsString]) -> Result<Option<Wanted>> {
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: &LONG, short: "HhLo:u:" }, texts(words)?);
    let (mut list, mut no_header, mut id) = (DEFAULT_FIELDS.to_owned(), false, None);
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
                return Ok(None);
            }
            ('L', _) => {
                print_fields();
                return Ok(None);
            }
            ('u', text) => match text.parse() {
                Ok(given) => id = Some(given),
                Err(_) => {
                    return wrong(
                        Exit::InvalidValue,
                        &format!("Invalid guid is specified: {text}"),
                    );
                }
            },
            ('o', given) => list = given,
            _ => no_header = true,
        }
    }
    let others = scanner.others();
    if !others.is_empty() {
        let words: String = others.iter().map(|word| format!("{word} ")).collect();
        return wrong(Exit::InvalidSyntax, &format!("non-option ARGV-elements: {words}"));
    }
    Ok(Some(Wanted { fields: fields(&list)?, no_header, id }))
}

/// The fields of a list; a comma at its end counts for nothing.
fn fields(list: &str) -> Result<Vec<&'static Field>> {
    let mut fields = Vec::new();
    let mut rest = list;
    loop {
        let (name, tail) = rest.split_once(',').unwrap_or((rest, ""));
        if name.len() > LONGEST_NAME {
            return wrong(Exit::InvalidValue, &format!("Field name {rest} is unknown."));
        }
        let found = FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        match found {
            Some(field) => fields.push(field),
            None => return wrong(Exit::InvalidValue, &format!("Unknown field: {name}")),
        }
        if tail.is_empty() {
            return Ok(fields);
        }
        rest = tail;
    }
}

/// All snapshots, or one and those that it was made of.
fn choose<'a>(tree: &'a SnapshotTree, id: Option<&Uuid>) -> Result<Vec<&'a Snapshot>> {
    match id {
        None => Ok(tree.snapshots().iter().collect()),
        Some(_) if tree.snapshots().is_empty() => {
            wrong(Exit::SnapshotListFailed, "Inconsistency detected, base image not found")
        }
        Some(id) if tree.find(id).is_none() => {
            wrong(Exit::InvalidValue, &format!("Can't find snapshot by uuid {id}"))
        }
        Some(id) => Ok(tree.line_of(id)),
    }
}

fn print_header(wanted: &Wanted) {
    if !wanted.no_header {
        let cell = |field: &&Field| format!("{:<width$}", field.header, width = field.width);
        println!("{}", wanted.fields.iter().map(cell).collect::<Vec<_>>().join(" "));
    }
}

/// The last cell is not filled up.
fn row(fields: &[&Field], snapshot: &Snapshot, place: Option<&Place>) -> String {
    let mut line = String::new();
    for (index, field) in fields.iter().enumerate() {
        let text = cell(field.shows, snapshot, place);
        let _ = match index + 1 == fields.len() {
            true => writeln!(line, "{text}"),
            // Filled up by bytes, as printf(3) does.
            false => {
                let rest = field.width.saturating_sub(text.len());
                write!(line, "{text}{:rest$} ", "")
            }
        };
    }
    line
}

fn cell(shows: Shows, snapshot: &Snapshot, place: Option<&Place>) -> String {
    let target = || place.and_then(|place| place.targets.first());
    match shows {
        Shows::Id => snapshot.id.to_string(),
        Shows::Parent => snapshot.parent.as_ref().map_or(String::new(), Uuid::to_string),
        Shows::Current => if snapshot.current { "*" } else { "" }.to_owned(),
        Shows::Date => snapshot.date.clone(),
        Shows::Name => snapshot.name.clone(),
        Shows::Description => snapshot.description.clone(),
        Shows::Device => place.map_or(String::new(), |place| place.device.clone()),
        Shows::Target => target().map_or(String::new(), |path| path.display().to_string()),
    }
}

fn print_fields() {
    for Field { name, header, .. } in &FIELDS {
        println!("{name:<15} {header:<15}");
    }
}

fn wrong<T>(exit: Exit, line: &str) -> Result<T> {
    eprintln!("{line}");
    Err(Error::Reported(exit))
}
