//! Puts members into the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, makedev};
use nix::sys::time::TimeSpec;
use vz_sys::{beneath, xattr};

use super::Summary;
use super::acl::{self, AclError};
use super::attribute;
use super::directories::{Directories, open_file, split};
use super::error::{Refusal, UnpackError};
use super::member::{Kind, Member};
use super::members::Members;
use super::names::Names;

type Result<T> = std::result::Result<T, UnpackError>;

/// Mode of a directory that the archive has no member for.
const IMPLIED_MODE: u32 = 0o755;

/// What a file gets after its contents.
#[derive(Debug, Default)]
struct Metadata {
    owner: Option<(u32, u32)>,
    mode: u32,
    modified: Option<TimeSpec>,
    attributes: Vec<attribute::Attribute>,
}

/// An ACL with names in it: they are known once the tree's own user database is unpacked.
struct NamedAcl {
    path: Vec<u8>,
    attribute: &'static str,
    text: Vec<u8>,
}

/// Puts members into a tree.
pub(super) struct Extractor {
    directories: Directories,
    /// What directories get when all their files are there, by path.
    finished: BTreeMap<Vec<u8>, Metadata>,
    named_acls: Vec<NamedAcl>,
    summary: Summary,
}

/// How a member's own file is reached while it is made.
enum Made<'a> {
    /// By a descriptor that reads or writes it.
    Open(BorrowedFd<'a>),
    /// By its name: a symbolic link, a device node, a FIFO.
    Named(BorrowedFd<'a>, &'a OsStr),
}

impl Extractor {
    /// Starts at the top of the tree.
    pub(super) fn new(destination: BorrowedFd<'_>) -> Result<Self> {
        let directories = Directories::new(destination)
            .map_err(|errno| UnpackError::file("open the destination", b"", errno))?;
        let (finished, named_acls) = (BTreeMap::new(), Vec::new());
        Ok(Self { directories, finished, named_acls, summary: Summary::default() })
    }

    /// Puts one member into the tree. `progress` is called as its contents are written.
    pub(super) fn put(
        &mut self,
        member: Member,
        members: &mut Members<'_>,
        progress: &mut dyn FnMut(),
    ) -> Result<()> {
        if member.kind == Kind::Label {
            return Ok(());
        }
        self.summary.entries += 1;
        if member.name.is_empty() {
            return self.put_top(member);
        }
        self.open_parent(&member.name)?;
        match member.kind {
            Kind::Directory => self.put_directory(member),
            Kind::HardLink => self.put_hard_link(&member),
            Kind::Symlink => self.put_symlink(member),
            Kind::Regular => self.put_regular(member, members, progress),
            Kind::Character | Kind::Block | Kind::Fifo => self.put_node(member),
            Kind::Label => Ok(()),
        }
    }

    /// Gives the directories their owners, modes and times, children first, then sets the ACLs
    /// that name users of the tree.
    pub(super) fn finish(mut self) -> Result<Summary> {
        for (path, metadata) in std::mem::take(&mut self.finished).into_iter().rev() {
            self.finish_directory(&path, &metadata)?;
        }
        self.set_named_acls()?;
        Ok(self.summary)
    }

    fn put_top(&mut self, member: Member) -> Result<()> {
        if member.kind != Kind::Directory {
            return Err(UnpackError::refused(&member.name, Refusal::TopNotDirectory));
        }
        let metadata = self.metadata(member)?;
        self.finished.insert(Vec::new(), metadata);
        Ok(())
    }

    /// Opens the directory of `name`, made where no member before was it.
    fn open_parent(&mut self, name: &[u8]) -> Result<()> {
        let (parent, _) = split(name);
        let opened = match self.directories.open(parent).map(drop) {
            Err(Errno::ENOENT) => self.make_parents(parent),
            opened => opened,
        };
        opened.map_err(|errno| match errno {
            Errno::ELOOP => UnpackError::refused(name, Refusal::ThroughSymlink),
            // O_DIRECTORY comes before the refusal of a link at the end.
            Errno::ENOTDIR if self.is_through_symlink(parent) => {
                UnpackError::refused(name, Refusal::ThroughSymlink)
            }
            Errno::ENOTDIR => UnpackError::refused(name, Refusal::ParentNotDirectory),
            errno => UnpackError::file("open the directory of", name, errno),
        })
    }

    fn make_parents(&mut self, parent: &[u8]) -> nix::Result<()> {
        let finished = &mut self.finished;
        self.directories.make_missing(parent, |made| {
            let implied = Metadata { mode: IMPLIED_MODE, ..Metadata::default() };
            finished.entry(made.to_vec()).or_insert(implied);
        })?;
        self.directories.open(parent).map(drop)
    }

