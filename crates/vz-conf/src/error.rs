//! Why a piece of text is not a value.

use thiserror::Error;

/// Why a text was refused as a value.
///
/// The variants that carry a [`remark`](Self::remark) are the ones for which the original
/// prints a line of its own before it names the option or the line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The text does not follow the parameter's grammar.
    #[error("the text does not follow the grammar of this parameter")]
    Syntax,
    /// The text is a number, but not one the parameter can take.
    #[error("the number is out of range")]
    Range,
    /// The text is a number larger than the type that keeps it.
    #[error("the number is too large")]
    TooLarge,
    /// A name with characters it may not have.
    #[error("the name has characters it may not have")]
    Name,
    /// A control character (a newline, a NUL) that no configuration line can keep.
    #[error("the text has a control character, which a configuration line cannot keep")]
    Control,
    /// A capability that is not in the table.
    #[error("Capability {0} is unknown")]
    UnknownCapability(String),
    /// A capability without `:on` or `:off`.
    #[error("Can't parse capability {0} (expecting capname:on|off)")]
    CapabilitySyntax(String),
    /// A feature that is not in the table, or without `:on` or `:off`.
    #[error("Warning: Unknown feature: {0}")]
    UnknownFeature(String),
    /// An iptables module that is not in the table.
    #[error("Warning: Unknown iptable module: {0}, skipped")]
    UnknownIptablesModule(String),
    /// A word that names no netfilter mode.
    #[error("Incorrect netfilter value: {0}")]
    UnknownNetfilterMode(String),
    /// The MAC address of a container's end has not 17 characters.
    #[error("Invalid container MAC address length")]
    MacLength,
    /// The MAC address of a container's end has characters that are not hexadecimal.
    #[error("Invalid container MAC address format")]
    MacFormat,
    /// The MAC address of the node's end is not one.
    #[error("Invalid host MAC address")]
    HostMac,
    /// A device name that the node has no device for; the text says which and why. Only the
    /// caller can look, so only the caller makes this one.
    #[error("{0}")]
    Devnode(String),
    /// A network option that may be given only once on a command line was given again.
    #[error("Multiple use of --{0} option not allowed")]
    Repeated(&'static str),
}

impl ParseError {
    /// The line that the original prints before it names the option, and its log level:
    /// below 0 goes to standard error, 0 to standard output.
    #[must_use]
    pub fn remark(&self) -> Option<(i8, String)> {
        match self {
            Self::Syntax | Self::Range | Self::TooLarge | Self::Name | Self::Control => None,
            Self::UnknownFeature(_) => Some((0, self.to_string())),
            _ => Some((-1, self.to_string())),
        }
    }
}
