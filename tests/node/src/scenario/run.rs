//! One scenario on one machine: one shell, all its commands, and what they did.

use std::{
    fs::File,
    io::{self, Read},
    time::Duration,
};

use super::{compare::Seen, parse::Scenario};
use crate::{
    Error, Result,
    agent::{Ended, Output, command},
    machine::Machine,
};

/// Where scenarios work on a machine.
const WORK: &str = "/tmp/vz-scenario";

/// Output kept of one scenario, in bytes: one that writes without end is stopped by its time.
const KEPT: usize = 64 << 20;

/// Output compared of one command, in bytes.
const COMPARED: usize = 256 << 10;

/// What a scenario is given.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// First of a hundred container ids that nobody uses, given as `$CTID`.
    pub ctid: u32,
}

/// Runs a scenario's commands in a shell on a machine and removes its directory.
///
/// # Errors
/// The machine is gone, or the shell cannot be started.
pub fn run(machine: &dyn Machine, scenario: &Scenario, settings: Settings) -> Result<Vec<Seen>> {
    let mark = mark()?;
    let directory = format!("{WORK}-{}/{}", std::process::id(), scenario.name);
    prepare(machine, &directory, &script(scenario, &mark))?;
    let argv = shell(machine, settings, &directory);
    let argv: Vec<_> = argv.iter().map(String::as_str).collect();
    let mut output = Vec::new();
    let mut take = |_: Output, bytes: &[u8]| {
        let room = KEPT - output.len();
        output.extend_from_slice(&bytes[..bytes.len().min(room)]);
    };
    let limit = Some(scenario.timeout);
    let ended = machine.connect()?.run(&command(&argv), io::empty(), &mut take, limit)?;
    let seen = judge(&output, &mark, scenario.commands().count(), ended, scenario.timeout);
    clean(machine, &directory)?;
    Ok(seen)
}

fn prepare(machine: &dyn Machine, directory: &str, script: &str) -> Result<()> {
    let make = "mkdir -p \"$1/work\" && cat > \"$1/sh\"";
    let script = io::Cursor::new(script.to_string());
    machine.connect()?.call(&["sh", "-c", make, "sh", directory], script).map(drop)
}

/// What cannot be removed is mounted or busy, and shows as left behind.
fn clean(machine: &dyn Machine, directory: &str) -> Result<()> {
    let remove = "rm -rf --one-file-system \"$1\"; rmdir \"${1%/*}\" 2> /dev/null; :";
    machine.connect()?.call(&["sh", "-c", remove, "sh", directory], io::empty()).map(drop)
}

/// A shell that sees the same environment on every machine.
fn shell(machine: &dyn Machine, settings: Settings, directory: &str) -> Vec<String> {
    let variables = [
        ("PATH", machine.path()),
        ("HOME", "/root".into()),
        ("LANG", "C.UTF-8".into()),
        ("TZ", "UTC".into()),
        ("TERM", "dumb".into()),
        ("COLUMNS", "80".into()),
        ("CTID", settings.ctid.to_string()),
        ("TESTTMP", format!("{directory}/work")),
        ("TEMPLATES", machine.templates().display().to_string()),
    ];
    let mut argv = vec!["env".to_string(), "-i".into(), "-C".into(), directory.into()];
    argv.extend(variables.map(|(name, value)| format!("{name}={value}")));
    // The shell names its script in messages: the name is the same on every machine.
    argv.extend(["bash", "--noprofile", "--norc", "sh"].map(String::from));
    argv
}

/// Each command is evaluated whole, so that one with a syntax error fails alone, and is followed
/// by a mark with its number and exit code.
fn script(scenario: &Scenario, mark: &str) -> String {
    let mut script = String::from("exec < /dev/null 2>&1; cd \"$TESTTMP\" || exit\n");
    for (number, command) in scenario.commands().enumerate() {
        let text = command.text.replace('\'', r"'\''");
        script.push_str(&format!("eval '{text}'\nprintf '{mark} %d %d\\n' {number} $?\n"));
    }
    script
}

/// Nobody prints this by chance, and a scenario cannot know it.
fn mark() -> Result<String> {
    let path = "/dev/urandom";
    let mut bytes = [0; 16];
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    file.read_exact(&mut bytes).map_err(Error::file("read", path))?;
    Ok(bytes.iter().fold(String::from("mark:"), |mark, byte| mark + &format!("{byte:02x}")))
}

