//! `vzctl snapshot`.

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::time::{SystemTime, UNIX_EPOCH};

use vz_conf::exit::Exit;
use vz_conf::new_file::NewFile;
use vz_conf::snapshot_tree::{Snapshot, SnapshotTree};
use vz_conf::uuid::Uuid;
use vz_sys::local_time;

use super::note::Note;
use super::{
    commit, configuration_path, failed, finish, image, load, of_image, store_waiting, sync,
};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::report::Report;

const EXIT: Exit = Exit::SnapshotCreateFailed;

/// What is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// Its identifier; a new one when `None`.
    pub id: Option<Uuid>,
    /// What it is called.
    pub name: String,
    /// What is told of it.
    pub description: String,
    /// The memory of a running container is not wanted.
    pub skip_suspend: bool,
    /// The configuration is not wanted.
    pub skip_config: bool,
}

/// Makes a snapshot. The lock is held by the caller.
///
/// # Errors
/// [`Exit::SnapshotCreateFailed`]; there is no snapshot then.
pub fn create(container: &Container<'_>, wanted: Create, report: &mut dyn Report) -> Result<()> {
    super::require_image(container, EXIT)?;
    super::begin(container, (EXIT, "Failed to create snapshot"), report)?;
    let done = make(container, wanted, report);
    let id = done.map_err(|error| failed(error, (EXIT, "Failed to create snapshot"), report))?;
    report.info(&format!("Snapshot {id} has been successfully created"));
    Ok(())
}

fn make(container: &Container<'_>, wanted: Create, report: &mut dyn Report) -> Result<Uuid> {
    let id = match &wanted.id {
        Some(id) => id.clone(),
        None => new_id()?,
    };
    let mut tree = load(container, EXIT)?.unwrap_or_default();
    report.info(&format!("Creating snapshot {id}"));
    let with_configuration = !wanted.skip_config;
    let with_memory = !wanted.skip_suspend;
    add(&mut tree, &id, wanted)?;
    if image::is_taken(container, &id)? {
        let text = format!("Failed to create snapshot: The snapshot {id} already exist");
        return Err(Error::Refused(EXIT, text));
    }
    if with_memory && container.is_running()? {
        report.error(
            "Warning: the memory of processes is not saved by this version (use --skip-suspend)",
        );
    }
    Note::Change(id.clone()).write(container)?;
    let made = fill(container, &id, &tree, with_configuration, report);
    // Listed, or cleared away.
    let settled = finish(container);
    made.and(settled).map(|()| id)
}

fn add(tree: &mut SnapshotTree, id: &Uuid, wanted: Create) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let snapshot = Snapshot {
        id: id.clone(),
        parent: None,
        current: true,
        name: wanted.name,
        date: local_time::date_and_time(now.cast_signed()),
        description: wanted.description,
    };
    tree.add(snapshot).map_err(|error| Error::Refused(EXIT, error.to_string()))
}

/// Makes all of it, and then has it count.
fn fill(
    container: &Container<'_>,
    id: &Uuid,
    tree: &SnapshotTree,
    with_configuration: bool,
    report: &mut dyn Report,
) -> Result<()> {
    store_waiting(container, tree, report)?;
    if with_configuration {
        let path = configuration_path(container, id);
        save_configuration(container, id).at(EXIT, "Cannot write", &path)?;
    }
    image::take(container, id).map_err(|error| of_image(error, "create snapshot", EXIT))?;
    commit(container)
}

fn save_configuration(container: &Container<'_>, id: &Uuid) -> io::Result<()> {
    let path = configuration_path(container, id);
    let directory = container.private.join("dump");
    match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.and_then(|()| sync(&container.private))?,
    }
    super::remove_if_there(&path)?;
    let file = NewFile::beside(&directory)?;
    file.file().write_all(&std::fs::read(container.node.conf_path(container.id))?)?;
    file.file().sync_all()?;
    file.link(&path)?;
    sync(&directory)
}

/// A random one: the kernel makes them (random(4), `/proc/sys/kernel/random/uuid`).
fn new_id() -> Result<Uuid> {
    let random = std::path::Path::new("/proc/sys/kernel/random/uuid");
    let text = std::fs::read_to_string(random).at(EXIT, "Cannot read", random)?;
    text.trim()
        .parse()
        .map_err(|_| Error::Refused(EXIT, format!("Cannot generate uuid: {} is none", text.trim())))
}