    /// Whether the last component is a symbolic link, for the message.
    fn is_through_symlink(&self, path: &[u8]) -> bool {
        let (parent, name) = split(path);
        let parent = self.directories.open_beside(parent);
        let status = parent.and_then(|parent| beneath::status_at(parent.as_fd(), name));
        status.is_ok_and(|status| is_kind(status.st_mode, SFlag::S_IFLNK))
    }

    fn put_directory(&mut self, member: Member) -> Result<()> {
        let name = &member.name;
        let made = self.make(name, |parent, file| {
            match beneath::make_directory(parent, file, Mode::S_IRWXU) {
                Err(Errno::EEXIST) if is_directory(parent, file) => Ok(()),
                made => made,
            }
        });
        made.map_err(|error| error.into_unpack("make the directory", name))?;
        let path = name.clone();
        let metadata = self.metadata(member)?;
        self.finished.insert(path, metadata);
        Ok(())
    }

    fn put_regular(
        &mut self,
        member: Member,
        members: &mut Members<'_>,
        progress: &mut dyn FnMut(),
    ) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let opened = self.make(&member.name, |parent, file| open_file(parent, file, flags));
        let opened = opened.map_err(|error| error.into_unpack("make the file", &member.name))?;
        let mut file = File::from(opened);
        self.summary.bytes += write_contents(&mut file, &member, members, progress)?;
        self.give_metadata(&Made::Open(file.as_fd()), member)
    }

    fn put_symlink(&mut self, member: Member) -> Result<()> {
        let target = OsStr::from_bytes(&member.link);
        let made =
            self.make(&member.name, |parent, file| beneath::make_symlink(target, parent, file));
        made.map_err(|error| error.into_unpack("make the symbolic link", &member.name))?;
        self.give_metadata_by_name(member)
    }

    fn put_node(&mut self, member: Member) -> Result<()> {
        let kind = match member.kind {
            Kind::Character => SFlag::S_IFCHR,
            Kind::Block => SFlag::S_IFBLK,
            _ => SFlag::S_IFIFO,
        };
        let (major, minor) = member.device;
        let device = makedev(u64::from(major), u64::from(minor));
        let made = self.make(&member.name, |parent, file| {
            beneath::make_node(parent, file, kind, Mode::S_IRUSR | Mode::S_IWUSR, device)
        });
        made.map_err(|error| match (error, member.kind) {
            (NotMade::Failed(Errno::EPERM), Kind::Character | Kind::Block) => {
                UnpackError::device_refused(&member)
            }
            (error, _) => error.into_unpack("make the node", &member.name),
        })?;
        self.give_metadata_by_name(member)
    }

    fn put_hard_link(&mut self, member: &Member) -> Result<()> {
        let refused = |reason| UnpackError::refused(&member.name, reason);
        let (old_parent, old_name) = split(&member.link);
        if member.link.is_empty() {
            return Err(refused(Refusal::LinkToDirectory));
        }
        let old_parent = self.directories.open_beside(old_parent).map_err(|errno| match errno {
            Errno::ELOOP | Errno::ENOTDIR => refused(Refusal::LinkThroughSymlink),
            Errno::ENOENT => refused(Refusal::LinkTargetMissing),
            errno => UnpackError::file("open the target directory of", &member.name, errno),
        })?;
        let target =
            beneath::status_at(old_parent.as_fd(), old_name).map_err(|errno| match errno {
                Errno::ENOENT => refused(Refusal::LinkTargetMissing),
                errno => UnpackError::file("look at the target of", &member.name, errno),
            })?;
        if is_kind(target.st_mode, SFlag::S_IFDIR) {
            return Err(refused(Refusal::LinkToDirectory));
        }
        let made = self.make(&member.name, |parent, file| {
            match beneath::make_hard_link(old_parent.as_fd(), old_name, parent, file) {
                // The same file already, perhaps the target itself: it must not be removed.
                Err(Errno::EEXIST) if is_same_file(parent, file, &target) => Ok(()),
                made => made,
            }
        });
        made.map_err(|error| error.into_unpack("make the hard link", &member.name))
    }

    /// Makes a file with `make`; what stands in its way is removed, as tar does it.
    fn make<T>(
        &mut self,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> nix::Result<T>,
    ) -> std::result::Result<T, NotMade> {
        let (parent_path, file) = split(name);
        match make(self.directories.current(), file) {
            Err(Errno::EEXIST) => {}
            made => return made.map_err(NotMade::Failed),
        }
        if self.clear_way(file)? {
            // The descriptor of the removed directory may be held.
            self.directories.forget();
            self.finished.remove(name);
            self.directories.open(parent_path).map_err(NotMade::Failed)?;
        }
        self.named_acls.retain(|acl| acl.path != name);
        make(self.directories.current(), file).map_err(NotMade::Failed)
    }

    /// Removes `file` of the current directory; whether it was a directory is returned.
    fn clear_way(&self, file: &OsStr) -> std::result::Result<bool, NotMade> {
        let parent = self.directories.current();
        match beneath::remove_file(parent, file) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(false),
            Err(Errno::EISDIR) => {}
            Err(errno) => return Err(NotMade::Failed(errno)),
        }
        match beneath::remove_directory(parent, file) {
            Ok(()) => Ok(true),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Err(NotMade::OverDirectory),
            Err(errno) => Err(NotMade::Failed(errno)),
        }
    }

    /// What a member's file gets; ACLs become attributes, those with names are kept for later.
    fn metadata(&mut self, member: Member) -> Result<Metadata> {
        let mut attributes = member.attributes;
        let texts = [
            (acl::ACCESS_ATTRIBUTE, member.access_acl),
            (acl::DEFAULT_ATTRIBUTE, member.default_acl),
        ];
        for (name, text) in texts {
            let Some(text) = text else { continue };
            match acl::attribute(&text, |_| None) {
                Ok(value) => attributes.push((name.as_bytes().to_vec(), value)),
                Err(AclError::UnknownName) => {
                    let path = member.name.clone();
                    self.named_acls.push(NamedAcl { path, attribute: name, text });
                }
                Err(error) => return Err(UnpackError::refused(&member.name, error.into())),
            }
        }
        let (owner, modified) = (Some((member.uid, member.gid)), Some(member.modified));
        Ok(Metadata { owner, mode: member.mode, modified, attributes })
    }

    fn give_metadata(&mut self, made: &Made<'_>, member: Member) -> Result<()> {
        let name = member.name.clone();
        let symlink = member.kind == Kind::Symlink;
        let metadata = self.metadata(member)?;
        self.summary.ignored_attributes += apply(made, &metadata, symlink, &name)?;
        Ok(())
    }

    fn give_metadata_by_name(&mut self, member: Member) -> Result<()> {
        let name = member.name.clone();
        let (_, file) = split(&name);
        let symlink = member.kind == Kind::Symlink;
        let metadata = self.metadata(member)?;
        let made = Made::Named(self.directories.current(), file);
        self.summary.ignored_attributes += apply(&made, &metadata, symlink, &name)?;
        Ok(())
    }

    fn finish_directory(&mut self, path: &[u8], metadata: &Metadata) -> Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let (parent, name) = split(path);
        let opened = match path {
            [] => open_file(self.directories.top(), OsStr::new("."), flags),
            _ => self.directories.open(parent).and_then(|parent| open_file(parent, name, flags)),
        };
        let opened = opened.map_err(|errno| UnpackError::file("open", path, errno))?;
        let made = Made::Open(opened.as_fd());
        self.summary.ignored_attributes += apply(&made, metadata, false, path)?;
        Ok(())
    }

    fn set_named_acls(&mut self) -> Result<()> {
        if self.named_acls.is_empty() {
            return Ok(());
        }
        let names = Names::of_tree(self.directories.top());
        for acl in std::mem::take(&mut self.named_acls) {
            let value = match acl::attribute(&acl.text, |who| names.id(who)) {
                Ok(value) => value,
                Err(AclError::UnknownName) => {
                    self.summary.ignored_attributes += 1;
                    continue;
                }
                Err(error) => return Err(UnpackError::refused(&acl.path, error.into())),
            };
            let file = self.open_path(&acl.path)?;
            let attribute = (acl.attribute.as_bytes().to_vec(), value);
            let ignored = set_attribute(&attribute, &acl.path, |name, value| {
                xattr::set_of_path(file.as_fd(), name, value)
            })?;
            self.summary.ignored_attributes += u64::from(ignored);
        }
        Ok(())
    }

    fn open_path(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let (parent, name) = split(path);
        let opened = match path {
            [] => self.directories.open_beside(path),
            _ => self
                .directories
                .open(parent)
                .and_then(|parent| open_file(parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW)),
        };
        opened.map_err(|errno| UnpackError::file("open", path, errno))
    }
}

