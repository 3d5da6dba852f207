//! A static program that does nothing: what starting any program costs on this machine.
#![forbid(unsafe_code)]

fn main() {}
