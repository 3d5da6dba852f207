//! How far a download is.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::fetch::Watch;
use crate::console::err;

/// A bar on a terminal, a line elsewhere, both on standard error.
#[derive(Debug)]
pub struct Bar {
    quiet: bool,
    bar: ProgressBar,
}

impl Bar {
    /// One that says nothing when `quiet`.
    pub fn new(quiet: bool) -> Bar {
        Bar { quiet, bar: ProgressBar::hidden() }
    }
}

impl Watch for Bar {
    fn waits(&mut self) {
        if !self.quiet {
            err("Another download of this template is under way, waiting for it");
        }
    }

    fn starts(&mut self, url: &str, have: u64, total: Option<u64>) {
        if self.quiet {
            return;
        }
        let size = total.map_or(String::new(), |total| format!(" ({total} bytes)"));
        let behind = if have > 0 { format!(", going on after {have}") } else { String::new() };
        err(&format!("Downloading {url}{size}{behind}"));
        if !std::io::stderr().is_terminal() {
            return;
        }
        self.bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = match total {
            Some(_) => "{wide_bar} {percent:>3}% {binary_bytes_per_sec} {eta}",
            None => "{spinner} {binary_bytes} {binary_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_position(have);
    }

    fn has(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
