//! The tools under test, on the node that `benches/inside` has laid out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::measure;

/// The node and its vzctl.
#[derive(Debug)]
pub struct Node {
    work: PathBuf,
}

impl Node {
    /// The node below `work`.
    pub fn at(work: &Path) -> Node {
        Node { work: work.to_owned() }
    }

    /// A place of the node.
    pub fn path(&self, path: &str) -> PathBuf {
        self.work.join("node").join(path)
    }

    /// A program that is only timed.
    pub fn program(&self, name: &str) -> PathBuf {
        self.work.join("bin").join(name)
    }

    /// A place beside the node.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// The archive of a template.
    pub fn template(&self, name: &str) -> PathBuf {
        self.path(&format!("var/lib/vz/template/cache/{name}.tar.gz"))
    }

    /// A vzctl command, of words parted by blanks.
    pub fn command(&self, words: &str) -> Command {
        let mut command = measure::command(&self.program("vzctl"), words.split_whitespace());
        command.env("VZ_SYSROOT", self.work.join("node"));
        command
    }

    /// Runs a vzctl command and says how long it took.
    ///
    /// # Errors
    /// When it fails.
    pub fn vzctl(&self, words: &str) -> Result<Duration> {
        measure::run(self.command(words))
    }

    /// Creates a container from a template, as a directory.
    ///
    /// # Errors
    /// When that fails.
    pub fn create(&self, id: u32, template: &str) -> Result<Duration> {
        self.create_as(id, template, "simfs")
    }

    /// The same in any layout.
    ///
    /// # Errors
    /// When that fails.
    pub fn create_as(&self, id: u32, template: &str, layout: &str) -> Result<Duration> {
        self.vzctl(&format!("create {id} --ostemplate {template} --layout {layout} --config basic"))
    }

    /// Destroys a container.
    ///
    /// # Errors
    /// When that fails.
    pub fn destroy(&self, id: u32) -> Result<()> {
        self.vzctl(&format!("destroy {id}"))?;
        // What is left of a destroyed container's configuration is not the next one's.
        let _ = fs::remove_file(self.path(&format!("etc/vz/conf/{id}.conf.destroyed")));
        Ok(())
    }

    /// The id of a running container's vzmon.
    ///
    /// # Errors
    /// When it has none.
    pub fn monitor(&self, id: u32) -> Result<String> {
        let path = format!("/sys/fs/cgroup/vz/{id}/mon/cgroup.procs");
        let text = fs::read_to_string(&path).with_context(|| format!("Cannot read {path}"))?;
        Ok(text.lines().next().context("The container has no vzmon")?.to_owned())
    }
}
