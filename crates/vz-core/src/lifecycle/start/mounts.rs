//! What is mounted over a container's root before its init runs: one table, for reading.
//!
//! Each target is resolved below the container's root with openat2(2), links refused, and mounted
//! on by descriptor. So a container that plants a link at `/proc`, or swaps one in, is told no
//! (CVE-2019-19921, CVE-2025-31133); what masks a file is ours, never the container's `/dev/null`.

use std::ffi::CStr;

use vz_sys::mount::{Attributes, Setting};

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Where, below the container's root.
    pub target: &'static str,
    /// What happens there.
    pub action: Action,
    /// Start fails without it; else a target that is not there is passed over.
    pub required: bool,
}

/// What happens at a target.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// A file system of this type is mounted.
    FileSystem(&'static CStr, &'static [Setting<'static>], Attributes),
    /// It is covered: a file by an empty device, a directory by an empty one.
    Mask,
    /// Nothing below it can be written.
    ReadOnly,
    /// It stays as it is although it lies below something read-only.
    Keep,
}

const fn mounted(
    target: &'static str,
    fstype: &'static CStr,
    settings: &'static [Setting<'static>],
    attributes: Attributes,
) -> Entry {
    Entry { target, action: Action::FileSystem(fstype, settings, attributes), required: true }
}

const fn masked(target: &'static str) -> Entry {
    Entry { target, action: Action::Mask, required: false }
}

const fn read_only(target: &'static str) -> Entry {
    Entry { target, action: Action::ReadOnly, required: false }
}

const fn kept(target: &'static str) -> Entry {
    Entry { target, action: Action::Keep, required: false }
}

const HARMLESS: Attributes =
    Attributes::NO_SUID.union(Attributes::NO_DEV).union(Attributes::NO_EXEC);

/// The table, in the order in which it is done. `/dev` and `/dev/pts` are not in it: the node makes
/// these (see [`super::devices`]), because only there device nodes can be made.
pub const TABLE: &[Entry] = &[
    mounted("proc", c"proc", &[Setting::Text("source", "proc")], HARMLESS),
    mounted(
        "sys",
        c"sysfs",
        &[Setting::Text("source", "sysfs")],
        HARMLESS.union(Attributes::READ_ONLY),
    ),
    // A container sees and manages the groups below its own cgroup namespace's root.
    mounted("sys/fs/cgroup", c"cgroup2", &[Setting::Text("source", "cgroup2")], HARMLESS),
    mounted(
        "dev/shm",
        c"tmpfs",
        &[Setting::Text("source", "tmpfs"), Setting::Text("mode", "1777")],
        Attributes::NO_SUID.union(Attributes::NO_DEV),
    ),
    Entry {
        target: "dev/mqueue",
        action: Action::FileSystem(c"mqueue", &[Setting::Text("source", "mqueue")], HARMLESS),
        // A kernel without POSIX message queues runs containers all the same.
        required: false,
    },
    // Reading these tells of the node, or costs it.
    masked("proc/acpi"),
    masked("proc/asound"),
    masked("proc/kcore"),
    masked("proc/keys"),
    masked("proc/latency_stats"),
    masked("proc/sched_debug"),
    masked("proc/scsi"),
    masked("proc/timer_list"),
    masked("proc/timer_stats"),
    masked("sys/devices/virtual/powercap"),
    masked("sys/firmware"),
    // What a namespace owns stays writable: the network's settings, System V IPC, message queues.
    kept("proc/sys/net"),
    kept("proc/sys/fs/mqueue"),
    kept("proc/sys/kernel/msgmax"),
    kept("proc/sys/kernel/msgmnb"),
    kept("proc/sys/kernel/msgmni"),
    kept("proc/sys/kernel/sem"),
    kept("proc/sys/kernel/shmall"),
    kept("proc/sys/kernel/shmmax"),
    kept("proc/sys/kernel/shmmni"),
    // Writing these changes the node.
    read_only("proc/bus"),
    read_only("proc/fs"),
    read_only("proc/irq"),
    read_only("proc/sys"),
    read_only("proc/sysrq-trigger"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_plain_and_parents_come_first() {
        for (index, entry) in TABLE.iter().enumerate() {
            assert!(!entry.target.starts_with('/') && !entry.target.contains(".."));
            assert!(!TABLE[index + 1..].iter().any(|later| later.target == entry.target));
            if let Action::FileSystem(..) = entry.action {
                let inner = format!("{}/", entry.target);
                assert!(!TABLE[..index].iter().any(|before| before.target.starts_with(&inner)));
            }
        }
    }

    #[test]
    fn kept_targets_are_cloned_before_they_are_covered() {
        let sys = TABLE.iter().position(|entry| entry.target == "proc/sys").unwrap();
        assert!(TABLE[sys..].iter().all(|entry| !matches!(entry.action, Action::Keep)));
    }
}
