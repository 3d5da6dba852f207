//! The users and groups of the tree itself, for ACLs that give names: the node's own user
//! database has nothing to say about them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_sys::beneath;

use super::acl::Who;
use super::number::decimal;

/// How much of a database is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Names and their ids.
pub(super) struct Names {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Names {
    /// Reads `etc/passwd` and `etc/group` of the tree; one that is missing has no names.
    pub(super) fn of_tree(top: BorrowedFd<'_>) -> Self {
        Self { users: database(top, "etc/passwd"), groups: database(top, "etc/group") }
    }

    /// The id of a name.
    pub(super) fn id(&self, who: Who<'_>) -> Option<u32> {
        match who {
            Who::User(name) => self.users.get(name).copied(),
            Who::Group(name) => self.groups.get(name).copied(),
        }
    }
}

fn database(top: BorrowedFd<'_>, path: &str) -> HashMap<Vec<u8>, u32> {
    // A FIFO planted there must not block, and a device node must not be read.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = beneath::open_beneath(top, OsStr::new(path), OFlag::O_PATH, Mode::empty());
    let mut text = Vec::new();
    if let Ok(held) = opened.map(File::from)
        && held.metadata().is_ok_and(|metadata| metadata.is_file())
        && let Ok(file) = beneath::reopen(std::os::fd::AsFd::as_fd(&held), flags)
        && File::from(file).take(LARGEST).read_to_end(&mut text).is_err()
    {
        text.clear();
    }
    parse(&text)
}

/// Lines of `name:password:id:...`; of two lines with one name the first counts, as in getpwnam(3).
fn parse(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    let mut names = HashMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, id) = (fields.next().unwrap_or_default(), fields.nth(1).and_then(decimal));
        if let Some(id) = id.and_then(|id| u32::try_from(id).ok())
            && !name.is_empty()
        {
            names.entry(name.to_vec()).or_insert(id);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_entries_are_passed_over() {
        let names = parse(b"root:x:0:\n# x\n::7:\nadm:x:4:syslog\nadm:x:9:\nbad:x:y:\n+::::");
        assert_eq!(names.get(&b"adm"[..]), Some(&4));
        assert_eq!(names.get(&b"root"[..]), Some(&0));
        assert_eq!(names.len(), 2);
    }
}
