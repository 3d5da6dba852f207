//! The file of a scenario.
//!
//! A line that begins with two spaces belongs to a command: `  $ ` begins it, `  > ` continues
//! it, the lines after it are what it must write, `[N]` last among them its exit code where that
//! is not 0. A line of the form `# word: text` before the first command is a setting; every other
//! line is prose.

use std::{fmt, path::Path, time::Duration};

use thiserror::Error;

use super::pattern::{Pattern, PatternError};

/// How long a scenario may take where it does not say.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A scenario that has been read.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file's name without `.t`.
    pub name: String,
    /// Features it needs of a machine.
    pub needs: Vec<String>,
    /// Whether it runs on a node.
    pub on_node: bool,
    /// Whether it runs on the machine that runs the tests.
    pub on_host: bool,
    /// Whether nothing else may run beside it: it measures time.
    pub alone: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// The file, in order.
    pub blocks: Vec<Block>,
}

/// A piece of the file.
#[derive(Debug, Clone)]
pub enum Block {
    /// Lines that are not run.
    Prose(Vec<String>),
    /// A command.
    Command(Command),
}

/// A command and what it must write.
#[derive(Debug, Clone)]
pub struct Command {
    /// What the shell gets, one line or more.
    pub text: String,
    /// The lines it must write, `[N]` included.
    pub expected: Vec<Pattern>,
}

/// A file that is not a scenario.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("read scenario {name}, line {line}: {problem}")]
pub struct ParseError {
    name: String,
    line: usize,
    problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Error, PartialEq, Eq)]
enum Problem {
    #[error("unknown setting {0} (known: alone, needs, where, timeout)")]
    UnknownSetting(String),
    #[error("bad value \"{value}\" of {setting}")]
    BadValue { setting: String, value: String },
    #[error("output or continuation without a command")]
    NoCommand,
    #[error("{0}")]
    Pattern(#[from] PatternError),
    #[error("no command in the file: it could not fail")]
    Empty,
}

impl Scenario {
    /// Reads a scenario's text; `path` gives its name.
    ///
    /// # Errors
    /// A line is none of those described above.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ParseError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut scenario = Self {
            name: name.clone(),
            needs: Vec::new(),
            on_node: true,
            on_host: false,
            alone: false,
            timeout: TIMEOUT,
            blocks: Vec::new(),
        };
        let mut last = 0;
        for (number, line) in text.lines().enumerate() {
            last = number + 1;
            let wrong = |problem| ParseError { name: name.clone(), line: last, problem };
            scenario.take(line).map_err(wrong)?;
        }
        if scenario.commands().next().is_none() {
            return Err(ParseError { name, line: last, problem: Problem::Empty });
        }
        Ok(scenario)
    }

    /// The commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Command(command) => Some(command),
            Block::Prose(_) => None,
        })
    }

    fn take(&mut self, line: &str) -> Result<(), Problem> {
        if let Some(text) = line.strip_prefix("  $ ") {
            let command = Command { text: text.into(), expected: Vec::new() };
            self.blocks.push(Block::Command(command));
        } else if let Some(text) = line.strip_prefix("  > ").or((line == "  >").then_some("")) {
            let command = self.last_command().filter(|command| command.expected.is_empty());
            let command = command.ok_or(Problem::NoCommand)?;
            command.text.push('\n');
            command.text.push_str(text);
        } else if let Some(text) = line.strip_prefix("  ") {
            let pattern = Pattern::parse(text)?;
            self.last_command().ok_or(Problem::NoCommand)?.expected.push(pattern);
        } else {
            self.take_prose(line)?;
        }
        Ok(())
    }

    fn take_prose(&mut self, line: &str) -> Result<(), Problem> {
        if self.commands().next().is_none()
            && let Some((setting, value)) = setting(line)
        {
            self.set(setting, value)?;
        }
        match self.blocks.last_mut() {
            Some(Block::Prose(lines)) => lines.push(line.into()),
            _ => self.blocks.push(Block::Prose(vec![line.into()])),
        }
        Ok(())
    }

    fn set(&mut self, setting: &str, value: &str) -> Result<(), Problem> {
        let bad = || Problem::BadValue { setting: setting.into(), value: value.into() };
        match setting {
            "needs" => self.needs = value.split_whitespace().map(str::to_string).collect(),
            "where" => {
                (self.on_node, self.on_host) = match value {
                    "node" => (true, false),
                    "host" => (false, true),
                    "both" => (true, true),
                    _ => return Err(bad()),
                }
            }
            "alone" if value == "yes" => self.alone = true,
            "alone" => return Err(bad()),
            "timeout" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                self.timeout = Duration::from_secs(seconds.ok_or_else(bad)?);
            }
            _ => return Err(Problem::UnknownSetting(setting.into())),
        }
        Ok(())
    }

    fn last_command(&mut self) -> Option<&mut Command> {
        match self.blocks.last_mut() {
            Some(Block::Command(command)) => Some(command),
            _ => None,
        }
    }
}

/// `# word: text`, the word in small letters: a heading like "# Quota: what is" is prose.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (word, value) = line.strip_prefix("# ")?.split_once(':')?;
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word.then_some((word, value.trim()))
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.text.split('\n').enumerate() {
            let mark = if number == 0 { '$' } else { '>' };
            writeln!(f, "  {mark} {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Scenario, String> {
        Scenario::parse(Path::new("dir/case.t"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_settings_prose_and_commands() {
        let text = "# Disk: quota\n# needs: quota userns\n# where: both\n# timeout: 20\n\nText.\n\n  \
                    $ cat <<E\n  > a\n  >\n  > E\n  a\n  \n  [1]\n# needs: nothing, this is prose\n  $ b\n";
        let scenario = parse(text).unwrap();
        assert_eq!(scenario.name, "case");
        assert_eq!(scenario.needs, ["quota", "userns"]);
        assert!(scenario.on_host && scenario.on_node);
        assert_eq!(scenario.timeout, Duration::from_secs(20));
        let commands: Vec<_> = scenario.commands().collect();
        assert_eq!(commands[0].text, "cat <<E\na\n\nE");
        assert_eq!(commands[0].expected.len(), 3);
        assert_eq!(commands[1].to_string(), "  $ b\n");
        assert_eq!(commands.len(), 2);
    }

    #[test]
    fn what_would_be_ignored_is_an_error() {
        let cases = [
            (
                "# need: quota\n  $ a\n",
                "line 1: unknown setting need (known: alone, needs, where, timeout)",
            ),
            ("# where: moon\n  $ a\n", "line 1: bad value \"moon\" of where"),
            ("# timeout: 0\n  $ a\n", "line 1: bad value \"0\" of timeout"),
            ("  out\n", "line 1: output or continuation without a command"),
            ("  $ a\n  out\n  > b\n", "line 3: output or continuation without a command"),
            ("  $ a\nprose\n  out\n", "line 3: output or continuation without a command"),
            ("prose\n", "line 1: no command in the file: it could not fail"),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text).unwrap_err(), format!("read scenario case, {error}"));
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "([ $>#a\\[\\]():*\\\\]|\n|  \\$ |  )*") {
            let _ = parse(&text);
        }
    }
}
