//! What a reader of a configuration file has to say about its lines.

use std::fmt;
use std::path::PathBuf;

use crate::error::ParseError;

/// One remark about one line of a file. Reading goes on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is the matter.
    pub kind: WarningKind,
}

/// What is the matter with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningKind {
    /// The line has no `=`.
    NoEquals,
    /// The key is longer than 511 bytes.
    LongKey,
    /// A value begins with a quote and has no second one.
    UnmatchedQuotes,
    /// The key is not one we know: (key, value).
    Unknown(String, String),
    /// The value cannot be read: (key, value up to where reading stopped).
    Invalid(String, String),
    /// The parameter was given before, and the first one counts: (key, value).
    Duplicate(String, String),
    /// The number was cut to the largest one possible: (key, value).
    TooLarge(String, String),
    /// A line that the value's own type has to say, before or instead of the general one.
    Remark(ParseError),
    /// VETH, which NETIF replaced long ago.
    DeprecatedVeth,
    /// NETFILTER in the global configuration, where it has no effect.
    GlobalNetfilter,
}

impl Warning {
    /// The log level: below 0 goes to standard error, 0 to standard output, 1 is shown with
    /// `--verbose`.
    #[must_use]
    pub fn level(&self) -> i8 {
        match &self.kind {
            WarningKind::Unknown(..) => 1,
            WarningKind::DeprecatedVeth | WarningKind::GlobalNetfilter => 0,
            WarningKind::Remark(error) => error.remark().map_or(-1, |(level, _)| level),
            _ => -1,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        let unreadable = |f: &mut fmt::Formatter<'_>, why| {
            write!(f, "Warning: can't parse {file}:{line} ({why}), skipping")
        };
        match &self.kind {
            WarningKind::NoEquals => unreadable(f, "'=' not found"),
            WarningKind::LongKey => unreadable(f, "too long value"),
            WarningKind::UnmatchedQuotes => unreadable(f, "unmatched quotes"),
            WarningKind::Unknown(key, value) => {
                write!(
                    f,
                    "Warning at {file}:{line}: unknown parameter {key} (\"{value}\"), ignored"
                )
            }
            WarningKind::Invalid(key, value) => {
                write!(
                    f,
                    "Warning at {file}:{line}: invalid value for {key} (\"{value}\"), skipped"
                )
            }
            WarningKind::Duplicate(key, value) => {
                write!(f, "Warning at {file}:{line}: duplicate for {key} (\"{value}\"), ignored")
            }
            WarningKind::TooLarge(key, value) => write!(
                f,
                "Warning at {file}:{line}: too large value for {key} (\"{value}\"), truncated"
            ),
            WarningKind::Remark(error) => error.fmt(f),
            WarningKind::DeprecatedVeth => f.write_str(
                "Warning: VETH parameter is deprecated, remove it and use --netif_add instead",
            ),
            // The missing blank is the original's.
            WarningKind::GlobalNetfilter => write!(
                f,
                "Warning: NETFILTER should not be set in {file}, ignoring\n\
                 Please remove NETFILTER from {file}to get rid of this warning"
            ),
        }
    }
}
