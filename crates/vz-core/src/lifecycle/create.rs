//! `vzctl create`.
//!
//! The files come into `VE_PRIVATE.tmp`, which becomes the private area by one rename when all of
//! it is there; the configuration is written just before that. So a create that was killed leaves
//! either nothing that counts, or a container that can be destroyed; the next command on the same
//! CTID takes away what it left.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vz_conf::change::Change;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::layout::Layout;
use vz_sys::mount;

use crate::container::Container;
use crate::dist::{Action, Distribution};
use crate::error::{Context, Error, OsText, Result};
use crate::layout::View;
use crate::lifecycle::destroy::{self, discard};
use crate::lifecycle::{mounting, temporary};
use crate::report::Report;
use crate::template::store::{self, Held, unpack_failed};
use crate::template::{self, Template};
use crate::unpack;
use crate::vzquota::private_area;
use crate::{hooks, ids, layout, names};

/// Hears how much of the archive has been read.
pub type Progress<'a> = dyn FnMut(unpack::Progress) + 'a;

/// Creates the container. The lock is held by the caller.
///
/// # Errors
/// One of the refusals of the original's create, or the step that failed; nothing is left behind.
pub fn create(
    container: &mut Container<'_>,
    change: &Change,
    report: &mut dyn Report,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let existed = container.configured;
    let created = run(container, change, report, progress);
    let Err(error) = created else { return Ok(()) };
    if let Some(line) = error.line() {
        report.error(&line);
    }
    clean_up(container, existed, change, &error, report);
    report.error("Creation of container private area failed");
    Err(Error::Reported(error.exit()))
}

fn run(
    container: &mut Container<'_>,
    change: &Change,
    report: &mut dyn Report,
    progress: &mut Progress<'_>,
) -> Result<()> {
    apply_sample(container, change.values.configfile.as_deref(), report)?;
    container.own = change.apply_to(&container.own);
    container.refresh();
    check_places(container)?;
    choose_layout(container, change);
    if let Some(base) = ids::range_to_record(container)? {
        let base = Some(u64::from(base));
        (container.own.local_uid, container.own.local_gid) = (base, base);
    }
    if let Some(name) = &change.values.name {
        names::assign(container.node, container.id, name, None)?;
        report.info(&format!("Name {name} assigned"));
    }
    let template = find_template(container, report)?;
    // Kept until the configuration names it.
    let _shared = fill(container, &template, report, progress)?;
    container.own.ostemplate = Some(template.name.clone());
    container.refresh();
    run_post_create(container, report)?;
    remove_destroyed(container)?;
    save_configuration(container, change, &template)?;
    let private = &container.private;
    temporary::finish(&temporary::area(private), private).at(
        Exit::UnpackFailed,
        "Cannot rename the new private area to",
        private,
    )?;
    sync_directory(private.parent().unwrap_or(private))?;
    let conf = container.node.shown(&container.node.conf_path(container.id));
    report.info(&format!("CT configuration saved to {}", conf.display()));
    if let Err(error) = hooks::run_after_create(container, report) {
        tell_destroying(container, report);
        discard(&container.private, report)?;
        return Err(error);
    }
    report.info("Container private area was created");
    Ok(())
}

/// Copies the sample's text word for word; what the command line says is saved on top of it.
pub(super) fn apply_sample(
    container: &mut Container<'_>,
    asked: Option<&str>,
    report: &mut dyn Report,
) -> Result<()> {
    let node = container.node;
    let conf = node.shown(&node.conf_path(container.id));
    if container.configured {
        if asked.is_some() {
            return Err(Error::Refused(
                Exit::CopyConfigFailed,
                format!(
                    "Error: container config file {} already exists, can not use --config option",
                    conf.display()
                ),
            ));
        }
        report
            .info("Warning: CT config file already exists, not applying a default config sample.");
        report.info(
            "It might lead to incomplete CT configuration, you can use --applyconfig to fix.",
        );
        return Ok(());
    }
    let Some(name) = asked.or(node.config.configfile.as_deref()) else { return Ok(()) };
    let path = node.sample_path(name);
    let bytes = std::fs::read(&path).map_err(|error| {
        let error = OsText(error);
        let line = format!("Sample config {} not found: {error}", node.shown(&path).display());
        if asked.is_none() {
            report.error(&line);
            let global = node.shown(&node.global_config_path());
            return Error::Refused(
                Exit::CopyConfigFailed,
                format!("Fix the value of CONFIGFILE in {}", global.display()),
            );
        }
        Error::Refused(Exit::CopyConfigFailed, line)
    })?;
    let file = ConfFile::parse(&bytes);
    container.adopt(file);
    if container.own.origin_sample.is_none() {
        container.own.origin_sample = Some(name.to_owned());
    }
    Ok(())
}

