//! The container and the node: everything that happens.
//!
//! Nothing here prints, exits or reads the environment: what an action has to say goes to a
//! [`report::Report`], what went wrong is an [`error::Error`] with its exit code.
#![forbid(unsafe_code)]

pub mod accounting;
pub mod addresses;
pub mod cancel;
pub mod container;
pub mod copy_tree;
pub mod description;
pub mod devnode;
pub mod dist;
pub mod error;
pub mod group;
pub mod guest;
pub mod hooks;
pub mod ids;
pub mod judge;
pub mod layout;
pub mod lifecycle;
pub mod limits;
pub mod listing;
pub mod lock;
pub mod log;
pub mod names;
pub mod node;
pub mod node_check;
mod old_cgroup;
pub mod pack;
pub mod remove_tree;
pub mod report;
pub mod simfs_mount;
pub mod sockets;
pub mod state;
pub mod tables;
pub mod template;
pub mod unpack;
pub mod user_quota;
pub mod views;
pub mod vzquota;
