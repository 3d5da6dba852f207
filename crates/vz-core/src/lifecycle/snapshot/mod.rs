//! `vzctl snapshot` and its kin: states of a container in an image that it can go back to.
//!
//! A snapshot is an image beside the container's own ([`crate::layout::ploop::snapshot`]), an entry in
//! `VE_PRIVATE/Snapshots.xml`, and with it the configuration of that time, `VE_PRIVATE/dump/UUID.ve.conf`.
//! The entry is what counts: it appears, or goes, by one rename. A switch counts from the moment its
//! note says that all it needs is there, and then only goes forward. `root.hdd/snapshot` notes what is
//! under way; whoever takes the lock next finishes it, or clears away what it has left ([`recover`]).

mod create;
mod delete;
mod mounting;
mod note;
mod switch;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vz_conf::disk_descriptor::LONGEST;
use vz_conf::exit::Exit;
use vz_conf::layout::Layout;
use vz_conf::new_file::remove_if_there;
use vz_conf::snapshot_tree::{FILE_NAME, Snapshot, SnapshotTree, WAITING_NAME};
use vz_conf::uuid::Uuid;

use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::layout::ploop::snapshot as image;
use crate::remove_tree::remove_path;
use crate::report::Report;

pub use create::{Create, create};
pub use delete::delete;
pub use image::Place;
pub use mounting::{mount, place, require_none_mounted, umount};
pub use switch::{Switch, switch};

use note::Note;

/// The container must have its files in an image; `exit` is the code when it has not.
///
/// # Errors
/// [`Error::PrivateNotSet`], and in words of its own for another layout.
pub fn require_image(container: &Container<'_>, exit: Exit) -> Result<()> {
    if container.private.as_os_str().is_empty() {
        return Err(Error::PrivateNotSet);
    }
    match container.layout() {
        Layout::Ploop(_) => Ok(()),
        _ => refuse(exit, "Snapshot feature is only available for ploop-based CTs"),
    }
}

/// The container's snapshots; `None` when it never had any.
///
/// # Errors
/// When Snapshots.xml cannot be read; `exit` is the code.
pub fn load(container: &Container<'_>, exit: Exit) -> Result<Option<SnapshotTree>> {
    let path = tree_path(container);
    let failed = |why: String| {
        let shown = container.node.shown(&path);
        Error::Refused(exit, format!("Failed to read {}: {why}", shown.display()))
    };
    let bytes = match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| failed(crate::error::OsText(error).to_string()))?,
    };
    SnapshotTree::parse(&bytes).map(Some).map_err(|error| failed(error.to_string()))
}

/// Finishes what another command has left undone, as its own would go on top of it.
///
/// # Errors
/// With this code and this last line, when it cannot be.
fn begin(
    container: &Container<'_>,
    (exit, last): (Exit, &str),
    report: &mut dyn Report,
) -> Result<()> {
    finish(container).map_err(|error| failed(error, (exit, last), report))
}

