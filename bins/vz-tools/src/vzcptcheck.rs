//! vzcptcheck: whether what is checkpointed on one node can be restored on another, as migration
//! asks before it begins.
//!
//! The original asked its kernel's checkpointing module. Here the answers are those of CRIU, which
//! dumps and restores, and of the processor's flags. The numbers of capabilities are those of the
//! module, so that nodes of both kinds understand each other's; versions of CRIU are far above the
//! module's, so that neither takes a dump of the other.
//!
//! `VZ_PROC` shows a node of the original's kernel without that module.

use std::fs;
use std::process::{Command, Stdio};

use vz_conf::ctid::Ctid;

use crate::console::{err, err_text, out};
use crate::place::Place;

pub const USAGE: &str = "\
Usage: vzcptcheck <command> [argument ...]
  [S] vzcptcheck version              show the version of dumps
  [D] vzcptcheck version <ver>        test if dumps of <ver> can be restored
  [D] vzcptcheck caps                 show CPU capabilities
  [S] vzcptcheck caps <caps>          test if <caps> will do
  [S] vzcptcheck caps <veid> <caps>   test if <caps> will do for running <veid>

[S] -- run this on the source node
[D] -- run this on the destination node
";

/// What is added to a version of CRIU: dumps of the original's kernel have versions below it.
const CRIU: u64 = 1 << 16;

/// Processor flags and their bits in the original's capabilities (CPT_CPU_X86_*).
const FLAGS: [(&str, u32); 16] = [
    ("cmov", 0),
    ("fxsr", 1),
    ("sse", 2),
    ("sse2", 3),
    ("mmx", 4),
    ("3dnow", 5),
    ("3dnowext", 6),
    ("sep", 7),
    ("lm", 8),
    ("syscall", 10),
    ("sse4_1", 13),
    ("sse4_2", 14),
    ("sse4a", 15),
    ("xsave", 25),
    ("avx", 26),
    ("aes", 27),
];
/// Fast system calls of 32-bit programs, which are of one maker's processors each.
const MAKERS: [(&str, u32); 2] = [("AuthenticAMD", 11), ("GenuineIntel", 12)];

/// The exit code for a no, after the line about it.
struct Refusal(String, u8);

impl From<String> for Refusal {
    fn from(line: String) -> Refusal {
        Refusal(line, 1)
    }
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let place = Place::of_environment();
    let answer = match words[..] {
        [] | ["help"] => Ok(USAGE.to_owned()),
        ["version"] => version(&place, "cpt").map(|version| format!("{version}\n")),
        ["version", wanted] => test_version(&place, wanted),
        ["caps"] => capabilities(&place, "rst").map(|caps| format!("{caps}\n")),
        ["caps", wanted] => test_capabilities(&place, wanted),
        ["caps", id, wanted] => {
            is_running(&place, id).and_then(|()| test_capabilities(&place, wanted))
        }
        _ => {
            err_text(USAGE);
            return 1;
        }
    };
    match answer {
        Ok(text) => {
            out(&text);
            0
        }
        Err(Refusal(line, code)) => {
            err(&line);
            code
        }
    }
}

/// The modules of another kernel are not there to be asked.
fn own_kernel(place: &Place, module: &str) -> Result<(), Refusal> {
    if !place.is_imitation() {
        return Ok(());
    }
    let line = format!(
        "Can't open /proc/{module}: No such file or directory\nKernel module vz{module} not loaded"
    );
    Err(line.into())
}

fn version(place: &Place, module: &str) -> Result<u64, Refusal> {
    own_kernel(place, module)?;
    let missing = |why: String| format!("Can't run criu --version: {why}");
    let output = Command::new("criu").arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing("install the package criu".into()),
        _ => missing(error.to_string()),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(criu_version(&text).ok_or_else(|| missing("it does not say its version".into()))?)
}

/// The number of CRIU's line `Version: 4.1`.
fn criu_version(text: &str) -> Option<u64> {
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"))?.trim();
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u64>);
    let (major, minor) = (parts.next()?.ok()?, parts.next().and_then(Result::ok).unwrap_or(0));
    (major < 1 << 16).then_some(CRIU + major * 256 + minor.min(255))
}

/// CRIU restores what the same and older versions have dumped.
fn test_version(place: &Place, wanted: &str) -> Result<String, Refusal> {
    let own = version(place, "rst")?;
    let number: u64 = wanted.parse().map_err(|_| format!("Invalid version {wanted}"))?;
    match (CRIU..=own).contains(&number) {
        true => Ok(String::new()),
        false => Err(Refusal(format!("CPT version {number} rejected: can't migrate"), 2)),
    }
}

fn capabilities(place: &Place, module: &str) -> Result<u32, Refusal> {
    own_kernel(place, module)?;
    let cpuinfo = fs::read_to_string(place.proc().join("cpuinfo"));
    let cpuinfo = cpuinfo.map_err(|error| format!("Unable to open /proc/cpuinfo: {error}"))?;
    Ok(capabilities_of(&cpuinfo))
}

/// The capabilities of the first processor; of one that is no x86 there are none.
fn capabilities_of(cpuinfo: &str) -> u32 {
    let field = |name: &str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.trim() == name).map_or("", |(_, value)| value.trim())
    };
    let (flags, maker) = (field("flags"), field("vendor_id"));
    let flags = FLAGS.iter().filter(|(name, _)| flags.split(' ').any(|flag| flag == *name));
    let makers = MAKERS.iter().filter(|(name, _)| *name == maker);
    flags.chain(makers).fold(0, |mask, (_, bit)| mask | 1 << bit)
}

/// A destination must have all that programs here may have found and use.
fn test_capabilities(place: &Place, wanted: &str) -> Result<String, Refusal> {
    let own = capabilities(place, "cpt")?;
    let there: u32 = wanted.parse().map_err(|_| format!("Invalid capabilities {wanted}"))?;
    match own & !there {
        0 => Ok(String::new()),
        _ => Err(Refusal("Insufficient CPU capabilities: can't migrate".into(), 2)),
    }
}

fn is_running(place: &Place, word: &str) -> Result<(), Refusal> {
    own_kernel(place, "cpt")?;
    let id: Ctid = word.parse().map_err(|_| format!("Invalid CT ID: {word}"))?;
    let running = place.source().running().map_err(|error| error.to_string())?;
    match running.iter().any(|one| one.id == id) {
        true => Ok(()),
        false => Err(format!("Container {id} is not running").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions() {
        assert_eq!(criu_version("Version: 4.1\nGitID: v4.1\n"), Some(CRIU + 0x401));
        assert_eq!(criu_version("Version: 3.17.1\n"), Some(CRIU + 0x311));
        assert_eq!(criu_version("Version: 4\n"), Some(CRIU + 0x400));
        assert_eq!(criu_version("Version: x\n"), None);
        assert_eq!(criu_version(""), None);
    }

    #[test]
    fn flags_of_a_processor() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu cmov sse avx2 lm\n\
                    processor\t: 1\nflags\t\t: sse2\n";
        assert_eq!(capabilities_of(text), 1 | 1 << 2 | 1 << 8 | 1 << 12);
        assert_eq!(capabilities_of("processor\t: 0\nFeatures\t: fp asimd\n"), 0);
    }

    proptest! {
        #[test]
        fn any_text(text in "(Version:.*|.*\n){0,3}") {
            let _ = (criu_version(&text), capabilities_of(&text));
        }
    }
}
