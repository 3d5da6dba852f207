//! What vzctl says, and where: standard output, standard error, the log.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
    progress: Option<Progress>,
}

/// Where no terminal is, a line says how far a step has come that takes long, as often as this.
const INTERVAL: Duration = Duration::from_secs(10);

/// A long step.
enum Progress {
    Bar(ProgressBar),
    /// When the last line was written, or the step began.
    Lines(Instant),
}

impl Output {
    /// Shows what counts as wrong, before vz.conf has been read.
    pub fn new() -> Output {
        Output { verbosity: 0, quiet: false, log: LogFile::default(), progress: None }
    }

    fn show(&self, level: i32, text: &str) {
        // A reader that has gone away is no reason to stop half-way through a start.
        let _ = if level < 0 {
            writeln!(std::io::stderr(), "{text}")
        } else {
            writeln!(std::io::stdout(), "{text}")
        };
    }
}

impl Report for Output {
    fn log(&mut self, level: i32, text: &str) {
        self.log.write(level, text);
        if self.quiet || level > self.verbosity {
            return;
        }
        match &self.progress {
            Some(Progress::Bar(bar)) => bar.suspend(|| self.show(level, text)),
            _ => self.show(level, text),
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        if self.quiet || self.verbosity < 0 {
            return;
        }
        match self.progress.get_or_insert_with(Progress::begin) {
            Progress::Bar(bar) => {
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            Progress::Lines(last) if last.elapsed() >= INTERVAL => {
                *last = Instant::now();
                self.show(0, &line(done, total));
            }
            Progress::Lines(_) => {}
        }
    }

    fn progress_ends(&mut self) {
        if let Some(Progress::Bar(bar)) = self.progress.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress {
    fn begin() -> Progress {
        // One without a cursor shows no bar (terminfo(5)).
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        if is_dumb || !std::io::stdout().is_terminal() {
            return Progress::Lines(Instant::now());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {percent:>3}% {binary_bytes_per_sec}")
        {
            bar.set_style(style);
        }
        Progress::Bar(bar)
    }
}

/// How far a step has come.
fn line(done: u64, total: Option<u64>) -> String {
    let mib = done >> 20;
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = u128::from(done.min(total)) * 100 / u128::from(total);
            format!("{percent}%, {mib} of {} MiB", total.div_ceil(1 << 20))
        }
        None => format!("{mib} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_step_has_come() {
        assert_eq!(line(3 << 20, Some(6 << 20)), "50%, 3 of 6 MiB");
        assert_eq!(
            line(u64::MAX, Some(u64::MAX)),
            format!("100%, {} of {} MiB", u64::MAX >> 20, 1_u64 << 44)
        );
        assert_eq!(line(0, Some(0)), "0 MiB");
        assert_eq!(line(5 << 20, None), "5 MiB");
    }
}
