//! Distribution actions: what differs between the distributions inside containers is done by
//! scripts, named in `/etc/vz/dists/NAME.conf`.
//!
//! NAME is the last part of OSTEMPLATE, cut at its last dash again and again until there is such a
//! file; `dists/default` serves all others. The scripts of the keys lie in `dists/scripts/`. All
//! but that of POST_CREATE are read here and fed to the container's own shell, inside. What they
//! are to set comes in their environment, never in their text: it may hold anything.

mod action;
pub mod addresses;
mod dns;
mod environment;
pub mod live;
pub mod passwords;
mod run;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use vz_conf::change::Change;
use vz_conf::exit::Exit;
use vz_conf::file::ConfFile;
use vz_conf::param::ParamId;
use vz_conf::warning::Warning;

use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::node::Node;
use crate::report::Report;

pub use action::Action;
pub use environment::State;
pub use run::{
    Inside, pre_start, set_console, set_hostname, set_name_servers, set_passwords, set_user_quota,
};

/// The scripts of one distribution.
#[derive(Debug, Default)]
pub struct Distribution {
    scripts: BTreeMap<Action, PathBuf>,
    functions: PathBuf,
}

impl Distribution {
    /// Finds the distribution of a container by its OSTEMPLATE.
    ///
    /// # Errors
    /// [`Exit::NoDistributionConfig`] when there is no configuration for it and no default one, or
    /// it cannot be read.
    pub fn of(container: &Container<'_>, report: &mut dyn Report) -> Result<Distribution> {
        Distribution::find(container.node, container.config.ostemplate.as_deref(), report)
    }

    /// Finds the distribution of OSTEMPLATE `template`.
    ///
    /// # Errors
    /// As [`Distribution::of`].
    pub fn find(
        node: &Node,
        template: Option<&str>,
        report: &mut dyn Report,
    ) -> Result<Distribution> {
        let directory = node.path("/etc/vz/dists");
        let default = directory.join("default");
        let shown = node.shown(&default);
        let name = template.map(base_name);
        for candidate in name.into_iter().flat_map(candidates) {
            let path = directory.join(format!("{candidate}.conf"));
            if let Some(found) = Distribution::read(node, &directory, &path, report)? {
                return Ok(found);
            }
        }
        report.error(&match name {
            Some(name) => format!(
                "Warning: configuration file for distribution {name} not found, using defaults \
                 from {}",
                shown.display()
            ),
            None => format!(
                "Warning: distribution not specified in CT config, using defaults from {}",
                shown.display()
            ),
        });
        Distribution::read(node, &directory, &default, report)?.ok_or_else(|| {
            Error::Refused(
                Exit::NoDistributionConfig,
                format!("Distribution configuration file {} not found", shown.display()),
            )
        })
    }

    /// `None` when there is no such file.
    fn read(
        node: &Node,
        directory: &Path,
        path: &Path,
        report: &mut dyn Report,
    ) -> Result<Option<Distribution>> {
        let shown = node.shown(path);
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.at(Exit::NoDistributionConfig, "Cannot read", &shown)?,
        };
        let scripts = directory.join("scripts");
        let mut found =
            Distribution { scripts: BTreeMap::new(), functions: scripts.join("functions") };
        for entry in ConfFile::parse(&bytes).entries() {
            match entry {
                Err((line, kind)) => {
                    let warning = Warning { file: shown.clone(), line, kind };
                    report.log(warning.level().into(), &warning.to_string());
                }
                Ok(entry) => found.take(node, &scripts, &entry.key, &entry.text(), report),
            }
        }
        Ok(Some(found))
    }

    fn take(
        &mut self,
        node: &Node,
        scripts: &Path,
        key: &str,
        value: &str,
        report: &mut dyn Report,
    ) {
        let Some(action) = Action::of(key) else { return };
        if value.is_empty() {
            return;
        }
        let path = scripts.join(value);
        if path.is_file() {
            self.scripts.insert(action, path);
        } else {
            let shown = node.shown(&path);
            report.error(&format!("Action script {} not found", shown.display()));
        }
    }

    /// The script of an action; `None` when the distribution has none.
    pub fn script(&self, action: Action) -> Option<&Path> {
        self.scripts.get(&action).map(PathBuf::as_path)
    }

    /// The text to be fed to a shell for an action: the functions first where it has them.
    ///
    /// # Errors
    /// When the script or the functions cannot be read.
    fn text(&self, action: Action, script: &Path) -> Result<Vec<u8>> {
        let read = |path: &Path| std::fs::read(path).at(Exit::NoScript, "Cannot read", path);
        let mut text = Vec::new();
        if action.is_setting() && self.functions.exists() {
            text = read(&self.functions)?;
            text.push(b'\n');
        }
        text.extend(read(script)?);
        Ok(text)
    }
}

/// Says whether a change is made, or could be, by scripts of the container's distribution.
pub fn is_needed_for(change: &Change) -> bool {
    let by_scripts = [
        ParamId::Hostname,
        ParamId::IpAddress,
        ParamId::IpDel,
        ParamId::Nameserver,
        ParamId::Searchdomain,
        ParamId::Quotaugidlimit,
        ParamId::Userpasswd,
    ];
    change.given().iter().any(|id| by_scripts.contains(id))
}

/// Says whether a change is one of the host name, the name servers or the users' quotas.
pub fn configures(change: &Change) -> bool {
    let values = &change.values;
    values.hostname.is_some()
        || values.nameserver.is_some()
        || values.searchdomain.is_some()
        || values.quotaugidlimit.is_some()
}

/// The distribution of a container, if a change needs it. Looked for on a stopped container, too:
/// what is the matter with its configuration is told when it is changed.
///
/// # Errors
/// As [`Distribution::of`].
pub fn for_change(
    container: &Container<'_>,
    change: &Change,
    report: &mut dyn Report,
) -> Result<Option<Distribution>> {
    match is_needed_for(change) && !container.id.is_node() {
        true => Distribution::of(container, report).map(Some),
        false => Ok(None),
    }
}

fn base_name(template: &str) -> &str {
    template.trim_end_matches('/').rsplit('/').next().unwrap_or(template)
}

/// `a-b-c`, `a-b`, `a`. A name that begins with a dash ends there: nothing has no configuration.
fn candidates(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.rfind('-').map(|dash| &name[..dash]))
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
