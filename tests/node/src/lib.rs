//! The hardware node of the tests (a Debian in QEMU, restored from a snapshot in half a second)
//! and the runner of the scenarios under `tests/scenarios`.
//!
//! - [`image`], [`snapshot`]: the node as files, built once and kept under `target/node/cache`
//! - [`qemu`], [`qmp`], [`node`]: a running node; [`host`]: this machine in namespaces of its own
//! - [`agent`]: commands on either of them
//! - [`scenario`]: reading, running and judging scenarios; [`install`]: our tree on the node

#![forbid(unsafe_code)]
// The bans are about a container's files. This package writes below target/ only.
#![allow(clippy::disallowed_methods)]

pub mod agent;
pub mod cache;
pub mod error;
pub mod host;
pub mod image;
pub mod install;
pub mod machine;
pub mod node;
pub mod project;
pub mod qemu;
pub mod qmp;
pub mod scenario;
pub mod snapshot;
pub mod tool;

pub use error::{Error, Result};
