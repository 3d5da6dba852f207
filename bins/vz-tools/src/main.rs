//! The tools that judge a node, its configurations and its beancounters, those of disk quota, and
//! what fetches templates, and backups, in one program: it is the tool by whose name
//! it is called (`vzcalc` is a link to `vz-tools`), or the one named first (`vz-tools vzcalc …`).
//!
//! `VZ_SYSROOT=DIR` puts every path of the node below DIR; `VZ_PROC=DIR` reads the node and its
//! running containers from files in the OpenVZ kernel's form instead of from this kernel.
#![forbid(unsafe_code)]

mod console;
mod options;
mod place;
mod vzcalc;
mod vzcfgscale;
mod vzcfgvalidate;
mod vzcptcheck;
mod vzcpucheck;
mod vzdq;
mod vzdump;
mod vzmemcheck;
mod vznnc;
mod vznodecheck;
mod vzoversell;
mod vzquota;
mod vzrestore;
mod vzsplit;
mod vztmpl_dl;
mod vzubc;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use console::{err, out};

/// One of the tools.
struct Tool {
    name: &'static str,
    usage: &'static str,
    /// Takes the words after the name; the exit code.
    run: fn(&[String]) -> u8,
}

const TOOLS: [Tool; 18] = [
    Tool { name: "vzcalc", usage: vzcalc::USAGE, run: vzcalc::run },
    Tool { name: "vzcfgscale", usage: vzcfgscale::USAGE, run: vzcfgscale::run },
    Tool { name: "vzcfgvalidate", usage: vzcfgvalidate::USAGE, run: vzcfgvalidate::run },
    Tool { name: "vzcptcheck", usage: vzcptcheck::USAGE, run: vzcptcheck::run },
    Tool { name: "vzcpucheck", usage: vzcpucheck::USAGE, run: vzcpucheck::run },
    Tool { name: "vzdqcheck", usage: vzdq::CHECK_USAGE, run: vzdq::check },
    Tool { name: "vzdqdump", usage: vzdq::DUMP_USAGE, run: vzdq::dump },
    Tool { name: "vzdqload", usage: vzdq::LOAD_USAGE, run: vzdq::load },
    Tool { name: "vzdump", usage: vzdump::USAGE, run: vzdump::run },
    Tool { name: "vzmemcheck", usage: vzmemcheck::USAGE, run: vzmemcheck::run },
    Tool { name: "vznnc", usage: vznnc::USAGE, run: vznnc::run },
    Tool { name: "vznodecheck", usage: vznodecheck::USAGE, run: vznodecheck::run },
    Tool { name: "vzoversell", usage: vzoversell::USAGE, run: vzoversell::run },
    Tool { name: "vzquota", usage: vzquota::USAGE, run: vzquota::run },
    Tool { name: "vzrestore", usage: vzrestore::USAGE, run: vzrestore::run },
    Tool { name: "vzsplit", usage: vzsplit::USAGE, run: vzsplit::run },
    Tool { name: "vztmpl-dl", usage: vztmpl_dl::USAGE, run: vztmpl_dl::run },
    Tool { name: "vzubc", usage: vzubc::USAGE, run: vzubc::run },
];

const USAGE: &str = "\
Usage: vz-tools TOOL [ARGUMENT...]
       vz-tools --list
";

fn main() -> ExitCode {
    // What is written must not depend on the admin's shell.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let code = match texts(&arguments) {
        Ok(words) => dispatch(&words),
        Err(line) => {
            err(&line);
            1
        }
    };
    ExitCode::from(if console::has_failed() { code.max(1) } else { code })
}

/// The words of the command line. What is written into files must be text.
fn texts(arguments: &[OsString]) -> Result<Vec<String>, String> {
    let text = |word: &OsString| {
        let refused = || format!("vz-tools: not UTF-8: {}", word.display());
        word.to_str().map(str::to_owned).ok_or_else(refused)
    };
    arguments.iter().map(text).collect()
}

fn dispatch(words: &[String]) -> u8 {
    let called = words.first().and_then(|word| Path::new(word).file_name()?.to_str());
    let rest = words.get(1..).unwrap_or_default();
    if let Some(tool) = called.and_then(tool) {
        return tool.start(rest);
    }
    match rest {
        [word] if word == "--list" => {
            TOOLS.iter().for_each(|tool| out(&format!("{}\n", tool.name)));
            0
        }
        [word] if word == "--help" => {
            out(USAGE);
            0
        }
        [name, rest @ ..] if tool(name).is_some() => tool(name).map_or(1, |tool| tool.start(rest)),
        _ => {
            console::err_text(USAGE);
            1
        }
    }
}

fn tool(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Tool {
    fn start(&self, words: &[String]) -> u8 {
        if words.first().is_some_and(|word| word == "--help") && !self.answers_help() {
            out(self.usage);
            return 0;
        }
        (self.run)(words)
    }

    /// The quota tools have their usage on standard error, and code 2, also when it is asked for;
    /// vztmpl-dl there, too.
    fn answers_help(&self) -> bool {
        self.name == "vzquota" || self.name == "vztmpl-dl" || self.name.starts_with("vzdq")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_names_its_tool() {
        for tool in &TOOLS {
            let start =
                ["Usage: ", "Usage:\t", "Usage:\n  "].map(|usage| format!("{usage}{} ", tool.name));
            assert!(start.iter().any(|start| tool.usage.starts_with(start)), "{}", tool.name);
            assert!(tool.usage.ends_with('\n'));
        }
    }
}
