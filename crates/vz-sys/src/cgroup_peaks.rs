//! The most that a group has held of what the kernel keeps no maximum of: keys of `memory.stat`, and
//! descriptors of its processes.
//!
//! Whoever watches the group samples them, and they are kept on the group itself, as an extended
//! attribute that only the node's root sees: they go with the group, and no file is left behind.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use crate::cgroup::{Cgroup, value_of};
use crate::xattr;

/// The attribute: bytes of each of [`SAMPLED`] and the number of descriptors, a blank between.
const ATTRIBUTE: &str = "trusted.vz.peaks";

/// What is sampled: keys of `memory.stat`, one or several added up.
pub const SAMPLED: [&[&str]; 6] = [
    &["kernel"],
    &["unevictable"],
    &["shmem"],
    &["slab_reclaimable"],
    &["anon", "shmem"],
    &["anon", "shmem", "kernel"],
];

/// What was seen; 0 of what never was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Bytes, in the order of [`SAMPLED`].
    memory: [u64; SAMPLED.len()],
    open_files: u64,
}

impl Peaks {
    /// What is kept on a group; nothing where nobody has sampled.
    pub fn load(group: &Cgroup) -> Peaks {
        let bytes = xattr::get(group.as_fd(), OsStr::new(ATTRIBUTE)).unwrap_or_default();
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let mut peaks = Peaks::default();
        let all = peaks.memory.iter_mut().chain([&mut peaks.open_files]);
        for (most, word) in all.zip(text.split(' ')) {
            *most = word.parse().unwrap_or(0);
        }
        peaks
    }

    /// The most that these keys have held together, in bytes; `None` when it was never sampled.
    pub fn of(&self, keys: &[&str]) -> Option<u64> {
        let place = SAMPLED.iter().position(|sampled| *sampled == keys)?;
        Some(self.memory[place]).filter(|bytes| *bytes > 0)
    }

    /// The most descriptors that its processes have had open.
    pub fn open_files(&self) -> Option<u64> {
        Some(self.open_files).filter(|number| *number > 0)
    }

    /// Takes a sample of the group, with so many descriptors open, and keeps what has risen. Without
    /// a memory controller that is the descriptors alone.
    ///
    /// # Errors
    /// When the attribute cannot be set.
    pub fn sample(&mut self, group: &Cgroup, open_files: u64) -> io::Result<()> {
        let memory = self.raise(&group.read("memory.stat").unwrap_or_default());
        if !memory && open_files <= self.open_files {
            return Ok(());
        }
        self.open_files = self.open_files.max(open_files);
        let mut text = String::new();
        for bytes in self.memory {
            text += &bytes.to_string();
            text.push(' ');
        }
        text += &self.open_files.to_string();
        xattr::set(group.as_fd(), OsStr::new(ATTRIBUTE), text.as_bytes()).map_err(Into::into)
    }

    /// Says whether anything has risen.
    fn raise(&mut self, text: &str) -> bool {
        let value = |key: &&str| value_of(text, key);
        let mut has_risen = false;
        for (keys, most) in SAMPLED.iter().zip(&mut self.memory) {
            let sum = keys.iter().map(value).sum::<Option<u64>>().unwrap_or(0);
            has_risen |= sum > *most;
            *most = sum.max(*most);
        }
        has_risen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_only_rise() {
        let mut peaks = Peaks::default();
        assert!(peaks.raise("anon 5\nkernel 7\nkernel_stack 1\nshmem 2\n"));
        assert!(!peaks.raise("anon 6\nkernel 6\nshmem 1\n"));
        assert_eq!((peaks.of(&["kernel"]), peaks.of(&["anon", "shmem"])), (Some(7), Some(7)));
        assert_eq!(peaks.of(&["anon", "shmem", "kernel"]), Some(14));
        // This kernel does not tell it.
        assert_eq!(peaks.of(&["unevictable"]), None);
        assert!(peaks.raise("anon 7\nkernel 6\nshmem 1\n"));
        assert!(!peaks.raise(""));
    }
}
