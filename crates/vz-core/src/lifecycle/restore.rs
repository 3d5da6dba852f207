//! `vzrestore`: a container out of an archive: of vzdump, with its configuration inside, or of a plain
//! private area.
//!
//! The order is that of create: the files come into `VE_PRIVATE.tmp`, the configuration is written,
//! and the private area gets its name by one rename.
//!
//! What the archive says is not trusted. A container could have planted a configuration or scripts in
//! the tree that somebody packed by hand: keys that reach into the node, and scripts, which run as
//! root of the node, are taken only when the caller vouches for the archive.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vz_conf::change::Change;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::layout::Layout;
use vz_conf::new_file::NewFile;
use vz_conf::param::by_key;
use vz_sys::beneath;

use super::create::{
    apply_sample, check_places, clean_up, make_places, remove_destroyed, sync_directory,
    sync_file_system,
};
use super::dump::SCRIPTS;
use super::{destroy, temporary};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::remove_tree::remove_tree;
use crate::report::Report;
use crate::unpack::survey::{self, CONFIG, DUMP, Survey};
use crate::unpack::{self, Progress, UnpackError};
use crate::{ids, layout, names};

/// Keys that are made anew: places and ranges of the node it came from.
const PLACES: [&str; 6] =
    ["VE_PRIVATE", "VE_ROOT", "LOCAL_UID", "LOCAL_GID", "OVERLAY_TEMPLATE", "VEID"];
/// Keys that give a container something of the node's.
const OF_THE_NODE: [&str; 6] = ["DEVICES", "DEVNODES", "PCI", "NETDEV", "FEATURES", "CAPABILITY"];

/// What to restore, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The archive, open for reading.
    pub archive: &'a File,
    /// Its name, for messages.
    pub shown: &'a Path,
    /// The layout; without it that of the configuration.
    pub layout: Option<Layout>,
    /// Scripts, and keys that reach into the node, are taken too.
    pub trusted: bool,
    /// A container that there is is destroyed first.
    pub force: bool,
}

/// Restores the container. The lock is held by the caller.
///
/// # Errors
/// One of create's refusals, or the step that failed; nothing is left behind.
pub fn restore(
    container: &mut Container<'_>,
    request: &Request<'_>,
    report: &mut dyn Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    if container.configured && request.force {
        replace(container, request, report)?;
    } else if container.configured {
        let conf = container.node.shown(&container.node.conf_path(container.id));
        let text = format!("Container config file {} already exists", conf.display());
        return Err(Error::Refused(Exit::CopyConfigFailed, text));
    }
    let change = Change::new();
    let Err(error) = run(container, request, report, progress) else { return Ok(()) };
    if request.trusted && container.node.conf_path(container.id).exists() {
        remove_scripts(container);
    }
    clean_up(container, false, &change, &error, report);
    Err(error)
}

/// Destroys the container, once the archive is known to be whole.
fn replace(
    container: &mut Container<'_>,
    request: &Request<'_>,
    report: &mut dyn Report,
) -> Result<()> {
    destroy::require_stopped(container, report)?;
    survey::survey(open(request)?).map_err(|error| failed(request, &error))?;
    unpack::check(open(request)?).map_err(|error| failed(request, &error))?;
    destroy::destroy(container, report)?;
    *container = Container::load(container.node, container.id)?;
    Ok(())
}

fn run(
    container: &mut Container<'_>,
    request: &Request<'_>,
    report: &mut dyn Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let survey = survey::survey(open(request)?).map_err(|error| failed(request, &error))?;
    configure(container, request, &survey, report)?;
    check_places(container)?;
    fill(container, request, &survey, report, progress)?;
    remove_destroyed(container)?;
    save(container)?;
    if request.trusted {
        write_scripts(container, &survey)?;
    }
    let private = &container.private;
    let renamed = temporary::finish(&temporary::area(private), private);
    renamed.at(Exit::UnpackFailed, "Cannot rename the new private area to", private)?;
    sync_directory(private.parent().unwrap_or(private))?;
    assign_name(container, report);
    Ok(())
}

