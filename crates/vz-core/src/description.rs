//! All that a start is going to make of a container's configuration, as plain data.
//!
//! Built whole before anything on the node changes, so that a configuration that cannot be had is
//! refused before it is half applied, and so that tests compare it without root.

use std::collections::HashSet;

use vz_conf::config::Config;
use vz_conf::device::DeviceKind;
use vz_sys::bpf::{DeviceRule, Kind};
use vz_sys::caps::Capability;
use vz_sys::namespace::Namespaces;
use vz_sys::seccomp::{CONTAINER_DENY, Rule, UNMAPPED_DENY};

use crate::container::Container;
use crate::error::Result;
use crate::group::Place;
use crate::limits;
use crate::report::Report;
use crate::state::{Phase, State};
use crate::user_quota::{self, Wanted};

/// What a container's programs find in their environment, as the original had it.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Capabilities a container has unless its configuration says otherwise: the original's set for
/// kernels without its patch. All of them count inside its user namespace only.
const DEFAULT_CAPABILITIES: [Capability; 27] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETPCAP,
    Capability::CAP_LINUX_IMMUTABLE,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_BROADCAST,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_IPC_LOCK,
    Capability::CAP_IPC_OWNER,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_BOOT,
    Capability::CAP_SYS_NICE,
    Capability::CAP_SYS_RESOURCE,
    Capability::CAP_SYS_TTY_CONFIG,
    Capability::CAP_MKNOD,
    Capability::CAP_LEASE,
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_SETFCAP,
];

/// What real root must not keep in a container that shares the node's user namespace: with these
/// it passes quotas, opens files of the node by handle (CVE-2014-3519), and looks into a process
/// that enters the container before that has shed what it holds of the node (CVE-2016-9962).
const NEVER_UNMAPPED: [Capability; 3] =
    [Capability::CAP_SYS_RESOURCE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_SYS_PTRACE];

/// What real root has in such a container only where its configuration says so: one more
/// `mount -t proc` would give it `/proc/sys` to write, and so the node.
const ASKED_UNMAPPED: Capability = Capability::CAP_SYS_ADMIN;

/// What any process that gets into a container is held to.
#[derive(Debug)]
pub struct Entry {
    /// Capabilities it may have.
    pub capabilities: HashSet<Capability>,
    /// System calls it may not make.
    pub seccomp: Vec<Rule>,
}

impl Entry {
    /// As the configuration says; `user_quota` says that quotactl(2) is served.
    pub fn of(config: &Config, user_namespace: bool, user_quota: bool) -> Entry {
        let rules = seccomp(user_namespace);
        Entry {
            capabilities: capabilities(config, user_namespace),
            seccomp: match user_quota {
                true => user_quota::with_notification(rules),
                false => rules,
            },
        }
    }
}

/// What a start makes.
#[derive(Debug)]
pub struct Description {
    /// The container lives in a user namespace of its own.
    pub user_namespace: bool,
    /// First id of the node that its users are mapped to; 0 without a user namespace.
    pub uid_base: u32,
    /// The same for groups.
    pub gid_base: u32,
    /// Its host name.
    pub hostname: String,
    /// Its cgroup.
    pub place: Place,
    /// What is set there, and in its processes and namespaces.
    pub limits: Vec<limits::Write>,
    /// Devices it may use.
    pub devices: Vec<DeviceRule>,
    /// What its processes are held to.
    pub entry: Entry,
    /// Whether its users have quotas.
    pub user_quota: Wanted,
    /// init's environment.
    pub environment: Vec<String>,
    /// Parameters of the network that nothing is made of yet.
    no_network: Vec<&'static str>,
    root: std::path::PathBuf,
}

