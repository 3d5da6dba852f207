//! Where the project and the things built from it are.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Directories of the project.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    /// Looks for the project in a directory and those above it. `target` is cargo's target
    /// directory where that is not `target/`.
    ///
    /// # Errors
    /// None of them has `tests/scenarios`.
    pub fn find(start: &Path, target: Option<PathBuf>) -> Result<Self> {
        let root = start.ancestors().find(|path| path.join("tests/scenarios").is_dir());
        let root = root.ok_or_else(|| Error::NoProject(start.into()))?.to_path_buf();
        let target = root.join(target.unwrap_or_else(|| "target".into()));
        Ok(Self { root, target })
    }

    /// The top directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The scenarios.
    pub fn scenarios(&self) -> PathBuf {
        self.root.join("tests/scenarios")
    }

    /// OS template tarballs built by the project.
    pub fn templates(&self) -> PathBuf {
        self.target.join("templates")
    }

    /// Release binaries.
    pub fn binaries(&self) -> PathBuf {
        self.target.join("x86_64-unknown-linux-gnu/release")
    }

    /// The agent, a static binary.
    pub fn agent(&self) -> PathBuf {
        self.binaries().join("vz-node-agent")
    }

    /// The node's state: caches and running nodes.
    pub fn state(&self) -> PathBuf {
        self.target.join("node")
    }
}
