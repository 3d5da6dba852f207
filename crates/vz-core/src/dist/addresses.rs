//! A container's addresses: what is said of them, the scripts that configure them inside, and the
//! file that tells which they are.

use std::net::IpAddr;

use vz_conf::change::Change;
use vz_conf::config::Config;
use vz_conf::ipaddr::{Address, AddressList};
use vz_conf::yesno::YesNo;

use super::environment::{self, joined};
use super::{Action, Inside};
use crate::addresses;
use crate::error::Result;
use crate::report::Report;

/// Gives a container that is being started all of its addresses. ADD_IP runs also when there are
/// none, so that what is left of older ones goes.
///
/// # Errors
/// When the file of the addresses cannot be written.
pub fn give(inside: &Inside<'_, '_>, report: &mut dyn Report) -> Result<()> {
    let config = &inside.container.config;
    let given = usable(config, config.ip_address.as_ref(), report);
    let (node, id) = (inside.container.node, inside.container.id);
    if given.is_empty() {
        addresses::forget(node, id)?;
        // That there is no script matters only to those that have an address.
        if inside.distribution.script(Action::AddIp).is_none() {
            return Ok(());
        }
    } else {
        report.info(&format!("Adding IP address(es): {}", joined(&given)));
        addresses::write(node, id, &bare(&given))?;
    }
    run(inside, Action::AddIp, &given, false, report);
    Ok(())
}

/// Takes addresses from a running container, and gives it others: DEL_IP first, then ADD_IP.
///
/// # Errors
/// When the file of the addresses cannot be written.
pub fn change(inside: &Inside<'_, '_>, change: &Change, report: &mut dyn Report) -> Result<()> {
    let config = &inside.container.config;
    let (node, id) = (inside.container.node, inside.container.id);
    let mut present = addresses::read(node, id).unwrap_or_default();
    let all = change.ip_all_removed;
    let removed: Vec<Address> = match all {
        true => present.iter().rev().map(|ip| Address { ip: *ip, prefix: None }).collect(),
        false => removed(config, change),
    };
    if all || !removed.is_empty() {
        let which = if all { "all " } else { "" };
        report.info(&format!("Deleting {which}IP address(es): {}", joined(&removed)));
        present.retain(|ip| !removed.iter().any(|address| address.ip == *ip));
        addresses::write(node, id, &present)?;
        run(inside, Action::DelIp, &removed, all, report);
    }
    let added = usable(config, change.values.ip_address.as_ref(), report);
    if !added.is_empty() {
        report.info(&format!("Adding IP address(es): {}", joined(&added)));
        present.retain(|ip| !added.iter().any(|address| address.ip == *ip));
        present.extend(bare(&added));
        addresses::write(node, id, &present)?;
        run(inside, Action::AddIp, &added, all, report);
    }
    Ok(())
}

/// Those that are to go, and those that come again: a new prefix length may be meant.
fn removed(config: &Config, change: &Change) -> Vec<Address> {
    let mut removed = change.ip_removed.as_slice().to_vec();
    let configured = slice(config.ip_address.as_ref());
    let again = |address: &&Address| {
        let is_it = |other: &Address| other.ip == address.ip;
        slice(change.values.ip_address.as_ref()).iter().any(is_it) && !removed.iter().any(is_it)
    };
    let again: Vec<Address> = configured.iter().filter(again).copied().collect();
    removed.extend(again);
    removed
}

fn slice(list: Option<&AddressList>) -> &[Address] {
    list.map(AddressList::as_slice).unwrap_or_default()
}

/// Runs the script of an action; its failure is its own to tell.
fn run(
    inside: &Inside<'_, '_>,
    action: Action,
    addresses: &[Address],
    all: bool,
    report: &mut dyn Report,
) {
    let config = &inside.container.config;
    let variables = environment::addresses(config, addresses, all, inside.state);
    inside.try_run(action, &variables, report);
}

/// Without IPV6=yes a container has no IPv6 addresses.
fn usable(config: &Config, list: Option<&AddressList>, report: &mut dyn Report) -> Vec<Address> {
    let mut usable = slice(list).to_vec();
    if config.ipv6 != Some(YesNo::Yes) {
        let all = usable.len();
        usable.retain(|address| address.ip.is_ipv4());
        if usable.len() < all {
            report.info("WARNING: IPv6 support is disabled");
        }
    }
    usable
}

fn bare(addresses: &[Address]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.ip).collect()
}
