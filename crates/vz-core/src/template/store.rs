//! The template store: archives unpacked once, for all containers of layout overlay together.
//!
//! A tree lies at `TEMPLATE/NAME/VERSION`, the version being what the archive was when it was
//! unpacked: another archive under the same name is another version, and a container keeps the one
//! that its configuration names. Trees of no archive in the cache and no container go when another
//! is unpacked, and with their last container.
//!
//! `TEMPLATE/NAME/.lock` is held (flock(2)) by whoever makes or removes a tree, and shared by a
//! create that has chosen one and not yet written that down. A tree gets its name when it is whole
//! and on disk; what a killed unpacking has left goes with the next.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_sys::beneath;

use super::{Template, look_for};
use crate::cancel;
use crate::error::{Context, Error, Result};
use crate::lifecycle::destroy::discard;
use crate::node::Node;
use crate::report::{Report, Silent};
use crate::unpack::{self, UnpackError};

/// The lock of a template's trees.
const LOCK: &str = ".lock";
/// A tree that is being made.
const UNFINISHED: &str = ".unpacking";
/// One that is being removed: half of it must not look like a whole one.
const REMOVED: &str = ".removing";
/// The archives' own directory, beside the trees: no template of overlay can have this name.
const CACHE: &str = "cache";
/// How often a lock that another has is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// A tree of the store, `NAME/VERSION` as a configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    name: String,
    version: String,
}

impl Version {
    /// The tree that an archive becomes: told by its size, time and inode, so that an archive that
    /// was replaced or written to is another. Reading all of it to know it better would take as
    /// long as unpacking it.
    ///
    /// # Errors
    /// For a name that is no template's; those of `fstat(2)`.
    pub fn of(template: &Template) -> Result<Version> {
        let status = template.file.metadata().at(
            Exit::OsTemplateNotFound,
            "Cannot look at",
            &template.path,
        )?;
        let version = format!(
            "{}.{:09}-{}-{}",
            status.mtime(),
            status.mtime_nsec(),
            status.size(),
            status.ino()
        );
        Version::new(&template.name, &version).ok_or_else(|| {
            let text = format!("Template {} has no name for layout overlay", template.name);
            Error::Refused(Exit::OsTemplateNotFound, text)
        })
    }

    /// Reads what a configuration says; `None` for what is no name of a tree.
    pub fn parse(text: &str) -> Option<Version> {
        let (name, version) = text.split_once('/')?;
        Version::new(name, version)
    }

    fn new(name: &str, version: &str) -> Option<Version> {
        // A name of the store's own begins with a dot, and so do the ways out of it.
        let is_plain = |text: &str| {
            !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\0', '\n'])
        };
        let fits = is_plain(name) && is_plain(version) && name != CACHE;
        fits.then(|| Version { name: name.to_owned(), version: version.to_owned() })
    }

