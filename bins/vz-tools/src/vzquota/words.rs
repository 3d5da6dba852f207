//! The command line of vzquota and of its sisters, and where it leads to.

use std::path::{Path, PathBuf};

use vz_conf::getopt::{LongOption, Scanner, Table};
use vz_core::report::Report;
use vz_core::vzquota::command::Session;
use vz_core::vzquota::kernel::{self, Kernel, ProjectQuota};
use vz_core::vzquota::{Error, Imitation, Place};

use crate::console::{err, err_text, out};
use crate::{options, place};

/// The version that this agrees with.
const VERSION: &str = "Vzquota version 2.5.0\n";
/// Stands for `--nocheck`.
pub const NO_CHECK: char = '\r';

const QUOTA_FILE: LongOption = long("quota-file", 'c', true);
const RELATIVE: LongOption = long("relative", 'R', false);
const FORCE: LongOption = long("force", 'f', false);
const USER_GROUP: LongOption = long("user-group", 't', false);

/// Long options of init.
pub const INIT: [LongOption; 11] = [
    // Given up before 2.5.0, and still taken.
    long("rsquash", 'r', true),
    long("sub-quotas", 's', true),
    long("ugid-limit", 'u', true),
    QUOTA_FILE,
    long("block-softlimit", 'b', true),
    long("block-hardlimit", 'B', true),
    long("block-exptime", 'e', true),
    long("inode-softlimit", 'i', true),
    long("inode-hardlimit", 'I', true),
    long("inode-exptime", 'n', true),
    RELATIVE,
];

/// Those of on: those of setlimit, and one more.
pub const ON: [LongOption; 13] = {
    let mut all = [FORCE; 13];
    let mut place = 0;
    while place < INIT.len() {
        all[place] = INIT[place];
        place += 1;
    }
    all[place + 1] = long("nocheck", NO_CHECK, false);
    all
};
/// Those of setlimit.
pub const SETLIMIT: &[LongOption] = ON.split_at(INIT.len() + 1).0;

/// Those of off and drop.
pub const OFF: [LongOption; 3] = [QUOTA_FILE, RELATIVE, FORCE];
/// Those of setlimit2 and reload2.
pub const SECOND_LEVEL: [LongOption; 2] = [QUOTA_FILE, RELATIVE];
/// Those of stat.
pub const STAT: [LongOption; 4] = [QUOTA_FILE, USER_GROUP, RELATIVE, FORCE];
/// Those of show.
pub const SHOW: [LongOption; 3] = [QUOTA_FILE, USER_GROUP, RELATIVE];

/// Those of vzdqload.
pub const LOAD: [LongOption; 5] = [
    QUOTA_FILE,
    long("first", 'F', false),
    long("gracetime", 'G', false),
    long("limits", 'U', false),
    long("exptimes", 'T', false),
];
/// Those of vzdqdump.
pub const DUMP: [LongOption; 6] =
    [QUOTA_FILE, long("kernel", 'f', false), LOAD[1], LOAD[2], LOAD[3], LOAD[4]];

const fn long(long: &'static str, letter: char, takes_value: bool) -> LongOption {
    LongOption { long, takes_value, meaning: letter as usize }
}

/// Levels of what is shown: errors only, warnings, information, details.
const ERRORS: i32 = -2;
const WARNINGS: i32 = -1;

/// The level after one more `-v`.
fn more(level: i32) -> i32 {
    match level {
        ERRORS => WARNINGS,
        WARNINGS => 1,
        _ => 2,
    }
}

/// The options before the command.
#[derive(Debug, Default)]
pub struct Global {
    /// `-h`.
    pub help: bool,
    /// `-b`.
    pub batch: bool,
    /// The highest level that is shown.
    level: i32,
}

/// A command's options.
#[derive(Debug, Clone, Copy)]
pub struct Command<'c> {
    /// As getopt(3) takes them.
    pub short: &'c str,
    /// The long ones.
    pub long: &'c [LongOption],
    /// What is printed when they are wrong.
    pub usage: &'c str,
}

/// What a command line says.
#[derive(Debug)]
pub struct Words<'c> {
    /// The quota's number.
    pub id: u32,
    /// Where file and directory are.
    pub place: Place,
    /// All options, by letter.
    pub options: Vec<(char, String)>,
    /// The words that are none, behind the number.
    pub others: Vec<String>,
    usage: &'c str,
}

/// Says how a tool is used; the code of that.
pub fn misused(usage: &str) -> u8 {
    err_text(usage);
    2
}

