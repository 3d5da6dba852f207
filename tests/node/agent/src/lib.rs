//! The part of the scenario runner that lives on the machine under test: it runs commands sent
//! over a byte stream (a virtio-serial port of the node, a socket on the host) and reports what
//! the machine looks like.

#![forbid(unsafe_code)]

pub mod job;
pub mod ports;
pub mod serve;
pub mod state;
pub mod wire;
