//! vzdqcheck, vzdqdump and vzdqload: what a directory holds, and quotas as text.

use std::io::Read;

use vz_core::vzquota::dump::Parts;
use vz_core::vzquota::{Error, count};

use crate::console::out;
use crate::place::Place;
use crate::vzquota::words::{self, Command, Global, Lines, Words, misused};

pub const CHECK_USAGE: &str = "\
Usage: vzdqcheck [options] path
\t-h\thelp
\t-V\tversion
\t-v\tsay more
\t-q\tsay errors only
\tpath\tthe directory to be counted
";

pub const DUMP_USAGE: &str = "\
Usage: vzdqdump quotaid [-c file] [-f] commands
Writes what a quota file has as text.
\t-c, --quota-file file\tuse this quota file
\t-f, --kernel\tas the kernel counts now
Commands say what is written:
\t-F, --first\tlimits and use of the directory
\t-G, --gracetime\tgrace times of users and groups
\t-U, --limits\tlimits of users and groups
\t-T, --exptimes\twhen their grace times end
";

pub const LOAD_USAGE: &str = "\
Usage: vzdqload quotaid [-c file] commands
Puts text on standard input, as vzdqdump writes it, into a quota file.
\t-c, --quota-file file\tuse this quota file
Commands say what is taken:
\t-F, --first\tlimits and use of the directory
\t-G, --gracetime\tgrace times of users and groups
\t-U, --limits\tlimits of users and groups
\t-T, --exptimes\twhen their grace times end
";

/// What standard input may have: a million lines.
const LARGEST: u64 = 100 << 20;

/// Runs vzdqcheck.
pub fn check(words: &[String]) -> u8 {
    let (global, rest) = match words::global("vzdqcheck", words, CHECK_USAGE) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let Some(path) = rest.first().filter(|_| !global.help) else { return misused(CHECK_USAGE) };
    let shown = words::absolute(path);
    let path = Place::of_environment().node.path(&shown);
    match count(&path, false, &mut Lines::of(&global)) {
        Ok(count) => {
            let (blocks, inodes) = (count.space / 1024, count.inodes);
            let heads =
                format!("quota usage for {}\n{:>11}{:>11}\n", shown.display(), "blocks", "inodes");
            out(&format!("{heads}{blocks:>11}{inodes:>11}\n"));
            0
        }
        Err(error) => words::say(&error),
    }
}

/// Runs vzdqdump.
pub fn dump(words: &[String]) -> u8 {
    let command = Command { short: "c:fFGUT", long: &words::DUMP, usage: DUMP_USAGE };
    let (global, words, parts) = match parse("vzdqdump", &command, words) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let live = words.has('f');
    match words::run(&global, &words, |session| session.dump(parts, live)) {
        Ok(text) => {
            out(&text);
            0
        }
        Err(code) => code,
    }
}

/// Runs vzdqload.
pub fn load(words: &[String]) -> u8 {
    let command = Command { short: "c:FGUT", long: &words::LOAD, usage: LOAD_USAGE };
    let (global, words, parts) = match parse("vzdqload", &command, words) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let loaded = words::run(&global, &words, |session| {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(LARGEST).read_to_string(&mut text);
        read.map_err(|error| Error::Usage(format!("Invalid input data: {error}")))?;
        session.load(parts, &text)
    });
    loaded.map_or_else(|code| code, |()| 0)
}

fn parse<'c>(
    program: &str,
    command: &Command<'c>,
    words: &[String],
) -> Result<(Global, Words<'c>, Parts), u8> {
    let (global, rest) = words::global(program, words, command.usage)?;
    if global.help {
        return Err(misused(command.usage));
    }
    let words = command.parse(rest)?;
    let parts = Parts {
        graces: words.has('G'),
        limits: words.has('U'),
        ends: words.has('T'),
        first: words.has('F'),
    };
    if parts.is_any() { Ok((global, words, parts)) } else { Err(words.misused()) }
}
