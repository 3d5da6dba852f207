//! Options of one letter, as getopt(3) takes them.

use vz_conf::getopt::{Found, LongOption, Scanner, Table};

use crate::console::{err, err_text};

/// What the command line of a tool has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Letters and values, in order.
    pub options: Vec<(char, String)>,
    /// The other words.
    pub others: Vec<String>,
}

impl Words {
    /// Whether a letter was given.
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }
}

/// Takes the words apart. `long` stand for letters.
///
/// # Errors
/// getopt's own line about the first that is wrong.
pub fn parse(
    program: &str,
    short: &str,
    long: &[LongOption],
    words: &[String],
) -> Result<Words, String> {
    let mut scanner = Scanner::new(Table { program, long, short }, words.to_vec());
    let mut found = Words::default();
    for option in scanner.by_ref() {
        let (letter, value) = match option? {
            Found::Short(letter, value) => (letter, value),
            Found::Long(index, value) => (char::from(long[index].meaning as u8), value),
        };
        found.options.push((letter, value.unwrap_or_default()));
    }
    found.others = scanner.others();
    Ok(found)
}

/// Says how the tool is used because something is wrong, after the line about that.
pub fn misused(line: &str, usage: &str) -> u8 {
    if !line.is_empty() {
        err(line);
    }
    err_text(usage);
    1
}

/// The number that strtol(3) reads at the beginning of a text, cut to 64 bits; `None` when more
/// follows. The empty text is 0.
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if text.is_empty() {
        return Some(0);
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bound = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [("5", 5), ("", 0), (" 5", 5), ("+5", 5), ("-1", -1), ("005", 5)];
        for (text, wanted) in cases {
            assert_eq!(number(text), Some(wanted), "{text:?}");
        }
        assert_eq!(number("99999999999999999999"), Some(i64::MAX));
        for text in ["5x", "x", "5 ", "--5", "0x5", "+", "-"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn letters_and_words() {
        let words = ["101", "-vA", "-n5", "x"].map(str::to_owned);
        let found = parse("p", "vAn:", &[], &words).unwrap();
        assert!(found.has('v') && found.has('A') && !found.has('x'));
        assert_eq!(found.options[2], ('n', "5".to_owned()));
        assert_eq!(found.others, ["101", "x"]);
        assert_eq!(parse("p", "v", &[], &words[2..]).unwrap_err(), "p: invalid option -- 'n'");
    }
}
