//! The golden suite: commands that were recorded with the original (vzctl 4.11.1), what it wrote
//! and which files it changed, asked of our tools.
//!
//! `cases/` has the recordings, `node/` and `states.toml` what they found, `passing.txt` the cases
//! that pass: the list only grows. A case that is to differ is a row of the table "Recorded cases
//! that differ" in `docs/COMPAT.md`.
#![forbid(unsafe_code)]
// The files are the suite's own, in directories that it has made; no container's.
#![allow(clippy::disallowed_methods)]

pub mod case;
pub mod cgroups;
pub mod command;
pub mod compare;
pub mod error;
pub mod files;
pub mod masks;
pub mod node;
mod quota_file;
pub mod ratchet;
pub mod real;
pub mod rootless;
pub mod scratch;
pub mod states;
pub mod suite;

pub use error::{Error, Result};