pub(super) fn check_places(container: &Container<'_>) -> Result<()> {
    if container.node.config.template.as_deref().is_none_or(str::is_empty) {
        return Err(Error::TemplateNotSet);
    }
    container.require_places()?;
    let private = &container.private;
    // The new area takes its place by a rename, which a link cannot be the target of.
    if private.is_symlink() {
        return Err(Error::PrivateAreaExists(container.node.shown(private)));
    }
    let empty = std::fs::read_dir(private).map(|mut entries| entries.next().is_none());
    match empty {
        Ok(true) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => return Err(Error::PrivateAreaExists(container.node.shown(private))),
    }
    if mount::is_mount_point(private).unwrap_or(false) {
        return Err(Error::Refused(
            Exit::UnpackFailed,
            format!("{} is a mount point", container.node.shown(private).display()),
        ));
    }
    Ok(())
}

/// `--layout`, else that of the container's configuration, else (for a new one) vz.conf's, else ploop.
fn choose_layout(container: &mut Container<'_>, change: &Change) {
    let asked = change.values.ve_layout.or(container.own.ve_layout);
    let global = container.node.config.ve_layout.filter(|_| !container.configured);
    container.own.ve_layout = Some(asked.or(global).unwrap_or(Layout::Ploop(None)));
    container.refresh();
}

fn find_template(container: &Container<'_>, report: &mut dyn Report) -> Result<Template> {
    let named = container.config.ostemplate.as_deref().filter(|name| !name.is_empty());
    let default = container.node.config.def_ostemplate.as_deref();
    template::find(container.node, named.or(default).ok_or(Error::OsTemplateNotSet)?, report)
}

/// Makes the private area's lock and its temporary self, and unpacks the template there; or, where
/// it is shared, in the store.
fn fill(
    container: &mut Container<'_>,
    template: &Template,
    report: &mut dyn Report,
    progress: &mut Progress<'_>,
) -> Result<Option<Held>> {
    let area = make_places(container, report)?;
    report.info(&format!("Creating container private area ({})", template.name));
    let shared = match container.layout() {
        Layout::Overlay => Some(store::hold(container.node, template, report, progress)?),
        _ => None,
    };
    container.own.overlay_template = shared.as_ref().map(|held| held.version.to_string());
    container.refresh();
    let destination = layout::of(container.layout()).make(container, &area)?;
    if shared.is_some() {
        // Only directories were made, and the file system keeps the order of that and the rename.
        return Ok(shared);
    }
    let archive =
        template.file.try_clone().at(Exit::UnpackFailed, "Cannot read", &template.path)?;
    unpack::unpack(archive, destination.as_fd(), progress)
        .map_err(|error| unpack_failed(container.node, template, &error))?;
    // Before the rename that makes it the private area: after a crash of the node an area of that
    // name must be whole.
    sync_file_system(destination.as_fd(), &area)?;
    Ok(None)
}

/// Makes the private area's lock, and returns its temporary self, an empty directory.
pub(super) fn make_places(container: &Container<'_>, report: &mut dyn Report) -> Result<PathBuf> {
    let node = container.node;
    let private = &container.private;
    let area = temporary::area(private);
    let make = |path: &Path| std::fs::DirBuilder::new().mode(0o755).create(path);
    if let Some(parent) = private.parent() {
        // For root alone: set-id programs of containers lie in there (CVE-2025-64507).
        node.make_directory(parent, 0o700).at(
            Exit::CreateDirectoryFailed,
            "Cannot make",
            parent,
        )?;
    }
    if !private.is_dir() {
        make(private).at(Exit::CreateDirectoryFailed, "Cannot make", private)?;
    }
    // Left by a create that was killed in its postcreate actions.
    mounting::unmount_only(container, report)?;
    if area.exists() {
        let shown = node.shown(&area);
        report.error(&format!("Warning: Temp dir {} already exists, deleting", shown.display()));
        discard(&area, report)?;
    }
    temporary::make(&area)?;
    Ok(area)
}

