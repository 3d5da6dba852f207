//! What a case finds on the node besides recorded files: `states.toml`.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::{
    Error, Result,
    case::{Content, Files},
};

/// Every state that the file has.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct States {
    #[serde(default)]
    state: Vec<State>,
}

/// What some cases find.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Their names; `*` at the end stands for any end.
    cases: Vec<String>,
    /// Those of them that find something else.
    #[serde(default)]
    except: Vec<String>,
    /// Texts in recorded files and what stands there instead, before and after.
    #[serde(default)]
    rewrite: Vec<(String, String)>,
    /// Files, under recorded paths.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Files of the node that are not there.
    #[serde(default)]
    absent: Vec<String>,
    /// Root areas that something is mounted on, by CTID.
    #[serde(default)]
    mounted: Vec<String>,
    /// Directories of the node.
    #[serde(default)]
    directories: Vec<String>,
    /// Directories that are disks of their own: the directory, and options of a tmpfs.
    #[serde(default)]
    disks: Vec<(String, String)>,
    /// Shell lines that bring it about on a node of its own; they are not compared.
    #[serde(default)]
    prepare: String,
}

/// What one case finds: all states that name it, one after the other.
#[derive(Debug, Default)]
pub struct Found {
    /// Files, under recorded paths.
    pub files: Files,
    /// Root areas that something is mounted on.
    pub mounted: Vec<String>,
    /// Directories of the node.
    pub directories: Vec<String>,
    /// Directories that are disks of their own: the directory, and options of a tmpfs.
    pub disks: Vec<(String, String)>,
    /// Texts in recorded files, and what stands there instead.
    pub rewrite: Vec<(String, String)>,
    /// Shell lines.
    pub prepare: String,
}

impl States {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is not as described.
    pub fn load(path: &Path) -> Result<States> {
        let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
        toml::from_str(&text)
            .map_err(|error| Error::Text { path: path.into(), reason: error.to_string() })
    }

    /// What a case finds.
    pub fn of(&self, case: &str) -> Found {
        let mut found = Found::default();
        let names = |list: &[String]| list.iter().any(|pattern| matches(pattern, case));
        let is_for = |state: &&State| names(&state.cases) && !names(&state.except);
        for state in self.state.iter().filter(is_for) {
            let files = state.files.iter();
            found.files.extend(
                files.map(|(path, text)| (path.clone(), Some(Content::Text(text.clone())))),
            );
            found.files.extend(state.absent.iter().map(|path| (path.clone(), None)));
            found.mounted.extend(state.mounted.iter().cloned());
            found.directories.extend(state.directories.iter().cloned());
            found.disks.extend(state.disks.iter().cloned());
            found.rewrite.extend(state.rewrite.iter().cloned());
            found.prepare.push_str(&state.prepare);
            found.prepare.push('\n');
        }
        found
    }
}

/// A name, or its beginning and `*`.
fn matches(pattern: &str, case: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => case.starts_with(beginning),
        None => case == pattern,
    }
}
