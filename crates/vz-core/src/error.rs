//! What can go wrong, each with its exit code. The text is the one line a tool prints.

use std::io;
use std::path::{Path, PathBuf};

use vz_conf::exit::Exit;

/// The result of an action.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an action did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was wrong has been reported line by line already; only the code is left to say.
    #[error("")]
    Reported(Exit),
    /// Another command works on the container.
    #[error("Container already locked")]
    Locked,
    /// vz.conf cannot be read.
    #[error("Unable to open {}: {source}", path.display())]
    NoGlobalConfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: OsText,
    },
    /// The container has no configuration file.
    #[error("Container config file does not exist")]
    NoContainerConfig,
    /// VE_PRIVATE is set nowhere.
    #[error("VE_PRIVATE is not set")]
    PrivateNotSet,
    /// VE_ROOT is set nowhere.
    #[error("VE_ROOT is not set")]
    RootNotSet,
    /// TEMPLATE is not set in vz.conf.
    #[error("TEMPLATE is not set")]
    TemplateNotSet,
    /// There is nothing to start or mount.
    #[error("Container private area {} does not exist", .0.display())]
    NoPrivateArea(PathBuf),
    /// The place for a new container is taken.
    #[error("Private area already exists in {}", .0.display())]
    PrivateAreaExists(PathBuf),
    /// The container may not be started.
    #[error("Container start disabled")]
    StartDisabled,
    /// It runs already.
    #[error("Container is already running")]
    AlreadyRunning,
    /// It runs, and must not.
    #[error("Container is running -- stop it first")]
    Running,
    /// It does not run, and must.
    #[error("Container is not running")]
    NotRunning,
    /// It is not mounted.
    #[error("CT is not mounted")]
    NotMounted,
    /// No template was named.
    #[error("OS template is not specified")]
    OsTemplateNotSet,
    /// The template is not in the cache.
    #[error(
        "Cached OS template {}/cache/{name}.tar[.gz|.bz2|.xz|.zst] not found",
        directory.display()
    )]
    OsTemplateNotFound {
        /// TEMPLATE of vz.conf.
        directory: PathBuf,
        /// The name that was asked for.
        name: String,
    },
    /// Nothing in the container can be its init.
    #[error("Unable to start init, probably incorrect template")]
    NoInit,
    /// Refused, in words of its own.
    #[error("{1}")]
    Refused(Exit, String),
    /// A script has failed, with a code that is to be passed on; it has said why.
    #[error("")]
    ScriptFailed(u8),
    /// The admin, or a signal, called it off.
    #[error("\nCancelling...")]
    Cancelled,
    /// The kernel, or the file system, said no.
    #[error("{action}: {source}")]
    System {
        /// The exit code that tells which step it was.
        exit: Exit,
        /// What was tried, with its object.
        action: String,
        /// What the kernel answered.
        source: OsText,
    },
}

/// An [`io::Error`] shown as strerror(3) words it, without Rust's "(os error N)".
#[derive(Debug)]
pub struct OsText(pub io::Error);

impl std::fmt::Display for OsText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Rust adds this to what strerror(3) says.
        let text = self.0.to_string();
        let added = self.0.raw_os_error().map(|number| format!(" (os error {number})"));
        formatter.write_str(added.and_then(|added| text.strip_suffix(&added)).unwrap_or(&text))
    }
}

impl std::error::Error for OsText {}

impl From<io::Error> for OsText {
    fn from(error: io::Error) -> OsText {
        OsText(error)
    }
}

impl From<nix::Error> for OsText {
    fn from(error: nix::Error) -> OsText {
        OsText(error.into())
    }
}

impl Error {
    /// The exit code of a tool that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Reported(exit) | Error::Refused(exit, _) | Error::System { exit, .. } => *exit,
            Error::Locked => Exit::Locked,
            Error::NoGlobalConfig { .. } => Exit::NoGlobalConfig,
            Error::NoContainerConfig => Exit::NoContainerConfig,
            Error::PrivateNotSet => Exit::PrivateNotSet,
            Error::RootNotSet => Exit::RootNotSet,
            Error::TemplateNotSet => Exit::TemplateNotSet,
            Error::NoPrivateArea(_) => Exit::NoPrivateArea,
            Error::PrivateAreaExists(_) => Exit::PrivateAreaExists,
            Error::StartDisabled => Exit::StartDisabled,
            Error::AlreadyRunning | Error::Running => Exit::Running,
            Error::NotRunning => Exit::NotRunning,
            Error::NotMounted => Exit::NotMounted,
            Error::OsTemplateNotSet => Exit::OsTemplateNotSet,
            Error::OsTemplateNotFound { .. } => Exit::OsTemplateNotFound,
            Error::NoInit => Exit::BadTemplate,
            Error::Cancelled => Exit::SystemError,
            Error::ScriptFailed(code) => Exit::from_code(*code).unwrap_or(Exit::ActionScriptFailed),
        }
    }

    /// The number a tool ends with: that of [`Error::exit`], or a script's own.
    pub fn code(&self) -> u8 {
        match self {
            Error::ScriptFailed(code) => *code,
            other => other.exit().code(),
        }
    }

    /// The line to print; `None` when all has been said.
    pub fn line(&self) -> Option<String> {
        match self {
            Error::Reported(_) | Error::ScriptFailed(_) => None,
            other => Some(other.to_string()),
        }
    }
}

/// Gives a kernel's answer its exit code and the words for what was tried.
pub trait Context<T> {
    /// Turns the error into [`Error::System`]; `action` reads like "Cannot open /etc/vz".
    fn context(self, exit: Exit, action: impl FnOnce() -> String) -> Result<T>;

    /// As [`Context::context`], of one path: `verb` reads like "Cannot open".
    fn at(self, exit: Exit, verb: &str, path: &Path) -> Result<T>
    where
        Self: Sized,
    {
        self.context(exit, || format!("{verb} {}", path.display()))
    }
}

impl<T, E: Into<OsText>> Context<T> for std::result::Result<T, E> {
    fn context(self, exit: Exit, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::System { exit, action: action(), source: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes() {
        let error = Err::<(), _>(io::Error::from_raw_os_error(2))
            .at(Exit::MountFailed, "Cannot mount", Path::new("/x"))
            .unwrap_err();
        assert_eq!(error.to_string(), "Cannot mount /x: No such file or directory");
        assert_eq!(error.exit(), Exit::MountFailed);
        assert_eq!(Error::Reported(Exit::Running).line(), None);
    }
}
