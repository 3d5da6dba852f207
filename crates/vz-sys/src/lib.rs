//! The kernel's interfaces, one file each. Knows no container, makes no policy, prints nothing.

pub mod beneath;
pub mod inode_flags;
pub mod xattr;
