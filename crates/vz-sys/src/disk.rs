//! Block devices: which disks a file really lies on, and what schedules their work (sysfs(5),
//! Documentation/ABI/stable/sysfs-block).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

/// Devices on top of one another are not followed any deeper.
const DEPTH: usize = 16;

/// A disk, by its device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Disk {
    /// The kind of device.
    pub major: u64,
    /// Which of them.
    pub minor: u64,
}

impl fmt::Display for Disk {
    /// As the files of the io controller have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Disk {
    fn of_number(device: u64) -> Disk {
        Disk { major: major(device), minor: minor(device) }
    }

    fn directory(self) -> PathBuf {
        Path::new("/sys/dev/block").join(self.to_string())
    }

    /// Its name, as in `/dev`; `None` when it is gone.
    pub fn name(self) -> Option<String> {
        let directory = fs::read_link(self.directory()).ok()?;
        Some(directory.file_name()?.to_str()?.to_owned())
    }

    /// The I/O scheduler in use, `none` for none; `None` when the disk has no such choice.
    pub fn scheduler(self) -> Option<String> {
        let text = fs::read_to_string(self.directory().join("queue/scheduler")).ok()?;
        let (_, rest) = text.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    }
}

/// The disks that carry the file system on which `path` lies: what is at the bottom of partitions,
/// loop devices, device mapper and md.
///
/// # Errors
/// When `path` or the file behind a loop device cannot be looked at; `NotFound` when its file
/// system lies on no block device.
pub fn disks_below(path: &Path) -> io::Result<Vec<Disk>> {
    let mut found = BTreeSet::new();
    add_below_file(path, DEPTH, &mut found)?;
    match found.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "it lies on no disk")),
        false => Ok(found.into_iter().collect()),
    }
}

fn add_below_file(path: &Path, depth: usize, found: &mut BTreeSet<Disk>) -> io::Result<()> {
    let device = Disk::of_number(fs::metadata(path)?.dev());
    // A file system without a device of its own (btrfs, overlay): the mount names one, if any.
    let device = match device.major {
        0 => mounted_device(device)?,
        _ => Some(device),
    };
    device.map_or(Ok(()), |device| add_below(device, depth, found))
}

fn add_below(device: Disk, depth: usize, found: &mut BTreeSet<Disk>) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(io::Error::other("too many devices on top of one another"));
    };
    let directory = device.directory();
    if directory.join("partition").exists() {
        let whole = fs::read_to_string(directory.join("../dev"))?;
        return parse(&whole).map_or(Ok(()), |whole| add_below(whole, depth, found));
    }
    if let Ok(file) = fs::read_to_string(directory.join("loop/backing_file")) {
        return add_below_file(Path::new(file.trim_end_matches('\n')), depth, found);
    }
    let below: Vec<Disk> = fs::read_dir(directory.join("slaves"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| parse(&fs::read_to_string(entry.path().join("dev")).ok()?))
        .collect();
    if below.is_empty() {
        found.insert(device);
    }
    below.into_iter().try_for_each(|device| add_below(device, depth, found))
}

/// The device that a mount with this number was made from (proc_pid_mountinfo(5)).
fn mounted_device(number: Disk) -> io::Result<Option<Disk>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let number = number.to_string();
    let source = text.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let is_it = mount.split(' ').nth(2) == Some(&number);
        is_it.then(|| source.split(' ').nth(1)).flatten()
    });
    let Some(source) = source.filter(|source| source.starts_with('/')) else { return Ok(None) };
    Ok(Some(Disk::of_number(fs::metadata(source)?.rdev())).filter(|disk| disk.major != 0))
}

fn parse(text: &str) -> Option<Disk> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(Disk { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_a_file() {
        // What a program runs from lies on a disk, unless all of this machine is in memory.
        let program = std::env::current_exe().unwrap();
        if let Ok(disks) = disks_below(&program) {
            for disk in disks {
                assert!(disk.name().is_some(), "{disk}");
                assert!(!disk.directory().join("partition").exists());
            }
        }
        assert!(disks_below(Path::new("/proc/self/status")).is_err());
    }

    #[test]
    fn numbers() {
        assert_eq!(parse("253:1\n"), Some(Disk { major: 253, minor: 1 }));
        assert_eq!(parse("253"), None);
        assert_eq!(Disk { major: 8, minor: 0 }.to_string(), "8:0");
    }
}
