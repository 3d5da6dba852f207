//! The kernel's interfaces, one file each. Knows no container, makes no policy, prints nothing.

pub mod caps;
pub mod cgroup;
pub mod clone;
pub mod mount;
pub mod namespace;
pub mod pidfd;
pub mod proc;
pub mod pty;
