//! A container: its number, its configuration, where its files lie, how far it is.

use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use vz_conf::change::Change;
use vz_conf::config::Config;
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::layout::Layout;
use vz_conf::param::Scope;
use vz_conf::warning::Warning;
use vz_sys::{mount, pidfd, proc};

use crate::error::{Context, Error, OsText, Result};
use crate::group::Place;
use crate::ids;
use crate::lock::{self, Lock, Outcome};
use crate::node::Node;
use crate::report::Report;
use crate::state::State;

/// A container of a node.
#[derive(Debug)]
pub struct Container<'n> {
    /// The node it is on.
    pub node: &'n Node,
    /// Its number.
    pub id: Ctid,
    /// What its configuration says, on top of vz.conf's.
    pub config: Config,
    /// Its configuration alone.
    pub own: Config,
    /// Its configuration file, for changing.
    pub file: ConfFile,
    /// What was odd in its configuration.
    pub warnings: Vec<Warning>,
    /// It has a configuration file.
    pub configured: bool,
    /// Its private area; empty when VE_PRIVATE is set nowhere.
    pub private: PathBuf,
    /// Its root area; empty when VE_ROOT is set nowhere.
    pub root: PathBuf,
}

impl<'n> Container<'n> {
    /// Reads the configuration of container `id`. One without a configuration file has vz.conf's
    /// values alone.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn load(node: &'n Node, id: Ctid) -> Result<Container<'n>> {
        let path = node.conf_path(id);
        let (file, configured) = match std::fs::read(&path) {
            Ok(bytes) => (ConfFile::parse(&bytes), true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (ConfFile::default(), false),
            Err(error) => {
                return Err(error).at(Exit::NoGlobalConfig, "Unable to open", &node.shown(&path));
            }
        };
        let context = match file.has("NETIF") {
            true => node.interface_context(id),
            false => node.text_context(id),
        };
        let (own, warnings) = Config::read(&file, &node.shown(&path), Scope::Container, &context);
        let mut container = Container {
            node,
            id,
            config: Config::default(),
            own,
            file,
            warnings,
            configured,
            private: PathBuf::new(),
            root: PathBuf::new(),
        };
        container.refresh();
        Ok(container)
    }

    /// Computes what follows from the configuration anew, after a change of [`Container::own`].
    pub fn refresh(&mut self) {
        self.config = self.node.config.merged_with(&self.own);
        let place = |template: &Option<String>| match template.as_deref() {
            None | Some("") => PathBuf::new(),
            Some(template) => self.node.path(vz_conf::config::expand_veid(template, self.id)),
        };
        (self.private, self.root) = (place(&self.config.ve_private), place(&self.config.ve_root));
    }

    /// Takes a sample's text for its configuration, which it does not have yet.
    pub fn adopt(&mut self, file: ConfFile) {
        let path = self.node.shown(&self.node.conf_path(self.id));
        let context = self.node.text_context(self.id);
        (self.own, self.warnings) = Config::read(&file, &path, Scope::Container, &context);
        self.file = file;
        self.refresh();
    }

    /// Saves a change into its configuration file.
    ///
    /// # Errors
    /// When a value cannot stand in the file, or the file cannot be written.
    pub fn store(&mut self, change: &Change) -> Result<()> {
        self.store_changes(change).map(|_| ())
    }

    /// The same; returns how many keys were written. With none the file is left alone.
    ///
    /// # Errors
    /// As [`Container::store`].
    pub fn store_changes(&mut self, change: &Change) -> Result<usize> {
        let path = self.node.conf_path(self.id);
        let written = change
            .store_into(&self.own, &mut self.file)
            .map_err(|error| Error::Refused(Exit::ConfigSaveFailed, error.to_string()))?;
        if written == 0 {
            return Ok(0);
        }
        self.file
            .save(&path)
            .map_err(|error| Error::Refused(Exit::ConfigSaveFailed, error.to_string()))?;
        self.own = change.apply_to(&self.own);
        self.configured = true;
        self.refresh();
        Ok(written)
    }

