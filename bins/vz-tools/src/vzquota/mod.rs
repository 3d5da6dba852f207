//! vzquota: the disk quota of a directory, and its file.

mod limits;
mod usage;
pub mod words;

use vz_core::vzquota::change::Given;
use vz_core::vzquota::command::{SecondLevel, Session, Shown};
use vz_core::vzquota::file::{GROUP, USER};
use vz_core::vzquota::table::{self, Style};
use vz_core::vzquota::{Error, time};

use crate::console::{err_text, out};
use words::{Command, Global, Words, misused};

pub use usage::MAIN as USAGE;

/// What `-e` and `-n` take.
const TIMES: &str = "\
Available time formats:
1. dd:hh:mm:ss
2. xxA, where A - h/H(hour);d/D(day);w/W(week);m/M(month);y/Y(year)
For instance: 7D - 7 days; 01w - 1 week; 3m - 3 months
";

/// A command: its name, its options, what it does. The exit code.
type Run = fn(&Global, &Command<'_>, &[String]) -> Result<u8, u8>;

const COMMANDS: [(&str, Command<'static>, Run); 9] = [
    (
        "init",
        Command { short: "p:c:r:s:u:b:B:i:I:e:n:R", long: &words::INIT, usage: usage::INIT },
        init,
    ),
    ("on", Command { short: "p:c:r:s:u:fb:B:i:I:e:n:R", long: &words::ON, usage: usage::ON }, on),
    ("off", Command { short: "p:fc:R", long: &words::OFF, usage: usage::OFF }, off),
    ("drop", Command { short: "p:fc:R", long: &words::OFF, usage: usage::DROP }, drop),
    (
        "setlimit",
        Command {
            short: "p:c:r:s:u:fb:B:i:I:e:n:R",
            long: words::SETLIMIT,
            usage: usage::SETLIMIT,
        },
        setlimit,
    ),
    (
        "setlimit2",
        Command { short: "p:c:ugtR", long: &words::SECOND_LEVEL, usage: usage::SETLIMIT2 },
        setlimit2,
    ),
    (
        "reload2",
        Command { short: "p:c:R", long: &words::SECOND_LEVEL, usage: usage::RELOAD2 },
        reload2,
    ),
    ("stat", Command { short: "p:c:tfR", long: &words::STAT, usage: usage::STAT }, stat),
    ("show", Command { short: "p:c:tR", long: &words::SHOW, usage: usage::SHOW }, show),
];

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let (global, rest) = match words::global("vzquota", words, USAGE) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let Some((name, rest)) = rest.split_first() else { return misused(USAGE) };
    let Some((_, command, run)) = COMMANDS.iter().find(|(known, ..)| known == name) else {
        err_text(&format!("Unknown command: '{name}'\n\n"));
        return misused(USAGE);
    };
    if global.help {
        return misused(command.usage);
    }
    run(&global, command, rest).unwrap_or_else(|code| code)
}

fn init(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    let given = given(&words)?;
    if words.place.directory.is_none() || !given.has_all_limits() {
        return Err(words.misused());
    }
    act(global, &words, |session| session.init(&given))
}

fn on(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    let given = given(&words)?;
    act(global, &words, |session| session.on(&given))
}

fn off(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    act(global, &words, |session| session.off(words.has('f')))
}

fn drop(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    act(global, &words, |session| session.drop(words.has('f')))
}

fn setlimit(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    let given = given(&words)?;
    let is_any = given.has_limits() || given.has_users() || given.force;
    if !is_any && words.place.directory.is_none() {
        return Err(words.misused());
    }
    act(global, &words, |session| session.set_limits(&given))
}

fn setlimit2(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    let kind = if words.has('g') { GROUP } else { USER };
    let number = |text: &String| limits::number(text);
    let change = match (words.has('t'), &words.others[..]) {
        (true, [space, inodes]) => time::parse(space)
            .zip(time::parse(inodes))
            .map(|(space, inodes)| SecondLevel::Grace(kind, space, inodes)),
        (false, [id, limits @ ..]) if limits.len() == 4 => {
            let limits: Option<Vec<u64>> = limits.iter().map(number).collect();
            let limits = limits.and_then(|limits| <[u64; 4]>::try_from(limits).ok());
            let id = number(id).and_then(|id| u32::try_from(id).ok());
            id.zip(limits).map(|(id, limits)| SecondLevel::Limits(kind, id, limits))
        }
        _ => None,
    };
    let change = change.ok_or_else(|| words.misused())?;
    act(global, &words, |session| session.set_second_level(change))
}

fn reload2(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    act(global, &words, |session| session.reload_second_level())
}

fn stat(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    let (force, users) = (words.has('f'), words.has('t'));
    let shown = words::run(global, &words, |session| session.stat(force, users))?;
    Ok(print(global, &shown, users, force))
}

fn show(global: &Global, command: &Command<'_>, words: &[String]) -> Result<u8, u8> {
    let words = command.parse(words)?;
    let shown = words::run(global, &words, |session| session.show())?;
    Ok(print(global, &shown, words.has('t'), false))
}

fn print(global: &Global, shown: &Shown, users: bool, without_file: bool) -> u8 {
    let now = vz_core::vzquota::kernel::now();
    let style = Style { batch: global.batch, without_file, now };
    out(&table::limits(&shown.file, &style));
    if users {
        out(&table::users(&shown.file, &style));
    }
    shown.code
}

fn act(
    global: &Global,
    words: &Words<'_>,
    action: impl FnOnce(&mut Session<'_>) -> Result<(), Error>,
) -> Result<u8, u8> {
    words::run(global, words, action).map(|()| 0)
}

/// The limits that are given, in the order of the words: the first that is wrong is told.
fn given(words: &Words<'_>) -> Result<Given, u8> {
    let mut given = Given { force: words.has('f'), ..Given::default() };
    for (letter, value) in &words.options {
        match limits::put(&mut given, *letter, value) {
            Ok(()) => {}
            Err(limits::Bad::Number) => return Err(words.misused()),
            Err(limits::Bad::Time) => return Err(misused(TIMES)),
        }
    }
    Ok(given)
}
