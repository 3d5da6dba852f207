//! The tool: options, where the beancounters come from, and the table.

mod options;
mod show;
mod store;

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vz_conf::ctid::Ctid;
use vz_core::accounting::Cgroups;
use vz_core::error::OsText;
use vz_core::names;
use vz_core::node::Node;
use vz_core::tables;

pub use options::USAGE;
use options::{Action, Options};
use show::Table;
use store::Store;

use crate::console::{err, out};

/// The variable that holds a directory.
fn directory(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let options = match options::parse(words) {
        Ok(Action::Show(options)) => options,
        Ok(Action::Help) => {
            out(USAGE);
            return 0;
        }
        Err(line) => {
            err(&line);
            out(USAGE);
            return 1;
        }
    };
    let node = Node::without_config(directory("VZ_SYSROOT"));
    match show(&node, &options) {
        Ok(text) => {
            out(&text);
            0
        }
        Err(line) => {
            err(&line);
            1
        }
    }
}

fn show(node: &Node, options: &Options) -> Result<String, String> {
    let place = node.path(&options.store);
    if options.clear_failures {
        store::clear(&place, "failcnt")?;
    }
    if options.clear_held {
        store::clear(&place, "held")?;
    }
    let text = read(node, options)?;
    let store = match options.relative || options.incremental {
        true => Some(Store::open(&place)?),
        false => None,
    };
    if options.watch {
        return Err(watch(options));
    }
    let wanted: Vec<String> = options.containers.iter().map(|word| wanted(node, word)).collect();
    Table { options, wanted: &wanted, store: store.as_ref() }.render(&text)
}

/// The id a word means; one that means none is kept, and nothing matches it.
fn wanted(node: &Node, word: &str) -> String {
    let id = word.parse().ok().or_else(|| names::find(node, word));
    id.map_or_else(|| word.to_owned(), |id: Ctid| id.to_string())
}

/// The beancounters, in the form of `/proc/bc/resources`.
fn read(node: &Node, options: &Options) -> Result<String, String> {
    let proc = directory("VZ_PROC");
    match options.file.as_deref() {
        Some("-") => {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| format!("vzubc: Cannot read standard input: {error}"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(file) => {
            let below =
                proc.and_then(|proc| Some(proc.join(Path::new(file).strip_prefix("/proc").ok()?)));
            read_file(&below.unwrap_or_else(|| node.path(file)), Path::new(file))
        }
        None => match proc {
            Some(proc) => read_file(&proc.join("bc/resources"), Path::new("/proc/bc/resources"))
                .or_else(|_| {
                    let name = "user_beancounters";
                    read_file(&proc.join(name), &Path::new("/proc").join(name))
                }),
            None => tables::rows(&Cgroups::new(node))
                .map(|rows| tables::all_resources(&rows))
                .map_err(|error| error.to_string()),
        },
    }
}

fn read_file(path: &Path, shown: &Path) -> Result<String, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            Err(format!("vzubc: Cannot open {}: {}", shown.display(), OsText::from(error)))
        }
    }
}

/// Becomes watch(1), which runs this again and again; returns only why it could not.
fn watch(options: &Options) -> String {
    let error = Command::new("watch")
        .args(&options.watch_arguments)
        .arg("--")
        .args(std::env::args_os())
        .arg(options::INSIDE_WATCH)
        .exec();
    format!("vzubc: Cannot run watch: {error}")
}
