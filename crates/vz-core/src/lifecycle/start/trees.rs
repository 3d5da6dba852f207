//! The file system a container gets to see: a clone of what lies at VE_ROOT on the node, shown
//! through the container's id map. Nothing is chowned.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use vz_sys::beneath;
use vz_sys::mount::{self, Change, Place};

/// One mount of the container's tree, attached nowhere yet.
#[derive(Debug)]
pub struct Tree {
    /// Where it goes below the container's root; empty for the root itself.
    pub path: String,
    /// The mount.
    pub mount: OwnedFd,
    /// Owners are shown through the container's id map.
    pub mapped: bool,
}

/// Clones the mount at `root` and each mount below it, mapped through `user_namespace`. Mounts
/// below that cannot be mapped (proc, overlay, most FUSE) come along as they are.
///
/// # Errors
/// Those of `open_tree(2)`; of `mount_setattr(2)` for the root.
pub fn clone_all(root: &Path, user_namespace: Option<BorrowedFd<'_>>) -> io::Result<Vec<Tree>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let top = nix::fcntl::open(root, flags, Mode::empty())?;
    let mut trees = vec![clone_one(top.as_fd(), String::new(), user_namespace)?];
    if let (Some(_), false) = (user_namespace, trees[0].mapped) {
        return Err(io::Error::from_raw_os_error(nix::libc::EINVAL));
    }
    for below in mounts_below(root)? {
        let Ok(relative) = below.strip_prefix(root) else { continue };
        let mount = open_mount(top.as_fd(), relative)?;
        let Some(relative) = relative.to_str() else { continue };
        trees.push(clone_one(mount.as_fd(), relative.to_owned(), user_namespace)?);
    }
    Ok(trees)
}

/// Opens what is mounted at `path` below `root`. A container that shares a directory with this one
/// can swap it for a link to `/` at any moment (CVE-2021-30465): links are refused, and what is
/// found must be the root of a mount.
fn open_mount(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("the mount at /{}: {error}", path.display()))
    };
    let found = beneath::open_beneath(root, path.as_os_str(), OFlag::O_PATH, Mode::empty())
        .map_err(|error| named(error.into()))?;
    match mount::is_mount_root(Place::Descriptor(found.as_fd())).map_err(named)? {
        true => Ok(found),
        false => Err(named(io::Error::other("it has been moved away"))),
    }
}

fn clone_one(
    at: BorrowedFd<'_>,
    path: String,
    user_namespace: Option<BorrowedFd<'_>>,
) -> io::Result<Tree> {
    let mount = mount::clone_tree(Place::Descriptor(at), false)?;
    // What happens to the node's mount later must not reach into the container, nor out of it.
    let place = Place::Descriptor(mount.as_fd());
    mount::change(place, &Change { private: true, ..Change::default() })?;
    let mapped = match user_namespace {
        None => false,
        Some(_) => {
            mount::change(place, &Change { id_map: user_namespace, ..Change::default() }).is_ok()
        }
    };
    Ok(Tree { path, mount, mapped })
}

/// The mount points below `root`, outer ones first. One look at the text is enough for the usual
/// case of none, however many mounts the node has.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn mounts_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let mut wanted = vec![b' '];
    wanted.extend(escape(root.as_os_str().as_bytes()));
    wanted.push(b'/');
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // Field 5 is the mount point (proc_pid_mountinfo(5)); the fields before it hold no blanks.
        let Some(field) = line.split(|byte| *byte == b' ').nth(4) else { continue };
        if field.starts_with(&wanted[1..]) {
            found.push(PathBuf::from(std::ffi::OsStr::from_bytes(&unescape(field))));
        }
    }
    // A mount on top of another at the same place: the upper one is what a path leads to.
    found.dedup();
    Ok(found)
}

/// mountinfo writes blank, tab, newline and backslash as `\ooo`.
fn escape(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                escaped.extend(format!("\\{byte:03o}").into_bytes());
            }
            byte => escaped.push(*byte),
        }
    }
    escaped
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match (byte, octal) {
            (b'\\', Some(value)) => {
                plain.push(value);
                rest = &tail[3..];
            }
            _ => {
                plain.push(*byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn escapes_come_back() {
        for path in ["/a b", "/tab\there", "/back\\slash", "/new\nline", "/plain", "/\\04"] {
            assert_eq!(unescape(&escape(path.as_bytes())), path.as_bytes());
        }
    }

    #[test]
    fn a_mount_swapped_for_a_link_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("shared/plain")).unwrap();
        std::os::unix::fs::symlink("/", tree.path().join("shared/swapped")).unwrap();
        let top = std::fs::File::open(tree.path()).unwrap();
        let open = |path: &str| open_mount(top.as_fd(), Path::new(path)).unwrap_err().to_string();
        assert!(open("shared/swapped").contains("symbolic links"), "{}", open("shared/swapped"));
        assert!(open("shared/swapped/proc").contains("symbolic links"));
        assert!(open("shared/plain").contains("moved away"));
        let root = std::fs::File::open("/").unwrap();
        assert!(open_mount(root.as_fd(), Path::new("proc")).is_ok());
    }

    #[test]
    fn finds_what_is_below() {
        assert!(mounts_below(Path::new("")).unwrap().contains(&PathBuf::from("/proc")));
        assert!(mounts_below(Path::new("/no/such/place")).unwrap().is_empty());
    }
}
