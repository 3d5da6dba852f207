//! The part of vzctl that its tests drive by themselves; the tool is in `main.rs`.
#![forbid(unsafe_code)]

pub use vz_conf::getopt;
