//! `overlay`: a template of the store below, shared and never written to, and the container's own
//! changes above it in `VE_PRIVATE/upper`, under a project quota like simfs's.
//!
//! What lies below is named by the configuration (`OVERLAY_TEMPLATE`), never by a file that a
//! container can have planted. What it can plant above means nothing to overlayfs: that obeys
//! attributes `trusted.overlay.*` and devices 0:0, and from within a user namespace neither can be
//! set or made through it (`user.overlay.*` would count for a mount with `userxattr` only).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::sys::time::TimeSpec;
use vz_conf::exit::Exit;
use vz_sys::overlay::{self, Access, IdMap, Layers, UPPER, WORK, WORK_INSIDE};
use vz_sys::{beneath, namespace, xattr};

use super::{Storage, View, simfs};
use crate::container::Container;
use crate::copy_tree::sync_tree;
use crate::error::{Context, Error, Result};
use crate::lifecycle::start::IDS;
use crate::remove_tree::remove_tree;
use crate::template::store::Version;

/// The layout.
pub struct Overlay;

impl Storage for Overlay {
    fn make(&self, container: &Container<'_>, area: &Path) -> Result<OwnedFd> {
        let directory = simfs::make_area(container, area)?;
        let below = tree(container)?;
        let upper = area.join(UPPER);
        for (path, mode) in [(&upper, 0o755), (&area.join(WORK), 0o700)] {
            let made = std::fs::DirBuilder::new().mode(mode).create(path);
            made.at(Exit::CreateDirectoryFailed, "Cannot make", path)?;
        }
        // The top of the container's tree is the upper one, and only that.
        copy_top(&below, &upper).at(Exit::UnpackFailed, "Cannot give its attributes to", &upper)?;
        Ok(directory)
    }

    fn mount(&self, container: &Container<'_>, view: View, _skip_fsck: bool) -> Result<OwnedFd> {
        simfs::enforce(container)?;
        let below = tree(container)?;
        let (uid, gid) = match view {
            View::Container => container.id_bases()?,
            _ => (0, 0),
        };
        let access = match view {
            View::Node | View::Container => Access::Write,
            View::NewArea => Access::Volatile,
            View::Reading => Access::Read,
        };
        let user_namespace = match uid {
            0 => None,
            _ => Some(
                namespace::mapped(uid, gid, IDS)
                    .context(Exit::MountFailed, || "Cannot map the container's ids".into())?,
            ),
        };
        let id_map =
            user_namespace.as_ref().map(|map| IdMap { user_namespace: map.as_fd(), uid, gid });
        let above = &container.private;
        let layers = Layers { below: &below, above, id_map, access };
        overlay::make(&layers).context(Exit::MountFailed, || {
            format!("Cannot lay {} over {}", above.display(), below.display())
        })
    }

    /// What little there is, not all that waits to be written on the node.
    fn settle(&self, area: &Path) -> Result<()> {
        let work = area.join(WORK);
        let opened = File::open(&work).at(Exit::UnpackFailed, "Cannot open", &work)?;
        remove_tree(opened.as_fd(), WORK_INSIDE.as_ref())
            .map_err(|error| Error::Refused(Exit::UnpackFailed, error.to_string()))?;
        let upper = area.join(UPPER);
        let opened = File::open(&upper).at(Exit::UnpackFailed, "Cannot open", &upper)?;
        sync_tree(opened.as_fd())
            .map_err(|error| Error::Refused(Exit::UnpackFailed, error.to_string()))
    }
}

/// What lies below.
fn tree(container: &Container<'_>) -> Result<PathBuf> {
    let refused = |text: String| Error::Refused(Exit::MountFailed, text);
    let text = container.own.overlay_template.as_deref().unwrap_or_default();
    let version = Version::parse(text).ok_or_else(|| {
        refused(format!("OVERLAY_TEMPLATE \"{text}\" names no unpacked template"))
    })?;
    let path = version.path(container.node)?;
    match path.is_dir() {
        true => Ok(path),
        false => Err(refused(format!(
            "The unpacked template {} is gone",
            container.node.shown(&path).display()
        ))),
    }
}

/// Gives a directory the owner, mode, time and attributes of another.
fn copy_top(from: &Path, to: &Path) -> nix::Result<()> {
    let open = |path| File::open(path).map_err(|error| super::errno(&error));
    let (from, to) = (open(from)?, open(to)?);
    let status = beneath::status(from.as_fd())?;
    for name in xattr::list(from.as_fd())? {
        // The node's own: labels, and what overlayfs would obey.
        let taken = [b"user.".as_slice(), b"system.posix_acl_"];
        if taken.iter().any(|prefix| name.as_bytes().starts_with(prefix)) {
            xattr::set(to.as_fd(), &name, &xattr::get(from.as_fd(), &name)?)?;
        }
    }
    beneath::change_owner(to.as_fd(), status.st_uid, status.st_gid)?;
    beneath::change_mode(to.as_fd(), Mode::from_bits_truncate(status.st_mode))?;
    let modified = TimeSpec::new(status.st_mtime, status.st_mtime_nsec);
    beneath::set_modified(to.as_fd(), modified)
}
