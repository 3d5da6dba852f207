//! Which ids of the node a container's users are mapped to.
//!
//! `CTID × 65536` by default. LOCAL_UID and LOCAL_GID in its configuration say otherwise; 0 there
//! (or in vz.conf, whose other values meant one range for all containers and are not followed)
//! means no user namespace. A range must not be another container's, nor one that /etc/subuid
//! gives to a user of the node.

use std::io;

use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::lifecycle::start::IDS;

/// The last CTID whose default range lies below the end of the 32-bit id space.
const LAST_WITH_DEFAULT: u32 = 65_534;

/// The bases of a container's users and groups.
///
/// # Errors
/// When the configured range is not free, or none is configured for a CTID without a default.
pub fn bases(container: &Container<'_>) -> Result<(u32, u32)> {
    let own = &container.own;
    match (configured(container), own.local_gid) {
        (None, _) => {
            let base = default_base(container.id).ok_or_else(|| no_default(container.id))?;
            refuse_users(container, base)?;
            Ok((base, base))
        }
        (Some(0), _) => Ok((0, 0)),
        (Some(uid), gid) => {
            let fits = |id: u64| u32::try_from(id).ok().filter(|id| id.checked_add(IDS).is_some());
            let (Some(uid), Some(gid)) = (fits(uid), fits(gid.unwrap_or(uid))) else {
                return Err(refused(format!("LOCAL_UID {uid} leaves no room for {IDS} ids")));
            };
            for base in [uid, gid] {
                if base == 0 {
                    return Err(refused("LOCAL_GID 0 is only for LOCAL_UID 0".into()));
                }
                refuse_users(container, base)?;
                refuse_containers(container, base)?;
            }
            Ok((uid, gid))
        }
    }
}

fn configured(container: &Container<'_>) -> Option<u64> {
    let node = container.node.config.local_uid.filter(|uid| *uid == 0);
    container.own.local_uid.or(node)
}

/// Says whether the configuration wants no user namespace.
pub fn is_unmapped(container: &Container<'_>) -> bool {
    configured(container) == Some(0)
}

/// `CTID × 65536`, where there is that much room.
pub fn default_base(id: Ctid) -> Option<u32> {
    (1..=LAST_WITH_DEFAULT).contains(&id.get()).then(|| id.get() * IDS)
}

/// A range for a new container that has no default, or whose default is a user's: counted down
/// from the top, where only the largest CTIDs have theirs. `None` when the default will do.
///
/// # Errors
/// When every range is taken.
pub fn range_to_record(container: &Container<'_>) -> Result<Option<u32>> {
    if container.own.local_uid.is_some() || container.node.config.local_uid == Some(0) {
        return Ok(None);
    }
    let default = default_base(container.id);
    let is_free = |base: u32| {
        refuse_users(container, base).is_ok() && refuse_containers(container, base).is_ok()
    };
    if default.is_some_and(is_free) {
        return Ok(None);
    }
    (1..=LAST_WITH_DEFAULT)
        .rev()
        .map(|number| number * IDS)
        .find(|base| is_free(*base))
        .map(Some)
        .ok_or_else(|| refused("No range of ids is free for the container".into()))
}

fn no_default(id: Ctid) -> Error {
    refused(format!(
        "CTID {id} is above {LAST_WITH_DEFAULT} and has no range of ids of its own: set LOCAL_UID \
         and LOCAL_GID in its configuration to a free multiple of {IDS}"
    ))
}

fn refused(text: String) -> Error {
    Error::Refused(Exit::ResourceError, text)
}

fn overlap(one: u32, other: u64, count: u64) -> bool {
    let one = u64::from(one);
    one < other + count && other < one + u64::from(IDS)
}

/// /etc/subuid: `name:first:count` (subuid(5)).
fn refuse_users(container: &Container<'_>, base: u32) -> Result<()> {
    let path = container.node.path("/etc/subuid");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(format!("Cannot read {}: {error}", path.display()))),
        Ok(text) => text,
    };
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(Ok(first)), Some(Ok(count))) = (
            fields.next(),
            fields.next().map(str::parse::<u64>),
            fields.next().map(|count| count.trim().parse::<u64>()),
        ) else {
            continue;
        };
        if overlap(base, first, count) {
            return Err(refused(format!(
                "The ids {base}... are {name}'s in /etc/subuid: set LOCAL_UID and LOCAL_GID in \
                 the container's configuration to a free multiple of {IDS}"
            )));
        }
    }
    Ok(())
}

fn refuse_containers(container: &Container<'_>, base: u32) -> Result<()> {
    let directory = container.node.conf_dir();
    let entries = match std::fs::read_dir(&directory) {
        Err(_) => return Ok(()),
        Ok(entries) => entries,
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".conf")) else { continue };
        let Ok(id) = id.parse::<u32>() else { continue };
        if id == 0 || id == container.id.get() {
            continue;
        }
        let configured = std::fs::read(entry.path())
            .ok()
            .and_then(|bytes| ConfFile::parse(&bytes).get("LOCAL_UID"))
            .and_then(|value| value.trim().parse::<u32>().ok());
        let theirs = configured.or_else(|| Ctid::new(id).and_then(default_base));
        if theirs.is_some_and(|theirs| theirs != 0 && overlap(base, theirs.into(), IDS.into())) {
            return Err(refused(format!(
                "The ids {base}... are those of container {id}: set LOCAL_UID and LOCAL_GID to a \
                 free multiple of {IDS}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let base = |id| Ctid::new(id).and_then(default_base);
        assert_eq!((base(0), base(1), base(101)), (None, Some(65_536), Some(6_619_136)));
        assert_eq!((base(65_534), base(65_535)), (Some(65_534 << 16), None));
    }

    #[test]
    fn overlaps() {
        assert!(overlap(65_536, 100_000, 65_536));
        assert!(!overlap(65_536, 131_072, 65_536));
        assert!(!overlap(131_072, 65_536, 65_536));
    }
}
