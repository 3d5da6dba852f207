//! What can be made before any process of the container is.

use std::ffi::CString;
use std::os::fd::AsFd;

use vz_conf::exit::Exit;
use vz_sys::channel::{self, Channel};
use vz_sys::fuse::Connection;
use vz_sys::pty;
use vz_sys::seccomp::Program;

use super::devices;
use super::inside::Inside;
use super::ready::{self, Readiness};
use crate::container::Container;
use crate::description::Description;
use crate::error::{Context, Error, Result};
use crate::guest::Guest;
use crate::lifecycle::console::Console;
use crate::node::Node;
use crate::old_cgroup;
use crate::report::Report;
use crate::user_quota;
use crate::views::lxcfs::{self, Bound};
use crate::views::{self, Views};

/// What has been made.
pub struct Prepared {
    /// For the container's first process.
    pub inside: Inside,
    /// For vzmon: both ends of the console, so that a guest that closes it does not hang it up.
    pub console: pty::Pair,
    /// For vzmon: the connection of the container's `/dev/vz`, if there is one.
    pub views: Option<Connection>,
    /// For who answers for quotas of its users, where they have some: its first line.
    pub user_quota: Option<Channel>,
    /// For vzctl, when it is to wait for the end of the boot.
    pub readiness: Option<Readiness>,
}

/// Makes the container's `/dev`, its console and, with `wait`, what will tell of the boot's end.
///
/// # Errors
/// The step that failed.
pub fn prepare(
    container: &Container<'_>,
    description: &Description,
    guest: &Guest,
    line: Channel,
    wait: bool,
    report: &mut dyn Report,
) -> Result<Prepared> {
    let (uid, gid) = (description.uid_base, description.gid_base);
    let system = |what: &'static str| move || what.to_owned();
    let root = match description.user_quota.is_yes() {
        true => Some(user_quota::device_of(&container.root).at(
            Exit::SetUserQuotaFailed,
            "Cannot find the device of",
            &container.root,
        )?),
        false => None,
    };
    let devices = devices::make(uid, gid, root.as_ref())
        .context(Exit::SystemError, system("Cannot make /dev"))?;
    let terminals = devices::make_terminals(uid, gid)
        .context(Exit::SystemError, system("Cannot make /dev/pts"))?;
    let (readiness, inittab) = match wait {
        true => ready::prepare(guest, devices.as_fd(), uid, gid)
            .context(Exit::SystemError, system("Cannot prepare to wait for the boot"))?,
        false => (None, None),
    };
    let Console { pair: console, mount: console_mount } = Console::open(uid, gid)?;
    let old_cgroup = match guest.wants_old_cgroup() {
        true => Some(
            old_cgroup::make(container.node, container.id, uid, gid)
                .context(Exit::SystemError, system("Cannot make the v1 systemd hierarchy"))?,
        ),
        false => None,
    };
    let notify = readiness.as_ref().and_then(Readiness::environment);
    let environment = description.environment.iter().cloned().chain(notify);
    let (views, bound) = views(container.node, uid, gid, report);
    let (user_quota, asking) = match root {
        Some(_) => {
            let pair = channel::pair();
            let (ours, other) = pair.context(Exit::ResourceError, system("Cannot make a line"))?;
            (Some(ours), Some(other))
        }
        None => (None, None),
    };
    let inside = Inside {
        user_quota: asking,
        line,
        devices,
        terminals,
        console_mount,
        console: console
            .slave
            .try_clone()
            .context(Exit::ResourceError, system("Cannot copy the console"))?,
        old_cgroup,
        inittab,
        bound,
        hostname: description.hostname.clone().into(),
        configured_hostname: container.config.hostname.clone().filter(|name| !name.is_empty()),
        capabilities: description.entry.capabilities.clone(),
        seccomp: Program::build(&description.entry.seccomp)
            .map_err(|error| Error::Refused(Exit::SystemError, error.to_string()))?,
        environment: environment.filter_map(|text| CString::new(text).ok()).collect(),
    };
    Ok(Prepared { inside, console, views, user_quota, readiness })
}

/// What is bound over the container's `/dev` and `/proc`, and the connection of what is served
/// there. A container starts without just as well.
fn views(
    node: &Node,
    uid: u32,
    gid: u32,
    report: &mut dyn Report,
) -> (Option<Connection>, Vec<Bound>) {
    let mut bound = match lxcfs::find(node) {
        lxcfs::Found::Files(files) => files,
        lxcfs::Found::None => Vec::new(),
        lxcfs::Found::Hangs => {
            report.error("Warning: lxcfs does not answer, the container sees the node's /proc");
            Vec::new()
        }
    };
    let connection = match Views::open(node, uid, gid) {
        Ok(Some(views)) => {
            bound.push(Bound { path: views::TARGET, mount: views.mount });
            Some(views.connection)
        }
        Ok(None) => None,
        Err(error) => {
            report.error(&format!("Warning: the container has no {}: {error}", views::TARGET));
            None
        }
    };
    (connection, bound)
}