/// From its beginning.
fn open(request: &Request<'_>) -> Result<File> {
    let cannot = "Cannot read";
    let mut archive = request.archive.try_clone().at(Exit::UnpackFailed, cannot, request.shown)?;
    archive.seek(SeekFrom::Start(0)).at(Exit::UnpackFailed, cannot, request.shown)?;
    Ok(archive)
}

fn failed(request: &Request<'_>, error: &UnpackError) -> Error {
    let exit = match error {
        UnpackError::Cancelled => return Error::Cancelled,
        UnpackError::NoSpace { .. } => Exit::NoDiskSpace,
        _ => Exit::UnpackFailed,
    };
    Error::Refused(exit, format!("Unpack {} failed: {error}", request.shown.display()))
}

/// Takes the configuration of the archive, else the sample's, and makes what is the node's own anew.
fn configure(
    container: &mut Container<'_>,
    request: &Request<'_>,
    survey: &Survey,
    report: &mut dyn Report,
) -> Result<()> {
    match survey.files.get(CONFIG) {
        Some(text) => {
            container.adopt(taken(text, request.trusted, report));
            if !request.trusted {
                tell_scripts(survey, report);
            }
        }
        None => {
            report.info("There is no configuration in the archive, taking the default sample");
            apply_sample(container, None, report)?;
        }
    }
    let own = container.own.ve_layout.filter(|layout| *layout != Layout::Overlay);
    // The archive has all files, and no template to share them with.
    let global = container.node.config.ve_layout.filter(|layout| *layout != Layout::Overlay);
    let layout = request.layout.or(own).or(global).unwrap_or(Layout::Simfs);
    if layout == Layout::Overlay {
        let text =
            "An archive cannot be restored to layout overlay: restore it, then vzctl convert";
        return Err(Error::Refused(Exit::InvalidValue, text.into()));
    }
    container.own.ve_layout = Some(layout);
    if let Some(base) = ids::range_to_record(container)? {
        let base = Some(u64::from(base));
        (container.own.local_uid, container.own.local_gid) = (base, base);
    }
    container.refresh();
    Ok(())
}

/// What of the archive's configuration counts here.
fn taken(text: &[u8], trusted: bool, report: &mut dyn Report) -> ConfFile {
    let mut file = ConfFile::parse(text);
    if !trusted {
        file = only_values(&file);
    }
    for key in PLACES {
        file.remove(key);
    }
    let of_the_node = OF_THE_NODE.into_iter().filter(|_| !trusted);
    for key in of_the_node {
        if file.remove(key) > 0 {
            report.error(&format!("Warning: {key} of the archive is not taken over"));
        }
    }
    file
}

/// Known keys with their values, written anew: mount scripts source the file, as root of the node, and
/// what else stands there, or how, could be a command.
fn only_values(file: &ConfFile) -> ConfFile {
    let mut values = ConfFile::parse(b"");
    for entry in file.entries().flatten().filter(|entry| by_key(&entry.key).is_some()) {
        // What cannot stand in a line is no value either.
        let _ = values.set(&entry.key, &entry.text());
    }
    values
}

fn tell_scripts(survey: &Survey, report: &mut dyn Report) {
    for kind in SCRIPTS {
        if survey.files.contains_key(&format!("vps.{kind}")) {
            report.error(&format!("Warning: script {kind} of the archive is not taken over"));
        }
    }
}

fn fill(
    container: &Container<'_>,
    request: &Request<'_>,
    survey: &Survey,
    report: &mut dyn Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let area = make_places(container, report)?;
    let place = layout::of(container.layout()).make(container, &area)?;
    if matches!(container.layout(), Layout::Ploop(_)) {
        // Of a new file system's own making: the container has one when it had one.
        let _ = beneath::remove_directory(place.as_fd(), OsStr::new("lost+found"));
    }
    unpack::unpack_backup(open(request)?, &survey.top, place.as_fd(), progress)
        .map_err(|error| failed(request, &error))?;
    remove_dump(place.as_fd()).at(Exit::UnpackFailed, "Cannot clean", &area)?;
    sync_file_system(place.as_fd(), &area)?;
    drop(place);
    layout::of(container.layout()).settle(&area)
}

