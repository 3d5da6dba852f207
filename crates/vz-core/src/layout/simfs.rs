//! `simfs`: a directory of the node with a project quota.
//!
//! The project id is the CTID, set with PROJINHERIT on the empty directory, so that all that is
//! ever made below belongs to it: links and devices too, which could not be given an id later.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vz_conf::config::Config;
use vz_conf::exit::Exit;
use vz_conf::yesno::YesNo;
use vz_sys::mount::{self, Place};
use vz_sys::quota::{self, Project, Support};

use super::{Storage, View};
use crate::container::Container;
use crate::error::{Context, Error, Result};
use crate::vzquota::{kernel, private_area};

/// The layout.
pub struct Simfs;

impl Storage for Simfs {
    fn make(&self, container: &Container<'_>, area: &Path) -> Result<OwnedFd> {
        make_area(container, area)
    }

    fn mount(&self, container: &Container<'_>, _view: View, _skip_fsck: bool) -> Result<OwnedFd> {
        enforce(container)?;
        let private = &container.private;
        mount::clone_tree(Place::Path(private), false).at(
            Exit::MountFailed,
            "Cannot clone",
            private,
        )
    }
}

/// Gives the empty directory `area` the container's project. Limits come when it is mounted: what
/// the tools put into it is not to end at them, and the old area of a container that is converted
/// counts for the same project. (On XFS root is not above limits.)
pub(super) fn make_area(container: &Container<'_>, area: &Path) -> Result<OwnedFd> {
    let directory = open_directory(area)?;
    // Given where it can be, also with DISK_QUOTA=no: so it can be switched on later.
    match support(&directory, area)? {
        Support::None if wants_quota(container) => return Err(no_quota(area, Support::None)),
        Support::None => {}
        Support::AccountingOnly if wants_quota(container) => {
            return Err(no_quota(area, Support::AccountingOnly));
        }
        Support::AccountingOnly => set_project(&directory, container, area)?,
        Support::Enforced => {
            set_project(&directory, container, area)?;
            let none = quota::Limits::default();
            quota::set_limits(directory.as_fd(), container.id.get(), &none).at(
                Exit::QuotaSetFailed,
                "Cannot set the disk quota of",
                area,
            )?;
        }
    }
    Ok(directory.into())
}

/// Sees to the quota of a private area that is about to be mounted.
pub(super) fn enforce(container: &Container<'_>) -> Result<()> {
    let private = &container.private;
    let directory = open_directory(private)?;
    match support(&directory, private)? {
        Support::Enforced => {
            if wants_quota(container) {
                adopt_if_needed(&directory, container, private)?;
            }
            set_limits(&directory, container, private)
        }
        other if wants_quota(container) => Err(no_quota(private, other)),
        _ => Ok(()),
    }
}

/// A quota is wanted unless DISK_QUOTA says no.
fn wants_quota(container: &Container<'_>) -> bool {
    container.config.disk_quota != Some(YesNo::No)
}

fn open_directory(path: &Path) -> Result<File> {
    File::options().read(true).custom_flags(nix::libc::O_DIRECTORY).open(path).at(
        Exit::MountFailed,
        "Cannot open",
        path,
    )
}

fn support(directory: &File, path: &Path) -> Result<Support> {
    quota::support(directory.as_fd()).at(Exit::QuotaOnFailed, "Cannot ask for disk quota of", path)
}

fn no_quota(path: &Path, support: Support) -> Error {
    let (path, why, cure) = (path.display(), kernel::lack_of(support), kernel::CURE);
    let others = "or use --layout ploop, or set DISK_QUOTA=no";
    let text = format!("The file system of {path} {why}: {cure}, {others}");
    Error::Refused(Exit::QuotaOnFailed, text)
}

fn set_project(directory: &File, container: &Container<'_>, path: &Path) -> Result<()> {
    let project = Project { id: container.id.get(), inherit: true };
    quota::set_project(directory.as_fd(), project).at(
        Exit::QuotaInitFailed,
        "Cannot set the project id of",
        path,
    )
}

/// A private area that came from elsewhere has no project yet, or an adoption was cut.
fn adopt_if_needed(directory: &File, container: &Container<'_>, path: &Path) -> Result<()> {
    match is_whole(quota::project(directory.as_fd()).ok(), container.id.get()) {
        true => Ok(()),
        false => adopt(directory, container, path),
    }
}

/// The container's project, inherited, is given to the top directory once all below has it.
fn is_whole(project: Option<Project>, id: u32) -> bool {
    project == Some(Project { id, inherit: true })
}

/// Gives all in the private area to the container, unless it counts for another one now.
fn adopt(directory: &File, container: &Container<'_>, path: &Path) -> Result<()> {
    let project = quota::project(directory.as_fd()).at(
        Exit::QuotaInitFailed,
        "Cannot read the project id of",
        path,
    )?;
    if let Some(other) = kernel::foreign(directory.as_fd(), container.id.get(), project) {
        let path = path.display();
        let text =
            format!("{path} is under disk quota {other}, which is on: switch that off first");
        return Err(Error::Refused(Exit::QuotaInitFailed, text));
    }
    quota::set_project_recursive(directory.as_fd(), container.id.get()).map(|_| ()).map_err(
        |error| {
            let text = format!("Cannot set the project id of all in {}: {error}", path.display());
            Error::Refused(Exit::QuotaInitFailed, text)
        },
    )
}

/// Sets the limits, or with DISK_QUOTA=no takes them away.
fn set_limits(directory: &File, container: &Container<'_>, path: &Path) -> Result<()> {
    let done = match wants_quota(container) {
        true => private_area::on(container, directory.as_fd(), &container.config),
        false => private_area::off(container),
    };
    done.at(Exit::QuotaSetFailed, "Cannot set the disk quota of", path)
}

/// Sets the limits of `config` at once.
pub(super) fn apply_quota(container: &Container<'_>, config: &Config) -> Result<()> {
    let path = &container.private;
    let directory = open_directory(path)?;
    if !wants_quota(container) || support(&directory, path)? != Support::Enforced {
        return Err(super::quota_is_off());
    }
    // Limits of a project that the files do not belong to would limit nothing.
    adopt_if_needed(&directory, container, path)?;
    private_area::on(container, directory.as_fd(), config).at(
        Exit::QuotaSetFailed,
        "Cannot set the disk quota of",
        path,
    )
}

/// Takes the limits away.
pub(super) fn lift_quota(container: &Container<'_>) -> Result<()> {
    let path = &container.private;
    if support(&open_directory(path)?, path)? != Support::Enforced {
        return Err(super::quota_is_off());
    }
    private_area::off(container).at(Exit::QuotaSetFailed, "Cannot set the disk quota of", path)
}

/// Makes all files belong to the container's project, and sets the limits: for good when it is
/// mounted, else they are kept for when it will be.
pub(super) fn init_quota(container: &Container<'_>) -> Result<()> {
    let directory = open_directory(&container.private)?;
    match support(&directory, &container.private)? {
        Support::None => return Err(super::quota_is_off()),
        _ => adopt(&directory, container, &container.private)?,
    }
    apply_quota(container, &container.config)?;
    if container.is_mounted() { Ok(()) } else { lift_quota(container) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adoption_that_was_cut_is_none() {
        assert!(is_whole(Some(Project { id: 101, inherit: true }), 101));
        assert!(!is_whole(Some(Project { id: 101, inherit: false }), 101));
        assert!(!is_whole(Some(Project { id: 102, inherit: true }), 101));
        assert!(!is_whole(None, 101));
    }
}