/// Why a file was not made.
enum NotMade {
    OverDirectory,
    Failed(Errno),
}

impl NotMade {
    fn into_unpack(self, action: &'static str, name: &[u8]) -> UnpackError {
        match self {
            Self::OverDirectory => UnpackError::refused(name, Refusal::OverDirectory),
            Self::Failed(errno) => UnpackError::file(action, name, errno),
        }
    }
}

fn is_kind(mode: u32, kind: SFlag) -> bool {
    mode & SFlag::S_IFMT.bits() == kind.bits()
}

fn is_directory(parent: BorrowedFd<'_>, name: &OsStr) -> bool {
    beneath::status_at(parent, name).is_ok_and(|status| is_kind(status.st_mode, SFlag::S_IFDIR))
}

fn is_same_file(parent: BorrowedFd<'_>, name: &OsStr, other: &nix::sys::stat::FileStat) -> bool {
    let status = beneath::status_at(parent, name);
    status.is_ok_and(|status| (status.st_dev, status.st_ino) == (other.st_dev, other.st_ino))
}

/// Writes the contents; the file's size is returned. Holes are not written.
fn write_contents(
    file: &mut File,
    member: &Member,
    members: &mut Members<'_>,
    progress: &mut dyn FnMut(),
) -> Result<u64> {
    let failed = |error| UnpackError::io("write", &member.name, error);
    let whole = [(0, member.stored)];
    let (size, segments) = match &member.sparse {
        None => (member.stored, whole.as_slice()),
        Some(map) => (map.size, map.segments.as_slice()),
    };
    for (offset, length) in segments {
        if *offset > 0 {
            file.seek(SeekFrom::Start(*offset)).map_err(failed)?;
        }
        members.contents(*length, |piece| {
            file.write_all(piece).map_err(failed)?;
            progress();
            super::check_cancelled()?;
            Ok(())
        })?;
    }
    if member.sparse.is_some() {
        file.set_len(size).map_err(failed)?;
    }
    Ok(size)
}

