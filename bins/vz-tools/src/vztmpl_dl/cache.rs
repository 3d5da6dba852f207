//! TEMPLATE/cache, where archives of templates lie.

use std::path::PathBuf;

use vz_core::node::Node;

use super::http::Failure;
use super::names;

/// The directory.
#[derive(Debug)]
pub struct Cache {
    /// Its path.
    pub directory: PathBuf,
}

impl Cache {
    /// The templates that are there, a name for each of its archives, in the order of the archives.
    pub fn templates(&self) -> Vec<String> {
        let files = self.files();
        files.iter().filter_map(|file| names::template_of_file(file)).map(str::to_owned).collect()
    }

    /// An archive of this template.
    pub fn file_of(&self, template: &str) -> Option<PathBuf> {
        self.files_of(template).into_iter().next()
    }

    /// All of them.
    pub fn files_of(&self, template: &str) -> Vec<PathBuf> {
        let mut files = self.files();
        files.retain(|file| names::template_of_file(file) == Some(template));
        files.into_iter().map(|file| self.directory.join(file)).collect()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut files: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        files.sort_unstable();
        files
    }

    /// Makes the directory, where it is not there yet.
    pub fn make(&self, node: &Node) -> Result<(), Failure> {
        let path = node.shown(&self.directory).display().to_string();
        node.make_directory(&self.directory, 0o755).map_err(|source| Failure::Local {
            verb: "make",
            path,
            source,
        })
    }
}
