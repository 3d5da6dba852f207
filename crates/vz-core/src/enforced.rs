//! What this version makes something of, and what it only keeps: so that nobody is told a limit
//! holds that does not.

use vz_conf::config::Config;
use vz_conf::param::{PARAMS, ParamId};
use vz_conf::ubc::Resource;

/// Says whether a parameter is kept in the configuration and nothing else: neither the kernel nor
/// a tool acts on it yet.
pub fn is_saved_only(id: ParamId) -> bool {
    match id {
        ParamId::Ubc(resource) => !is_enforced(resource),
        ParamId::Iptables
        | ParamId::Netfilter
        | ParamId::IpAddress
        | ParamId::IpDel
        | ParamId::Netdev
        | ParamId::NetdevDel
        | ParamId::Netif
        | ParamId::NetifDel
        | ParamId::Devnodes
        | ParamId::Pci
        | ParamId::PciDel
        | ParamId::MountOpts
        | ParamId::Cpuweight
        | ParamId::Cpus
        | ParamId::Cpumask
        | ParamId::Nodemask
        | ParamId::Quotatime
        | ParamId::Quotaugidlimit
        | ParamId::Meminfo
        | ParamId::Features
        | ParamId::Ioprio
        | ParamId::Iolimit
        | ParamId::Iopslimit
        | ParamId::VmOvercommit => true,
        _ => false,
    }
}

fn is_enforced(resource: Resource) -> bool {
    // AVNUMPROC was never a limit, only a hint for checking the others.
    matches!(
        resource,
        Resource::Physpages | Resource::Swappages | Resource::Numproc | Resource::Avnumproc
    )
}

/// The beancounters and I/O limits that a configuration asks for and that nothing enforces yet, as
/// keys of the configuration. Network parameters are told apart from these.
pub fn missing_limits(config: &Config) -> Vec<&'static str> {
    PARAMS
        .iter()
        .filter(|param| {
            let is_limit = match param.id {
                ParamId::Ubc(resource) => asks_for_a_limit(config, resource),
                ParamId::Cpus | ParamId::Cpumask | ParamId::Iolimit | ParamId::Iopslimit => {
                    config.stored(param.id).is_some()
                }
                _ => false,
            };
            is_limit && is_saved_only(param.id)
        })
        .filter_map(|param| param.key)
        .collect()
}

/// Guarantees, and limits that are none, are nothing to miss.
fn asks_for_a_limit(config: &Config, resource: Resource) -> bool {
    let is_guarantee = matches!(resource, Resource::Vmguarpages | Resource::Oomguarpages);
    !is_guarantee
        && config.ubc.get(resource).is_some_and(|value| value.limit != vz_conf::ubc::UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vz_conf::ubc::BarrierLimit;

    #[test]
    fn what_is_missing_is_named() {
        let mut config = Config { iolimit: Some(1), ..Config::default() };
        config.ubc.set(Resource::Kmemsize, Some(BarrierLimit::both(1)));
        config.ubc.set(Resource::Numproc, Some(BarrierLimit::both(1)));
        config.ubc.set(Resource::Numfile, Some(BarrierLimit::UNLIMITED));
        assert_eq!(missing_limits(&config), ["KMEMSIZE", "IOLIMIT"]);
    }
}
