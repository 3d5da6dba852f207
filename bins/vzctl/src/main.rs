//! vzctl: arguments in, messages and exit code out.
#![forbid(unsafe_code)]
fn main() {}
