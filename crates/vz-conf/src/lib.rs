//! The text formats of OpenVZ: configuration files, parameters, value types, exit codes.
//!
//! Pure: no kernel, no root, no paths of a node. Text comes in, values come out; only
//! [`file::ConfFile::save`] touches a file, and it is told which.
#![forbid(unsafe_code)]

pub mod capability;
pub mod change;
pub mod config;
pub mod context;
pub mod cpu;
pub mod cpumask;
pub mod ctid;
pub mod device;
pub mod disk_chain;
pub mod disk_descriptor;
pub mod error;
pub mod exit;
pub mod feature;
pub mod file;
pub mod getopt;
pub mod ipaddr;
pub mod layout;
pub mod list;
pub mod meminfo;
pub mod mount_options;
pub mod netfilter;
pub mod netif;
pub mod new_file;
mod number;
pub mod param;
pub mod quote;
pub mod size;
pub mod snapshot_tree;
pub mod ubc;
pub mod uuid;
pub mod warning;
pub mod yesno;

pub use change::{Change, OptionName, ValueError};
pub use config::Config;
pub use context::Context;
pub use ctid::Ctid;
pub use error::ParseError;
pub use exit::Exit;
pub use file::ConfFile;
pub use param::{PARAMS, Param, ParamId, Scope};
pub use warning::{Warning, WarningKind};
