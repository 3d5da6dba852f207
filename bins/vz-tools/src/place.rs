//! Where the node's files are, and who knows what its containers hold.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vz_core::accounting::{Cgroups, Imitation, Source};
use vz_core::node::Node;

/// The node of this command.
#[derive(Debug)]
pub struct Place {
    /// Its paths, without a word of vz.conf.
    pub node: Node,
    /// Files in the form of `/proc`, when not this kernel's.
    imitation: Option<PathBuf>,
}

impl Place {
    /// What the environment says.
    pub fn of_environment() -> Place {
        let directory = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let mut node = Node::without_config(directory("VZ_SYSROOT").map(PathBuf::from));
        let imitation = directory("VZ_PROC").map(PathBuf::from);
        // Another kernel, which may have had no VSwap.
        node.has_vswap = imitation.as_ref().is_none_or(|proc| proc.join("vz/vswap").exists());
        Place { node, imitation }
    }

    /// Another kernel's files are looked at.
    pub fn is_imitation(&self) -> bool {
        self.imitation.is_some()
    }

    /// `/proc`, or the directory that stands for it.
    pub fn proc(&self) -> &Path {
        self.imitation.as_deref().unwrap_or(Path::new("/proc"))
    }

    /// `/sys/devices/system/cpu`.
    pub fn cpus(&self) -> PathBuf {
        match &self.imitation {
            Some(proc) => proc.join("cpus"),
            None => PathBuf::from("/sys/devices/system/cpu"),
        }
    }

    /// A file that was named on the command line.
    pub fn file(&self, word: &str) -> PathBuf {
        match (word.strip_prefix("/proc/"), &self.imitation) {
            (Some(file), Some(proc)) => proc.join(file),
            _ => self.node.path(word),
        }
    }

    /// Who knows what containers hold.
    pub fn source(&self) -> Box<dyn Source + '_> {
        match &self.imitation {
            Some(directory) => Box::new(Imitation::new(directory.clone())),
            None => Box::new(Cgroups::new(&self.node)),
        }
    }
}