    /// The same, of a container that must have a configuration file.
    ///
    /// # Errors
    /// [`Error::NoContainerConfig`] when it has none.
    pub fn require(node: &'n Node, id: Ctid) -> Result<Container<'n>> {
        let container = Container::load(node, id)?;
        if container.configured { Ok(container) } else { Err(Error::NoContainerConfig) }
    }

    /// Takes the container's lock.
    ///
    /// # Errors
    /// [`Error::Locked`] when a live process has it, which is reported.
    pub fn lock(&self, report: &mut dyn Report) -> Result<Lock> {
        let failed = || Error::Refused(Exit::SystemError, "Unable to lock container".into());
        let path = self.node.lock_path(self.id).map_err(|error| {
            report.error(&error.to_string());
            failed()
        })?;
        let taken = self.take_lock(&path).map_err(|error| {
            let (shown, error) = (self.node.shown(&path), OsText(error));
            report.error(&format!(
                "Unable to create temporary lock file: {}XXXXXX: {error}",
                shown.display()
            ));
            failed()
        })?;
        match taken {
            Outcome::Taken { lock, stale } => {
                if stale {
                    let shown = self.node.shown(&path);
                    report.info(&format!("Removing stale lock file {}", shown.display()));
                }
                Ok(lock)
            }
            Outcome::Held { pid, command_line } => {
                if let Some(pid) = pid {
                    report.error(&format!("Locked by: pid {pid}, cmdline {command_line}"));
                }
                Err(Error::Locked)
            }
        }
    }

    /// vzevent, which finishes what the container did by itself, is waited for: nobody has called it.
    fn take_lock(&self, path: &Path) -> io::Result<Outcome> {
        /// Longer than it takes to clear away, or to start again.
        const PATIENCE: Duration = Duration::from_secs(30);
        let end = Instant::now() + PATIENCE;
        let vzevent = self.node.helper("vzevent");
        loop {
            let outcome = lock::take(path)?;
            let Outcome::Held { pid: Some(pid), .. } = outcome else { return Ok(outcome) };
            let left = end.saturating_duration_since(Instant::now());
            let ours =
                std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == vzevent);
            // One that has begun to end since it was looked at has no program to be known by.
            let ends = || proc::is_exiting(Pid::from_raw(pid)).unwrap_or(true);
            if !ours && (left.is_zero() || !ends()) {
                return Ok(outcome);
            }
            if let Ok(holder) = pidfd::open(Pid::from_raw(pid))
                && !pidfd::wait_end(holder.as_fd(), Some(left))?
            {
                return Ok(outcome);
            }
        }
    }

    /// The layout of its files. The configuration alone decides it, never a file that the
    /// container could plant (CVE-2015-6927); without a word it is `simfs`.
    pub fn layout(&self) -> Layout {
        self.own.ve_layout.unwrap_or(Layout::Simfs)
    }

    /// The private area must be set and be there.
    ///
    /// # Errors
    /// [`Error::PrivateNotSet`], [`Error::RootNotSet`], [`Error::NoPrivateArea`].
    pub fn require_private(&self) -> Result<()> {
        self.require_places()?;
        if self.private.is_dir() {
            Ok(())
        } else {
            Err(Error::NoPrivateArea(self.node.shown(&self.private)))
        }
    }

    /// VE_PRIVATE and VE_ROOT must be set.
    ///
    /// # Errors
    /// [`Error::PrivateNotSet`], [`Error::RootNotSet`].
    pub fn require_places(&self) -> Result<()> {
        if self.private.as_os_str().is_empty() {
            return Err(Error::PrivateNotSet);
        }
        if self.root.as_os_str().is_empty() {
            return Err(Error::RootNotSet);
        }
        self.check_places()
    }