/// Gives a file its metadata, in the order that keeps all of it: chown(2) clears setuid bits and
/// capabilities, chmod(2) changes an ACL's mask, and all of them may change times. How many
/// attributes the file system, or the policy, does not take is returned.
fn apply(made: &Made<'_>, metadata: &Metadata, symlink: bool, name: &[u8]) -> Result<u64> {
    let failed = |action| move |errno| UnpackError::file(action, name, errno);
    if let Some((uid, gid)) = metadata.owner {
        let changed = match made {
            Made::Open(file) => beneath::change_owner(*file, uid, gid),
            Made::Named(parent, file) => beneath::change_owner_at(*parent, file, uid, gid),
        };
        changed.map_err(failed("change the owner of"))?;
    }
    if !symlink {
        let mode = Mode::from_bits_truncate(metadata.mode);
        let changed = match made {
            Made::Open(file) => beneath::change_mode(*file, mode),
            Made::Named(parent, file) => {
                open_file(*parent, file, OFlag::O_PATH | OFlag::O_NOFOLLOW)
                    .and_then(|path| beneath::change_mode_of_path(path.as_fd(), mode))
            }
        };
        changed.map_err(failed("change the mode of"))?;
    }
    let ignored = apply_attributes(made, &metadata.attributes, name)?;
    if let Some(modified) = metadata.modified {
        let changed = match made {
            Made::Open(file) => beneath::set_modified(*file, modified),
            Made::Named(parent, file) => beneath::set_modified_at(*parent, file, modified),
        };
        changed.map_err(failed("set the time of"))?;
    }
    Ok(ignored)
}

fn apply_attributes(
    made: &Made<'_>,
    attributes: &[attribute::Attribute],
    name: &[u8],
) -> Result<u64> {
    let mut ignored = 0;
    for attribute in attributes {
        let unset = set_attribute(attribute, name, |key, value| match made {
            Made::Open(file) => xattr::set(*file, key, value),
            Made::Named(parent, file) => {
                let path = open_file(*parent, file, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
                xattr::set_of_path(path.as_fd(), key, value)
            }
        })?;
        ignored += u64::from(unset);
    }
    Ok(ignored)
}

/// Sets one attribute; `true` where it is of a kind that is not taken over, or that the file
/// system does not keep.
fn set_attribute(
    attribute: &attribute::Attribute,
    name: &[u8],
    set: impl Fn(&OsStr, &[u8]) -> nix::Result<()>,
) -> Result<bool> {
    let (key, value) = attribute;
    if !attribute::is_taken(key) {
        return Ok(true);
    }
    match set(OsStr::from_bytes(key), value) {
        Ok(()) => Ok(false),
        Err(Errno::EOPNOTSUPP) => Ok(true),
        Err(errno) => Err(UnpackError::file("set an extended attribute of", name, errno)),
    }
}
