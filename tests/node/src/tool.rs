//! Programs of this machine.

use std::process::{Command, Output, Stdio};

use crate::{Error, Result};

/// Runs a program to its end with no input; its standard output.
///
/// # Errors
/// It cannot be started, or ends with anything but zero: then what it wrote is in the error.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| Error::Start { program, source })?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(shown, &output)) }
}

/// A command of words that need no quoting to be understood.
pub fn command(words: &[&str]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().unwrap_or(&"false"));
    command.args(words);
    command
}

fn failed(command: String, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The cause is at the end; package managers write pages before it.
    let lines: Vec<_> = stderr.lines().collect();
    let last = lines[lines.len().saturating_sub(20)..].join("\n");
    Error::Tool { command, status: output.status.to_string(), stderr: last }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_command_and_its_last_words() {
        let error = run(&mut command(&["sh", "-c", "seq 50 >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.starts_with("run sh -c seq 50 >&2; exit 3: exit status: 3\n"), "{error}");
        assert!(error.ends_with("    31\n    32\n    33\n    34\n    35\n    36\n    37\n    38\n    39\n    40\n    41\n    42\n    43\n    44\n    45\n    46\n    47\n    48\n    49\n    50"), "{error}");
        assert!(run(&mut command(&["/no/such/program"])).is_err());
    }
}
