//! `vzctl snapshot-switch`.

use std::path::{Path, PathBuf};

use vz_conf::disk_descriptor::LONGEST;
use vz_conf::error::ParseError;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::snapshot_tree::SnapshotTree;
use vz_conf::uuid::Uuid;

use super::note::Note;
use super::{
    commit, configuration_path, dump_path, failed, find, finish, image, load, of_image, refuse,
    store_waiting,
};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::layout::ploop::resize;
use crate::lifecycle::{mounting, start, stop, teardown};
use crate::report::Report;

const EXIT: Exit = Exit::SnapshotSwitchFailed;

/// Keys that no snapshot brings back. Where the container's files lie, whose ids they have and how it is
/// called has been arranged with the node and its other containers; all else is what it was.
const OWN: [&str; 7] =
    ["VEID", "VE_ROOT", "VE_PRIVATE", "VE_LAYOUT", "LOCAL_UID", "LOCAL_GID", "NAME"];

/// Where to go back to, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The snapshot.
    pub id: Uuid,
    /// The processes of that time are not wanted.
    pub skip_resume: bool,
    /// Without the processes of that time it is to fail.
    pub must_resume: bool,
    /// The configuration stays as it is.
    pub skip_config: bool,
}

/// Switches the container to a snapshot; one that runs is killed. The lock is held by the caller.
///
/// # Errors
/// [`Exit::SnapshotSwitchFailed`]: the container is what it was, and runs when it did.
pub fn switch(container: &Container<'_>, wanted: &Switch, report: &mut dyn Report) -> Result<()> {
    super::require_image(container, EXIT)?;
    container.require_places()?;
    let id = &wanted.id;
    let last = format!("Failed to switch to snapshot {id}");
    super::begin(container, (EXIT, &last), report)?;
    let tree = load(container, EXIT).map_err(|error| failed(error, (EXIT, &last), report))?;
    let (tree, _) = find(tree, id, (EXIT, &last), report)?;
    let dump = dump_path(container, id).exists();
    let runs = container.is_running()?;
    if let Err(error) = go(container, wanted, tree, dump, report) {
        let error = failed(error, (EXIT, &last), report);
        if runs {
            start_again(container, report)?;
        }
        return Err(error);
    }
    // The image may have the size of another time, and the configuration not.
    if let Err(error) = resize::finish(container) {
        report.error(&format!("Warning: {error}"));
    }
    if dump && !wanted.skip_resume {
        report.info("Warning: failed to resume CT, ignoring (use --must-resume to treat as error)");
    }
    report.info("Container has been successfully switched to another snapshot");
    Ok(())
}

fn go(
    container: &Container<'_>,
    wanted: &Switch,
    mut tree: SnapshotTree,
    dump: bool,
    report: &mut dyn Report,
) -> Result<()> {
    let id = &wanted.id;
    let Some(path) = image::path(container, id)? else {
        return refuse(EXIT, &format!("Can't find snapshot by uuid {id}"));
    };
    if wanted.must_resume {
        let text = match dump {
            false => "Error: no dump in snapshot, unable to resume",
            true => "Error: failed to resume CT",
        };
        return refuse(EXIT, text);
    }
    let configuration = !wanted.skip_config && configuration_path(container, id).exists();
    if configuration {
        configuration_to_be(container, id, &container.file.to_bytes())?;
    }
    report.info(&format!("Switching to snapshot {id}"));
    tree.mark_current(Some(id));
    Note::Copying.write(container)?;
    let ready = prepare(container, &path, &tree, report)
        .and_then(|()| Note::Switch { id: id.clone(), configuration }.write(container));
    let gone = finish(container);
    ready.and(gone)
}

/// One that was stopped for a switch which came to nothing goes on with what it has.
fn start_again(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    if container.is_running()? {
        return Ok(());
    }
    // An umount script may be what has failed: it would again.
    let options = start::Options { force: true, skip_remount: true, ..start::Options::default() };
    if let Err(error) = start::start(container, options, report)
        && let Some(line) = error.line()
    {
        report.error(&line);
    }
    Ok(())
}

/// What it needs is copied, and looked through, while the container runs on.
fn prepare(
    container: &Container<'_>,
    path: &Path,
    tree: &SnapshotTree,
    report: &mut dyn Report,
) -> Result<()> {
    store_waiting(container, tree, report)?;
    image::prepare(container, path).map_err(|error| of_image(error, "switch to snapshot", EXIT))?;
    // What is down for a moment would come up again with what is being replaced.
    teardown::cancel_restart(container)?;
    if container.is_running()? {
        stop::stop(container, stop::Options { fast: true, skip_umount: false }, report)?;
    }
    if container.is_mounted() {
        mounting::unmount_with_scripts(container, report)?;
    }
    image::wait_unused(container)
}

