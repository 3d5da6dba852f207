//! The hardware node: where everything lies, and what vz.conf says.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use vz_conf::config::Config;
use vz_conf::context::Context;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::netif::Mac;
use vz_conf::param::Scope;
use vz_conf::warning::Warning;
use vz_sys::cgroup;

use crate::error::{Error, Result};
use crate::report::Report;

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
    /// The node can limit RAM and swap: true of every kernel with cgroup v2.
    pub has_vswap: bool,
    hierarchy: OnceLock<Option<PathBuf>>,
    cpus: OnceLock<u32>,
    mac: OnceLock<Mac>,
}

impl Node {
    /// Reads vz.conf of the node whose paths lie below `prefix`.
    ///
    /// # Errors
    /// [`Error::NoGlobalConfig`] when it cannot be read.
    pub fn load(prefix: Option<PathBuf>) -> Result<Node> {
        let mut node = Node::without_config(prefix);
        node.read_config()?;
        Ok(node)
    }

    /// The same for a tool that can do without: that vz.conf cannot be read is only said.
    pub fn load_or_without(prefix: Option<PathBuf>, report: &mut dyn Report) -> Node {
        let mut node = Node::without_config(prefix);
        if let Err(error) = node.read_config() {
            report.error(&error.to_string());
        }
        node
    }

    /// The node without a word of vz.conf: names and configurations of containers can be found.
    pub fn without_config(prefix: Option<PathBuf>) -> Node {
        Node {
            prefix,
            config: Config::default(),
            warnings: Vec::new(),
            has_vswap: true,
            hierarchy: OnceLock::new(),
            cpus: OnceLock::new(),
            mac: OnceLock::new(),
        }
    }

    /// Reads vz.conf.
    ///
    /// # Errors
    /// [`Error::NoGlobalConfig`] when it cannot be read; then nothing is set.
    pub fn read_config(&mut self) -> Result<()> {
        let node = self;
        let path = node.global_config_path();
        let bytes = std::fs::read(&path).map_err(|error| Error::NoGlobalConfig {
            path: node.shown(&path),
            source: error.into(),
        })?;
        let file = ConfFile::parse(&bytes);
        let context = node.text_context(Ctid::NODE);
        (node.config, node.warnings) =
            Config::read(&file, &node.shown(&path), Scope::Node, &context);
        Ok(())
    }

    /// The place of an absolute path of the node.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match &self.prefix {
            None => path.to_owned(),
            Some(prefix) => prefix.join(below_root(path)),
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
        Context {
            cpus: *self.cpus.get_or_init(online_cpus),
            vswap: self.has_vswap,
            ..Context::new(id)
        }
    }

    /// The same for text that may have network interfaces to generate addresses for: that takes a
    /// look at all links of the node.
    pub fn interface_context(&self, id: Ctid) -> Context {
        let node_mac = *self.mac.get_or_init(|| first_mac(&self.path("/sys/class/net")));
        Context { node_mac, ..self.text_context(id) }
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

    /// Where templates are: their archives in `cache`, and unpacked ones beside it.
    ///
    /// # Errors
    /// [`Error::TemplateNotSet`].
    pub fn template_dir(&self) -> Result<PathBuf> {
        let configured = self.config.template.as_deref().filter(|directory| !directory.is_empty());
        Ok(self.path(configured.ok_or(Error::TemplateNotSet)?))
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

/// A path as one relative to the root.
fn below_root(path: &Path) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    match path.as_os_str().as_bytes() {
        // Nearly every path is of this kind, and to take it apart costs more.
        [b'/', first, ..] if !matches!(first, b'/' | b'.') => {
            Path::new(std::ffi::OsStr::from_bytes(&path.as_os_str().as_bytes()[1..]))
        }
        _ => path.strip_prefix("/").unwrap_or(path),
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

/// The address of the node's first Ethernet link, in the order of `ip link`: addresses that are
/// generated for containers come from it, so that two nodes do not make the same ones. All zeros
/// without one.
fn first_mac(links: &Path) -> Mac {
    let read = |link: &Path, name: &str| std::fs::read_to_string(link.join(name)).ok();
    let number =
        |link: &Path, name: &str| read(link, name).and_then(|text| text.trim().parse::<u32>().ok());
    // ARPHRD_ETHER of linux/if_arp.h.
    let is_ethernet = |link: &Path| number(link, "type") == Some(1);
    let entries = std::fs::read_dir(links).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|link| is_ethernet(link))
        .filter_map(|link| Some((number(&link, "ifindex")?, read(&link, "address")?)))
        .min()
        .and_then(|(_, address)| address.trim().parse().ok())
        .unwrap_or_default()
}