    /// Says whether a name is one that [`Version::of`] makes: old nodes keep other things beside the
    /// templates, which are nobody's to remove.
    fn is_ours(name: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let mut parts = name.splitn(3, '-');
        let (Some(time), Some(size), Some(inode)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let time = time.split_once('.');
        let is_time = time.is_some_and(|(seconds, rest)| {
            is_number(seconds) && is_number(rest) && rest.len() == 9
        });
        is_time && is_number(size) && is_number(inode)
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the tree lies.
    ///
    /// # Errors
    /// [`Error::TemplateNotSet`].
    pub fn path(&self, node: &Node) -> Result<PathBuf> {
        Ok(place(node, &self.name)?.join(&self.version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.name, self.version)
    }
}

fn place(node: &Node, name: &str) -> Result<PathBuf> {
    Ok(node.template_dir()?.join(name))
}

/// A tree that stays while this lives.
#[derive(Debug)]
pub struct Held {
    /// Which.
    pub version: Version,
    _lock: Flock<File>,
}

/// The tree of `template`, unpacked if it is not there yet.
///
/// # Errors
/// The step that failed; nothing of an unfinished tree stays. [`Error::Cancelled`].
pub fn hold(
    node: &Node,
    template: &Template,
    report: &mut dyn Report,
    progress: &mut dyn FnMut(unpack::Progress),
) -> Result<Held> {
    let version = Version::of(template)?;
    let path = version.path(node)?;
    let directory = place(node, &version.name)?;
    loop {
        let lock = lock(&directory, FlockArg::LockSharedNonblock)?;
        if path.is_dir() {
            return Ok(Held { version, _lock: lock });
        }
        drop(lock);
        let _lock = self::lock(&directory, FlockArg::LockExclusiveNonblock)?;
        if !path.is_dir() {
            report.log(1, &format!("Unpacking template {version}"));
            make(node, template, &version, progress)?;
            if let Err(error) = remove_unused(node, &directory, &version.name, Some(&version)) {
                let name = &version.name;
                report
                    .error(&format!("Warning: failed to remove what is unused of {name}: {error}"));
            }
        }
    }
}

/// Says whether there may be trees of template `name`.
pub fn has(node: &Node, name: &str) -> bool {
    // Any version will do: it is the name that is asked for.
    Version::new(name, "1").is_some()
        && place(node, name).is_ok_and(|place| place.join(LOCK).exists())
}

/// Removes the trees of template `name` that nobody needs. With a create under way it leaves them
/// to the next.
///
/// # Errors
/// The step that failed.
pub fn clean(node: &Node, name: &str) -> Result<()> {
    let directory = place(node, name)?;
    // Without it the directory is somebody else's.
    if !directory.join(LOCK).exists() {
        return Ok(());
    }
    let Some(_lock) = try_lock(&directory, FlockArg::LockExclusiveNonblock)? else {
        return Ok(());
    };
    remove_unused(node, &directory, name, in_cache(node, name)?.as_ref())?;
    let is_lock = |entry: &str| entry == LOCK;
    if names(&directory)?.iter().all(|entry| is_lock(entry)) {
        // The lock goes with the last tree: who waits for it finds that out.
        let _ = std::fs::remove_file(directory.join(LOCK));
        let _ = std::fs::remove_dir(&directory);
    }
    Ok(())
}

/// What the archive in the cache would become.
fn in_cache(node: &Node, name: &str) -> Result<Option<Version>> {
    let archive = node.template_dir()?.join(CACHE).join(format!("{name}.tar"));
    let Some(path) = look_for(node, &archive, &mut Silent) else { return Ok(None) };
    let file = File::open(&path).at(Exit::OsTemplateNotFound, "Cannot open", &path)?;
    Version::of(&Template { name: name.to_owned(), path, file }).map(Some)
}

fn make(
    node: &Node,
    template: &Template,
    version: &Version,
    progress: &mut dyn FnMut(unpack::Progress),
) -> Result<()> {
    let directory = place(node, &version.name)?;
    let unfinished = directory.join(UNFINISHED);
    discard(&unfinished, &mut Silent)?;
    let made = fill(node, template, version, &unfinished, progress).and_then(|()| {
        let path = version.path(node)?;
        std::fs::rename(&unfinished, &path).at(Exit::UnpackFailed, "Cannot make", &path)?;
        File::open(&directory).and_then(|directory| directory.sync_all()).at(
            Exit::UnpackFailed,
            "Cannot sync",
            &directory,
        )
    });
    if made.is_err() {
        // What made it fail is told; what is left here now goes with the next.
        let _ = discard(&unfinished, &mut Silent);
    }
    made
}

fn fill(
    node: &Node,
    template: &Template,
    version: &Version,
    tree: &Path,
    progress: &mut dyn FnMut(unpack::Progress),
) -> Result<()> {
    std::fs::DirBuilder::new().mode(0o755).create(tree).at(
        Exit::CreateDirectoryFailed,
        "Cannot make",
        tree,
    )?;
    let directory = File::open(tree).at(Exit::UnpackFailed, "Cannot open", tree)?;
    let archive =
        template.file.try_clone().at(Exit::UnpackFailed, "Cannot read", &template.path)?;
    unpack::unpack(archive, directory.as_fd(), progress)
        .map_err(|error| unpack_failed(node, template, &error))?;
    if Version::of(template)? != *version {
        let path = node.shown(&template.path);
        let text = format!("{} was changed while it was unpacked: try again", path.display());
        return Err(Error::Refused(Exit::UnpackFailed, text));
    }
    nix::unistd::syncfs(&directory).at(Exit::UnpackFailed, "Cannot sync", tree)
}

/// What create says of an archive that could not be unpacked.
pub fn unpack_failed(node: &Node, template: &Template, error: &UnpackError) -> Error {
    if matches!(error, UnpackError::Cancelled) {
        return Error::Cancelled;
    }
    let full = matches!(error, UnpackError::NoSpace { .. });
    let exit = if full { Exit::NoDiskSpace } else { Exit::UnpackFailed };
    let path = node.shown(&template.path);
    Error::Refused(exit, format!("Unpack {} failed: {error}", path.display()))
}

/// With the lock: what is unfinished here is nobody's any more.
fn remove_unused(
    node: &Node,
    directory: &Path,
    name: &str,
    current: Option<&Version>,
) -> Result<()> {
    for leftover in [UNFINISHED, REMOVED] {
        discard(&directory.join(leftover), &mut Silent)?;
    }
    let mut there = names(directory)?;
    there.retain(|entry| {
        Version::is_ours(entry) && current.is_none_or(|kept| kept.version != *entry)
    });
    // Looking at all configurations is for when there may be something to remove.
    if there.is_empty() {
        return Ok(());
    }
    let used = in_use(node)?;
    for entry in there {
        let is_used = Version::new(name, &entry).is_some_and(|version| used.contains(&version));
        if !is_used {
            let (tree, removed) = (directory.join(&entry), directory.join(REMOVED));
            std::fs::rename(&tree, &removed).at(Exit::SystemError, "Cannot remove", &tree)?;
            discard(&removed, &mut Silent)?;
        }
    }
    Ok(())
}

/// The trees that containers' configurations name. One that cannot be read may name any.
fn in_use(node: &Node) -> Result<Vec<Version>> {
    let mut used = Vec::new();
    let configurations = node.conf_dir();
    for name in names(&configurations)? {
        let Some(id) = name.strip_suffix(".conf") else { continue };
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let path = configurations.join(&name);
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                let bytes = other.at(Exit::SystemError, "Cannot read", &path)?;
                used.extend(named_in(&ConfFile::parse(&bytes)));
            }
        }
    }
    Ok(used)
}

/// Whatever the layout: one too many that is kept harms nobody.
fn named_in(file: &ConfFile) -> Option<Version> {
    Version::parse(&file.get("OVERLAY_TEMPLATE")?)
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let read = || -> io::Result<Vec<String>> {
        let entries: io::Result<Vec<_>> = std::fs::read_dir(directory)?.collect();
        Ok(entries?.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    };
    read().at(Exit::SystemError, "Cannot read", directory)
}

fn lock(directory: &Path, how: FlockArg) -> Result<Flock<File>> {
    loop {
        make_place(directory)?;
        if let Some(lock) = try_lock(directory, how)? {
            return Ok(lock);
        }
        cancel::check()?;
        std::thread::sleep(PAUSE);
    }
}

/// Only root may look into the store: set-id programs lie in there.
fn make_place(directory: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.at(Exit::CreateDirectoryFailed, "Cannot make", directory)?;
    let opened = File::options()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW)
        .open(directory)
        .at(Exit::SystemError, "Cannot open", directory)?;
    beneath::change_mode(opened.as_fd(), Mode::S_IRWXU).at(
        Exit::SystemError,
        "Cannot change the mode of",
        directory,
    )
}

/// `None` while another has it, and when it has just gone with the last tree.
fn try_lock(directory: &Path, how: FlockArg) -> Result<Option<Flock<File>>> {
    let path = directory.join(LOCK);
    let mut options = File::options();
    options.read(true).write(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at(Exit::SystemError, "Cannot open", &path)?,
    };
    let lock = match Flock::lock(file, how) {
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
        other => other.map_err(|(_, error)| error).at(Exit::SystemError, "Cannot lock", &path)?,
    };
    let inode = lock.metadata().at(Exit::SystemError, "Cannot look at", &path)?.ino();
    let still = std::fs::symlink_metadata(&path).is_ok_and(|status| status.ino() == inode);
    Ok(still.then_some(lock))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