/// Says whether the container has snapshots, or had and nobody can tell.
pub fn has_any(container: &Container<'_>) -> bool {
    match load(container, Exit::SnapshotListFailed) {
        Ok(tree) => tree.is_some_and(|tree| !tree.snapshots().is_empty()),
        Err(_) => true,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn tree_path(container: &Container<'_>) -> PathBuf {
    container.private.join(FILE_NAME)
}

fn waiting_tree_path(container: &Container<'_>) -> PathBuf {
    container.private.join(WAITING_NAME)
}

/// The configuration that was saved with a snapshot.
fn configuration_path(container: &Container<'_>, id: &Uuid) -> PathBuf {
    container.private.join("dump").join(format!("{id}.ve.conf"))
}

/// The memory of its processes: of an old node.
fn dump_path(container: &Container<'_>, id: &Uuid) -> PathBuf {
    container.private.join("dump").join(id.to_string())
}

/// Stores the tree beside the one that counts.
fn store_waiting(
    container: &Container<'_>,
    tree: &SnapshotTree,
    report: &mut dyn Report,
) -> Result<()> {
    let path = waiting_tree_path(container);
    report.info(&format!("Storing {}", container.node.shown(&path).display()));
    write_waiting(&path, tree).at(Exit::SystemError, "Failed to store", &path)
}

fn write_waiting(path: &Path, tree: &SnapshotTree) -> io::Result<()> {
    let bytes = tree.to_bytes().map_err(io::Error::other)?;
    remove_if_there(path)?;
    let mut file = File::create_new(path)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Has the tree that was stored count.
fn commit(container: &Container<'_>) -> Result<()> {
    let (waiting, path) = (waiting_tree_path(container), tree_path(container));
    std::fs::rename(&waiting, &path).and_then(|()| sync(&container.private)).at(
        Exit::SystemError,
        "Failed to rename",
        &waiting,
    )
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The snapshot that a command names. Without a Snapshots.xml that is all there is to say; with one
/// the command says `last` after it.
fn find(
    tree: Option<SnapshotTree>,
    id: &Uuid,
    (exit, last): (Exit, &str),
    report: &mut dyn Report,
) -> Result<(SnapshotTree, Snapshot)> {
    let missing = format!("Unable to find snapshot by uuid {id}");
    let Some(tree) = tree else { return refuse(exit, &missing) };
    match tree.find(id).cloned() {
        Some(found) => Ok((tree, found)),
        None => Err(failed(Error::Refused(exit, missing), (exit, last), report)),
    }
}

fn refuse<T>(exit: Exit, text: &str) -> Result<T> {
    Err(Error::Refused(exit, text.to_owned()))
}

/// What went wrong is said first, then that the command has failed.
fn failed(error: Error, (exit, last): (Exit, &str), report: &mut dyn Report) -> Error {
    if matches!(error, Error::Cancelled) {
        return error;
    }
    if let Some(line) = error.line() {
        report.error(&line);
    }
    Error::Refused(exit, last.to_owned())
}

/// An error of what happens to images, in the words of the command it happened to.
fn of_image(error: Error, verb: &str, exit: Exit) -> Error {
    match error.line() {
        Some(line) if !matches!(error, Error::Cancelled) => {
            Error::Refused(exit, format!("Failed to {verb}: {line}"))
        }
        _ => error,
    }
}

/// Finishes what a killed command has left: called by each command that has just taken the lock.
///
/// # Errors
/// The step that failed: it is tried again by the next command.
pub fn recover(container: &Container<'_>) -> Result<()> {
    if matches!(noted(container)?, Some(Note::Change(_))) {
        // Not by a command that lives: somebody else's freeze may be why it failed.
        image::thaw(container);
    }
    finish(container)
}

fn noted(container: &Container<'_>) -> Result<Option<Note>> {
    match container.layout() {
        Layout::Ploop(_) if !container.private.as_os_str().is_empty() => Note::read(container),
        _ => Ok(None),
    }
}

/// Has done what the note says, or takes back what was prepared for it.
fn finish(container: &Container<'_>) -> Result<()> {
    let Some(note) = noted(container)? else { return Ok(()) };
    match &note {
        Note::Change(id) => settle(container, id)?,
        Note::Copying => image::discard_prepared(container)?,
        // Started again before it was switched, by itself: it stays what it is.
        Note::Switch { .. } if image::is_too_late(container)? => {
            image::discard_prepared(container)?
        }
        Note::Switch { id, configuration } => switch::go_forward(container, id, *configuration)?,
        // Not one of ours.
        Note::Unknown => {}
    }
    let waiting = waiting_tree_path(container);
    remove_if_there(&waiting).at(Exit::SystemError, "Cannot remove", &waiting)?;
    Note::remove(container)
}

/// Gives the snapshot `id` all it has when it is in the tree, and nothing when it is not.
fn settle(container: &Container<'_>, id: &Uuid) -> Result<()> {
    let tree = load(container, Exit::SystemError)?.unwrap_or_default();
    if tree.find(id).is_some() {
        return image::list(container, id);
    }
    image::forget(container, id)?;
    for path in [configuration_path(container, id), dump_path(container, id)] {
        // A directory as well: left there, each command after this one would fail by it.
        remove_path(&path).at(Exit::SnapshotDeleteFailed, "Cannot remove", &path)?;
    }
    Ok(())
}
