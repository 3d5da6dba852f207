//! Values as they stand in a line `KEY="value"`.
//!
//! Two readers share these files: the tools, whose grammar removes every backslash and ends a
//! value at the last quote, and shell scripts that source them. A value is written so that
//! both read the same text and the shell runs nothing: `\`, `"`, `` ` `` and `$` get a
//! backslash. The original wrote values as they were, so a host name could run a command.

use crate::error::ParseError;

/// Keys in which `$VEID` and `${VEID}` stay as they are: scripts expand them, so do the tools.
const KEYS_WITH_VEID: [&str; 2] = ["VE_ROOT", "VE_PRIVATE"];

/// The two spellings of the container id in a path.
pub(crate) const VEID: [&str; 2] = ["$VEID", "${VEID}"];

/// Renders a line, without its newline.
///
/// # Errors
/// [`ParseError::Control`] when the value has a control character other than a tab, which
/// one line cannot keep.
pub fn line(key: &str, value: &str) -> Result<String, ParseError> {
    check(value)?;
    let veid = KEYS_WITH_VEID.contains(&key);
    let mut line = format!("{key}=\"");
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        if veid && let Some(word) = VEID.iter().find(|word| rest.starts_with(**word)) {
            line.push_str(word);
            rest = &rest[word.len()..];
            continue;
        }
        if matches!(c, '\\' | '"' | '`' | '$') {
            line.push('\\');
        }
        line.push(c);
        rest = &rest[c.len_utf8()..];
    }
    line.push('"');
    Ok(line)
}

/// Checks that a value can stand in a line.
///
/// # Errors
/// [`ParseError::Control`] when it has a control character other than a tab.
pub fn check(value: &str) -> Result<(), ParseError> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(ParseError::Control);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::parse_line;
    use proptest::prelude::*;

    #[test]
    fn plain_values_stay_plain() {
        assert_eq!(line("HOSTNAME", "a.b").unwrap(), "HOSTNAME=\"a.b\"");
        assert_eq!(
            line("VE_ROOT", "/vz/$VEID/${VEID}/$X").unwrap(),
            "VE_ROOT=\"/vz/$VEID/${VEID}/\\$X\""
        );
        assert_eq!(line("DESCRIPTION", "$VEID").unwrap(), "DESCRIPTION=\"\\$VEID\"");
    }

    #[test]
    fn a_second_line_is_refused() {
        for value in ["a\nb", "a\r", "\0", "\u{1b}[0m", "\u{85}"] {
            assert_eq!(line("DESCRIPTION", value), Err(ParseError::Control), "{value:?}");
        }
    }

    /// What a POSIX shell makes of a line, by the shell itself.
    fn sourced(line: &str) -> Vec<u8> {
        let script = format!("{line}\nprintf %s \"$HOSTNAME\"\n");
        let shell = std::process::Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
        assert!(shell.status.success(), "{line}");
        shell.stdout
    }

    #[test]
    fn a_shell_reads_the_same_and_runs_nothing() {
        let hostile = [
            "a$(touch /nonexistent/p)",
            "1.1.1.1\"; touch /nonexistent/p; \"",
            "`id`",
            "back\\slash \\\" \\$x",
            "${HOME} $((1+1)) 'single' !! # ; | & > <",
            "ends with \\",
            "tab\there",
        ];
        for value in hostile {
            let line = line("HOSTNAME", value).unwrap();
            assert_eq!(sourced(&line), value.as_bytes(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn the_tools_read_back_what_was_written(value in "\\PC*|[\\\\\"$` #='\\t]*") {
            let line = line("DESCRIPTION", &value).unwrap();
            prop_assert!(!line.contains('\n'));
            let (key, read) = parse_line(line.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(key, b"DESCRIPTION".to_vec());
            prop_assert_eq!(read, value.into_bytes());
        }

        #[test]
        fn paths_too(value in "[$VEID{}/\\\\\"`a]*") {
            let line = line("VE_ROOT", &value).unwrap();
            prop_assert_eq!(parse_line(line.as_bytes()).unwrap().unwrap().1, value.into_bytes());
        }
    }
}
