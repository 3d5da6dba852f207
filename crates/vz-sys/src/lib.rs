//! The kernel's interfaces, one file each. Knows no container, makes no policy, prints nothing.

pub mod beneath;
pub mod caps;
pub mod cgroup;
pub mod channel;
pub mod clone;
pub mod inode_flags;
pub mod mount;
pub mod namespace;
pub mod pidfd;
pub mod proc;
pub mod pty;
pub mod rlimit;
pub mod xattr;
