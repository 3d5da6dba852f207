//! The recorded cases, as `cases/*.json` has them.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::{Error, Result};

/// Files by their recorded path; `None` stands for one that is absent.
pub type Files = BTreeMap<String, Option<Content>>;

/// Groups whose cases are in the order of their recording: what one leaves, the next one finds.
const IN_ORDER: [&str; 5] = ["life", "lock", "scripts", "dist-env", "vzquota"];
/// Groups that need no root: the tools work below `VZ_SYSROOT`.
const ROOTLESS: [&str; 8] =
    ["conf", "global", "set", "tools-A", "vzcfgvalidate", "vzlist", "vzpid", "vzsplit"];

/// Tools of other groups that need neither.
const ROOTLESS_TOOLS: [&str; 2] = ["vzcptcheck", "vznnc"];

/// Cases of those groups that do make or start a container.
const WITH_CONTAINER: [&str; 2] = ["global/verbose-from-conf", "set/363-userpasswd-nosave"];

/// A group of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub group: String,
    /// Files that are there before each of its cases.
    pub fixture: Files,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// A command, what came back and what it changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `GROUP/NAME`.
    #[serde(rename = "case")]
    pub name: String,
    /// The command.
    pub argv: Vec<String>,
    /// What it read.
    #[serde(default)]
    pub stdin: String,
    /// Its exit code; below 0 the signal that ended it.
    pub rc: i32,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote there.
    pub stderr: String,
    /// Files before it, over those of the group.
    #[serde(default)]
    pub before: Files,
    /// Files that it changed.
    #[serde(default)]
    pub after: BTreeMap<String, Content>,
    /// `A`, `M` or `D`, a path and a mode for each file that it changed, where that was recorded.
    pub changed: Option<Vec<String>>,
    /// What it is about.
    #[serde(default)]
    pub note: String,
}

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(String),
    /// Bytes.
    Binary {
        /// Two digits a byte.
        hex: String,
    },
}

impl Content {
    /// The bytes; what are no hexadecimal digits is left out.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Content::Text(text) => text.clone().into_bytes(),
            Content::Binary { hex } => hex
                .as_bytes()
                .chunks(2)
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect(),
        }
    }
}

impl Case {
    /// The name of its group.
    pub fn group(&self) -> &str {
        self.name.split_once('/').map_or("", |(group, _)| group)
    }

    /// Puts other texts into its files.
    pub fn rewrite(&mut self, texts: &[(String, String)]) {
        let before = self.before.values_mut().flatten();
        for content in before.chain(self.after.values_mut()) {
            let Content::Text(content) = content else { continue };
            for (old, new) in texts {
                *content = content.replace(old, new);
            }
        }
    }

    /// It needs no root and no container.
    pub fn is_rootless(&self) -> bool {
        let tool = self.argv.first().map_or("", String::as_str);
        let is_of_them = ROOTLESS.contains(&self.group()) || ROOTLESS_TOOLS.contains(&tool);
        is_of_them && !WITH_CONTAINER.contains(&self.name.as_str())
    }
}

impl Group {
    /// Its cases are in the order of their recording and share one node.
    pub fn is_in_order(&self) -> bool {
        IN_ORDER.contains(&self.group.as_str())
    }

    /// Its cases need a kernel that counts for any directory: imitation files are one.
    pub fn needs_imitation(&self) -> bool {
        self.group == "vzquota"
    }

    /// The files before a case.
    pub fn files(&self, case: &Case) -> Files {
        let mut files = self.fixture.clone();
        files.extend(case.before.clone());
        files
    }
}

/// Reads the groups in a directory, sorted by name.
///
/// # Errors
/// A file cannot be read, or is not as described.
pub fn load(directory: &Path) -> Result<Vec<Group>> {
    let entries = fs::read_dir(directory).map_err(Error::file("read", directory))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| group(path)).collect()
}

fn group(path: &Path) -> Result<Group> {
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Text { path: path.into(), reason: error.to_string() })
}