/// Takes the options before the command; the rest of the words.
pub fn global<'w>(
    program: &str,
    words: &'w [String],
    usage: &str,
) -> Result<(Global, &'w [String]), u8> {
    const HELP: [LongOption; 3] =
        [long("help", 'h', false), long("version", 'V', false), long("batch", 'b', false)];
    let is_option = |word: &&String| word.len() > 1 && word.starts_with('-');
    let count = words.iter().take_while(|word| is_option(word) && *word != "--").count();
    let (own, rest) = words.split_at(count);
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    let refused = |line: String| {
        err(&line);
        misused(usage)
    };
    let found = options::parse(program, "hvqVb", &HELP, own).map_err(refused)?;
    let mut global = Global { level: WARNINGS, ..Global::default() };
    for (letter, _) in &found.options {
        match letter {
            'V' => {
                out(VERSION);
                return Err(0);
            }
            'h' => global.help = true,
            'b' => global.batch = true,
            'q' => global.level = ERRORS,
            _ => global.level = more(global.level),
        }
    }
    Ok((global, rest))
}

impl<'c> Command<'c> {
    /// Takes a command's words: first the quota's number.
    pub fn parse(&self, words: &[String]) -> Result<Words<'c>, u8> {
        let Some((first, _)) = words.split_first() else { return Err(misused(self.usage)) };
        let Some(id) = super::limits::number(first).and_then(|id| u32::try_from(id).ok()) else {
            return Err(misused(self.usage));
        };
        let rest = words.get(1..).unwrap_or_default().to_vec();
        let table = Table { program: first, long: self.long, short: self.short };
        let mut words = Words {
            id,
            place: Place::default(),
            options: Vec::new(),
            others: Vec::new(),
            usage: self.usage,
        };
        self.take(&mut words, Scanner::new(table, rest), &table)?;
        words.check()
    }

    fn take(
        &self,
        words: &mut Words<'c>,
        mut scanner: Scanner<'_>,
        table: &Table<'_>,
    ) -> Result<(), u8> {
        use vz_conf::getopt::Found;
        for found in scanner.by_ref() {
            let (letter, value) = match found {
                Ok(Found::Short(letter, value)) => (letter, value),
                Ok(Found::Long(index, value)) => {
                    (char::from(table.long[index].meaning as u8), value)
                }
                Err(line) => {
                    err(&line);
                    return Err(misused(self.usage));
                }
            };
            words.options.push((letter, value.unwrap_or_default()));
        }
        words.others = scanner.others();
        Ok(())
    }
}

impl Words<'_> {
    fn check(mut self) -> Result<Self, u8> {
        for (letter, value) in &self.options {
            match letter {
                'p' => self.place.directory = Some(absolute(value)),
                'c' => self.place.file = Some(absolute(value)),
                'R' => self.place.relative = true,
                _ => {}
            }
        }
        if self.place.relative && self.place.file.is_some() {
            err("vzquota : (error) -c and -R options can't be set together\n");
            return Err(2);
        }
        // Project 0 has all files that were given none; the last number is none to the kernel.
        if matches!(self.id, 0 | u32::MAX) {
            err(&format!("vzquota : (error) quota id {} can be given to no files", self.id));
            return Err(2);
        }
        Ok(self)
    }

    /// An option was given.
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    /// Says how the command is used.
    pub fn misused(&self) -> u8 {
        misused(self.usage)
    }
}

/// A path, from the root on.
pub fn absolute(path: &str) -> PathBuf {
    match (path.starts_with('/'), std::env::current_dir()) {
        (false, Ok(current)) => {
            // As it is typed: a link or dot in it stays.
            Path::new(&format!("{}/{path}", current.display().to_string().trim_end_matches('/')))
                .to_owned()
        }
        _ => PathBuf::from(path),
    }
}

/// Does something with a quota; when it fails, says why.
pub fn run<T>(
    global: &Global,
    words: &Words<'_>,
    action: impl FnOnce(&mut Session<'_>) -> Result<T, Error>,
) -> Result<T, u8> {
    let place = place::Place::of_environment();
    let kernel: Box<dyn Kernel> = match place.is_imitation() {
        true => Box::new(Imitation::new(place.proc())),
        false => Box::new(ProjectQuota),
    };
    let mut session = Session {
        node: &place.node,
        kernel: kernel.as_ref(),
        id: words.id,
        place: words.place.clone(),
        now: kernel::now(),
        report: &mut Lines::of(global),
    };
    action(&mut session).map_err(|error| say(&error))
}

/// Says what has failed; its code.
pub fn say(error: &Error) -> u8 {
    if let Some(line) = error.line() {
        err(&format!("vzquota : (error) {line}"));
    }
    error.code()
}

/// Lines as vzquota writes them.
#[derive(Debug)]
pub struct Lines {
    level: i32,
}

impl Lines {
    /// As many as were asked for.
    pub fn of(global: &Global) -> Lines {
        Lines { level: global.level }
    }
}

impl Report for Lines {
    fn log(&mut self, level: i32, text: &str) {
        if level > self.level {
            return;
        }
        match level {
            ..=-2 => err(&format!("vzquota : (error) {text}")),
            -1 => err(&format!("vzquota : (warning) {text}")),
            0 | 1 => out(&format!("vzquota : (info) {text}\n")),
            2.. => out(&format!("vzquota : (debug) {text}\n")),
        }
    }
}
