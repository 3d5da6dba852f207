//! Options as getopt_long(3) of glibc takes them: long names that may be cut short, values after
//! `=` or as the next word (also such that begin with a dash), short options in one word, options
//! and other words in any order, `--` as the end of options. The error lines are getopt's.
//!
//! Own code, since clap cannot be made to agree: it takes all words apart before the first value
//! is looked at (the original refuses the first thing that is wrong, be it a word or a value),
//! counts options of one meaning as ambiguous, and takes `-1` for an option where a value stands.
//! vzctl's `tests/getopt.rs` runs both side by side.

use std::collections::VecDeque;

/// One long option of a command.
#[derive(Debug, Clone, Copy)]
pub struct LongOption {
    /// Its name without the dashes.
    pub long: &'static str,
    /// It takes a value.
    pub takes_value: bool,
    /// What it means: a beginning that fits only options of one meaning is not ambiguous.
    pub meaning: usize,
}

/// The long options and, as getopt(3) writes them, the short ones (`p:h`: `-p VALUE` and `-h`).
#[derive(Debug, Clone, Copy)]
pub struct Table<'t> {
    /// The program, as messages begin.
    pub program: &'t str,
    /// Long options.
    pub long: &'t [LongOption],
    /// Short options.
    pub short: &'t str,
}

/// An option that was found, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A long one: its place in the table.
    Long(usize, Option<String>),
    /// A short one.
    Short(char, Option<String>),
}

/// Takes words apart, one option at a time.
#[derive(Debug)]
pub struct Scanner<'t> {
    table: Table<'t>,
    words: VecDeque<String>,
    /// What is left of a word of short options.
    cluster: String,
    others: Vec<String>,
}

impl<'t> Scanner<'t> {
    /// Begins with the first of `words`.
    pub fn new(table: Table<'t>, words: Vec<String>) -> Scanner<'t> {
        Scanner { table, words: words.into(), cluster: String::new(), others: Vec::new() }
    }

    /// The words that are no options, when all have been looked at.
    pub fn others(self) -> Vec<String> {
        self.others
    }

    fn long(&mut self, text: &str) -> Result<Found, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let program = self.table.program;
        let index = self.place_of(name, text)?;
        let option = self.table.long[index];
        match (option.takes_value, value) {
            (false, Some(_)) => {
                Err(format!("{program}: option '--{}' doesn't allow an argument", option.long))
            }
            (false, None) => Ok(Found::Long(index, None)),
            (true, value) => match value.or_else(|| self.words.pop_front()) {
                Some(value) => Ok(Found::Long(index, Some(value))),
                None => Err(format!("{program}: option '--{}' requires an argument", option.long)),
            },
        }
    }

    /// The option of this name, or the first that it is the beginning of. `text` is all of the
    /// word, as messages have it.
    fn place_of(&self, name: &str, text: &str) -> Result<usize, String> {
        let (program, table) = (self.table.program, self.table.long);
        if let Some(exact) = table.iter().position(|option| option.long == name) {
            return Ok(exact);
        }
        let Some(first) = table.iter().position(|option| option.long.starts_with(name)) else {
            return Err(format!("{program}: unrecognized option '--{text}'"));
        };
        let key = |option: &LongOption| (option.takes_value, option.meaning);
        let others: String = table[first + 1..]
            .iter()
            .filter(|option| option.long.starts_with(name) && key(option) != key(&table[first]))
            .map(|option| format!(" '--{}'", option.long))
            .collect();
        match others.is_empty() {
            true => Ok(first),
            false => Err(format!(
                "{program}: option '--{text}' is ambiguous; possibilities: '--{}'{others}",
                table[first].long
            )),
        }
    }

    /// Takes the first letter of the cluster.
    fn short(&mut self) -> Result<Found, String> {
        let program = self.table.program;
        let letter = self.cluster.remove(0);
        let place = self.table.short.find(letter).filter(|_| !matches!(letter, ':' | ';'));
        let Some(place) = place else {
            return Err(format!("{program}: invalid option -- '{letter}'"));
        };
        if !self.table.short[place + letter.len_utf8()..].starts_with(':') {
            return Ok(Found::Short(letter, None));
        }
        let value = match std::mem::take(&mut self.cluster) {
            rest if rest.is_empty() => self.words.pop_front(),
            rest => Some(rest),
        };
        match value {
            Some(value) => Ok(Found::Short(letter, Some(value))),
            None => Err(format!("{program}: option requires an argument -- '{letter}'")),
        }
    }
}

impl Iterator for Scanner<'_> {
    type Item = Result<Found, String>;

    /// The next option, or the line about what is wrong; after such a line the scan may go on.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.cluster.is_empty() {
                return Some(self.short());
            }
            let word = self.words.pop_front()?;
            match word.strip_prefix('-') {
                Some("-") => self.others.extend(self.words.drain(..)),
                None | Some("") => self.others.push(word),
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => return Some(self.long(long)),
                    None => self.cluster = rest.to_owned(),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn option(long: &'static str, takes_value: bool, meaning: usize) -> LongOption {
        LongOption { long, takes_value, meaning }
    }

    const TABLE: Table<'_> = Table {
        program: "vzctl",
        long: &[
            option("hostname", true, 0),
            option("host_mac", true, 1),
            option("save", false, 2),
            option("layout", true, 3),
            option("velayout", true, 3),
            option("ve_layout", true, 3),
        ],
        short: "p:h",
    };

    fn run(words: &[&str]) -> (Vec<Result<Found, String>>, Vec<String>) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let mut scanner = Scanner::new(TABLE, words);
        (scanner.by_ref().collect(), scanner.others())
    }

    fn found(words: &[&str]) -> Vec<Found> {
        run(words).0.into_iter().map(Result::unwrap).collect()
    }

    fn long(index: usize, value: &str) -> Found {
        Found::Long(index, Some(value.to_owned()))
    }

    #[test]
    fn order_repetition_abbreviation() {
        assert_eq!(
            found(&["--hostn=x", "--sa", "--ve", "a", "-p5", "-hp", "-7", "--hostname", "--save"]),
            [
                long(0, "x"),
                Found::Long(2, None),
                long(4, "a"),
                Found::Short('p', Some("5".into())),
                Found::Short('h', None),
                Found::Short('p', Some("-7".into())),
                long(0, "--save"),
            ]
        );
    }

    #[test]
    fn other_words() {
        let (options, others) = run(&["a", "--save", "-", "b", "--", "--x", "--"]);
        assert_eq!(options, [Ok(Found::Long(2, None))]);
        assert_eq!(others, ["a", "-", "b", "--x", "--"]);
    }

    #[test]
    fn errors_in_getopts_words() {
        let error = |words: &[&str]| run(words).0.remove(0).unwrap_err();
        assert_eq!(error(&["--bogus=1", "1"]), "vzctl: unrecognized option '--bogus=1'");
        assert_eq!(error(&["--hostn"]), "vzctl: option '--hostname' requires an argument");
        assert_eq!(
            error(&["--host=x"]),
            "vzctl: option '--host=x' is ambiguous; possibilities: '--hostname' '--host_mac'"
        );
        assert_eq!(error(&["-z"]), "vzctl: invalid option -- 'z'");
        assert_eq!(error(&["-p"]), "vzctl: option requires an argument -- 'p'");
        assert_eq!(error(&["--sav=1"]), "vzctl: option '--save' doesn't allow an argument");
    }
}