/// What was kept with the snapshot, as it is to be the container's: less what has to stay its own.
fn configuration_to_be(container: &Container<'_>, id: &Uuid, now: &[u8]) -> Result<ConfFile> {
    let path = configuration_path(container, id);
    let kept = super::read(&path).at(EXIT, "Cannot read", &path)?;
    let refused = |why: &dyn std::fmt::Display| {
        let shown = container.node.shown(&path);
        Error::Refused(EXIT, format!("Cannot use {} (use --skip-config): {why}", shown.display()))
    };
    if kept.len() as u64 > LONGEST {
        return Err(refused(&format!("it is longer than {LONGEST} bytes")));
    }
    with_own(ConfFile::parse(&kept), &ConfFile::parse(now)).map_err(|error| refused(&error))
}

/// The configuration `kept` with what `now` says of [`OWN`].
fn with_own(mut kept: ConfFile, now: &ConfFile) -> Result<ConfFile, ParseError> {
    for key in OWN {
        match now.get(key) {
            own if own == kept.get(key) => {}
            Some(own) => kept.set_only(key, &own)?,
            None => drop(kept.remove(key)),
        }
    }
    Ok(kept)
}

/// Puts all in place that was prepared. Whatever of it was done before stays as it is.
pub(super) fn go_forward(container: &Container<'_>, id: &Uuid, configuration: bool) -> Result<()> {
    let size = image::put_in_place(container, id)?;
    let mut tree = load(container, EXIT)?.unwrap_or_default();
    if tree.current().is_none_or(|current| current.id != *id) {
        tree.mark_current(Some(id));
        let waiting = super::waiting_tree_path(container);
        super::write_waiting(&waiting, &tree).at(EXIT, "Failed to store", &waiting)?;
        commit(container)?;
    }
    if configuration {
        restore_configuration(container, id)?;
    }
    resize::reconcile(&Container::load(container.node, container.id)?, size)
}

/// The configuration that it takes the place of is kept as `CTID.conf.old`, as ever.
fn restore_configuration(container: &Container<'_>, id: &Uuid) -> Result<()> {
    let path = container.node.conf_path(container.id);
    let now = std::fs::read(&path).at(EXIT, "Cannot read", &path)?;
    let wanted = configuration_to_be(container, id, &now)?;
    if wanted.to_bytes() == now {
        return Ok(());
    }
    let not_saved = |error| Error::Refused(EXIT, format!("{error}"));
    let mut old = path.clone().into_os_string();
    old.push(".old");
    ConfFile::parse(&now).save(&PathBuf::from(old)).map_err(not_saved)?;
    wanted.save(&path).map_err(not_saved)?;
    let directory = container.node.conf_dir();
    super::sync(&directory).at(EXIT, "Cannot sync", &directory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;

    #[test]
    fn places_ids_and_the_name_stay_the_containers_own() {
        let now = "VE_ROOT=\"/r/$VEID\"\nVE_PRIVATE=/new/7\nNAME=\"new\"\nLOCAL_UID=\"65536\"\n";
        let kept = "# kept\nVE_ROOT=/r/$VEID\nVE_PRIVATE=\"/old/$VEID\"\nNAME=old\nNAME=older\n\
                    VE_LAYOUT=simfs\nHOSTNAME=\"then\"\nLOCAL_UID=0\nLOCAL_GID=0\nDEVICES=\"c:1:3:rw\"\n";
        let merge = |now: &ConfFile| with_own(ConfFile::parse(kept.as_bytes()), now).unwrap();
        let merged = merge(&ConfFile::parse(now.as_bytes()));
        let expected = "# kept\nVE_ROOT=/r/$VEID\nVE_PRIVATE=\"/new/7\"\nNAME=\"new\"\n\
                        HOSTNAME=\"then\"\nLOCAL_UID=\"65536\"\nDEVICES=\"c:1:3:rw\"\n";
        assert_eq!(String::from_utf8(merged.to_bytes()).unwrap(), expected);
        // A killed switch does it again, on top of what it has saved.
        assert_eq!(merge(&merged), merged);
    }
}