/// The configuration is no file of the container's.
fn remove_dump(place: BorrowedFd<'_>) -> io::Result<()> {
    let (above, name) = DUMP.rsplit_once('/').unwrap_or_default();
    let Ok(above) = beneath::open_directory(place, OsStr::new(above)) else { return Ok(()) };
    match beneath::status_at(above.as_fd(), OsStr::new(name)) {
        Err(nix::errno::Errno::ENOENT) => Ok(()),
        _ => remove_tree(above.as_fd(), name.as_ref()).map_err(io::Error::other),
    }
}

/// After the configuration: without that, a destroy could not find them.
fn write_scripts(container: &Container<'_>, survey: &Survey) -> Result<()> {
    for kind in SCRIPTS {
        let Some(text) = survey.files.get(&format!("vps.{kind}")) else { continue };
        let path = container.node.conf_dir().join(format!("{}.{kind}", container.id));
        write_script(&path, text).at(Exit::CopyConfigFailed, "Cannot write", &path)?;
    }
    sync_directory(&container.node.conf_dir())
}

/// On disk before it has its name: half a script would be run all the same.
fn write_script(path: &Path, text: &[u8]) -> io::Result<()> {
    let script = NewFile::beside(path.parent().unwrap_or(Path::new("/")))?;
    script.file().write_all(text)?;
    script.file().set_permissions(Permissions::from_mode(0o755))?;
    script.file().sync_all()?;
    script.replace(path)
}

fn remove_scripts(container: &Container<'_>) {
    for kind in SCRIPTS {
        let path = container.node.conf_dir().join(format!("{}.{kind}", container.id));
        let _ = std::fs::remove_file(path);
    }
}

/// Writes the configuration with the new places.
fn save(container: &mut Container<'_>) -> Result<()> {
    let mut change = Change::new();
    let values = &mut change.values;
    values.ve_root = container.config.ve_root.clone();
    values.ve_private = container.config.ve_private.clone();
    values.ve_layout = Some(container.layout());
    values.origin_sample = container.own.origin_sample.clone();
    values.local_uid = container.own.local_uid;
    values.local_gid = container.own.local_gid;
    container.store(&change)
}

/// The name may be that of the container which the archive was made of: then this one has none.
fn assign_name(container: &mut Container<'_>, report: &mut dyn Report) {
    let Some(name) = container.own.name.clone().filter(|name| !name.is_empty()) else { return };
    if let Err(error) = names::assign(container.node, container.id, &name, None) {
        report.error(&format!("Warning: name {name} is not taken over: {error}"));
        container.file.remove("NAME");
        let _ = container.file.save(&container.node.conf_path(container.id));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;

    #[test]
    fn no_command_of_an_archive_is_taken() {
        let text = b"# comment\nHOSTNAME=\"$(touch /x)\"\nexport DISKSPACE=\"1:2\"; touch /x\n\
                     touch /x\nFOREIGN=\"`touch /x`\"\nDESCRIPTION=\"a b\"\n";
        let text = only_values(&ConfFile::parse(text)).to_bytes();
        let text = String::from_utf8(text).unwrap();
        for line in text.lines() {
            let (key, value) = line.split_once('=').unwrap();
            assert!(by_key(key).is_some(), "{line}");
            assert!(value.starts_with('"') && value.ends_with('"') && value.len() > 1, "{line}");
            let bare = value[1..value.len() - 1].replace("\\$", "").replace("\\`", "");
            assert!(!bare.contains(['$', '`', '"']), "{line}");
        }
        assert!(text.contains("DESCRIPTION=\"a b\"\n"));
    }
}