    /// VE_PRIVATE and VE_ROOT, where they are set, must be places for a container: a `/` there
    /// would be mounted over, or unmounted from the node.
    ///
    /// # Errors
    /// [`Exit::InvalidValue`] names the one that is not.
    pub fn check_places(&self) -> Result<()> {
        for (key, path) in [("VE_PRIVATE", &self.private), ("VE_ROOT", &self.root)] {
            let shown = self.node.shown(path);
            let mut parts = shown.components().peekable();
            let climbs = shown.components().any(|part| part == Component::ParentDir);
            if parts.peek().is_some() && (climbs || parts.all(|part| part == Component::RootDir)) {
                let text = format!("{key} {} is no place for a container", shown.display());
                return Err(Error::Refused(Exit::InvalidValue, text));
            }
        }
        let (private, root) = (&self.private, &self.root);
        let both = !private.as_os_str().is_empty() && !root.as_os_str().is_empty();
        if both && (private.starts_with(root) || root.starts_with(private)) {
            let text = "VE_PRIVATE and VE_ROOT must not lie in each other";
            return Err(Error::Refused(Exit::InvalidValue, text.into()));
        }
        Ok(())
    }

    /// Says whether it exists: it has a configuration and a private area.
    pub fn exists(&self) -> bool {
        self.configured && self.private.is_dir()
    }

    /// Says whether its root area is mounted.
    pub fn is_mounted(&self) -> bool {
        is_mounted(&self.root)
    }

    /// Says whether a dump of it lies in DUMPDIR.
    pub fn is_suspended(&self) -> bool {
        self.node.dump_path(self.id).exists()
    }

    /// Its state file's content.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn state(&self) -> Result<Option<State>> {
        let path = self.node.state_path(self.id);
        State::load(&path).at(Exit::SystemError, "Cannot read", &path)
    }

    /// Writes its state file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_state(&self, state: &State) -> Result<()> {
        let path = self.node.state_path(self.id);
        let directory = self.node.run_dir();
        self.node.make_directory(&directory, 0o755).and_then(|()| state.save(&path)).at(
            Exit::SystemError,
            "Cannot write",
            &path,
        )
    }

    /// Says whether it runs.
    ///
    /// # Errors
    /// As [`Container::state`].
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.state()?.is_some_and(|state| state.is_running()))
    }

    /// The first ids of the node that its users and groups are mapped to; 0 for no user namespace.
    ///
    /// # Errors
    /// When there are none to be had for it.
    pub fn id_bases(&self) -> Result<(u32, u32)> {
        ids::bases(self)
    }

    /// Says whether it runs, or would be started, without a user namespace.
    ///
    /// # Errors
    /// As [`Container::state`].
    pub fn is_unmapped(&self) -> Result<bool> {
        let runs = self.state()?.is_some_and(|state| state.uid_base == 0);
        Ok(runs || ids::is_unmapped(self))
    }

    /// Where its cgroup belongs.
    ///
    /// # Errors
    /// When the node has no cgroup v2 hierarchy.
    pub fn group_place(&self) -> Result<Place> {
        let hierarchy = self.node.cgroup_hierarchy()?;
        Ok(Place::of(hierarchy, self.node.has_scopes()?, self.id))
    }
}

/// As [`is_mounted`], for showing: a root area that cannot be looked at (one that was never mounted
/// is not there yet) is reported as the original's tools did it.
pub fn is_mounted_now(node: &Node, root: &Path, report: &mut dyn Report) -> bool {
    !root.as_os_str().is_empty() && or_reported(mount::is_mount_point(root), node, root, report)
}

/// What was found at a root area, if it could be looked at.
pub(crate) fn or_reported(
    found: io::Result<bool>,
    node: &Node,
    root: &Path,
    report: &mut dyn Report,
) -> bool {
    found.unwrap_or_else(|error| {
        report.error(&format!("stat({}): {}", node.shown(root).display(), OsText(error)));
        false
    })
}

/// Says whether something is mounted at `root`.
pub fn is_mounted(root: &Path) -> bool {
    !root.as_os_str().is_empty() && mount::is_mount_point(root).unwrap_or(false)
}
