//! What the node has: memory, swap, threads.
//!
//! *Low memory* is what a 32-bit kernel can use for itself (`LowTotal` of /proc/meminfo). A 64-bit
//! kernel has no such line because all of its memory is of that kind: there `MemTotal` is the low
//! memory, which is the same quantity and no estimate.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::OsText;

/// The part of low memory that is planned for kernel memory and socket buffers; the rest is for
/// page tables and the node's own needs.
const KERNEL_PART: f64 = 0.4;

/// Why the capacity cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum CapacityError {
    /// A file cannot be read.
    #[error("Unable to open {}: {source}", path.display())]
    Open {
        /// The file, as it is told to people.
        path: PathBuf,
        /// What the system answered.
        source: OsText,
    },
    /// A file has not what should be in it.
    #[error("Unable to find {what} in {}", path.display())]
    Missing {
        /// The file, as it is told to people.
        path: PathBuf,
        /// The line that is missed.
        what: &'static str,
    },
}

/// Memory of the node, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// RAM.
    pub ram: u64,
    /// The part of it that the kernel can use for itself.
    pub low: u64,
    /// Swap; 0 for none.
    pub swap: u64,
}

impl Capacity {
    /// Reads `meminfo` in `proc`, which is `/proc` or a directory of files like it.
    ///
    /// # Errors
    /// When the file cannot be read, or has no `MemTotal`.
    pub fn read(proc: &Path) -> Result<Capacity, CapacityError> {
        let text = read(proc, "meminfo")?;
        Capacity::parse(&text).ok_or_else(|| missing("meminfo", "MemTotal"))
    }

    /// Reads the text of /proc/meminfo: lines `Name: N kB`.
    pub fn parse(meminfo: &str) -> Option<Capacity> {
        let value = |name: &str| {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number: u64 = rest?.split_ascii_whitespace().next()?.parse().ok()?;
            Some(number.saturating_mul(1024))
        };
        let ram = value("MemTotal").filter(|ram| *ram > 0)?;
        let low = value("LowTotal").filter(|low| *low > 0).unwrap_or(ram);
        Some(Capacity { ram, low, swap: value("SwapTotal").unwrap_or(0) })
    }

    /// RAM and swap, in bytes.
    pub fn all(&self) -> u64 {
        self.ram.saturating_add(self.swap)
    }

    /// What is planned for kernel memory and socket buffers, in bytes; at least 1.
    pub fn for_kernel(&self) -> u64 {
        ((self.low as f64 * KERNEL_PART) as u64).max(1)
    }
}

/// How many processes and threads the node can have at once (`sys/kernel/threads-max`); at least 1.
///
/// # Errors
/// When that cannot be read.
pub fn threads(proc: &Path) -> Result<u64, CapacityError> {
    const FILE: &str = "sys/kernel/threads-max";
    let text = read(proc, FILE)?;
    let number: Option<u64> = text.split_ascii_whitespace().next().and_then(|n| n.parse().ok());
    number.map(|number| number.max(1)).ok_or_else(|| missing(FILE, "a number"))
}

/// The text of a file of `proc`, which is told as `/proc`.
pub(super) fn read(proc: &Path, file: &str) -> Result<String, CapacityError> {
    match fs::read(proc.join(file)) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            Err(CapacityError::Open { path: Path::new("/proc").join(file), source: error.into() })
        }
    }
}

pub(super) fn missing(file: &str, what: &'static str) -> CapacityError {
    CapacityError::Missing { path: Path::new("/proc").join(file), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_both_kinds_of_kernel() {
        let text = "MemTotal:        8077440 kB\nMemFree: 1 kB\nSwapTotal:       4194300 kB\n";
        let found = Capacity::parse(text).unwrap();
        assert_eq!((found.ram, found.low), (8_077_440 << 10, 8_077_440 << 10));
        assert_eq!(found.swap, 4_194_300 << 10);
        let found = Capacity::parse(&format!("{text}LowTotal: 700000 kB\n")).unwrap();
        assert_eq!((found.low, found.for_kernel()), (700_000 << 10, 286_720_000));
        for text in ["", "MemTotal: x kB\n", "MemTotal: 0 kB\n", "MemTotal:\n"] {
            assert_eq!(Capacity::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn of_this_machine() {
        let found = Capacity::read(Path::new("/proc")).unwrap();
        assert!(found.ram > 1 << 20 && found.low <= found.ram);
        assert!(threads(Path::new("/proc")).unwrap() > 10);
        let error = Capacity::read(Path::new("/nonexistent")).unwrap_err().to_string();
        assert_eq!(error, "Unable to open /proc/meminfo: No such file or directory");
    }

    proptest! {
        #[test]
        fn any_text(text in ".*|(MemTotal: *[0-9]{0,25} kB\n(Low|Swap)Total: [0-9]{0,25}\n)") {
            if let Some(found) = Capacity::parse(&text) {
                prop_assert!(found.ram > 0 && found.for_kernel() > 0 && found.all() >= found.ram);
            }
        }
    }
}
