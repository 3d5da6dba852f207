//! The hardware node: where everything lies, and what vz.conf says.

use std::cell::OnceCell;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use vz_conf::config::Config;
use vz_conf::context::Context;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::param::Scope;
use vz_conf::warning::Warning;
use vz_sys::cgroup;

use crate::error::{Error, Result};

/// Where the helpers are installed, unless a build says otherwise.
const LIBEXEC: &str = match option_env!("VZ_LIBEXECDIR") {
    Some(directory) => directory,
    None => "/usr/libexec/vzctl",
};

/// The node.
#[derive(Debug)]
pub struct Node {
    /// All paths lie below this; empty but in tests.
    prefix: Option<PathBuf>,
    /// vz.conf.
    pub config: Config,
    /// What was odd in vz.conf.
    pub warnings: Vec<Warning>,
    hierarchy: OnceCell<Option<PathBuf>>,
    cpus: OnceCell<u32>,
}

impl Node {
    /// Reads vz.conf of the node whose paths lie below `prefix`.
    ///
    /// # Errors
    /// [`Error::NoGlobalConfig`] when it cannot be read.
    pub fn load(prefix: Option<PathBuf>) -> Result<Node> {
        let mut node = Node {
            prefix,
            config: Config::default(),
            warnings: Vec::new(),
            hierarchy: OnceCell::new(),
            cpus: OnceCell::new(),
        };
        let path = node.global_config_path();
        let bytes = std::fs::read(&path).map_err(|error| Error::NoGlobalConfig {
            path: node.shown(&path),
            source: error.into(),
        })?;
        let file = ConfFile::parse(&bytes);
        let context = node.text_context(Ctid::NODE);
        (node.config, node.warnings) =
            Config::read(&file, &node.shown(&path), Scope::Node, &context);
        Ok(node)
    }

    /// The place of an absolute path of the node.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match &self.prefix {
            None => path.to_owned(),
            Some(prefix) => prefix.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    /// A path as it is told to people: without the prefix.
    pub fn shown(&self, path: &Path) -> PathBuf {
        match &self.prefix {
            None => path.to_owned(),
            Some(prefix) => match path.strip_prefix(prefix) {
                Ok(rest) => Path::new("/").join(rest),
                Err(_) => path.to_owned(),
            },
        }
    }

    /// What gives the text of container `id`'s configuration its meaning.
    pub fn text_context(&self, id: Ctid) -> Context {
        Context { cpus: *self.cpus.get_or_init(online_cpus), ..Context::new(id) }
    }

    /// The first of two places that is there, the first one when neither is.
    fn either(&self, usual: &str, other: &str) -> PathBuf {
        let (usual, other) = (self.path(usual), self.path(other));
        if !usual.exists() && other.exists() { other } else { usual }
    }

    /// vz.conf, or `/etc/sysconfig/vz` where a node has that instead.
    pub fn global_config_path(&self) -> PathBuf {
        self.either("/etc/vz/vz.conf", "/etc/sysconfig/vz")
    }

    /// The directory of the containers' configurations, samples and action scripts.
    pub fn conf_dir(&self) -> PathBuf {
        self.either("/etc/vz/conf", "/etc/sysconfig/vz-scripts")
    }

    /// A container's configuration.
    pub fn conf_path(&self, id: Ctid) -> PathBuf {
        self.conf_dir().join(format!("{id}.conf"))
    }

    /// A configuration sample.
    pub fn sample_path(&self, name: &str) -> PathBuf {
        self.conf_dir().join(format!("ve-{name}.conf-sample"))
    }

    /// The directory of the links from names to configurations.
    pub fn names_dir(&self) -> PathBuf {
        self.path("/etc/vz/names")
    }

    /// What is known of running containers: gone with the kernel.
    pub fn run_dir(&self) -> PathBuf {
        self.path("/run/vz")
    }

    /// The state file of a container.
    pub fn state_path(&self, id: Ctid) -> PathBuf {
        self.run_dir().join(format!("{id}.toml"))
    }

    /// The lock file of a container.
    ///
    /// # Errors
    /// When vz.conf does not set LOCKDIR.
    pub fn lock_path(&self, id: Ctid) -> Result<PathBuf> {
        match self.config.lockdir.as_deref() {
            Some(directory) if !directory.is_empty() => {
                Ok(self.path(directory).join(format!("{id}.lck")))
            }
            _ => Err(Error::Refused(Exit::SystemError, "lockdir is not set".into())),
        }
    }

    /// The dump of a suspended container.
    pub fn dump_path(&self, id: Ctid) -> PathBuf {
        let directory = self.config.dumpdir.as_deref().unwrap_or("/var/lib/vz/dump");
        self.path(directory).join(format!("Dump.{id}"))
    }

    /// A helper program of ours.
    pub fn helper(&self, name: &str) -> PathBuf {
        self.path(LIBEXEC).join(name)
    }

    /// What a helper finds in its environment.
    pub fn helper_environment(&self) -> Vec<String> {
        let mut environment = vec![crate::description::PATH.to_owned()];
        if let Some(prefix) = &self.prefix {
            environment.push(format!("VZ_SYSROOT={}", prefix.display()));
        }
        environment
    }

    /// Makes a directory of the node, and those above it, with this mode; one that is there stays
    /// as it is.
    ///
    /// # Errors
    /// Those of `mkdir(2)`.
    pub fn make_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
    }

    /// Where cgroup v2 is mounted.
    ///
    /// # Errors
    /// When it is mounted nowhere.
    pub fn cgroup_hierarchy(&self) -> Result<PathBuf> {
        self.hierarchy
            .get_or_init(|| cgroup::find_hierarchy().unwrap_or(None))
            .clone()
            .ok_or_else(|| {
                Error::Refused(
                    Exit::BadKernel,
                    "No cgroup v2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
                        .into(),
                )
            })
    }

    /// systemd runs this node, and the cgroup v2 hierarchy is its own to manage.
    ///
    /// # Errors
    /// As [`Node::cgroup_hierarchy`].
    pub fn has_scopes(&self) -> Result<bool> {
        Ok(vz_sys::systemd::is_booted(Path::new("/run"))
            && self.cgroup_hierarchy()? == Path::new("/sys/fs/cgroup"))
    }
}

/// How many processors the node has. Not `available_parallelism`: that is how many vzctl itself may
/// use, and it reads a dozen files to find out.
fn online_cpus() -> u32 {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN) {
        Ok(Some(cpus)) => u32::try_from(cpus).unwrap_or(1).max(1),
        _ => 1,
    }
}
