//! The container and the node: everything that happens.
#![forbid(unsafe_code)]

pub mod remove_tree;
pub mod unpack;
