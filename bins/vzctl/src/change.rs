//! The options of `set`, `create` and `convert`: from the parameter table to a [`Change`].

use std::ffi::OsString;

use vz_conf::change::{Change, OptionName, ValueError};
use vz_conf::context::Context;
use vz_conf::exit::Exit;
use vz_conf::param::{self, Commands, PARAMS, Param, ParamId};
use vz_core::devnode;
use vz_core::error::{Error, Result};
use vz_core::report::Report;

use vzctl::getopt::{Found, LongOption, Scanner, Table};

/// The short options that every command with parameters takes. Two of them mean nothing, and are
/// refused each in its own way.
pub const SHORT: &str = "e:p:f:t:i:l:k:a:b:n:x:h";

/// Takes the words after the CTID apart, each value as it comes: the first thing that is wrong, be
/// it a word or a value, is what is said.
///
/// # Errors
/// The original's words and codes for what is wrong.
pub fn parse(
    command: Commands,
    words: &[OsString],
    context: &Context,
    report: &mut dyn Report,
) -> Result<Change> {
    let rows: Vec<(usize, &Param, &'static str)> = PARAMS
        .iter()
        .enumerate()
        .filter(|(_, param)| param.commands.has(command))
        .flat_map(|(meaning, param)| {
            param.options.iter().map(move |option| (meaning, param, *option))
        })
        .collect();
    let long: Vec<LongOption> = rows
        .iter()
        .map(|(meaning, param, option)| LongOption {
            long: option,
            takes_value: param.takes_value(),
            meaning: *meaning,
        })
        .collect();
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: &long, short: SHORT }, texts(words)?);
    let mut change = Change::new();
    for found in scanner.by_ref() {
        let (param, option, value) = match found.map_err(|line| usage(&line))? {
            Found::Long(index, value) => {
                let (_, param, option) = rows[index];
                (param, OptionName::Long(option), value.unwrap_or_default())
            }
            Found::Short(letter, value) => {
                let value = value.unwrap_or_default();
                let param = param::by_short(letter).ok_or_else(|| unknown_short(letter, &value))?;
                (param, OptionName::Short(letter), value)
            }
        };
        take(&mut change, param, option, &value, context, report)?;
    }
    no_others(scanner.others())?;
    Ok(change)
}

/// A line of getopt's own: said whatever --quiet says.
pub fn usage(line: &str) -> Error {
    eprintln!("{line}");
    Error::Reported(Exit::InvalidValue)
}

/// Refuses words that are no options.
///
/// # Errors
/// [`Exit::InvalidSyntax`] when there are any.
pub fn no_others(others: Vec<String>) -> Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    let words: String = others.iter().map(|word| format!("{word} ")).collect();
    eprintln!("Invalid extra arguments: {words}");
    Err(Error::Reported(Exit::InvalidSyntax))
}

/// A letter of [`SHORT`] that no parameter has.
pub fn unknown_short(letter: char, value: &str) -> Error {
    match letter {
        'h' => Error::Refused(Exit::InvalidSyntax, format!("Invalid option -{letter}")),
        _ => bad_value(OptionName::Short(letter), value),
    }
}

/// A value that is none.
pub fn bad_value(option: OptionName, value: &str) -> Error {
    Error::Refused(Exit::InvalidValue, format!("Bad parameter for {option}: {value}"))
}

/// The words as text: nothing that a configuration holds is anything else.
///
/// # Errors
/// [`Exit::InvalidValue`] for the first that is not UTF-8.
pub fn texts(words: &[OsString]) -> Result<Vec<String>> {
    words
        .iter()
        .map(|word| {
            word.to_str().map(str::to_owned).ok_or_else(|| {
                Error::Refused(
                    Exit::InvalidValue,
                    format!("Not valid UTF-8: {}", word.to_string_lossy()),
                )
            })
        })
        .collect()
}

fn take(
    change: &mut Change,
    param: &Param,
    option: OptionName,
    value: &str,
    context: &Context,
    report: &mut dyn Report,
) -> Result<()> {
    let mut refuse = |error: ValueError| {
        if let Some((level, line)) = error.remark() {
            report.log(level.into(), &line);
        }
        Error::Refused(error.exit(), error.message())
    };
    change.apply(param, option, value, context).map_err(&mut refuse)?;
    match param.id {
        // Whether there is such a device only the node knows.
        ParamId::Devnodes => devnode::check(value)
            .map_err(|cause| refuse(ValueError::Bad { option, value: value.to_owned(), cause })),
        _ => Ok(()),
    }
}
