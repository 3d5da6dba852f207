//! What vzctl says, and where: standard output, standard error, the log.

use std::io::Write;

use vz_core::log::LogFile;
use vz_core::report::Report;

/// Shows lines up to a verbosity, and logs them.
pub struct Output {
    /// Lines above this level are not shown.
    pub verbosity: i32,
    /// Nothing is shown at all.
    pub quiet: bool,
    /// The node's log.
    pub log: LogFile,
}

impl Output {
    /// Shows what counts as wrong, before vz.conf has been read.
    pub fn new() -> Output {
        Output { verbosity: 0, quiet: false, log: LogFile::default() }
    }
}

impl Report for Output {
    fn log(&mut self, level: i32, text: &str) {
        self.log.write(level, text);
        if self.quiet || level > self.verbosity {
            return;
        }
        // A reader that has gone away is no reason to stop half-way through a start.
        let _ = if level < 0 {
            writeln!(std::io::stderr(), "{text}")
        } else {
            writeln!(std::io::stdout(), "{text}")
        };
    }
}
