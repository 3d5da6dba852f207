//! The log file: `2026-11-21T01:53:38+0000 vzctl : CT 101 : message`, a line for each thing said.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use vz_conf::ctid::Ctid;
use vz_sys::local_time;

use crate::node::Node;

/// Where lines go, and which.
#[derive(Debug, Clone, Default)]
pub struct LogFile {
    path: Option<PathBuf>,
    level: i32,
    program: &'static str,
    id: Option<Ctid>,
}

impl LogFile {
    /// The node's log, as vz.conf's LOGFILE and LOG_LEVEL say; lines come from `program`. The
    /// node itself, CTID 0, is not named in them.
    pub fn of(node: &Node, program: &'static str, id: Option<Ctid>) -> LogFile {
        LogFile {
            path: node.config.logfile.as_deref().map(|path| node.path(path)),
            level: node.config.log_level.unwrap_or(0),
            program,
            id: id.filter(|id| !id.is_node()),
        }
    }

    /// Writes one line, if its level is logged. A log that cannot be written to is no reason to
    /// fail, as it never was.
    pub fn write(&self, level: i32, text: &str) {
        let Some(path) = self.path.as_ref().filter(|_| level <= self.level) else { return };
        let seconds =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        let id = self.id.map(|id| format!("CT {id} : ")).unwrap_or_default();
        let stamp = local_time::stamp(seconds);
        // One write for one line: several commands write at once.
        let line = format!("{stamp} {} : {id}{text}\n", self.program);
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path);
        if let Ok(mut file) = opened {
            let _ = file.write_all(line.as_bytes());
        }
    }
}
