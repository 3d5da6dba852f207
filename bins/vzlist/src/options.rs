//! The command line, read as getopt_long(3) read it: options may be abbreviated, glued together
//! and stand behind the containers, and its complaints are worded as that function words them.

use std::ffi::OsString;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use vz_core::listing::Which;

use crate::field::{self, Field};
use crate::order::Sort;

/// The columns of a list for which nothing was said.
const DEFAULT: &str = "ctid,numproc,status,ip,hostname";
/// The columns with `-n`.
const WITH_NAMES: &str = "smart_name,numproc,status,ip,hostname";
/// The longest name of a field that is looked up, in bytes.
const FIELD_NAME_MAX: usize = 30;

/// Options without a value: name, letter, what it does.
const FLAGS: [(&str, char, &str); 9] = [
    ("all", 'a', "list all containers, not only running ones"),
    ("stopped", 'S', "list containers that do not run"),
    ("name", 'n', "show names where there are some"),
    ("no-header", 'H', "show no column headers"),
    ("no-trim", 't', "cut no long values"),
    ("json", 'j', "print JSON"),
    ("", '1', "show only ids, one a line, without a header"),
    ("list", 'L', "show the fields there are, with their headers"),
    ("help", 'e', "show this text"),
];

/// Options with a value: name, letter, value, what it does.
const VALUES: [(&str, char, &str, &str); 5] = [
    ("output", 'o', "FIELD[,FIELD...]", "show these fields"),
    ("sort", 's', "[-]FIELD", "sort by this field; with a minus sign in reverse"),
    ("hostname", 'h', "PATTERN", "list containers with a matching host name"),
    ("name_filter", 'N', "PATTERN", "list containers with a matching name"),
    ("description", 'd', "PATTERN", "list containers with a matching description"),
];

/// What the command line asks for.
#[derive(Debug)]
pub enum Action {
    /// A list of containers.
    List(Options),
    /// A list of the fields.
    Fields,
    /// How to use the tool.
    Help,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line about it.
    pub line: String,
    /// It is about the form: how to use the tool has to be said too.
    pub is_form: bool,
}

/// How containers are to be listed.
#[derive(Debug)]
pub struct Options {
    /// Which containers.
    pub which: Which,
    /// Those named, by id or name.
    pub containers: Vec<String>,
    /// The names of the fields; `None` for the usual ones.
    output: Option<String>,
    /// By what to sort.
    pub sort: Sort,
    /// Show column headers.
    pub header: bool,
    /// Cut values that are too long for their column.
    pub trim: bool,
    /// Print JSON.
    pub json: bool,
    /// A pattern for host names.
    pub hostname: Option<String>,
    /// A pattern for names.
    pub name: Option<String>,
    /// A pattern for descriptions.
    pub description: Option<String>,
}

/// The key of an option: its name; the only one without is `-1`.
fn key(name: &'static str) -> &'static str {
    if name.is_empty() { "1" } else { name }
}

fn command() -> Command {
    let argument = |name: &'static str, letter| {
        let argument = Arg::new(key(name)).short(letter);
        if name.is_empty() { argument } else { argument.long(name) }
    };
    let flag = |(name, letter, _)| argument(name, letter).action(ArgAction::Count);
    let value = |(name, letter, _, _)| {
        argument(name, letter)
            .action(ArgAction::Append)
            .allow_hyphen_values(true)
            .value_parser(OsStringValueParser::new())
    };
    Command::new("vzlist")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .args(FLAGS.map(flag))
        .args(VALUES.map(value))
        .arg(
            Arg::new("containers")
                .action(ArgAction::Append)
                .num_args(0..)
                .value_parser(OsStringValueParser::new()),
        )
}

/// Reads the command line, the tool's own name first.
///
/// # Errors
/// What is wrong with it.
pub fn parse(arguments: &[OsString]) -> Result<Action, Refusal> {
    let matches = command()
        .try_get_matches_from(arguments)
        .map_err(|error| Refusal { line: complaint(&error, arguments), is_form: true })?;
    let given = |key: &str| matches.get_count(key) > 0;
    if given("list") {
        return Ok(Action::Fields);
    }
    if given("help") {
        return Ok(Action::Help);
    }
    let which = match (given("stopped"), given("all")) {
        (true, _) => Which::Stopped,
        (false, true) => Which::All,
        (false, false) => Which::Running,
    };
    Ok(Action::List(Options {
        which,
        containers: values(&matches, "containers"),
        output: output(&matches),
        sort: Sort::parse(&values(&matches, "sort"))
            .map_err(|line| Refusal { line, is_form: false })?,
        header: !given("no-header") && !given("1"),
        trim: !given("no-trim"),
        json: given("json"),
        hostname: values(&matches, "hostname").pop(),
        name: values(&matches, "name_filter").pop(),
        description: values(&matches, "description").pop(),
    }))
}

