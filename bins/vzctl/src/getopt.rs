//! Options as getopt_long(3) took them, parsed by clap from tables: long names that may be cut
//! short, values after `=` or a blank (also such that begin with a dash), options and other words
//! in any order. The error texts are getopt's.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

/// One option of a command.
#[derive(Debug, Clone, Copy)]
pub struct LongOption {
    /// Its name without the dashes.
    pub long: &'static str,
    /// Its short form.
    pub short: Option<char>,
    /// It takes a value.
    pub takes_value: bool,
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Options as indices of the table, with the value of each, in the order typed.
    pub options: Vec<(usize, String)>,
    /// Words that are no options.
    pub others: Vec<String>,
}

/// Takes the words of a command apart.
///
/// # Errors
/// getopt's message for the first word that is wrong.
pub fn parse(table: &[LongOption], words: &[String]) -> Result<Parsed, String> {
    let ids: Vec<String> = (0..table.len()).map(|index| index.to_string()).collect();
    let mut command = Command::new("vzctl")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .arg(Arg::new("others").num_args(0..).action(ArgAction::Append));
    for (option, id) in table.iter().zip(&ids) {
        let mut arg = Arg::new(id.clone()).long(option.long);
        if let Some(short) = option.short {
            arg = arg.short(short);
        }
        arg = match option.takes_value {
            true => arg
                .action(ArgAction::Append)
                .num_args(1)
                .allow_hyphen_values(true)
                .value_parser(clap::value_parser!(String)),
            false => arg.action(ArgAction::Append).num_args(0).default_missing_value(""),
        };
        command = command.arg(arg);
    }
    let matches = command.try_get_matches_from(words).map_err(|error| explain(table, &error))?;
    let mut options = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let positions = matches.indices_of(id).into_iter().flatten();
        let values = matches.get_many::<String>(id).into_iter().flatten();
        options.extend(positions.zip(values).map(|(position, value)| (position, index, value)));
    }
    options.sort_unstable_by_key(|(position, ..)| *position);
    Ok(Parsed {
        options: options.into_iter().map(|(_, index, value)| (index, value.clone())).collect(),
        others: matches.get_many::<String>("others").into_iter().flatten().cloned().collect(),
    })
}

fn explain(table: &[LongOption], error: &clap::Error) -> String {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let name = argument.split(['=', ' ']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues => {
            format!("vzctl: option '{name}' requires an argument")
        }
        ErrorKind::TooManyValues => format!("vzctl: option '{name}' doesn't allow an argument"),
        _ => unknown(table, name),
    }
}

fn unknown(table: &[LongOption], name: &str) -> String {
    let Some(long) = name.strip_prefix("--") else {
        return format!("vzctl: invalid option -- '{}'", name.trim_start_matches('-'));
    };
    let possible: Vec<String> = table
        .iter()
        .filter(|option| !long.is_empty() && option.long.starts_with(long))
        .map(|option| format!(" '--{}'", option.long))
        .collect();
    match possible.is_empty() {
        true => format!("vzctl: unrecognized option '{name}'"),
        false => {
            format!("vzctl: option '{name}' is ambiguous; possibilities:{}", possible.concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn option(long: &'static str, takes_value: bool) -> LongOption {
        LongOption { long, short: None, takes_value }
    }

    const TABLE: [LongOption; 5] = [
        option("hostname", true),
        option("host_mac", true),
        option("save", false),
        option("ipadd", true),
        LongOption { long: "numproc", short: Some('p'), takes_value: true },
    ];

    fn run(words: &[&str]) -> Result<Parsed, String> {
        parse(&TABLE, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn options(words: &[&str]) -> Vec<(usize, String)> {
        run(words).unwrap().options
    }

    fn pair(index: usize, value: &str) -> (usize, String) {
        (index, value.to_owned())
    }

    #[test]
    fn order_repetition_abbreviation() {
        assert_eq!(
            options(&["--ipadd", "1", "--save", "--hostn=x", "--ipadd", "2", "-p", "5"]),
            [pair(3, "1"), pair(2, ""), pair(0, "x"), pair(3, "2"), pair(4, "5")]
        );
    }

    #[test]
    fn values_that_look_like_options_and_others() {
        let parsed = run(&["a", "--hostname", "--save", "b", "--save", "--", "--x"]).unwrap();
        assert_eq!(parsed.options, [pair(0, "--save"), pair(2, "")]);
        assert_eq!(parsed.others, ["a", "b", "--x"]);
    }

    #[test]
    fn errors_in_getopts_words() {
        let error = |words: &[&str]| run(words).unwrap_err();
        assert_eq!(error(&["--bogus", "1"]), "vzctl: unrecognized option '--bogus'");
        assert_eq!(error(&["--hostname"]), "vzctl: option '--hostname' requires an argument");
        assert_eq!(
            error(&["--host", "x"]),
            "vzctl: option '--host' is ambiguous; possibilities: '--hostname' '--host_mac'"
        );
        assert_eq!(error(&["-z"]), "vzctl: invalid option -- 'z'");
        assert_eq!(error(&["--save=1"]), "vzctl: option '--save' doesn't allow an argument");
    }
}
