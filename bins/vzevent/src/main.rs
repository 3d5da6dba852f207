//! vzevent: what happens when a container's init has ended by itself.
//!
//! `vzevent CTID stop|reboot`, run by vzmon in its own place: a halt from inside takes the
//! container down as `vzctl stop` does, a reboot from inside starts it again.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_core::container::Container;
use vz_core::error::{Error, Result};
use vz_core::lifecycle::event::{self, Event};
use vz_core::log::LogFile;
use vz_core::node::Node;
use vz_core::report::Report;

/// Nobody looks on: all goes to the log.
struct Log(LogFile);

impl Report for Log {
    fn log(&mut self, level: i32, text: &str) {
        self.0.write(level, text);
    }
}

fn main() -> ExitCode {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // Not what vzmon had: scripts and a container are started from here.
    let _ = vz_sys::proc::set_out_of_memory_score(None, 0);
    let mut words = std::env::args().skip(1);
    let id = words.next().and_then(|word| word.parse::<Ctid>().ok());
    let event = match words.next().as_deref() {
        Some("stop") => Some(Event::Stop),
        Some("reboot") => Some(Event::Reboot),
        _ => None,
    };
    let (Some(id), Some(event)) = (id, event) else {
        eprintln!("Usage: vzevent CTID stop|reboot");
        return ExitCode::from(20);
    };
    match run(id, event) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.exit().code()),
    }
}

fn run(id: Ctid, event: Event) -> Result<()> {
    let node = Node::load(std::env::var_os("VZ_SYSROOT").map(PathBuf::from))?;
    let container = Container::load(&node, id)?;
    if container.is_unmapped()? {
        // A restart enters it, and there its root could write to this program's file.
        vz_sys::sealed::ensure().map_err(|error| {
            Error::Refused(Exit::SystemError, format!("Cannot run from a sealed copy: {error}"))
        })?;
    }
    let mut log = Log(LogFile::of(&node, "vzevent", Some(id)));
    let done = event::handle(&container, event, &mut log);
    if let Err(error) = &done
        && let Some(line) = error.line()
    {
        log.error(&line);
    }
    done
}
