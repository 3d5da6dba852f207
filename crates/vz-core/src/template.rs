//! OS templates: finding the archive that a name means.

pub mod store;

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
    let cache = node.template_dir()?.join("cache");
    // A NUL could only cut the name short, an empty one would be the cache itself.
    let asked = Path::new(name);
    let base = asked.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let not_found = || Error::OsTemplateNotFound {
        directory: node.config.template.clone().unwrap_or_default().into(),
        name: name.to_owned(),
    };
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
    let environment = node.helper_environment();
    command.envs(environment.iter().filter_map(|pair| pair.split_once('=')));
    hooks::execute(node, command.arg(name).env("HOME", "/root"), report) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Kept;
    use std::os::unix::fs::OpenOptionsExt;

    /// A node with these files, programs where their text begins with `#!`.
    fn node_with(files: &[(&str, &str)]) -> (tempfile::TempDir, Node) {
        let place = tempfile::tempdir().unwrap();
        for (path, text) in
            [("etc/vz/vz.conf", "TEMPLATE=/t\n"), ("t/cache/x", "")].iter().chain(files)
        {
            let path = place.path().join(path);
            std::fs::DirBuilder::new().recursive(true).create(path.parent().unwrap()).unwrap();
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            let file = File::options().write(true).create_new(true).mode(mode).open(path);
            std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
        }
        let node = Node::load(Some(place.path().to_owned())).unwrap();
        (place, node)
    }

    #[test]
    fn suffixes_are_tried_in_their_order() {
        let (_place, node) = node_with(&[("t/cache/a-1.tar.xz", ""), ("t/cache/a-1.tar.gz", "")]);
        let mut said = Kept::default();
        let found = find(&node, "a-1", &mut said).unwrap();
        assert!(found.path.ends_with("t/cache/a-1.tar.gz") && found.name == "a-1");
        let looked = |name: &str| (1, format!("Looking for /t/cache/{name}"));
        assert_eq!(said.0, [looked("a-1.tar"), looked("a-1.tar.gz")]);
        assert_eq!(find(&node, "b", &mut said).unwrap_err().exit().code(), 91);
        assert_eq!(find(&node, "", &mut said).unwrap_err().exit().code(), 91);
    }

    #[test]
    fn what_is_not_there_is_fetched() {
        let fetch = "#!/bin/sh\n: > \"${0%/usr/sbin/*}/t/cache/$1.tar.xz\"\n[ \"$1\" != bad ]\n";
        let (_place, node) = node_with(&[("usr/sbin/vztmpl-dl", fetch)]);
        let mut said = Kept::default();
        assert_eq!(find(&node, "new-1", &mut said).unwrap().name, "new-1");
        // One that failed may have left half of it.
        assert!(find(&node, "bad", &mut said).is_err());
        // Never an option of the program's.
        assert!(find(&node, "--all", &mut said).is_err());
    }
}
