//! The node as files: root disk, data disk, kernel and modules, made without mounting anything.

pub mod initramfs;
pub mod modules;
pub mod root;
pub mod sources;

pub use root::Image;