/// POST_CREATE of the distribution: on the node, with the new files mounted at VE_ROOT. Before they
/// become the private area: killed in it, the create has made nothing that counts.
fn run_post_create(container: &mut Container<'_>, report: &mut dyn Report) -> Result<()> {
    let distribution = Distribution::of(container, report)?;
    let Some(script) = distribution.script(Action::PostCreate) else { return Ok(()) };
    let area = temporary::area(&container.private);
    let private = std::mem::replace(&mut container.private, area);
    let done = mounting::mount_only(container, View::NewArea, true).and_then(|()| {
        report.info("Performing postcreate actions");
        let mut command = Command::new(script);
        let code = hooks::execute(container.node, command.env("VE_ROOT", &container.root), report);
        mounting::unmount_only(container, report)?;
        match code {
            Some(0) => Ok(()),
            Some(code) => Err(Error::ScriptFailed(code as u8)),
            None => Err(Error::Reported(Exit::SystemError)),
        }
    });
    let area = std::mem::replace(&mut container.private, private);
    // It names a place that is not there any more.
    private_area::forget(container.node, container.id).at(
        Exit::QuotaInitFailed,
        "Cannot remove the quota file of",
        &area,
    )?;
    if done.is_err() {
        tell_destroying(container, report);
    }
    done?;
    layout::of(container.layout()).settle(&area)
}

fn tell_destroying(container: &Container<'_>, report: &mut dyn Report) {
    let shown = container.node.shown(&container.private);
    report.info(&format!("Destroying container private area: {}", shown.display()));
}

/// The configuration and scripts of an older container of this number, set aside when it was
/// destroyed.
pub(super) fn remove_destroyed(container: &Container<'_>) -> Result<()> {
    for name in destroy::set_aside_names(container) {
        let path = container.node.conf_dir().join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.at(Exit::CopyConfigFailed, "Cannot remove", &path)?,
        }
    }
    Ok(())
}

pub(super) fn sync_file_system(directory: std::os::fd::BorrowedFd<'_>, area: &Path) -> Result<()> {
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY;
    // A mount that is attached nowhere comes as O_PATH, which cannot be synced.
    vz_sys::beneath::open_beneath(directory, ".".as_ref(), flags, nix::sys::stat::Mode::empty())
        .and_then(nix::unistd::syncfs)
        .at(Exit::UnpackFailed, "Cannot sync", area)
}

pub(super) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).at(
        Exit::UnpackFailed,
        "Cannot sync",
        path,
    )
}

/// Writes the configuration: the sample's text, and on it what the command line says and what the
/// container now is.
fn save_configuration(
    container: &mut Container<'_>,
    change: &Change,
    template: &Template,
) -> Result<()> {
    let mut change = change.clone();
    let values = &mut change.values;
    values.ve_root = container.config.ve_root.clone();
    values.ve_private = container.config.ve_private.clone();
    values.ve_layout = Some(container.layout());
    values.ostemplate = Some(template.name.clone());
    values.overlay_template = container.own.overlay_template.clone();
    values.origin_sample = container.own.origin_sample.clone();
    values.local_uid = container.own.local_uid;
    values.local_gid = container.own.local_gid;
    container.store(&change)
}

pub(super) fn clean_up(
    container: &Container<'_>,
    existed: bool,
    change: &Change,
    error: &Error,
    report: &mut dyn Report,
) {
    // Refused before anything of this container was touched: what is there is another's.
    if matches!(error, Error::PrivateAreaExists(_) | Error::PrivateNotSet) {
        return;
    }
    let mut tell = |what: &str, error: String| report.error(&format!("{what}: {error}"));
    if !container.private.as_os_str().is_empty() {
        let area = temporary::area(&container.private);
        if area.exists()
            && let Err(error) = discard(&area, &mut crate::report::Silent)
        {
            tell("Warning", error.to_string());
        }
        // Only an empty one: made as a lock, or by somebody else as a place.
        let _ = std::fs::remove_dir(&container.private);
    }
    if !existed && !container.root.as_os_str().is_empty() {
        let _ = std::fs::remove_dir(&container.root);
    }
    if let Some(name) = &change.values.name
        && !existed
        && let Err(error) = names::remove(container.node, container.id, name)
    {
        tell("Warning", error.to_string());
    }
    if !existed
        && let Err(error) = std::fs::remove_file(container.node.conf_path(container.id))
        && error.kind() != io::ErrorKind::NotFound
    {
        tell("Warning: cannot remove the configuration", OsText(error).to_string());
    }
}
