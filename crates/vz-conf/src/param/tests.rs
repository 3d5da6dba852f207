use super::*;
use std::collections::HashSet;

#[test]
fn keys_and_options_are_unique() {
    let mut keys = HashSet::new();
    let mut options = HashSet::new();
    let mut ids = HashSet::new();
    for param in PARAMS {
        assert!(ids.insert(param.id), "{:?}", param.id);
        for key in param.key.iter().chain(param.aliases) {
            assert!(keys.insert(*key), "{key}");
        }
        for option in param.options {
            assert!(options.insert(*option), "{option}");
        }
        assert_eq!(param.options.is_empty(), param.help.is_empty(), "{:?}", param.id);
        assert_eq!(param.options.is_empty(), param.commands == Commands::NONE, "{:?}", param.id);
        assert!(param.key.is_some() || !param.options.is_empty(), "{:?}", param.id);
        assert_eq!(param.kind == Kind::Flag, !param.options.is_empty() && !param.takes_value());
    }
}

#[test]
fn short_options_are_those_of_the_original() {
    let mut shorts: Vec<char> = PARAMS.iter().filter_map(|param| param.short).collect();
    shorts.sort_unstable();
    assert_eq!(String::from_iter(shorts), "befiklnptx");
    assert_eq!(by_short('p').unwrap().key, Some("NUMPROC"));
}

#[test]
fn lookups() {
    assert_eq!(by_key("DCACHE").unwrap().key, Some("DCACHESIZE"));
    assert!(by_key("dcache").is_none());
    assert_eq!(by_option(Commands::SET, "ip").unwrap().id, ParamId::IpAddress);
    assert!(by_option(Commands::SET, "local_uid").is_none());
    assert!(by_option(Commands::CREATE, "velayout").is_some());
}

#[test]
fn keys_are_appended_in_the_originals_order() {
    let order: Vec<_> = in_save_order().filter_map(|param| param.key).collect();
    let mut expected = Resource::ALL.map(Resource::key).to_vec();
    expected.extend(["VM_OVERCOMMIT"]);
    expected.extend(
        "IPTABLES NETFILTER CAPABILITY IP_ADDRESS NETDEV HOSTNAME DESCRIPTION NAMESERVER \
         SEARCHDOMAIN DEVICES DEVNODES PCI VE_ROOT VE_PRIVATE MOUNT_OPTS VE_LAYOUT OSTEMPLATE \
         CPUUNITS CPUUWEIGHT CPULIMIT CPUS CPUMASK NODEMASK ONBOOT ORIGIN_SAMPLE DISABLED \
         LOCAL_UID LOCAL_GID DISK_QUOTA DISKSPACE DISKINODES QUOTATIME QUOTAUGIDLIMIT MEMINFO \
         NETIF NAME FEATURES IOPRIO IOLIMIT IOPSLIMIT BOOTORDER STOP_TIMEOUT"
            .split_whitespace(),
    );
    let stored: Vec<_> = order.into_iter().filter(|key| expected.contains(key)).collect();
    assert_eq!(stored, expected);
}
