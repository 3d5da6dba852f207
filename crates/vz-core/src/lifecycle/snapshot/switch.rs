//! `vzctl snapshot-switch`.

use std::path::{Path, PathBuf};

use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::layout::Layout;
use vz_conf::param::Scope;
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
use crate::lifecycle::{mounting, stop, teardown};
use crate::report::Report;

const EXIT: Exit = Exit::SnapshotSwitchFailed;

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
/// [`Exit::SnapshotSwitchFailed`].
pub fn switch(container: &Container<'_>, wanted: &Switch, report: &mut dyn Report) -> Result<()> {
    super::require_image(container, EXIT)?;
    container.require_places()?;
    let id = &wanted.id;
    let last = format!("Failed to switch to snapshot {id}");
    super::begin(container, (EXIT, &last), report)?;
    let tree = load(container, EXIT).map_err(|error| failed(error, (EXIT, &last), report))?;
    let (tree, _) = find(tree, id, (EXIT, &last), report)?;
    let dump = dump_path(container, id).exists();
    go(container, wanted, tree, dump, report)
        .map_err(|error| failed(error, (EXIT, &last), report))?;
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
        check_configuration(container, id)?;
    }
    report.info(&format!("Switching to snapshot {id}"));
    tree.mark_current(Some(id));
    Note::Copying.write(container)?;
    let ready = prepare(container, &path, &tree, report)
        .and_then(|()| Note::Switch { id: id.clone(), configuration }.write(container));
    let gone = finish(container);
    ready.and(gone)
}

/// What it needs is copied while the container runs on.
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

/// A configuration that names another place would leave the container there, and its files here.
fn check_configuration(container: &Container<'_>, id: &Uuid) -> Result<()> {
    let path = configuration_path(container, id);
    let file = ConfFile::parse(&super::read(&path).at(EXIT, "Cannot read", &path)?);
    let context = container.node.text_context(container.id);
    let (own, _) = Config::read(&file, &path, Scope::Container, &context);
    let merged = container.node.config.merged_with(&own);
    let private = merged.ve_private.as_deref().unwrap_or_default();
    let private = container.node.path(vz_conf::config::expand_veid(private, container.id));
    match matches!(own.ve_layout, Some(Layout::Ploop(_))) && private == container.private {
        true => Ok(()),
        false => refuse(
            EXIT,
            "The configuration in the snapshot has another VE_PRIVATE or VE_LAYOUT (use --skip-config)",
        ),
    }
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
    let (saved, path) = (configuration_path(container, id), container.node.conf_path(container.id));
    let wanted = super::read(&saved).at(EXIT, "Cannot read", &saved)?;
    let now = std::fs::read(&path).at(EXIT, "Cannot read", &path)?;
    if wanted == now {
        return Ok(());
    }
    let not_saved = |error| Error::Refused(EXIT, format!("{error}"));
    let mut old = path.clone().into_os_string();
    old.push(".old");
    ConfFile::parse(&now).save(&PathBuf::from(old)).map_err(not_saved)?;
    ConfFile::parse(&wanted).save(&path).map_err(not_saved)?;
    let directory = container.node.conf_dir();
    super::sync(&directory).at(EXIT, "Cannot sync", &directory)
}
