//! `/proc/vz/vzquota`.

use std::fmt::Write;

use vz_conf::ctid::Ctid;

use crate::accounting::{DiskCounter, DiskUsage};

/// A container's disk quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Its number, the container's.
    pub id: Ctid,
    /// The private area it counts.
    pub path: String,
    /// What is held, and the limits.
    pub usage: DiskUsage,
}

/// The table: for each quota a line with its path, one of space in KiB, one of inodes. Grace times
/// are the file system's own here, so the last two columns are 0.
pub fn vzquota(quotas: &[Quota]) -> String {
    let mut text = String::from(
        "qid: path               usage      softlimit      hardlimit       time     expire\n",
    );
    for quota in quotas {
        // A path of several lines would be read as several quotas.
        let path = quota.path.replace(char::is_control, "?");
        let _ = writeln!(text, "{}: {path}", quota.id.get());
        line(&mut text, "1k-blocks", quota.usage.space);
        line(&mut text, "inodes", quota.usage.inodes);
    }
    text
}

fn line(text: &mut String, what: &str, counter: DiskCounter) {
    let _ = writeln!(
        text,
        "{what:>10} {:>16} {:>14} {:>14} {:>10} {:>10}",
        counter.usage, counter.soft, counter.hard, 0, 0
    );
}
