//! `vzctl snapshot-delete`.

use vz_conf::exit::Exit;
use vz_conf::snapshot_tree::SnapshotTree;
use vz_conf::uuid::Uuid;

use super::note::Note;
use super::{commit, failed, find, finish, image, load, store_waiting};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::report::Report;

const EXIT: Exit = Exit::SnapshotDeleteFailed;

/// Deletes a snapshot. The lock is held by the caller.
///
/// # Errors
/// [`Exit::SnapshotDeleteFailed`].
pub fn delete(container: &Container<'_>, id: &Uuid, report: &mut dyn Report) -> Result<()> {
    super::require_image(container, EXIT)?;
    let last = format!("Failed to delete snapshot {id}");
    super::begin(container, (EXIT, &last), report)?;
    let tree = load(container, EXIT).map_err(|error| failed(error, (EXIT, &last), report))?;
    let (mut tree, _) = find(tree, id, (EXIT, &last), report)?;
    report.info(&format!("Deleting snapshot {id}"));
    tree.remove(id);
    take_out(container, id, &tree, report).map_err(|error| failed(error, (EXIT, &last), report))?;
    report.info(&format!("Snapshot {id} has been successfully deleted"));
    Ok(())
}

fn take_out(
    container: &Container<'_>,
    id: &Uuid,
    tree: &SnapshotTree,
    report: &mut dyn Report,
) -> Result<()> {
    require_unmounted(container, id)?;
    Note::Change(id.clone()).write(container)?;
    let done = store_waiting(container, tree, report).and_then(|()| commit(container));
    let settled = finish(container);
    done.and(settled)
}

fn require_unmounted(container: &Container<'_>, id: &Uuid) -> Result<()> {
    // One whose image somebody has taken away can be deleted all the same.
    let path = image::path(container, id)?.filter(|path| path.exists());
    let place = path.map(|path| image::place(&path)).transpose()?.flatten();
    match place {
        None => Ok(()),
        Some(place) => {
            let device = place.device;
            let text = "Failed to delete snapshot: Snapshot";
            Err(Error::Refused(EXIT, format!("{text} {id} is busy by device(s): {device}")))
        }
    }
}
