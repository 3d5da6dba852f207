//! The container and the node: everything that happens.
#![forbid(unsafe_code)]
