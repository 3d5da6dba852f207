//! What can go wrong, with vzquota's own exit codes.

use std::path::PathBuf;

use super::file::FileError;
use crate::error::OsText;

/// The result of a quota command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a quota command did not succeed. The texts of what a script may look for are the original's;
/// a text that ends with a newline was followed by an empty line there, and is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Everything was said; only the code is left.
    #[error("")]
    Reported(u8),
    /// Limits that contradict each other, or words that do.
    #[error("{0}\n")]
    Usage(String),
    /// The tree cannot be looked at.
    #[error("quota check : {what} {}: {source}", path.display())]
    Scan {
        /// What was tried.
        what: &'static str,
        /// Of which file.
        path: PathBuf,
        /// Why it failed.
        source: OsText,
    },
    /// The tree has a mount point in it.
    #[error("quota check : crossing mount point")]
    CrossesMount,
    /// The kernel, or the file system, refuses.
    #[error("{0}")]
    Kernel(String),
    /// The quota's file is none, or damaged.
    #[error("{0}")]
    File(#[from] FileError),
    /// A file system's answer about the quota's file.
    #[error("{action} '{}': {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: OsText,
    },
    /// There is no file for this number.
    #[error(
        "Can't open quota file for id {0}, maybe you need to reinitialize quota: \
         No such file or directory"
    )]
    NoFile(u32),
    /// It is on, and must not be.
    #[error("Quota is running, stop it first")]
    Running,
    /// It is not on, and must be.
    #[error("{0}")]
    NotRunning(String),
    /// Another command works on the same quota.
    #[error("can't lock quota file, some quota operations are performing for id {0}")]
    Locked(u32),
    /// Neither the file nor the command line names the directory.
    #[error("path to mount point can't be read from config file,\nuse -p <mount_point> option\n")]
    NoPath,
    /// Limits of users and groups that nothing enforces: they were kept, and why they have no
    /// effect was told.
    #[error("")]
    NotEnforced,
}

impl Error {
    /// The exit code (vzquota(8)); of what vzquota had no code for, vzctl's.
    pub fn code(&self) -> u8 {
        match self {
            Error::Reported(code) => *code,
            Error::Scan { .. } => 1,
            Error::Usage(_) => 2,
            Error::Kernel(_) => 3,
            Error::File(_) | Error::Io { .. } => 4,
            Error::Running => 5,
            Error::NotRunning(_) => 6,
            Error::Locked(_) => 7,
            Error::CrossesMount => 8,
            Error::NoFile(_) => 11,
            Error::NoPath => 13,
            Error::NotEnforced => vz_conf::exit::Exit::SetUserQuotaFailed.code(),
        }
    }

    /// What to print; `None` when all has been said.
    pub fn line(&self) -> Option<String> {
        match self {
            Error::Reported(_) | Error::NotEnforced => None,
            // Read and refused before anything is known of the quota: without an object of its own.
            other => Some(other.to_string()),
        }
    }
}
