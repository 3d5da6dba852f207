//! Why an archive was not unpacked.

use std::io;

use nix::errno::Errno;

use super::member::{Kind, Member};

/// Names in messages are cut after so many characters: an archive may hold a name of megabytes.
const SHOWN_NAME: usize = 256;

/// Why an archive could not be unpacked. What was unpacked until then is left in place: the
/// caller removes the destination.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The archive file itself cannot be read.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// The compressed data is damaged, or of a variant this build does not know.
    #[error("cannot decompress the archive ({compression}): {source}")]
    Damaged {
        /// The compression that was found.
        compression: &'static str,
        /// What the decompressor says.
        source: io::Error,
    },
    /// The archive ends before its end marker.
    #[error("the archive is truncated: it ends {after}")]
    Truncated {
        /// Where it ends, in words.
        after: String,
    },
    /// The archive is no tar archive, or a header in it is malformed.
    #[error("cannot read the tar header at byte {offset}: {reason}")]
    Header {
        /// Offset in the decompressed archive, in bytes.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A member is one that no honest archive has, or that cannot be unpacked faithfully.
    #[error("refusing the archive member '{name}': {reason}")]
    Refused {
        /// The member's name, made printable.
        name: String,
        /// Why it is refused.
        reason: Refusal,
    },
    /// The file system, or the quota, is full.
    #[error("cannot unpack '{name}': {source}")]
    NoSpace {
        /// The member that did not fit.
        name: String,
        /// `ENOSPC` or `EDQUOT`.
        source: io::Error,
    },
    /// This process may not make device nodes.
    #[error(
        "cannot make the device node '{name}' ({kind} {major}:{minor}): {source}; \
         making device nodes needs CAP_MKNOD and a file system that is not in a user namespace"
    )]
    DeviceRefused {
        /// The node's name.
        name: String,
        /// `character` or `block`.
        kind: &'static str,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// `EPERM`.
        source: io::Error,
    },
    /// A file cannot be made or changed.
    #[error("cannot {action} '{name}': {source}")]
    File {
        /// What was tried, in words.
        action: &'static str,
        /// The member's name.
        name: String,
        /// Why it failed.
        source: io::Error,
    },
    /// There is nothing in it by which a container's files are known.
    #[error("no container's files are in the archive")]
    NoContainer,
    /// A signal called it off.
    #[error("cancelled")]
    Cancelled,
    /// The thread that decompresses could not be started, or ended without a word.
    #[error("cannot decompress the archive on a second thread: {0}")]
    Thread(#[source] io::Error),
}

/// Why a member is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The name is empty.
    #[error("its name is empty")]
    EmptyName,
    /// The name, or the target of a link, has a NUL byte.
    #[error("its name has a NUL byte")]
    NulInName,
    /// The name is longer than any path (4095 bytes).
    #[error("its name is longer than 4095 bytes")]
    LongName,
    /// The name has a `..`.
    #[error("its name has a '..'")]
    DotDot,
    /// The target of a hard link has a `..`.
    #[error("it is a hard link to a name with a '..'")]
    LinkDotDot,
    /// It, or the target of a hard link, does not lie where the others do.
    #[error("it is outside of the container's top directory")]
    Outside,
    /// A directory on the way is a symbolic link.
    #[error("a directory of its name is a symbolic link")]
    ThroughSymlink,
    /// A directory on the way of a hard link's target is a symbolic link.
    #[error("it is a hard link to a name below a symbolic link")]
    LinkThroughSymlink,
    /// A directory on the way is another kind of file.
    #[error("a directory of its name is not a directory")]
    ParentNotDirectory,
    /// A directory on the way is a mount point.
    #[error("a directory of its name is a mount point")]
    MountPoint,
    /// A directory with files stands where the member goes.
    #[error("a directory that is not empty has this name")]
    OverDirectory,
    /// The target of a hard link is not there.
    #[error("it is a hard link to a file that is not unpacked")]
    LinkTargetMissing,
    /// The target of a hard link is a directory.
    #[error("it is a hard link to a directory")]
    LinkToDirectory,
    /// The top of the tree is not a directory in the archive.
    #[error("the top directory cannot be another kind of file")]
    TopNotDirectory,
    /// The kind of member is unknown here.
    #[error("it is of an unknown kind")]
    UnknownKind,
    /// A number in the header is malformed or too large.
    #[error("its {0} is malformed or out of range")]
    Number(&'static str),
    /// A member without contents claims some.
    #[error("it has contents, and its kind has none")]
    UnexpectedData,
    /// A PAX record is malformed.
    #[error("its PAX header is malformed")]
    PaxRecord,
    /// A PAX header for all members sets what only one can have.
    #[error("a global PAX header sets a name or a size")]
    GlobalRecord,
    /// Two headers describe the same thing of one member: readers disagree which one counts.
    #[error("two headers give its {0}")]
    Ambiguous(&'static str),
    /// A long name, PAX header or sparse map is larger than any honest one.
    #[error("its description is too large")]
    LargeDescription,
    /// The map of a sparse file is malformed.
    #[error("its sparse map is malformed")]
    SparseMap,
    /// The text of an ACL is malformed.
    #[error("its ACL is malformed")]
    Acl,
    /// An extended attribute is malformed.
    #[error("its extended attribute is malformed")]
    Attribute,
    /// Bytes that are not zero follow the end of the archive.
    #[error("other data follows the end of the archive")]
    TrailingData,
}

impl UnpackError {
    /// A member refused.
    pub(super) fn refused(name: &[u8], reason: Refusal) -> Self {
        Self::Refused { name: shown(name), reason }
    }

    /// A failed call about a member: out of space is told apart.
    pub(super) fn file(action: &'static str, name: &[u8], errno: Errno) -> Self {
        let (name, source) = (shown(name), io::Error::from(errno));
        match errno {
            Errno::ENOSPC | Errno::EDQUOT => Self::NoSpace { name, source },
            _ => Self::File { action, name, source },
        }
    }

    /// A device node that this process may not make.
    pub(super) fn device_refused(member: &Member) -> Self {
        let kind = if member.kind == Kind::Block { "block" } else { "character" };
        let (major, minor) = member.device;
        let source = io::Error::from(Errno::EPERM);
        Self::DeviceRefused { name: shown(&member.name), kind, major, minor, source }
    }

    /// As [`Self::file`], from an error of the standard library.
    pub(super) fn io(action: &'static str, name: &[u8], source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(code) => Self::file(action, name, Errno::from_raw(code)),
            None => Self::File { action, name: shown(name), source },
        }
    }
}

/// A name fit for a message: control characters escaped, cut when overlong, `.` for the top.
pub(super) fn shown(name: &[u8]) -> String {
    if name.is_empty() {
        return ".".to_owned();
    }
    let start = name.get(..SHOWN_NAME * 4).unwrap_or(name);
    let text = String::from_utf8_lossy(start);
    let mut text: String = text.chars().flat_map(char::escape_debug).take(SHOWN_NAME + 1).collect();
    if text.chars().count() > SHOWN_NAME || start.len() < name.len() {
        text = text.chars().take(SHOWN_NAME).chain("...".chars()).collect();
    }
    text
}
