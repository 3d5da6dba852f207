//! The rows of the table.

use super::{Applies, Commands, Kind, Param, ParamId, Scope, key, option};
use crate::ubc::Resource;

/// Every parameter, in the order of the original.
#[rustfmt::skip] // One row reads better in two or three lines than in twelve.
pub const PARAMS: &[Param] = &[
    key(ParamId::Lockdir, "LOCKDIR", Kind::Path, Scope::Node),
    key(ParamId::Dumpdir, "DUMPDIR", Kind::Path, Scope::Both),
    key(ParamId::Logging, "LOGGING", Kind::YesNo, Scope::Node),
    key(ParamId::LogLevel, "LOG_LEVEL", Kind::Int, Scope::Node),
    key(ParamId::Logfile, "LOGFILE", Kind::Path, Scope::Node),
    key(ParamId::Verbose, "VERBOSE", Kind::Int, Scope::Node),
    key(ParamId::Iptables, "IPTABLES", Kind::IptablesModules, Scope::Both)
        .options(&["iptables"], Some("MODULE..."), Commands::SET, "iptables modules the container may use (older form of --netfilter)")
        .applies(Applies::Restart),
    key(ParamId::Netfilter, "NETFILTER", Kind::Netfilter, Scope::Container)
        .options(&["netfilter"], Some("disabled|stateless|stateful|full"), Commands::SET, "how much packet filtering the container has")
        .applies(Applies::Restart),
    key(ParamId::Ubc(Resource::Kmemsize), Resource::Kmemsize.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["kmemsize"], Some("BARRIER[:LIMIT]"), Commands::SET, "kernel memory")
        .short('k')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Lockedpages), Resource::Lockedpages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["lockedpages"], Some("BARRIER[:LIMIT]"), Commands::SET, "memory locked by mlock(2)")
        .short('l')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Privvmpages), Resource::Privvmpages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["privvmpages"], Some("BARRIER[:LIMIT]"), Commands::SET, "private virtual memory")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Shmpages), Resource::Shmpages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["shmpages"], Some("BARRIER[:LIMIT]"), Commands::SET, "shared memory")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numproc), Resource::Numproc.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numproc"], Some("BARRIER[:LIMIT]"), Commands::SET, "processes and threads")
        .short('p')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Physpages), Resource::Physpages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["physpages"], Some("BARRIER[:LIMIT]"), Commands::SET, "RAM")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Vmguarpages), Resource::Vmguarpages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["vmguarpages"], Some("BARRIER[:LIMIT]"), Commands::SET, "memory guaranteed to be allocatable")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Oomguarpages), Resource::Oomguarpages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["oomguarpages"], Some("BARRIER[:LIMIT]"), Commands::SET, "memory up to which nothing is killed for lack of memory")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numtcpsock), Resource::Numtcpsock.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numtcpsock"], Some("BARRIER[:LIMIT]"), Commands::SET, "TCP sockets")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numflock), Resource::Numflock.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numflock"], Some("BARRIER[:LIMIT]"), Commands::SET, "file locks")
        .short('f')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numpty), Resource::Numpty.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numpty"], Some("BARRIER[:LIMIT]"), Commands::SET, "pseudo-terminals")
        .short('t')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numsiginfo), Resource::Numsiginfo.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numsiginfo"], Some("BARRIER[:LIMIT]"), Commands::SET, "queued signals")
        .short('i')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Tcpsndbuf), Resource::Tcpsndbuf.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["tcpsndbuf"], Some("BARRIER[:LIMIT]"), Commands::SET, "TCP send buffers")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Tcprcvbuf), Resource::Tcprcvbuf.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["tcprcvbuf"], Some("BARRIER[:LIMIT]"), Commands::SET, "TCP receive buffers")
        .short('b')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Othersockbuf), Resource::Othersockbuf.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["othersockbuf"], Some("BARRIER[:LIMIT]"), Commands::SET, "buffers of sockets other than TCP")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Dgramrcvbuf), Resource::Dgramrcvbuf.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["dgramrcvbuf"], Some("BARRIER[:LIMIT]"), Commands::SET, "datagram receive buffers")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numothersock), Resource::Numothersock.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numothersock"], Some("BARRIER[:LIMIT]"), Commands::SET, "sockets other than TCP")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numfile), Resource::Numfile.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numfile"], Some("BARRIER[:LIMIT]"), Commands::SET, "open files")
        .short('n')
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Dcachesize), Resource::Dcachesize.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["dcachesize"], Some("BARRIER[:LIMIT]"), Commands::SET, "directory entry cache")
        .short('x')
        .aliases(&["DCACHE"])
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Numiptent), Resource::Numiptent.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["numiptent"], Some("BARRIER[:LIMIT]"), Commands::SET, "packet filter rules")
        .short('e')
        .aliases(&["IPTENTRIES"])
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Avnumproc), Resource::Avnumproc.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["avnumproc"], Some("BARRIER[:LIMIT]"), Commands::SET, "average number of processes")
        .applies(Applies::Live),
    key(ParamId::Ubc(Resource::Swappages), Resource::Swappages.key(), Kind::BarrierLimit, Scope::Both)
        .options(&["swappages"], Some("BARRIER[:LIMIT]"), Commands::SET, "swap")
        .applies(Applies::Live),
    option(ParamId::Ram, Kind::Memory)
        .options(&["ram"], Some("SIZE"), Commands::SET, "RAM (sets physpages)")
        .applies(Applies::Live),
    option(ParamId::Swap, Kind::Memory)
        .options(&["swap"], Some("SIZE"), Commands::SET, "swap (sets swappages)")
        .applies(Applies::Live),
    key(ParamId::Capability, "CAPABILITY", Kind::Capabilities, Scope::Both)
        .options(&["capability"], Some("NAME:on|off..."), Commands::SET, "grant or take a capability")
        .applies(Applies::Restart),
    key(ParamId::IpAddress, "IP_ADDRESS", Kind::Addresses, Scope::Both)
        .options(&["ipadd", "ip"], Some("ADDRESS[/BITS]..."), Commands::SET_CREATE, "add IP addresses")
        .applies(Applies::Live),
    option(ParamId::IpDel, Kind::Addresses)
        .options(&["ipdel"], Some("ADDRESS...|all"), Commands::SET, "remove IP addresses")
        .applies(Applies::Live),
    key(ParamId::Netdev, "NETDEV", Kind::Netdevs, Scope::Both)
        .options(&["netdev_add"], Some("DEVICE..."), Commands::SET, "move a network device of the node into the container")
        .applies(Applies::Live),
    option(ParamId::NetdevDel, Kind::Netdevs)
        .options(&["netdev_del"], Some("DEVICE..."), Commands::SET, "give a network device back to the node")
        .applies(Applies::Live),
    key(ParamId::Hostname, "HOSTNAME", Kind::Text, Scope::Both)
        .options(&["hostname"], Some("NAME"), Commands::SET_CREATE, "host name inside the container")
        .applies(Applies::Live),
    key(ParamId::Description, "DESCRIPTION", Kind::Text, Scope::Container)
        .options(&["description"], Some("TEXT"), Commands::SET_CREATE, "a note for people"),
    key(ParamId::Nameserver, "NAMESERVER", Kind::Words, Scope::Both)
        .options(&["nameserver"], Some("ADDRESS...|inherit"), Commands::SET, "name servers; inherit takes the node's")
        .applies(Applies::Live),
    key(ParamId::Ipv6, "IPV6", Kind::YesNo, Scope::Node),
    key(ParamId::Searchdomain, "SEARCHDOMAIN", Kind::Words, Scope::Both)
        .options(&["searchdomain"], Some("DOMAIN...|inherit"), Commands::SET, "domains to search for host names; inherit takes the node's")
        .applies(Applies::Live),
    option(ParamId::Userpasswd, Kind::Words)
        .options(&["userpasswd"], Some("USER:PASSWORD"), Commands::SET, "set a password inside the container, adding the user if need be")
        .applies(Applies::Live),
    key(ParamId::Devices, "DEVICES", Kind::Devices, Scope::Both)
        .options(&["devices"], Some("b|c:MAJOR:MINOR|all:[r][w][q]|none..."), Commands::SET, "access to devices by number")
        .applies(Applies::Live),
    key(ParamId::Devnodes, "DEVNODES", Kind::Devnodes, Scope::Both)
        .options(&["devnodes"], Some("NAME:[r][w][q]|none..."), Commands::SET, "access to devices by name")
        .applies(Applies::Live),
    key(ParamId::Pci, "PCI", Kind::Pci, Scope::Both)
        .options(&["pci_add"], Some("[DOMAIN:]BUS:SLOT.FUNCTION..."), Commands::SET, "give the container a PCI device")
        .applies(Applies::Live),
    option(ParamId::PciDel, Kind::Pci)
        .options(&["pci_del"], Some("[DOMAIN:]BUS:SLOT.FUNCTION..."), Commands::SET, "take a PCI device back")
        .applies(Applies::Live),
    key(ParamId::VeRoot, "VE_ROOT", Kind::Path, Scope::Both)
        .options(&["root"], Some("PATH"), Commands::SET_CREATE, "where the container is mounted; may have $VEID"),
    key(ParamId::VePrivate, "VE_PRIVATE", Kind::Path, Scope::Both)
        .options(&["private"], Some("PATH"), Commands::SET_CREATE, "the private area; may have $VEID"),
    key(ParamId::Template, "TEMPLATE", Kind::Path, Scope::Both),
    key(ParamId::MountOpts, "MOUNT_OPTS", Kind::Text, Scope::Both)
        .options(&["mount_opts"], Some("OPTION[,OPTION...]"), Commands::SET, "mount options of the container's file system")
        .applies(Applies::Restart),
    key(ParamId::VeLayout, "VE_LAYOUT", Kind::Layout, Scope::Both)
        .options(&["layout", "ve_layout", "velayout"], Some("simfs|ploop[:MODE]|overlay"), Commands::CREATE_CONVERT, "how the private area is kept"),
    key(ParamId::Ostemplate, "OSTEMPLATE", Kind::Text, Scope::Both)
        .options(&["ostemplate"], Some("NAME"), Commands::SET_CREATE, "the OS template"),
    key(ParamId::OverlayTemplate, "OVERLAY_TEMPLATE", Kind::Text, Scope::Container),
    key(ParamId::DefOstemplate, "DEF_OSTEMPLATE", Kind::Text, Scope::Both),
    key(ParamId::Cpuunits, "CPUUNITS", Kind::CpuUnits, Scope::Both)
        .options(&["cpuunits"], Some("UNITS"), Commands::SET, "share of CPU time, 8 to 500000")
        .applies(Applies::Live),
    key(ParamId::Cpuweight, "CPUUWEIGHT", Kind::Unsigned, Scope::Both)
        .options(&["cpuweight"], Some("WEIGHT"), Commands::SET, "share of CPU time, as a weight")
        .applies(Applies::Live),
    key(ParamId::Cpulimit, "CPULIMIT", Kind::CpuLimit, Scope::Both)
        .options(&["cpulimit"], Some("PERCENT[%]"), Commands::SET, "most CPU time, in percent of one CPU; with % of all")
        .applies(Applies::Live),
    key(ParamId::Cpus, "CPUS", Kind::Unsigned, Scope::Both)
        .options(&["cpus"], Some("NUMBER"), Commands::SET, "number of CPUs")
        .applies(Applies::Live),
    key(ParamId::Cpumask, "CPUMASK", Kind::CpuMask, Scope::Both)
        .options(&["cpumask"], Some("N[-M][,N...]|all|auto"), Commands::SET, "CPUs to run on")
        .applies(Applies::Live),
    key(ParamId::Nodemask, "NODEMASK", Kind::IndexSet, Scope::Both)
        .options(&["nodemask"], Some("N[-M][,N...]|all"), Commands::SET, "NUMA nodes to take memory from")
        .applies(Applies::Live),
    key(ParamId::Onboot, "ONBOOT", Kind::YesNo, Scope::Both)
        .options(&["onboot"], Some("yes|no"), Commands::SET, "start when the node boots"),
    key(ParamId::Configfile, "CONFIGFILE", Kind::Text, Scope::Node)
        .options(&["config"], Some("NAME"), Commands::CREATE, "configuration sample to start from"),
    key(ParamId::OriginSample, "ORIGIN_SAMPLE", Kind::Text, Scope::Container),
    key(ParamId::Disabled, "DISABLED", Kind::YesNo, Scope::Both)
        .options(&["disabled"], Some("yes|no"), Commands::SET, "refuse to start the container"),
    key(ParamId::LocalUid, "LOCAL_UID", Kind::Unsigned, Scope::Both)
        .options(&["local_uid"], Some("UID"), Commands::CREATE, "first user id of the container on the node"),
    key(ParamId::LocalGid, "LOCAL_GID", Kind::Unsigned, Scope::Both)
        .options(&["local_gid"], Some("GID"), Commands::CREATE, "first group id of the container on the node"),
    key(ParamId::DiskQuota, "DISK_QUOTA", Kind::YesNo, Scope::Both)
        .options(&["diskquota"], Some("yes|no"), Commands::SET, "limit disk space and inodes")
        .applies(Applies::Restart),
    key(ParamId::Diskspace, "DISKSPACE", Kind::DiskSpace, Scope::Both)
        .options(&["diskspace"], Some("SOFT[:HARD]"), Commands::ALL, "disk space, in KiB or with a suffix")
        .applies(Applies::Live),
    key(ParamId::Diskinodes, "DISKINODES", Kind::DiskInodes, Scope::Both)
        .options(&["diskinodes"], Some("SOFT[:HARD]"), Commands::SET_CREATE, "number of inodes")
        .applies(Applies::Live),
    key(ParamId::Quotatime, "QUOTATIME", Kind::Unsigned, Scope::Both)
        .options(&["quotatime"], Some("SECONDS"), Commands::SET, "how long the soft disk limits may be exceeded")
        .applies(Applies::Live),
    key(ParamId::Quotaugidlimit, "QUOTAUGIDLIMIT", Kind::Unsigned, Scope::Both)
        .options(&["quotaugidlimit"], Some("NUMBER"), Commands::SET, "number of users and groups with a quota inside; 0 turns it off")
        .applies(Applies::Restart),
    key(ParamId::Meminfo, "MEMINFO", Kind::Meminfo, Scope::Both)
        .options(&["meminfo"], Some("none|pages:N|privvmpages:N"), Commands::SET, "memory the container sees")
        .applies(Applies::Live),
    key(ParamId::Veth, "VETH", Kind::Ignored, Scope::Container),
    key(ParamId::Netif, "NETIF", Kind::Netif, Scope::Container)
        .options(&["netif_add"], Some("IFNAME[,MAC[,HOST_IFNAME[,HOST_MAC[,BRIDGE]]]]..."), Commands::SET, "add a veth interface")
        .applies(Applies::Live),
    option(ParamId::NetifDel, Kind::Netif)
        .options(&["netif_del"], Some("IFNAME|all"), Commands::SET, "remove a veth interface")
        .applies(Applies::Live),
    option(ParamId::NetifIfname, Kind::Netif)
        .options(&["ifname"], Some("IFNAME"), Commands::SET, "the veth interface that the next options change")
        .applies(Applies::Live),
    option(ParamId::NetifMac, Kind::Netif)
        .options(&["mac"], Some("MAC"), Commands::SET, "MAC address of the container's end")
        .applies(Applies::Live),
    option(ParamId::NetifHostMac, Kind::Netif)
        .options(&["host_mac"], Some("MAC"), Commands::SET, "MAC address of the node's end")
        .applies(Applies::Live),
    option(ParamId::NetifHostIfname, Kind::Netif)
        .options(&["host_ifname"], Some("NAME"), Commands::SET, "name of the node's end")
        .applies(Applies::Live),
    option(ParamId::NetifBridge, Kind::Netif)
        .options(&["bridge"], Some("BRIDGE"), Commands::SET, "bridge the node's end joins")
        .applies(Applies::Live),
    option(ParamId::NetifMacFilter, Kind::Netif)
        .options(&["mac_filter"], Some("on|off"), Commands::SET, "keep the container from changing its MAC address")
        .applies(Applies::Live),
    key(ParamId::Veid, "VEID", Kind::Int, Scope::Container),
    key(ParamId::Name, "NAME", Kind::Name, Scope::Container)
        .options(&["name"], Some("NAME"), Commands::SET_CREATE, "a name for the container, to be used for its id"),
    key(ParamId::Features, "FEATURES", Kind::Features, Scope::Both)
        .options(&["features"], Some("NAME:on|off..."), Commands::SET, "kernel features of the container")
        .applies(Applies::Restart),
    key(ParamId::Ioprio, "IOPRIO", Kind::IoPriority, Scope::Both)
        .options(&["ioprio"], Some("0-7"), Commands::SET, "I/O priority")
        .applies(Applies::Live),
    key(ParamId::Iolimit, "IOLIMIT", Kind::IoLimit, Scope::Both)
        .options(&["iolimit"], Some("SIZE"), Commands::SET, "I/O bandwidth in MiB/s, or with a suffix; 0 for none")
        .applies(Applies::Live),
    key(ParamId::Iopslimit, "IOPSLIMIT", Kind::Natural, Scope::Both)
        .options(&["iopslimit"], Some("NUMBER"), Commands::SET, "I/O operations a second; 0 for none")
        .applies(Applies::Live),
    key(ParamId::Bootorder, "BOOTORDER", Kind::Unsigned, Scope::Both)
        .options(&["bootorder"], Some("NUMBER"), Commands::SET, "the higher, the earlier it is started when the node boots"),
    key(ParamId::StopTimeout, "STOP_TIMEOUT", Kind::Natural, Scope::Both)
        .options(&["stop-timeout"], Some("SECONDS"), Commands::SET, "how long to wait for a clean stop"),
    key(ParamId::VmOvercommit, "VM_OVERCOMMIT", Kind::Factor, Scope::Both)
        .options(&["vm_overcommit"], Some("FACTOR"), Commands::SET, "private virtual memory as a multiple of RAM and swap")
        .applies(Applies::Live),
    key(ParamId::Script("VIRTUOZZO"), "VIRTUOZZO", Kind::Ignored, Scope::Node),
    key(ParamId::Script("VE0CPUUNITS"), "VE0CPUUNITS", Kind::Ignored, Scope::Node),
    key(ParamId::Script("VZFASTBOOT"), "VZFASTBOOT", Kind::Ignored, Scope::Node),
    key(ParamId::Script("NEIGHBOUR_DEVS"), "NEIGHBOUR_DEVS", Kind::Ignored, Scope::Node),
    key(ParamId::Script("ERROR_ON_ARPFAIL"), "ERROR_ON_ARPFAIL", Kind::Ignored, Scope::Node),
    key(ParamId::Script("VZWDOG"), "VZWDOG", Kind::Ignored, Scope::Node),
    key(ParamId::Script("IPTABLES_MODULES"), "IPTABLES_MODULES", Kind::Ignored, Scope::Node),
    key(ParamId::Script("IP6TABLES"), "IP6TABLES", Kind::Ignored, Scope::Node),
    key(ParamId::Script("CONFIG_CUSTOMIZED"), "CONFIG_CUSTOMIZED", Kind::Ignored, Scope::Node),
    key(ParamId::Script("VE_STOP_MODE"), "VE_STOP_MODE", Kind::Ignored, Scope::Node),
    key(ParamId::Script("SKIP_SYSCTL_SETUP"), "SKIP_SYSCTL_SETUP", Kind::Ignored, Scope::Node),
    key(ParamId::Script("SKIP_ARPDETECT"), "SKIP_ARPDETECT", Kind::Ignored, Scope::Node),
    key(ParamId::Script("VE_PARALLEL"), "VE_PARALLEL", Kind::Ignored, Scope::Node),
    option(ParamId::Save, Kind::Flag)
        .options(&["save"], None, Commands::SET, "write the values to the container's configuration"),
    option(ParamId::Force, Kind::Flag)
        .options(&["force"], None, Commands::SET, "save even if the values cannot be applied"),
    option(ParamId::Setmode, Kind::Setmode)
        .options(&["setmode"], Some("restart|ignore"), Commands::SET, "what to do about values that need a restart"),
    option(ParamId::ResetUb, Kind::Flag)
        .options(&["reset_ub"], None, Commands::SET, "apply the beancounters of the configuration again"),
    option(ParamId::Applyconfig, Kind::Text)
        .options(&["applyconfig"], Some("NAME"), Commands::SET, "take the values of a configuration sample"),
    option(ParamId::ApplyconfigMap, Kind::Text)
        .options(&["applyconfig_map"], Some("name"), Commands::SET, "make the container's name link again"),
    option(ParamId::SkipArpdetect, Kind::Flag)
        .options(&["skip_arpdetect"], None, Commands::SET, "do not ask the network whether an address is in use"),
    option(ParamId::OfflineResize, Kind::Flag)
        .options(&["offline-resize", "offline"], None, Commands::SET, "resize a ploop image while it is not mounted"),
];
