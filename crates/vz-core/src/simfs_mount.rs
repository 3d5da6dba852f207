//! A directory of the node shown at another place, as mount scripts ask for it by
//! `mount -n -t simfs SRC ${VE_ROOT}DST -o SRC`.
//!
//! simfs of the old kernel showed the directory that its options named, whatever the source was
//! called; here it is a bind mount. For a container it must come to lie below its VE_ROOT: mount(8)
//! follows links, and a container could have put one there that leads to a place of the node's.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_conf::exit::Exit;
use vz_sys::beneath;
use vz_sys::mount::{self, Attributes, Change, Place};

use crate::container::Container;
use crate::error::{Context, Error, Result};

/// Every way of keeping access times (`MOUNT_ATTR__ATIME` of mount_setattr(2)): to be cleared where
/// one of them is set.
const ALL_ACCESS_TIMES: Attributes = Attributes::from_bits_retain(0x70);

/// What is to be mounted where.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    source: PathBuf,
    target: PathBuf,
    set: Attributes,
    clear: Attributes,
}

impl Request {
    /// Reads what mount(8) was given: `options` are its lists, words with commas between. The
    /// directory among them, which may hold commas, counts before `source`.
    ///
    /// # Errors
    /// [`Exit::InvalidValue`] for an unknown option, and for places that are no absolute paths.
    pub fn new(source: &OsStr, target: &OsStr, options: &[OsString]) -> Result<Request> {
        let (mut set, mut clear) = (Attributes::default(), Attributes::default());
        let mut directory: Vec<u8> = Vec::new();
        for word in options.iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b',')) {
            let known = std::str::from_utf8(word).ok().and_then(attribute);
            match known {
                Some((attributes, true)) => (set, clear) = (set | attributes, clear - attributes),
                Some((attributes, false)) => (set, clear) = (set - attributes, clear | attributes),
                None if !directory.is_empty() => {
                    directory.push(b',');
                    directory.extend_from_slice(word);
                }
                None if word.starts_with(b"/") => directory = word.to_vec(),
                None => {
                    let word = String::from_utf8_lossy(word);
                    return Err(refused(format!("unknown mount option {word}")));
                }
            }
        }
        let source = match directory.is_empty() {
            true => PathBuf::from(source),
            false => PathBuf::from(OsString::from_vec(directory)),
        };
        let target = PathBuf::from(target);
        for path in [&source, &target] {
            if !path.is_absolute() {
                return Err(refused(format!("{} is no absolute path", path.display())));
            }
        }
        if set.contains(Attributes::NO_ATIME) {
            clear |= ALL_ACCESS_TIMES;
        }
        Ok(Request { source, target, set, clear })
    }
}

/// The attribute an option is about, and whether it sets it.
fn attribute(option: &str) -> Option<(Attributes, bool)> {
    Some(match option {
        "ro" => (Attributes::READ_ONLY, true),
        "rw" => (Attributes::READ_ONLY, false),
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "" | "defaults" | "auto" | "noauto" | "bind" => (Attributes::default(), true),
        _ => return None,
    })
}

fn refused(text: String) -> Error {
    Error::Refused(Exit::InvalidValue, text)
}

/// Mounts; for a container only below its VE_ROOT.
///
/// # Errors
/// When the target lies elsewhere or is not there, or the kernel refuses.
pub fn mount(container: Option<&Container<'_>>, request: &Request) -> Result<()> {
    let (source, target) = (&request.source, &request.target);
    let place = match container {
        None => open_path(target),
        Some(container) => open_below(&container.root, target),
    }?;
    let tree = mount::clone_tree(Place::Path(source), false).at(
        Exit::MountFailed,
        "Cannot clone",
        source,
    )?;
    // Nothing that is mounted or unmounted there later has to do with the source.
    let change =
        Change { set: request.set, clear: request.clear, private: true, ..Change::default() };
    mount::change(Place::Descriptor(tree.as_fd()), &change)
        .and_then(|()| mount::attach(tree.as_fd(), Place::Descriptor(place.as_fd())))
        .context(Exit::MountFailed, || {
            format!("Cannot mount {} at {}", source.display(), target.display())
        })
}

fn open_path(path: &Path) -> Result<OwnedFd> {
    File::options().read(true).custom_flags(nix::libc::O_PATH).open(path).map(OwnedFd::from).at(
        Exit::MountFailed,
        "Cannot open",
        path,
    )
}

/// mount(8) has resolved all links of the target; so VE_ROOT is resolved, too.
fn open_below(root: &Path, target: &Path) -> Result<OwnedFd> {
    let top = open_path(root)?;
    let resolved = std::fs::read_link(format!("/proc/self/fd/{}", top.as_raw_fd())).at(
        Exit::MountFailed,
        "Cannot resolve",
        root,
    )?;
    let relative = [resolved.as_path(), root]
        .iter()
        .find_map(|root| target.strip_prefix(root).ok())
        .filter(|relative| !relative.as_os_str().is_empty());
    let Some(relative) = relative else {
        return Err(refused(format!(
            "{} is not below VE_ROOT {}: has the container put a link there?",
            target.display(),
            root.display()
        )));
    };
    beneath::open_beneath(top.as_fd(), relative.as_os_str(), OFlag::O_PATH, Mode::empty()).at(
        Exit::MountFailed,
        "Cannot open",
        target,
    )
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn request(source: &str, options: &[&str]) -> Result<Request> {
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        Request::new(OsStr::new(source), OsStr::new("/dst"), &options)
    }

    #[test]
    fn options_name_the_directory() {
        let source = |source, options: &[&str]| request(source, options).unwrap().source;
        assert_eq!(source("/src", &[]), Path::new("/src"));
        assert_eq!(source("/src", &["rw"]), Path::new("/src"));
        assert_eq!(source("name", &["rw,/a b"]), Path::new("/a b"));
        assert_eq!(source("/src", &["/a,b", "ro"]), Path::new("/a,b"));
        for (name, options) in [("src", vec![]), ("/src", vec!["frob"]), ("x", vec!["rw"])] {
            assert_eq!(request(name, &options).unwrap_err().exit(), Exit::InvalidValue);
        }
    }

    #[test]
    fn the_last_of_two_opposites_counts() {
        let found = request("/s", &["ro,nosuid,nodev", "rw,noatime,/s"]).unwrap();
        assert_eq!(found.set, Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_ATIME);
        assert!(found.clear.contains(Attributes::READ_ONLY | ALL_ACCESS_TIMES));
    }

    #[test]
    fn only_what_is_below_the_root_is_opened() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir_all(root.join("mnt/deep")).unwrap();
        std::os::unix::fs::symlink("/", root.join("link")).unwrap();
        std::os::unix::fs::symlink(&root, place.path().join("alias")).unwrap();
        let open = |path: &Path| open_below(&root, path).map(drop);
        assert!(open(&root.join("mnt/deep")).is_ok());
        assert!(open_below(&place.path().join("alias"), &root.join("mnt")).is_ok());
        for refused in [root.join("link"), root.join("link/etc"), root.clone(), "/etc".into()] {
            assert!(open(&refused).is_err(), "{refused:?}");
        }
        assert!(open(&root.join("mnt/../../..")).is_err());
    }
}