/// The values of an option, in order; what is not UTF-8 is replaced.
fn values(matches: &ArgMatches, key: &str) -> Vec<String> {
    let values = matches.get_many::<OsString>(key).into_iter().flatten();
    values.map(|value| value.to_string_lossy().into_owned()).collect()
}

/// The columns: whichever of `-o`, `-n` and `-1` stands last.
fn output(matches: &ArgMatches) -> Option<String> {
    let last = |key: &str| {
        // A flag that was not given has an index too, that of its default.
        let given = key == "output" || matches.get_count(key) > 0;
        matches.indices_of(key).filter(|_| given).and_then(Iterator::last)
    };
    let candidates = [
        (last("output"), values(matches, "output").pop()),
        (last("name"), Some(WITH_NAMES.to_owned())),
        (last("1"), Some("veid".to_owned())),
    ];
    let given = candidates.into_iter().filter(|(index, _)| index.is_some());
    given.max_by_key(|(index, _)| *index).and_then(|(_, fields)| fields)
}

impl Options {
    /// The fields to show.
    ///
    /// # Errors
    /// The line about a name that is none.
    pub fn fields(&self) -> Result<Vec<&'static Field>, String> {
        let names = match &self.output {
            None if self.json => return Ok(field::whole().collect()),
            None => DEFAULT,
            Some(names) => names,
        };
        // One comma at the end is no field without a name.
        let names = match names.strip_suffix(',') {
            Some(names) if !names.is_empty() => names,
            _ => names,
        };
        names.split(',').map(|name| self.field(name, names)).collect()
    }

    fn field(&self, name: &str, all: &str) -> Result<&'static Field, String> {
        if name.len() > FIELD_NAME_MAX {
            // As the original: from the name on, with what follows it.
            let rest = all.find(name).map_or(name, |start| &all[start..]);
            return Err(format!("Invalid field: {rest}"));
        }
        let field = field::find(name).ok_or_else(|| format!("Unknown field: {name}"))?;
        if self.json && field.is_part() {
            return Err(format!("Field `{name}' is not available in JSON output"));
        }
        Ok(field)
    }
}

/// What getopt_long(3) would say of a command line that clap refuses.
fn complaint(error: &clap::Error, arguments: &[OsString]) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let invalid = text(ContextKind::InvalidArg);
    // "--sort <sort>" and "--all...", as clap names an option with a value and a repeatable one.
    let invalid = invalid.split(' ').next().unwrap_or_default().trim_end_matches("...");
    let what = match error.kind() {
        ErrorKind::UnknownArgument => unknown(invalid),
        ErrorKind::TooManyValues => format!("option '{invalid}' doesn't allow an argument"),
        // A value is missing; that is only found out at the last word.
        _ => missing(invalid, arguments),
    };
    format!("vzlist: {what}")
}

fn unknown(word: &str) -> String {
    let Some(start) = word.strip_prefix("--") else {
        let letter: String = word.chars().skip(1).take(1).collect();
        return format!("invalid option -- '{letter}'");
    };
    let start = start.split('=').next().unwrap_or_default();
    let names = FLAGS.iter().map(|flag| flag.0).chain(VALUES.iter().map(|value| value.0));
    let possible: Vec<String> = names
        .filter(|name| !name.is_empty() && name.starts_with(start))
        .map(|name| format!("'--{name}'"))
        .collect();
    match possible.len() {
        0 => format!("unrecognized option '--{start}'"),
        _ => format!("option '--{start}' is ambiguous; possibilities: {}", possible.join(" ")),
    }
}

fn missing(option: &str, arguments: &[OsString]) -> String {
    let last = arguments.last().map(|word| word.to_string_lossy()).unwrap_or_default();
    if last.starts_with("--") {
        return format!("option '{option}' requires an argument");
    }
    let letter = last.chars().last().unwrap_or_default();
    format!("option requires an argument -- '{letter}'")
}

