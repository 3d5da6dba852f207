//! vzcfgvalidate: whether a configuration's limits make sense, and what to make of them.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use vz_conf::config::Config;
use vz_conf::ctid::Ctid;
use vz_conf::file::ConfFile;
use vz_conf::param::{self, Scope};
use vz_conf::yesno::YesNo;
use vz_core::judge::capacity::Capacity;
use vz_core::judge::validate::{self, Finding, Judgement, Limits};
use vz_core::report::Report;

use crate::console::{Console, err, err_text, out};
use crate::options::{self, misused};
use crate::place::Place;

pub const USAGE: &str = "\
Usage: vzcfgvalidate [-r|-i] [-v yes|no] <configfile>
  -r         repair: set what does not fit, and save the file
  -i         ask before each repair
  -v yes|no  judge it as a VSwap configuration or as one of the classic beancounters
             (without: as one of VSwap when RAM has a limit)
";

/// What to do about findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tell,
    Repair,
    Ask,
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words = match options::parse("vzcfgvalidate", "rihv:", &[], words) {
        Ok(words) => words,
        Err(line) => return misused(&line, USAGE),
    };
    let mut vswap = None;
    for (letter, value) in &words.options {
        match (letter, value.as_str()) {
            ('h', _) => {
                out(USAGE);
                return 0;
            }
            ('v', "yes") => vswap = Some(true),
            ('v', "no") => vswap = Some(false),
            ('v', value) => return misused(&format!("Invalid argument for -v: {value}"), USAGE),
            _ => {}
        }
    }
    let Some(file) = words.others.first() else { return misused("", USAGE) };
    let mode = match (words.has('i'), words.has('r')) {
        (true, _) => Mode::Ask,
        (_, true) => Mode::Repair,
        _ => Mode::Tell,
    };
    match check(&mut Place::of_environment(), file, mode, vswap) {
        Ok(true) => {
            err("Validation completed: success");
            0
        }
        Ok(false) => 2,
        Err(line) => {
            err(&line);
            1
        }
    }
}

/// Judges a file, repairs and saves it. Says whether it is valid.
fn check(place: &mut Place, file: &str, mode: Mode, vswap: Option<bool>) -> Result<bool, String> {
    read_vz_conf(place);
    let subject = Subject::read(place, file)?;
    let config = &subject.config;
    let by = match vswap.unwrap_or(config.is_vswap()) {
        true => Judgement::Vswap(Capacity::read(place.proc()).map_err(|error| error.to_string())?),
        false => {
            let quota = config.disk_quota.or(place.node.config.disk_quota);
            Judgement::Classic { disk: quota == Some(YesNo::Yes) }
        }
    };
    let mut limits = limits_of(config);
    let is_valid = validate::judge(&mut limits, by, &mut |finding| decide(finding, mode));
    if is_valid && mode != Mode::Tell {
        subject.save(&limits)?;
    }
    Ok(is_valid)
}

/// Says what a configuration makes of vz.conf, or that there is none.
fn read_vz_conf(place: &mut Place) {
    if place.node.read_config().is_err() {
        let path = place.node.shown(&place.node.global_config_path());
        err(&format!("WARNING: Global configuration file {} not found", path.display()));
    }
    for warning in &place.node.warnings {
        Console.log(warning.level().into(), &warning.to_string());
    }
}

/// The limits that a configuration sets.
pub fn limits_of(config: &Config) -> Limits {
    Limits { ubc: config.ubc, diskspace: config.diskspace, diskinodes: config.diskinodes }
}

/// Tells a finding; whether to repair it.
fn decide(finding: &Finding, mode: Mode) -> bool {
    err(&format!("{}: {}", finding.severity, finding.text));
    let Some(repair) = finding.repair.as_ref().filter(|_| mode != Mode::Tell) else {
        return false;
    };
    out(&format!("set to {}\n", repair.shown));
    mode == Mode::Repair || is_yes(&mut io::stdin().lock())
}

/// Asks until there is an answer; the end of input is no.
fn is_yes(answers: &mut dyn BufRead) -> bool {
    let mut line = Vec::new();
    loop {
        err_text(" (y/n) [y] ");
        line.clear();
        match answers.read_until(b'\n', &mut line) {
            Ok(1..) => match line.first() {
                Some(b'y' | b'\n') => return true,
                Some(b'n') => return false,
                _ => {}
            },
            _ => return false,
        }
    }
}

/// A configuration file.
#[derive(Debug)]
pub struct Subject {
    path: PathBuf,
    shown: PathBuf,
    file: ConfFile,
    /// Its values.
    pub config: Config,
}

impl Subject {
    /// Reads the file that was named on the command line, and says what is odd in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(place: &Place, word: &str) -> Result<Subject, String> {
        let (path, shown) = (place.file(word), PathBuf::from(word));
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("Container configuration file {word} not found")
            }
            _ => format!("Unable to open {word}: {error}"),
        })?;
        let file = ConfFile::parse(&bytes);
        let context = place.node.text_context(Ctid::NODE);
        let (config, warnings) = Config::read(&file, &shown, Scope::Container, &context);
        for warning in warnings {
            Console.log(warning.level().into(), &warning.to_string());
        }
        Ok(Subject { path, shown, file, config })
    }

    /// The file with these limits in the place of its own. Of several lines for one resource the
    /// last one counts when a file is read, so that only one can stay.
    ///
    /// # Errors
    /// When a value cannot stand in a line: none of a limit is of that kind.
    pub fn with(&self, limits: &Limits) -> Result<ConfFile, String> {
        let mut file = self.file.clone();
        let ubc = limits.ubc.iter().map(|(resource, value)| (resource.key(), value.to_string()));
        let disk = [("DISKSPACE", limits.diskspace), ("DISKINODES", limits.diskinodes)];
        let disk = disk.into_iter().filter_map(|(key, value)| Some((key, value?.to_string())));
        for (key, value) in ubc.chain(disk) {
            param::by_key(key).map_or(&[][..], |param| param.aliases).iter().for_each(|alias| {
                file.remove(alias);
            });
            file.set_only(key, &value)
                .map_err(|error| format!("Unable to store {key}: {error}"))?;
        }
        Ok(file)
    }

    /// Saves it with these limits.
    fn save(&self, limits: &Limits) -> Result<(), String> {
        save(&self.with(limits)?, &self.path, &self.shown)?;
        out(&format!("CT configuration saved to {}\n", self.shown.display()));
        Ok(())
    }
}

/// Writes a configuration file; `shown` is how it is told to people.
///
/// # Errors
/// The line about it.
pub fn save(file: &ConfFile, path: &Path, shown: &Path) -> Result<(), String> {
    let told = |error: vz_conf::file::SaveError| {
        error.to_string().replace(&*path.to_string_lossy(), &shown.to_string_lossy())
    };
    file.save(path).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let answer = |text: &str| is_yes(&mut text.as_bytes());
        assert!(answer("y\n") && answer("\n") && answer("x\nyes\n"));
        assert!(!answer("n\ny\n") && !answer("") && !answer("x"));
    }
}
