//! mount.simfs: what mount(8) executes for `mount -n -t simfs SRC ${VE_ROOT}DST -o SRC`, as mount
//! scripts of OpenVZ have it to show a directory of the node to a container.
//!
//! `mount.simfs SOURCE TARGET [-fnsv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]` (mount(8), EXTERNAL
//! HELPERS), with mount(8)'s exit codes.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use vz_conf::ctid::Ctid;
use vz_core::container::Container;
use vz_core::error::{Error, Result};
use vz_core::node::Node;
use vz_core::simfs_mount::{self, Request};

/// mount(8): incorrect invocation.
const USAGE: u8 = 1;
/// mount(8): mount failure.
const FAILED: u8 = 32;

/// The command line.
#[derive(Debug, Default)]
struct Words {
    operands: Vec<OsString>,
    options: Vec<OsString>,
    fake: bool,
}

fn main() -> ExitCode {
    let words = match parse(std::env::args_os().skip(1)) {
        Ok(words) => words,
        Err(line) => return fail(USAGE, &line),
    };
    let [source, target] = words.operands.as_slice() else {
        return fail(USAGE, "Usage: mount.simfs SOURCE TARGET [-fnsv] [-o OPTIONS]");
    };
    let request = match Request::new(source, target, &words.options) {
        Ok(request) => request,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    if words.fake {
        return ExitCode::SUCCESS;
    }
    match mount(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error.to_string()),
    }
}

fn fail(code: u8, line: &str) -> ExitCode {
    eprintln!("mount.simfs: {line}");
    ExitCode::from(code)
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<Words, String> {
    let mut parsed = Words::default();
    let mut words = words;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if !text.starts_with('-') || text == "-" {
            parsed.operands.push(word);
            continue;
        }
        match text.as_str() {
            "-o" => match words.next() {
                Some(options) => parsed.options.push(options),
                None => return Err("-o needs options".into()),
            },
            // The one is what this program is for, the other mount(8) has entered already.
            "-t" | "-N" => drop(words.next()),
            flags if flags[1..].chars().all(|flag| "fnsv".contains(flag)) => {
                parsed.fake |= flags.contains('f');
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(parsed)
}

/// In an action script VEID says whose mount it is.
fn mount(request: &Request) -> Result<()> {
    let Some(id) = std::env::var_os("VEID") else { return simfs_mount::mount(None, request) };
    let id = id.to_string_lossy().into_owned();
    let id: Ctid = id.parse().map_err(|_| {
        Error::Refused(vz_conf::exit::Exit::InvalidValue, format!("VEID {id} is no CTID"))
    })?;
    let node = Node::load(std::env::var_os("VZ_SYSROOT").map(PathBuf::from))?;
    simfs_mount::mount(Some(&Container::load(&node, id)?), request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Words, String> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn what_mount_passes() {
        let parsed = words("/src /dst -n -sv -o rw,/src -t simfs").unwrap();
        assert_eq!(parsed.operands, ["/src", "/dst"]);
        assert_eq!(parsed.options, ["rw,/src"]);
        assert!(!parsed.fake && words("a b -nf").unwrap().fake);
        assert!(words("a b -x").is_err() && words("a b -o").is_err());
    }
}