impl Description {
    /// Describes the start of `container`.
    ///
    /// # Errors
    /// When no ids can be had for it, or the node has no cgroup v2 hierarchy.
    pub fn of(container: &Container<'_>) -> Result<Description> {
        let (uid_base, gid_base) = container.id_bases()?;
        let user_namespace = uid_base != 0;
        let config = &container.config;
        let user_quota = Wanted::of(container);
        Ok(Description {
            user_namespace,
            uid_base,
            gid_base,
            hostname: config
                .hostname
                .clone()
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "localhost".to_owned()),
            place: container.group_place()?,
            limits: limits::writes(config, &container.private),
            devices: devices(config),
            entry: Entry::of(config, user_namespace, user_quota.is_yes()),
            user_quota,
            environment: environment(),
            no_network: no_network(config),
            root: container.root.clone(),
        })
    }

    /// The namespaces its first process is born into. The cgroup and IPC ones it makes later by
    /// itself: see [`crate::lifecycle::start`].
    pub fn namespaces(&self) -> Namespaces {
        let all = Namespaces::PID | Namespaces::MOUNT | Namespaces::UTS | Namespaces::NET;
        if self.user_namespace { all | Namespaces::USER } else { all }
    }

    /// Says what is given up, before it is.
    pub fn warn(&self, report: &mut dyn Report) {
        if !self.user_namespace {
            report.error(
                "WARNING: LOCAL_UID is 0: root of this container is root of the node; \
                 it is kept in by capabilities and filters alone",
            );
        }
        if !self.user_namespace && self.entry.capabilities.contains(&ASKED_UNMAPPED) {
            report.error("WARNING: with SYS_ADMIN it is not kept in: it can take over the node");
        }
        if let Wanted::Refused(why) = self.user_quota {
            report.error(&format!("Warning: QUOTAUGIDLIMIT: {why}"));
        }
        let may_set = self.user_namespace || self.entry.capabilities.contains(&ASKED_UNMAPPED);
        if self.user_quota.is_yes() && !may_set {
            report.error(
                "Warning: QUOTAUGIDLIMIT: with LOCAL_UID 0 and without capability SYS_ADMIN nobody in \
                 the container may set quotas",
            );
        }
        if !self.no_network.is_empty() {
            report.error(&format!(
                "Warning: not set up by this version, the container has no network: {}",
                self.no_network.join(" ")
            ));
        }
    }

    /// The state file's content at the start of the start.
    pub fn initial_state(&self) -> State {
        State {
            phase: Phase::Starting,
            init: None,
            monitor: None,
            group: self.place.relative(),
            user_quota: self.user_quota.is_yes(),
            uid_base: self.uid_base,
            gid_base: self.gid_base,
            root: self.root.clone(),
            since: 0,
            restarts: 0,
        }
    }
}

fn no_network(config: &Config) -> Vec<&'static str> {
    [
        ("IP_ADDRESS", config.ip_address.as_ref().is_some_and(|list| !list.is_empty())),
        ("NETIF", config.netif.as_ref().is_some_and(|list| !list.is_empty())),
        ("NETDEV", config.netdev.as_ref().is_some_and(|list| !list.is_empty())),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect()
}

/// The name of the device filter in the kernel.
pub(crate) const DEVICE_PROGRAM: &str = "vz_devices";

/// What the original let every container use, and what its configuration adds.
pub(crate) fn devices(config: &Config) -> Vec<DeviceRule> {
    let rule = |kind, major, minor, use_it| DeviceRule {
        kind,
        major,
        minor,
        read: use_it,
        write: use_it,
        mknod: true,
    };
    let mut rules = vec![rule(Kind::Char, None, None, false), rule(Kind::Block, None, None, false)];
    for (major, minor) in [
        (1, Some(3)), // null
        (1, Some(5)), // zero
        (1, Some(7)), // full
        (1, Some(8)), // random
        (1, Some(9)), // urandom
        (5, Some(0)), // tty
        (5, Some(1)), // console
        (5, Some(2)), // ptmx
    ] {
        rules.push(rule(Kind::Char, Some(major), minor, true));
    }
    // Unix98 terminals: 136 to 143 (devices.txt).
    for major in 136..=143 {
        rules.push(rule(Kind::Char, Some(major), None, true));
    }
    let configured = config.devices.iter().flat_map(|list| list.as_slice());
    rules.extend(configured.map(|device| DeviceRule {
        kind: if device.kind == DeviceKind::Block { Kind::Block } else { Kind::Char },
        major: Some(device.major),
        minor: device.minor,
        read: device.access.read,
        write: device.access.write,
        mknod: true,
    }));
    rules
}

fn capabilities(config: &Config, user_namespace: bool) -> HashSet<Capability> {
    let mut set: HashSet<Capability> = DEFAULT_CAPABILITIES.into_iter().collect();
    if !user_namespace {
        set.remove(&ASKED_UNMAPPED);
    }
    for (name, on) in config.capability.iter().flat_map(|list| list.iter()) {
        // VE_ADMIN and FS_MASK are names of the old kernel: no capability of today's has them.
        let Ok(capability) = format!("CAP_{name}").parse::<Capability>() else { continue };
        if on {
            set.insert(capability);
        } else {
            set.remove(&capability);
        }
    }
    if !user_namespace {
        for capability in NEVER_UNMAPPED {
            set.remove(&capability);
        }
    }
    set
}

fn seccomp(user_namespace: bool) -> Vec<Rule> {
    let mut rules = CONTAINER_DENY.to_vec();
    if !user_namespace {
        rules.extend_from_slice(UNMAPPED_DENY);
    }
    rules
}

fn environment() -> Vec<String> {
    ["HOME=/", "TERM=linux", PATH, "container=openvz"].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_root_has_no_way_out_by_capabilities() {
        let mapped = capabilities(&Config::default(), true);
        let unmapped = capabilities(&Config::default(), false);
        for capability in NEVER_UNMAPPED.into_iter().chain([ASKED_UNMAPPED]) {
            assert!(mapped.contains(&capability) && !unmapped.contains(&capability));
        }
        assert_eq!(mapped.len(), unmapped.len() + NEVER_UNMAPPED.len() + 1);
    }
}
