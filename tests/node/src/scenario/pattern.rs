//! An expected line and the lines it allows.
//!
//! A line stands for itself unless it ends in ` (re)` (a regular expression for the whole line),
//! ` (glob)` (`*`, `?`, a backslash before a literal one) or ` (esc)` (`\t`, `\\`, `\xNN` for bytes
//! that do not show). ` (no-eol)` after any of these: the last line, without an end of line.

use regex_lite::Regex;
use thiserror::Error;

const NO_EOL: &str = " (no-eol)";

/// An expected line.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    form: Form,
    eol: bool,
}

#[derive(Debug, Clone)]
enum Form {
    Literal(Vec<u8>),
    Regex(Regex),
}

/// A line that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, without the end of line.
    pub bytes: Vec<u8>,
    /// Whether it had an end of line.
    pub eol: bool,
}

/// A pattern that is none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// The regular expression's own complaint.
    #[error("bad regular expression \"{text}\": {cause}")]
    Regex {
        /// The expression.
        text: String,
        /// The complaint.
        cause: String,
    },
    /// A backslash is followed by something unknown.
    #[error("bad escape in \"{0}\"")]
    Escape(String),
}

impl Pattern {
    /// Reads an expected line, as it stands in the file without its indentation.
    ///
    /// # Errors
    /// The text before the suffix is not what the suffix says.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (rest, eol) = match text.strip_suffix(NO_EOL) {
            Some(rest) => (rest, false),
            None => (text, true),
        };
        let form = if let Some(expression) = rest.strip_suffix(" (re)") {
            Form::Regex(regex(expression)?)
        } else if let Some(glob) = rest.strip_suffix(" (glob)") {
            Form::Regex(regex(&glob_to_regex(glob))?)
        } else if let Some(escaped) = rest.strip_suffix(" (esc)") {
            let bytes = unescape(escaped);
            Form::Literal(bytes.ok_or_else(|| PatternError::Escape(escaped.into()))?)
        } else {
            Form::Literal(rest.as_bytes().to_vec())
        };
        Ok(Self { text: text.into(), form, eol })
    }

    /// Whether a line is one of those allowed.
    pub fn matches(&self, line: &Line) -> bool {
        if self.eol != line.eol {
            return false;
        }
        match &self.form {
            Form::Literal(bytes) => *bytes == line.bytes,
            // A regular expression is about text; bytes that are none are shown escaped.
            Form::Regex(regex) => match std::str::from_utf8(&line.bytes) {
                Ok(text) => regex.is_match(text),
                Err(_) => regex.is_match(&escape(&line.bytes)),
            },
        }
    }

    /// The pattern as it stands in the file.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Line {
    /// The line as it would stand in the file.
    pub fn to_pattern(&self) -> String {
        let plain = std::str::from_utf8(&self.bytes).ok();
        let plain = plain.filter(|text| !text.chars().any(char::is_control) && !has_suffix(text));
        let text = match plain {
            Some(text) => text.to_string(),
            None => escape(&self.bytes) + " (esc)",
        };
        if self.eol { text } else { text + NO_EOL }
    }
}

/// Output as lines.
pub fn lines(output: &[u8]) -> Vec<Line> {
    let line = |bytes: &[u8]| match bytes.strip_suffix(b"\n") {
        Some(bytes) => Line { bytes: bytes.into(), eol: true },
        None => Line { bytes: bytes.into(), eol: false },
    };
    output.split_inclusive(|byte| *byte == b'\n').map(line).collect()
}

fn has_suffix(text: &str) -> bool {
    [" (re)", " (glob)", " (esc)", NO_EOL].iter().any(|suffix| text.ends_with(suffix))
}

fn regex(expression: &str) -> Result<Regex, PatternError> {
    let failed = |error: regex_lite::Error| PatternError::Regex {
        text: expression.into(),
        cause: error.to_string(),
    };
    // Alone first: "a)(b" must not become whole by what is put around it.
    Regex::new(expression).map_err(failed)?;
    Regex::new(&format!(r"\A(?:{expression})\z")).map_err(failed)
}

fn glob_to_regex(glob: &str) -> String {
    let mut expression = String::new();
    let mut characters = glob.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '\\' => {
                let next = characters.next_if(|next| "*?\\".contains(*next)).unwrap_or('\\');
                expression.push_str(&regex_lite::escape(next.encode_utf8(&mut [0; 4])));
            }
            other => expression.push_str(&regex_lite::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str(r"\\"),
                '\t' => text.push_str(r"\t"),
                '\r' => text.push_str(r"\r"),
                control if control.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in control.encode_utf8(&mut buffer).bytes() {
                        text.push_str(&format!(r"\x{byte:02x}"));
                    }
                }
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!(r"\x{byte:02x}"));
        }
    }
    text
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (kind, tail) = rest.split_first()?;
        rest = tail;
        match kind {
            b'\\' => bytes.push(b'\\'),
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            b'x' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, output: &[u8]) -> bool {
        Pattern::parse(pattern).unwrap().matches(&lines(output)[0])
    }

    #[test]
    fn each_form_allows_what_it_says() {
        assert!(matches("a*b (c)", b"a*b (c)\n"));
        assert!(matches("a*b?.\\* (glob)", b"axxbc.*\n"));
        assert!(matches("* (glob)", b"\n"));
        assert!(matches(r"\d+|x (re)", b"42\n"));
        assert!(matches(r"a\tb\\\x00\xff (esc)", b"a\tb\\\x00\xff\n"));
        assert!(matches("a (no-eol)", b"a"));
        assert!(matches("a* (glob) (no-eol)", b"abc"));
    }

    #[test]
    fn each_form_refuses_what_it_does_not_say() {
        assert!(!matches("a", b"a "));
        assert!(!matches("a", b"a"));
        assert!(!matches("a (no-eol)", b"a\n"));
        assert!(!matches("a.b (glob)", b"axb\n"));
        assert!(!matches("a? (glob)", b"a\n"));
        assert!(!matches("4|x (re)", b"42\n"));
        assert!(!matches("a (esc)", b"A\n"));
    }

    #[test]
    fn a_bad_pattern_is_an_error() {
        assert!(matches!(Pattern::parse("( (re)"), Err(PatternError::Regex { .. })));
        assert!(matches!(Pattern::parse("a)(b (re)"), Err(PatternError::Regex { .. })));
        assert_eq!(Pattern::parse(r"\q (esc)").unwrap_err(), PatternError::Escape(r"\q".into()));
        assert!(Pattern::parse(r"\x4 (esc)").is_err());
    }

    proptest! {
        #[test]
        fn a_line_shown_as_a_pattern_matches_itself(bytes: Vec<u8>, eol: bool) {
            let bytes = bytes.into_iter().filter(|byte| *byte != b'\n').collect();
            let line = Line { bytes, eol };
            prop_assert!(Pattern::parse(&line.to_pattern()).unwrap().matches(&line));
        }

        #[test]
        fn a_glob_of_plain_text_is_that_text(text in "[^*?\\\\\n\r]*") {
            let line = Line { bytes: text.clone().into_bytes(), eol: true };
            let pattern = Pattern::parse(&(text + " (glob)")).unwrap();
            prop_assert!(pattern.matches(&line));
        }
    }
}
