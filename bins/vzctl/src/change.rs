//! The options of `set` and `create`: from the parameter table to a [`Change`].

use std::ffi::OsString;

use vz_conf::change::{Change, OptionName};
use vz_conf::context::Context;
use vz_conf::exit::Exit;
use vz_conf::param::{Commands, PARAMS, Param};
use vz_core::error::{Error, Result};
use vz_core::report::Report;

use crate::getopt::{self, LongOption};

/// What was asked for.
#[derive(Debug)]
pub struct Asked {
    /// Parameters.
    pub change: Change,
    /// Values of the extra options, by name, the first of each.
    pub extra: Vec<(&'static str, String)>,
}

/// Takes the words after the CTID of `set` or `create` apart.
///
/// # Errors
/// The original's words and codes for what is wrong.
pub fn parse(
    command: Commands,
    extra: &[LongOption],
    words: &[OsString],
    context: &Context,
    report: &mut dyn Report,
) -> Result<Asked> {
    let rows: Vec<(&Param, &'static str)> = PARAMS
        .iter()
        .filter(|param| param.commands.has(command))
        .flat_map(|param| param.options.iter().map(move |option| (param, *option)))
        .collect();
    let mut table: Vec<LongOption> = rows
        .iter()
        .map(|(param, option)| LongOption {
            long: option,
            short: param.short.filter(|_| param.options.first() == Some(option)),
            takes_value: param.takes_value(),
        })
        .collect();
    table.extend_from_slice(extra);
    let parsed = getopt::parse(&table, &texts(words)?).map_err(|line| {
        eprintln!("{line}");
        Error::Reported(Exit::InvalidValue)
    })?;
    let mut asked = Asked { change: Change::new(), extra: Vec::new() };
    for (index, value) in &parsed.options {
        match rows.get(*index) {
            Some((param, option)) => {
                take(&mut asked.change, param, option, value, context, report)?;
            }
            None => asked.extra.push((table[*index].long, value.clone())),
        }
    }
    if !parsed.others.is_empty() {
        let words: String = parsed.others.iter().map(|word| format!("{word} ")).collect();
        return Err(Error::Refused(
            Exit::InvalidSyntax,
            format!("Invalid extra arguments: {words}"),
        ));
    }
    Ok(asked)
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
