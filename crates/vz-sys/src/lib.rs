//! The kernel's interfaces, one file each. Knows no container, makes no policy, prints nothing.

pub mod arguments;
pub mod beneath;
pub mod bpf;
pub mod cancel;
pub mod caps;
pub mod cgroup;
pub mod channel;
pub mod clone;
pub mod fnmatch;
pub mod foreign_init;
pub mod inode_flags;
pub mod local_time;
pub mod loopdev;
pub mod mount;
pub mod mount_table;
pub mod namespace;
pub mod pidfd;
pub mod proc;
pub mod pty;
pub mod quota;
pub mod rlimit;
pub mod sealed;
pub mod seccomp;
pub mod systemd;
pub mod xattr;
