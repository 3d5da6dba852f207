//! The options of `set` and `create`: from the parameter table to a [`Change`].

use std::ffi::OsString;

use vz_conf::change::{Change, OptionName};
use vz_conf::context::Context;
use vz_conf::exit::Exit;
use vz_conf::param::{Commands, PARAMS, Param};
use vz_core::error::{Error, Result};
use vz_core::report::Report;

use crate::getopt::{self, LongOption};

/// Takes the words after the CTID of `set` or `create` apart.
///
/// # Errors
/// The original's words and codes for what is wrong.
pub fn parse(
    command: Commands,
    words: &[OsString],
    context: &Context,
    report: &mut dyn Report,
) -> Result<Change> {
    let rows: Vec<(&Param, &'static str)> = PARAMS
        .iter()
        .filter(|param| param.commands.has(command))
        .flat_map(|param| param.options.iter().map(move |option| (param, *option)))
        .collect();
    let table: Vec<LongOption> = rows
        .iter()
        .map(|(param, option)| LongOption {
            long: option,
            short: param.short.filter(|_| param.options.first() == Some(option)),
            takes_value: param.takes_value(),
        })
        .collect();
    let parsed = getopt::parse(&table, &texts(words)?).map_err(|line| {
        eprintln!("{line}");
        Error::Reported(Exit::InvalidValue)
    })?;
    let mut change = Change::new();
    for (index, value) in &parsed.options {
        let (param, option) = rows[*index];
        take(&mut change, param, option, value, context, report)?;
    }
    if !parsed.others.is_empty() {
        let words: String = parsed.others.iter().map(|word| format!("{word} ")).collect();
        return Err(Error::Refused(
            Exit::InvalidSyntax,
            format!("Invalid extra arguments: {words}"),
        ));
    }
    Ok(change)
}

/// The words as text: nothing that a configuration holds is anything else.
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
    option: &'static str,
    value: &str,
    context: &Context,
    report: &mut dyn Report,
) -> Result<()> {
    change.apply(param, OptionName::Long(option), value, context).map_err(|error| {
        if let Some((level, line)) = error.remark() {
            report.log(level.into(), &line);
        }
        Error::Refused(error.exit(), error.message())
    })
}
