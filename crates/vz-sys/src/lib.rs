//! The kernel's interfaces, one file each. Knows no container, makes no policy, prints nothing.

pub mod bpf;
pub mod loopdev;
pub mod process_exit;
pub mod quota;
pub mod seccomp;
pub mod systemd;