/// Cuts what the shell wrote at the marks.
fn judge(output: &[u8], mark: &str, count: usize, ended: Ended, limit: Duration) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut rest = output;
    while seen.len() < count {
        let Some((before, code, after)) = cut(rest, mark, seen.len()) else { break };
        seen.push(Seen::Ended { output: shortened(before), code });
        rest = after;
    }
    if seen.len() < count {
        let reason = match ended {
            _ if output.len() == KEPT => format!("it wrote more than {} MiB", KEPT >> 20),
            Ended::TimedOut => format!("timed out: the scenario has {} s", limit.as_secs()),
            Ended::Code(code) => format!("the shell ended here with exit code {code}"),
        };
        seen.push(Seen::Broken { output: shortened(rest), reason });
        seen.resize(count, Seen::NotRun);
    } else if let Some(Seen::Ended { output, .. }) = seen.last_mut() {
        // A process in the background wrote after the last command.
        output.extend(shortened(rest));
    }
    seen
}

/// Output as it is compared. What was cut off is no line that anybody expects.
fn shortened(output: &[u8]) -> Vec<u8> {
    let Some(more) = output.len().checked_sub(COMPARED).filter(|more| *more > 0) else {
        return output.into();
    };
    let cut = format!("\n(and {more} bytes more)\n");
    [&output[..COMPARED], cut.as_bytes()].concat()
}

/// What a command wrote, its exit code, and what comes after its mark.
fn cut<'a>(output: &'a [u8], mark: &str, number: usize) -> Option<(&'a [u8], i32, &'a [u8])> {
    let mark = format!("{mark} {number} ").into_bytes();
    let at = output.windows(mark.len()).position(|window| window == mark)?;
    let after = &output[at + mark.len()..];
    let end = after.iter().position(|byte| *byte == b'\n')?;
    let code = std::str::from_utf8(&after[..end]).ok()?.parse().ok()?;
    Some((&output[..at], code, &after[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::Path, process::Command};

    /// Runs a scenario's script in a shell here, as a machine would.
    fn seen(text: &str) -> Vec<Seen> {
        let scenario = Scenario::parse(Path::new("case.t"), text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let script = script(&scenario, "mark:1");
        let file = directory.path().join("script");
        std::fs::write(&file, script).unwrap();
        let output = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .arg(file)
            .env("TESTTMP", directory.path())
            .output()
            .unwrap();
        let code = Ended::Code(output.status.code().unwrap());
        judge(&output.stdout, "mark:1", scenario.commands().count(), code, Duration::from_secs(9))
    }

    fn ended(output: &str, code: i32) -> Seen {
        Seen::Ended { output: output.into(), code }
    }

    #[test]
    fn commands_share_a_shell_and_are_judged_apart() {
        let text = "  $ a='it'\"'\"'s'; cd /\n  $ echo \"$a $PWD\"; echo err >&2; (exit 3)\n  \
                    $ cat <<E\n  > here\n  > E\n  $ printf x\n";
        assert_eq!(
            seen(text),
            [ended("", 0), ended("it's /\nerr\n", 3), ended("here\n", 0), ended("x", 0)]
        );
    }

    #[test]
    fn a_command_cannot_read_the_script() {
        assert_eq!(seen("  $ cat\n  $ echo b\n"), [ended("", 0), ended("b\n", 0)]);
    }

    #[test]
    fn a_syntax_error_fails_one_command() {
        let seen = seen("  $ echo (\n  $ echo b\n");
        assert!(matches!(&seen[0], Seen::Ended { code: 1 | 2, .. }), "{seen:?}");
        assert_eq!(seen[1], ended("b\n", 0));
    }

    #[test]
    fn a_shell_that_ends_early_breaks_the_command() {
        let seen = seen("  $ echo a\n  $ echo b; exit 4\n  $ echo c\n");
        let reason = "the shell ended here with exit code 4".to_string();
        let broken = Seen::Broken { output: b"b\n".into(), reason };
        assert_eq!(seen, [ended("a\n", 0), broken, Seen::NotRun]);
    }

    #[test]
    fn what_comes_after_the_last_command_counts() {
        assert_eq!(
            judge(b"a\nm 0 0\nlate\n", "m", 1, Ended::Code(0), Duration::ZERO),
            [ended("a\nlate\n", 0)]
        );
    }
}
