//! The actions a distribution configuration may name a script for.

use std::time::Duration;

/// How long a script that sets something inside may take, as long as the original's.
const PATIENCE: Duration = Duration::from_secs(300);

/// A distribution action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Gives the container addresses.
    AddIp,
    /// Takes addresses away.
    DelIp,
    /// Sets its host name.
    SetHostname,
    /// Sets its name servers and search domains.
    SetDns,
    /// Sets passwords.
    SetUserpass,
    /// Prepares it for quotas of its users.
    SetUgidQuota,
    /// On the node, once, after its files are there.
    PostCreate,
    /// Last of all before `CTID.start`.
    PreStart,
    /// Prepares its console.
    SetConsole,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 9] = [
        Action::AddIp,
        Action::DelIp,
        Action::SetHostname,
        Action::SetDns,
        Action::SetUserpass,
        Action::SetUgidQuota,
        Action::PostCreate,
        Action::PreStart,
        Action::SetConsole,
    ];

    /// Its key in a distribution configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Action::AddIp => "ADD_IP",
            Action::DelIp => "DEL_IP",
            Action::SetHostname => "SET_HOSTNAME",
            Action::SetDns => "SET_DNS",
            Action::SetUserpass => "SET_USERPASS",
            Action::SetUgidQuota => "SET_UGID_QUOTA",
            Action::PostCreate => "POST_CREATE",
            Action::PreStart => "PRE_START",
            Action::SetConsole => "SET_CONSOLE",
        }
    }

    /// The action with this key; keys are case sensitive.
    pub fn of(key: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.key() == key)
    }

    /// It sets something inside: its script has the functions of `scripts/functions`, an
    /// environment of its own values and PATH alone, and a limited time. That there is no script
    /// for it is worth a warning.
    pub const fn is_setting(self) -> bool {
        !matches!(self, Action::PostCreate | Action::PreStart | Action::SetConsole)
    }

    /// How long its script may take. The original let the others take for ever; theirs is the
    /// same shell of the container's, which must not hold a start up for good.
    pub const fn patience(self) -> Duration {
        PATIENCE
    }
}
