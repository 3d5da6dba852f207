//! MOUNT_OPTS: options of mount(8) for the ext4 image of a container.
//!
//! Only what can harm nobody but the container is known. What is not: options that have the node
//! panic (`errors=panic`), name other files of the node (`journal_path`), or undo what holds the
//! container (`dax`, `resuid`, `ro`).

use std::str::FromStr;

/// An attribute of a mount, not of its file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountAttribute {
    /// set-id bits and file capabilities do nothing.
    NoSuid,
    /// Device nodes cannot be opened.
    NoDev,
    /// Nothing can be executed.
    NoExec,
    /// Access times are not written.
    NoAtime,
    /// Access times of directories are not written.
    NoDirAtime,
    /// Access times are always written.
    StrictAtime,
}

/// The options of MOUNT_OPTS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Attributes of the mount.
    pub attributes: Vec<MountAttribute>,
    /// Options of the file system, each with its value.
    pub settings: Vec<(String, Option<String>)>,
}

/// An option that is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("option '{0}' is unknown or not allowed")]
pub struct BadOption(pub String);

const ATTRIBUTES: [(&str, MountAttribute); 6] = [
    ("nosuid", MountAttribute::NoSuid),
    ("nodev", MountAttribute::NoDev),
    ("noexec", MountAttribute::NoExec),
    ("noatime", MountAttribute::NoAtime),
    ("nodiratime", MountAttribute::NoDirAtime),
    ("strictatime", MountAttribute::StrictAtime),
];
/// What is so without a word.
const DEFAULTS: [&str; 7] = ["defaults", "rw", "relatime", "suid", "dev", "exec", "async"];
/// Options of ext4 without a value (ext4(5)).
const FLAGS: [&str; 20] = [
    "acl",
    "auto_da_alloc",
    "barrier",
    "block_validity",
    "delalloc",
    "dirsync",
    "discard",
    "grpquota",
    "i_version",
    "lazytime",
    "noauto_da_alloc",
    "nobarrier",
    "nodelalloc",
    "nodiscard",
    "noquota",
    "quota",
    "sync",
    "user_xattr",
    "usrquota",
    "noblock_validity",
];
/// Options of ext4 with a number.
const NUMBERS: [&str; 7] = [
    "barrier",
    "commit",
    "inode_readahead_blks",
    "max_batch_time",
    "min_batch_time",
    "max_dir_size_kb",
    "stripe",
];
/// Options of ext4 with one of some words.
const WORDS: [(&str, &[&str]); 2] =
    [("data", &["ordered", "writeback", "journal"]), ("errors", &["continue", "remount-ro"])];

impl FromStr for MountOptions {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        let mut options = Self::default();
        for option in text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            if DEFAULTS.contains(&option) {
                continue;
            }
            if let Some((_, attribute)) = ATTRIBUTES.iter().find(|(name, _)| *name == option) {
                options.attributes.push(*attribute);
                continue;
            }
            let (key, value) = match option.split_once('=') {
                None => (option, None),
                Some((key, value)) => (key, Some(value)),
            };
            if !is_known(key, value) {
                return Err(BadOption(option.to_owned()));
            }
            options.settings.push((key.to_owned(), value.map(str::to_owned)));
        }
        Ok(options)
    }
}

fn is_known(key: &str, value: Option<&str>) -> bool {
    let Some(value) = value else { return FLAGS.contains(&key) };
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u32>().is_ok();
    is_number && NUMBERS.contains(&key)
        || WORDS.iter().any(|(word, values)| *word == key && values.contains(&value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_ones_are_taken_apart() {
        let options: MountOptions =
            "defaults,noatime, data=writeback,,commit=30,discard".parse().unwrap();
        assert_eq!(options.attributes, [MountAttribute::NoAtime]);
        let text = |text: &str| text.to_owned();
        let expected = [
            (text("data"), Some(text("writeback"))),
            (text("commit"), Some(text("30"))),
            (text("discard"), None),
        ];
        assert_eq!(options.settings, expected);
        assert_eq!("".parse(), Ok(MountOptions::default()));
    }

    #[test]
    fn dangerous_ones_are_refused() {
        for text in [
            "errors=panic",
            "journal_path=/dev/sda",
            "journal_dev=8",
            "resuid=65536",
            "resgid=1",
            "sb=1",
            "abort",
            "dax",
            "ro",
            "loop",
            "source=/dev/sda",
            "noload",
            "data=",
            "commit=-1",
            "commit=99999999999",
            "discard=1",
            "debug",
            "noatime=1",
            "prjquota",
            "commit",
        ] {
            assert_eq!(text.parse::<MountOptions>(), Err(BadOption(text.into())));
        }
    }

    proptest! {
        #[test]
        fn nothing_unknown_passes(text in "[a-z=,0-9/ ]{0,40}") {
            if let Ok(options) = text.parse::<MountOptions>() {
                for (key, value) in options.settings {
                    prop_assert!(is_known(&key, value.as_deref()));
                }
            }
        }
    }
}
