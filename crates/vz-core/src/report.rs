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

    /// A line about something wrong.
    fn error(&mut self, text: &str) {
        self.log(-1, text);
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