/// How to use the tool.
pub fn usage() -> String {
    let mut text = String::from(
        "Usage:\tvzlist [-a | -S] [-n] [-H] [-o field[,field...] | -1] [-s [-]field]\n\
         \t       [-h pattern] [-N pattern] [-d pattern] [-j] [-t] [CTID|NAME ...]\n\
         \tvzlist -L | --list\n\n\
         Lists the containers of this node; without options, those that run.\n\n",
    );
    for (name, letter, what) in FLAGS {
        let long = if name.is_empty() { String::new() } else { format!(", --{name}") };
        text.push_str(&format!("  {:<30} {what}\n", format!("-{letter}{long}")));
    }
    for (name, letter, value, what) in VALUES {
        let option = format!("-{letter}, --{name} {value}");
        text.push_str(&format!("  {option:<30} {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("vzlist")
            .chain(line.split(' ').filter(|w| !w.is_empty()))
            .map(OsString::from)
            .collect()
    }

    fn parsed(line: &str) -> Options {
        match parse(&words(line)) {
            Ok(Action::List(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(line: &str) -> String {
        parse(&words(line)).unwrap_err().line
    }

    fn names(options: &Options) -> Vec<&'static str> {
        options.fields().unwrap().iter().map(|field| field.name).collect()
    }

    #[test]
    fn as_getopt_long_reads() {
        let options = parsed("101 -aHoveid,ip web --host=a* -s -ip -- -x");
        assert_eq!(options.containers, ["101", "web", "-x"]);
        assert_eq!((options.which, options.header), (Which::All, false));
        assert_eq!(names(&options), ["veid", "ip"]);
        assert_eq!(options.hostname.as_deref(), Some("a*"));
        assert!(options.sort.reverse);
        assert_eq!(options.sort.field.name, "ip");
        assert_eq!(parsed("--name_f -x -aa -a").name.as_deref(), Some("-x"));
        assert_eq!(parsed("-S -a").which, Which::Stopped);
        assert!(matches!(parse(&words("-e")), Ok(Action::Help)));
        assert!(matches!(parse(&words("--li")), Ok(Action::Fields)));
    }

    #[test]
    fn the_last_choice_of_columns_counts() {
        assert_eq!(names(&parsed("-1 -o ip")), ["ip"]);
        assert!(!parsed("-1 -o ip").header);
        assert_eq!(names(&parsed("-o ip -1")), ["veid"]);
        assert_eq!(names(&parsed("-o ip -n -o status -n"))[0], "smart_name");
        assert_eq!(names(&parsed("-n -o ip -o status")), ["status"]);
        assert_eq!(names(&parsed("")).len(), 5);
        assert_eq!(names(&parsed("-o ip,")), ["ip"]);
    }

    #[test]
    fn json_has_whole_fields_only() {
        let all = names(&parsed("-j"));
        assert!(all.contains(&"numproc") && !all.contains(&"numproc.m"));
        assert_eq!(
            parsed("-j -o numproc.l").fields().unwrap_err(),
            "Field `numproc.l' is not available in JSON output"
        );
    }

    #[test]
    fn complaints() {
        assert_eq!(refused("-aZ"), "vzlist: invalid option -- 'Z'");
        assert_eq!(refused("--foo=1"), "vzlist: unrecognized option '--foo'");
        assert_eq!(refused("-ah"), "vzlist: option requires an argument -- 'h'");
        assert_eq!(refused("--so"), "vzlist: option '--sort' requires an argument");
        assert_eq!(refused("--all=1"), "vzlist: option '--all' doesn't allow an argument");
        assert_eq!(
            refused("--no"),
            "vzlist: option '--no' is ambiguous; possibilities: '--no-header' '--no-trim'"
        );
        assert_eq!(refused("-s -foo"), "Invalid sort field name: -foo");
        let fields = |line| parsed(line).fields().unwrap_err();
        assert_eq!(fields("-o ip,,ip"), "Unknown field: ");
        assert_eq!(fields("-o numproc.h"), "Unknown field: numproc.h");
        assert_eq!(
            fields("-o ip,a123456789a123456789a123456789a,ip"),
            "Invalid field: a123456789a123456789a123456789a,ip"
        );
    }
}
