//! `vzctl snapshot` and its kin, but `snapshot-list`: which action of vz-core each is.

use std::path::Path;

use vz_conf::exit::Exit;
use vz_core::container::Container;
use vz_core::error::{Error, Result};
use vz_core::lifecycle::snapshot;

use crate::options::{Snapshot, SnapshotOptions};
use crate::output::Output;

/// Does what the command says.
///
/// # Errors
/// Those of the action.
pub fn run(
    command: Snapshot,
    container: &Container<'_>,
    options: &SnapshotOptions,
    output: &mut Output,
) -> Result<()> {
    if command == Snapshot::Create {
        let wanted = snapshot::Create {
            name: options.value("name").to_owned(),
            description: options.value("description").to_owned(),
            skip_suspend: options.has("skip-suspend"),
            skip_config: options.has("skip-config"),
            id: options.id.clone(),
        };
        return snapshot::create(container, wanted, output);
    }
    // It was looked for when the words were taken apart.
    let Some(id) = &options.id else { return Err(Error::Reported(Exit::InvalidSyntax)) };
    match command {
        Snapshot::Create => Ok(()),
        Snapshot::Delete => snapshot::delete(container, id, output),
        Snapshot::Mount => {
            snapshot::mount(container, id, Path::new(options.value("target")), output)
        }
        Snapshot::Umount => snapshot::umount(container, id, output),
        Snapshot::Switch => {
            let wanted = snapshot::Switch {
                id: id.clone(),
                skip_resume: options.has("skip-resume"),
                must_resume: options.has("must-resume"),
                skip_config: options.has("skip-config"),
            };
            snapshot::switch(container, &wanted, output)
        }
    }
}
