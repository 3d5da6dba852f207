//! What the scripts of distribution actions find in their environment: these variables and PATH.

use vz_conf::config::Config;
use vz_conf::ipaddr::Address;
use vz_conf::yesno::YesNo;

use super::dns::Resolver;
use crate::node::Node;

/// What the container is doing while a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being started: init does not run yet.
    Starting,
    /// It runs.
    Running,
}

impl State {
    fn variable(self) -> Variable {
        let text = match self {
            State::Starting => "starting",
            State::Running => "running",
        };
        ("VE_STATE", text.to_owned())
    }
}

/// A name and its value.
pub type Variable = (&'static str, String);

/// ADD_IP: `IP_ADDR` is absent when there are no addresses, `IPDELALL` says that those it had
/// before are to go.
pub fn addresses(
    config: &Config,
    addresses: &[Address],
    instead: bool,
    state: State,
) -> Vec<Variable> {
    let mut variables = vec![state.variable()];
    if !addresses.is_empty() {
        variables.push(("IP_ADDR", joined(addresses)));
    }
    if instead {
        variables.push(("IPDELALL", "yes".to_owned()));
    }
    if config.ipv6 == Some(YesNo::Yes) {
        variables.push(("IPV6", "yes".to_owned()));
    }
    variables
}

/// SET_HOSTNAME: with the container's first address, which its `/etc/hosts` gets.
pub fn hostname(config: &Config, name: &str, state: State) -> Vec<Variable> {
    let mut variables = vec![state.variable(), ("HOSTNM", name.to_owned())];
    let addresses = config.ip_address.as_ref().map(|list| list.as_slice()).unwrap_or_default();
    if let Some(first) = addresses.first() {
        variables.push(("IP_ADDR", first.ip.to_string()));
    }
    variables
}

/// SET_DNS: only what is set; `inherit` is what the node has, and nothing where it has nothing.
pub fn name_servers(node: &Node, config: &Config) -> Vec<Variable> {
    let words = |list: Option<&vz_conf::list::WordList>| -> Option<Vec<String>> {
        list.filter(|list| !list.is_empty()).map(|list| list.as_slice().to_vec())
    };
    let inherits = |list: &Option<Vec<String>>| {
        list.as_ref().and_then(|list| list.first()).is_some_and(|word| word == "inherit")
    };
    let mut servers = words(config.nameserver.as_ref());
    let mut search = words(config.searchdomain.as_ref());
    if inherits(&servers) || inherits(&search) {
        let resolver = Resolver::of(node);
        if inherits(&servers) {
            servers = Some(resolver.servers);
        }
        if inherits(&search) {
            search = Some(resolver.search);
        }
    }
    [("SEARCHDOMAIN", search), ("NAMESERVER", servers)]
        .into_iter()
        .filter_map(|(name, list)| Some((name, list.filter(|list| !list.is_empty())?.join(" "))))
        .collect()
}

/// Addresses in one line.
pub(super) fn joined(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(" ")
}

/// SET_UGID_QUOTA of an image: the limit; of a directory: the device that quotas would be of.
pub fn user_quota(limit: u64, device: Option<(u64, u64)>, state: State) -> Vec<Variable> {
    let mut variables = vec![state.variable()];
    match device {
        _ if limit == 0 => {}
        None => variables.push(("UGIDLIMIT", limit.to_string())),
        Some((major, minor)) => variables.extend([
            ("DEVFS", "simfs".to_owned()),
            ("MINOR", minor.to_string()),
            ("MAJOR", major.to_string()),
        ]),
    }
    variables
}
