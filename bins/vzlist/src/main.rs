//! vzlist: the containers of a node, as a table or as JSON.
//!
//! `VZ_SYSROOT=DIR` puts every path of the node below DIR; `VZ_PROC=DIR` reads what running
//! containers hold from files in the OpenVZ kernel's form instead of from this kernel.
#![forbid(unsafe_code)]

mod field;
mod json;
mod options;
mod order;
mod text;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use vz_conf::ctid::Ctid;
use vz_conf::ubc::Resource;
use vz_core::accounting::{Cgroups, Imitation, Source};
use vz_core::listing::{self, ListError, Listed, Request};
use vz_core::names;
use vz_core::node::Node;
use vz_core::report::Report;
use vz_sys::fnmatch::fnmatch;

use crate::field::{Field, What};
use crate::options::{Action, Options, Refusal};

/// Lines about files go to standard error, all of them: what is on standard output is parsed.
struct Stderr;

impl Report for Stderr {
    fn log(&mut self, level: i32, text: &str) {
        if level <= 0 {
            eprintln!("{}", text::printable(text));
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let output = match options::parse(&arguments) {
        Ok(Action::Fields) => Ok(field::names()),
        Ok(Action::List(options)) => list(&options),
        Ok(Action::Help) => Err(Failure { text: options::usage(), line: None }),
        Err(Refusal { line, is_form: true }) => {
            Err(Failure { text: options::usage(), line: Some(line) })
        }
        Err(Refusal { line, is_form: false }) => Err(line.into()),
    };
    match output {
        Ok(text) => print(&text, ExitCode::SUCCESS),
        Err(Failure { text, line }) => {
            if let Some(line) = line {
                eprintln!("{}", text::printable(&line));
            }
            print(&text, ExitCode::FAILURE)
        }
    }
}

/// What to print when the exit code is 1.
struct Failure {
    /// To standard output.
    text: String,
    /// To standard error.
    line: Option<String>,
}

impl From<String> for Failure {
    fn from(line: String) -> Failure {
        Failure { text: String::new(), line: Some(line) }
    }
}

/// Writes to standard output. A reader that has gone away wants no more, and no complaint.
fn print(text: &str, code: ExitCode) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("vzlist: Cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => code,
    }
}

/// Makes the list that the options ask for.
fn list(options: &Options) -> Result<String, Failure> {
    let directory = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let prefix = directory("VZ_SYSROOT").map(PathBuf::from);
    let for_tests = prefix.is_some();
    let node = Node::load_or_without(prefix, &mut Stderr);
    let ids = ids(&node, &options.containers)?;
    let fields = options.fields()?;
    if !for_tests && !nix::unistd::Uid::current().is_root() {
        return Err("This program can only be run under root.".to_owned().into());
    }
    for warning in &node.warnings {
        Stderr.log(warning.level().into(), &warning.to_string());
    }
    let source: Box<dyn Source> = match directory("VZ_PROC") {
        Some(directory) => Box::new(Imitation::new(directory.into())),
        None => Box::new(Cgroups::new(&node).counting(beancounters(options, &fields))),
    };
    let request = request(options, &fields, ids);
    let mut list = match listing::collect(&node, source.as_ref(), &request, &mut Stderr) {
        Ok(list) => list,
        Err(error) => return not_listed(&error, options, &request),
    };
    list.retain(|listed| passes(listed, options));
    order::sort(&mut list, options.sort);
    let text = if options.json {
        json::render(&list, &fields)
    } else {
        text::render(&list, &fields, options.header, options.trim)
    };
    // The process ends soon: to give back thousands of configurations one by one takes longer.
    std::mem::forget(list);
    Ok(text)
}

/// That there is nothing to list is only a failure when something was asked for by name.
fn not_listed(error: &ListError, options: &Options, request: &Request) -> Result<String, Failure> {
    let text = match error {
        ListError::NotFound if options.json => "[]\n",
        _ => "",
    };
    let line = error.to_string();
    if request.ids.is_empty() {
        eprintln!("{line}");
        return Ok(text.to_owned());
    }
    Err(Failure { text: text.to_owned(), line: Some(line) })
}

/// The containers named on the command line: ids first, then names.
fn ids(node: &Node, words: &[String]) -> Result<Vec<Ctid>, String> {
    let id = |word: &String| {
        let number = word.parse().ok().filter(|id: &Ctid| !id.is_node());
        number
            .or_else(|| names::find(node, word))
            .ok_or_else(|| format!("CT ID {word} is invalid."))
    };
    words.iter().map(id).collect()
}

/// What has to be looked at for these fields. Only beancounters are also fetched for sorting;
/// the others sort by what is known without being shown, as scripts have come to expect.
fn request(options: &Options, fields: &[&Field], ids: Vec<Ctid>) -> Request {
    let shown = |what: fn(&What) -> bool| fields.iter().any(|field| what(&field.what));
    let sorted = |what: fn(&What) -> bool| what(&options.sort.field.what);
    Request {
        which: options.which,
        ids,
        status: shown(|what| matches!(what, What::Status))
            || sorted(|what| matches!(what, What::Status)),
        names: options.name.is_some() || shown(What::is_name) || sorted(What::is_name),
        beancounters: !beancounters(options, fields).is_empty(),
        cpu_shares: shown(|what| matches!(what, What::CpuLimit | What::CpuUnits)),
        cpus: shown(|what| matches!(what, What::Cpus)),
        activity: shown(|what| matches!(what, What::LoadAverage | What::Uptime)),
        disk: shown(|what| matches!(what, What::Disk(..))),
        configurations: options.json
            || options.description.is_some()
            || shown(|what| !what.is_known())
            || sorted(|what| !what.is_known()),
    }
}

/// The beancounters that are shown or sorted by.
fn beancounters(options: &Options, fields: &[&Field]) -> Vec<Resource> {
    let all = fields.iter().copied().chain([options.sort.field]);
    let mut found: Vec<Resource> = all.filter_map(|field| field.what.beancounter()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// A container passes a filter when it has the value and the pattern matches that.
fn passes(listed: &Listed, options: &Options) -> bool {
    let matches = |pattern: &Option<String>, value: Option<&str>| match pattern {
        None => true,
        Some(pattern) => value.is_some_and(|value| fnmatch(pattern, value)),
    };
    matches(&options.hostname, listed.hostname.as_deref())
        && matches(&options.name, listed.name.as_deref())
        && matches(&options.description, listed.config.description.as_deref())
}
