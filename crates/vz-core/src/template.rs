//! OS templates: finding the archive that a name means.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use vz_conf::exit::Exit;

use crate::error::{Context, Error, Result};
use crate::node::Node;

/// What may follow `NAME.tar`, in the order in which it is looked for; the last two are ours.
const SUFFIXES: [&str; 5] = ["", ".gz", ".bz2", ".xz", ".zst"];

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

/// Finds template `name`, which may be a path relative to TEMPLATE/cache as panels give it.
///
/// # Errors
/// [`Error::TemplateNotSet`], [`Error::OsTemplateNotFound`], or why it cannot be opened.
pub fn find(node: &Node, name: &str) -> Result<Template> {
    let configured = node.config.template.as_deref().filter(|directory| !directory.is_empty());
    let directory = Path::new(configured.ok_or(Error::TemplateNotSet)?);
    let cache = node.path(directory).join("cache");
    // A NUL could only cut the name short, an empty one would be the cache itself.
    let asked = Path::new(name);
    let base = asked.file_name().and_then(OsStr::to_str).unwrap_or_default();
    for suffix in SUFFIXES {
        let path = cache.join(asked).with_file_name(format!("{base}.tar{suffix}"));
        if base.is_empty() || !path.is_file() {
            continue;
        }
        let file = File::options().read(true).custom_flags(nix::libc::O_CLOEXEC).open(&path).at(
            Exit::OsTemplateNotFound,
            "Cannot open",
            &path,
        )?;
        return Ok(Template { name: base.to_owned(), path, file });
    }
    Err(Error::OsTemplateNotFound { directory: directory.to_owned(), name: name.to_owned() })
}
