//! Standard output and standard error.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Standard output could not be written.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes a text to standard output. A reader that has gone away wants no more, and no complaint.
pub fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        err(&format!("Cannot write to standard output: {error}"));
    }
}

/// Writes a line to standard error. Control characters of file names become `?`.
pub fn err(line: &str) {
    let plain = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    let line: String = line.chars().map(plain).collect();
    err_text(&format!("{line}\n"));
}

/// Writes a text to standard error; there is nowhere to say that it cannot be written.
pub fn err_text(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether something could not be written.
pub fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Standard output, and standard error for what is wrong, of what vz-core has to say.
#[derive(Debug)]
pub struct Console;

impl vz_core::report::Report for Console {
    fn log(&mut self, level: i32, text: &str) {
        match level {
            ..0 => err(text),
            0 => out(&format!("{text}\n")),
            _ => {}
        }
    }
}
