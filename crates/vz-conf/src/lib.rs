//! The text formats of OpenVZ. Pure: no kernel, no root, no paths of a node.
#![forbid(unsafe_code)]
