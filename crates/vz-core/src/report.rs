//! What an action says while it goes on. The library prints nothing: a tool decides where a line
//! goes, by its level, as the original's logger did.

/// Receives the lines an action has to say.
pub trait Report {
    /// Takes one line. Below level 0 it is about something wrong (standard error), else it tells
    /// what is going on (standard output); it is shown when the verbosity is at least the level.
    fn log(&mut self, level: i32, text: &str);

    /// A line of the usual course of things.
    fn info(&mut self, text: &str) {
        self.log(0, text);
    }

    /// How far a long step has come, in bytes: of `total`, where that is known. Called often.
    fn progress(&mut self, _done: u64, _total: Option<u64>) {}

    /// The step that [`Report::progress`] told of is over.
    fn progress_ends(&mut self) {}

    /// A line about something wrong.
    fn error(&mut self, text: &str) {
        self.log(-1, text);
    }
}

/// Counts the bytes of a long step and reports them; the step is over when it is dropped.
pub struct Counter<'a> {
    report: &'a mut dyn Report,
    done: u64,
    total: Option<u64>,
}

impl<'a> Counter<'a> {
    /// Of a step that has `total` bytes, where that is known.
    pub fn new(report: &'a mut dyn Report, total: Option<u64>) -> Counter<'a> {
        Counter { report, done: 0, total }
    }

    /// So many bytes more are done.
    pub fn add(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        self.report.progress(self.done, self.total.map(|total| total.max(self.done)));
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        self.report.progress_ends();
    }
}

/// Says nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Report for Silent {
    fn log(&mut self, _level: i32, _text: &str) {}
}

/// Keeps the lines, for tests and for actions whose lines matter only when they fail.
#[derive(Debug, Default)]
pub struct Kept(pub Vec<(i32, String)>);

impl Report for Kept {
    fn log(&mut self, level: i32, text: &str) {
        self.0.push((level, text.to_owned()));
    }
}
