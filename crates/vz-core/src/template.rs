//! OS templates: finding the archive that a name means.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vz_conf::exit::Exit;

use crate::error::{Context, Error, Result};
use crate::hooks;
use crate::node::Node;
use crate::report::Report;

/// What may follow `NAME.tar`, in the order in which it is looked for; the last two are ours.
const SUFFIXES: [&str; 5] = ["", ".gz", ".bz2", ".xz", ".zst"];

/// What fetches templates that are not in the cache.
const DOWNLOADER: &str = "/usr/sbin/vztmpl-dl";

/// A template found in the cache.
#[derive(Debug)]
pub struct Template {
    /// Its name, as the configuration has it: the last part of what was asked for.
    pub name: String,
    /// Its archive.
    pub path: PathBuf,
    /// The archive, open.
    pub file: File,
}

/// Finds template `name`, which may be a path relative to TEMPLATE/cache as panels give it. One that
/// is not there is fetched, where there is something to fetch it.
///
/// # Errors
/// [`Error::TemplateNotSet`], [`Error::OsTemplateNotFound`], or why it cannot be opened.
pub fn find(node: &Node, name: &str, report: &mut dyn Report) -> Result<Template> {
    let configured = node.config.template.as_deref().filter(|directory| !directory.is_empty());
    let directory = Path::new(configured.ok_or(Error::TemplateNotSet)?);
    let cache = node.path(directory).join("cache");
    // A NUL could only cut the name short, an empty one would be the cache itself.
    let asked = Path::new(name);
    let base = asked.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let not_found =
        || Error::OsTemplateNotFound { directory: directory.to_owned(), name: name.to_owned() };
    if base.is_empty() {
        return Err(not_found());
    }
    let archive = cache.join(asked).with_file_name(format!("{base}.tar"));
    let found = match look_for(node, &archive, report) {
        None if download(node, name, report) => look_for(node, &archive, report),
        other => other,
    };
    let path = found.ok_or_else(not_found)?;
    let file = File::options().read(true).custom_flags(nix::libc::O_CLOEXEC).open(&path).at(
        Exit::OsTemplateNotFound,
        "Cannot open",
        &path,
    )?;
    Ok(Template { name: base.to_owned(), path, file })
}

fn look_for(node: &Node, archive: &Path, report: &mut dyn Report) -> Option<PathBuf> {
    SUFFIXES.into_iter().find_map(|suffix| {
        let mut path = archive.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        report.log(1, &format!("Looking for {}", node.shown(&path).display()));
        path.is_file().then_some(path)
    })
}

/// Has `vztmpl-dl`, where it is installed, bring the template into the cache. It says itself what
/// it could not; says whether it did.
fn download(node: &Node, name: &str, report: &mut dyn Report) -> bool {
    let program = node.path(DOWNLOADER);
    // It would take such a name for an option.
    if name.starts_with('-') || !program.is_file() {
        return false;
    }
    // HOME is where it looks for the keys that templates are signed with.
    let mut command = Command::new(program);
    hooks::execute(node, command.arg(name).env("HOME", "/root"), report) == Some(0)
}
