//! What can go wrong around a case; a case that fails is no error.

use std::{
    io,
    path::{Path, PathBuf},
};

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be worked with.
    #[error("Cannot {verb} {path}: {source}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file of the suite does not say what it should.
    #[error("Cannot read {path}: {reason}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A program could not be started.
    #[error("Cannot run {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A program of the suite itself failed.
    #[error("Cannot run {program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// How it ended, and what it said.
        reason: String,
    },
    /// No case has a name that was asked for.
    #[error("No recorded case is called {0}")]
    NoSuchCase(String),
}

impl Error {
    /// For `map_err`: what was tried on which file.
    pub fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { verb, path, source }
    }

    /// For `map_err`: which program could not be started.
    pub fn start(program: &str) -> impl FnOnce(io::Error) -> Error {
        let program = program.to_owned();
        move |source| Error::Start { program, source }
    }
}
