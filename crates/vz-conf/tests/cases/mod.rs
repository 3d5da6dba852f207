//! The recorded cases: (options, lines the file has besides the usual, what comes of it).

/// What a case leaves.
pub enum Expected {
    /// These lines are new: in the place of an old one with their key, or at the end.
    Lines(&'static [&'static str]),
    /// This message, and this exit code.
    Message(&'static str, u8),
}

/// A case.
pub struct Case {
    pub arguments: &'static [&'static str],
    pub extra: &'static [&'static str],
    pub expected: Expected,
}

const fn saved(
    arguments: &'static [&'static str],
    extra: &'static [&'static str],
    lines: &'static [&'static str],
) -> Case {
    Case { arguments, extra, expected: Expected::Lines(lines) }
}

const fn refused(
    arguments: &'static [&'static str],
    extra: &'static [&'static str],
    message: &'static str,
    code: u8,
) -> Case {
    Case { arguments, extra, expected: Expected::Message(message, code) }
}

/// The lines every case starts with.
pub const USUAL: &[&str] = &[
    "# a container",
    r#"ONBOOT="no""#,
    r#"PHYSPAGES="0:65536""#,
    r#"SWAPPAGES="0:131072""#,
    r#"KMEMSIZE="14372700:14790164""#,
    r#"DISKSPACE="2097152:2306867""#,
    r#"CPUUNITS="1000""#,
    r#"VE_ROOT="/vz/root/$VEID""#,
    r#"VE_PRIVATE="/vz/private/$VEID""#,
    r#"VE_LAYOUT="simfs""#,
];

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    saved(&["--kmemsize", "1K:2k"], &[], &[r#"KMEMSIZE="1024:2048""#]),
    saved(&["--kmemsize", "1.5M:2.25M"], &[], &[r#"KMEMSIZE="1572864:2359296""#]),
    saved(&["--kmemsize", "1000:unlimited"], &[], &[r#"KMEMSIZE="1000:unlimited""#]),
    refused(&["--kmemsize", "unlimitedx"], &[], "Bad parameter for --kmemsize: unlimitedx", 21),
    saved(&["--kmemsize", ":"], &[], &[r#"KMEMSIZE="0""#]),
    refused(&["--kmemsize", "1:2:3"], &[], "Bad parameter for --kmemsize: 1:2:3", 21),
    refused(&["--kmemsize", "99999999999999999999999"], &[], "Bad parameter for --kmemsize: 99999999999999999999999", 21),
    refused(&["--kmemsize", "99999999T"], &[], "Bad parameter for --kmemsize: 99999999T", 21),
    saved(&["--kmemsize", "1", "--kmemsize", "2"], &[], &[r#"KMEMSIZE="2""#]),
    saved(&["--privvmpages", "5K"], &[], &[r#"PRIVVMPAGES="1""#]),
    saved(&["--numproc", "100:200"], &[], &[r#"NUMPROC="100:200""#]),
    saved(&["-p", "100"], &[], &[r#"NUMPROC="100""#]),
    saved(&["--numfile", "100", "--numproc", "10", "--kmemsize", "5", "--swappages", "3", "--dcachesize", "7", "--physpages", "0:9"], &[], &[r#"PHYSPAGES="0:9""#, r#"SWAPPAGES="3""#, r#"KMEMSIZE="5""#, r#"NUMPROC="10""#, r#"NUMFILE="100""#, r#"DCACHESIZE="7""#]),
    saved(&["--ram", "512M"], &[], &[r#"PHYSPAGES="0:131072""#]),
    saved(&["--ram", "unlimited"], &[], &[r#"PHYSPAGES="0:2251799813685248""#]),
    saved(&["--vm_overcommit", "1.5junk"], &[], &[r#"VM_OVERCOMMIT="1.5""#]),
    saved(&["--ipadd", "10.0.0.5/24"], &[], &[r#"IP_ADDRESS="10.0.0.5/24""#]),
    saved(&["--ipadd", "10.0.0.5\t10.0.0.6"], &[], &[r#"IP_ADDRESS="10.0.0.5 10.0.0.6""#]),
    saved(&["--ipadd", "10.0.0.5/24", "--ipadd", "10.0.0.5/16"], &[], &[r#"IP_ADDRESS="10.0.0.5/24""#]),
    saved(&["--ipadd", "2001:0db8:0000:0000:0000:0000:0000:0001"], &[], &[r#"IP_ADDRESS="2001:db8::1""#]),
    refused(&["--ipadd", "10.0.0.1/33"], &[], "Bad parameter for --ipadd: 10.0.0.1/33", 21),
    saved(&["--ipadd", ""], &[], &[]),
    saved(&["--ipadd", "10.0.0.1"], &[r#"IP_ADDRESS="10.0.0.1 10.0.0.2/24 2001:db8::5""#], &[r#"IP_ADDRESS="10.0.0.2/24 2001:db8::5 10.0.0.1""#]),
    saved(&["--ipdel", "all"], &[r#"IP_ADDRESS="10.0.0.1 10.0.0.2/24 2001:db8::5""#], &[r#"IP_ADDRESS="""#]),
    saved(&["--ipadd", "10.0.0.77", "--ipdel", "all"], &[r#"IP_ADDRESS="10.0.0.1 10.0.0.2/24 2001:db8::5""#], &[r#"IP_ADDRESS="10.0.0.77""#]),
    saved(&["--ipdel", "10.0.0.1 10.0.0.2"], &[r#"IP_ADDRESS="10.0.0.1 10.0.0.2/24 2001:db8::5""#], &[r#"IP_ADDRESS="2001:db8::5""#]),
    saved(&["--hostname", ""], &[], &[r#"HOSTNAME="""#]),
    saved(&["--nameserver", "8.8.8.8 1.1.1.1 8.8.8.8"], &[], &[r#"NAMESERVER="8.8.8.8 1.1.1.1""#]),
    refused(&["--netdev_add", "lock0"], &[], "Bad parameter for --netdev_add: lock0", 21),
    saved(&["--netdev_del", "eth1"], &[r#"NETDEV="eth1 eth2""#], &[r#"NETDEV="eth2""#]),
    saved(&["--netif_add", "eth0,00:11:22:33:44:55,vethX"], &[], &[r#"NETIF="ifname=eth0,mac=00:11:22:33:44:55,host_ifname=vethX,host_mac=00:11:22:33:44:55""#]),
    saved(&["--netif_add", "eth0,,veth101.9"], &[], &[r#"NETIF="ifname=eth0,mac=00:18:51:91:F5:89,host_ifname=veth101.9,host_mac=00:18:51:91:F5:89""#]),
    saved(&["--netif_add", "eth0 eth1"], &[], &[r#"NETIF="ifname=eth0,mac=00:18:51:91:F5:89,host_ifname=veth101.0,host_mac=00:18:51:86:7C:50;ifname=eth1,mac=00:18:51:21:C2:9B,host_ifname=veth101.1,host_mac=00:18:51:C2:D4:2F""#]),
    saved(&["--netif_add", "eth0", "--netif_add", "eth0"], &[], &[r#"NETIF="ifname=eth0,mac=00:18:51:91:F5:89,host_ifname=veth101.0,host_mac=00:18:51:86:7C:50;ifname=eth0,mac=00:18:51:91:F5:89,host_ifname=veth101.0,host_mac=00:18:51:86:7C:50""#]),
    refused(&["--netif_add", "eth0,00:11:22:33:44"], &[], "Invalid container MAC address length\nBad parameter for --netif_add: eth0,00:11:22:33:44", 21),
    refused(&["--netif_add", "eth0,00:11:22:33:44:55,vethX,0011"], &[], "Invalid host MAC address\nBad parameter for --netif_add: eth0,00:11:22:33:44:55,vethX,0011", 21),
    refused(&["--netif_add", "abcdefghijklmnop"], &[], "Bad parameter for --netif_add: abcdefghijklmnop", 21),
    saved(&["--netif_add", "eth2,00:18:51:aa:aa:aa,veth101.2"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on;ifname=eth2,mac=00:18:51:AA:AA:AA,host_ifname=veth101.2,host_mac=00:18:51:AA:AA:AA""#]),
    saved(&["--netif_add", "eth0,00:18:51:aa:aa:aa"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], &[r#"NETIF="ifname=eth0,mac=00:18:51:AA:AA:AA,host_ifname=veth101.0,host_mac=00:18:51:AA:AA:AA;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#]),
    saved(&["--netif_del", "eth0", "--netif_del", "eth1"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], &[r#"NETIF="""#]),
    saved(&["--ifname", "eth0", "--mac", "00:99:99:99:99:99"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], &[r#"NETIF="ifname=eth0,mac=00:99:99:99:99:99,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#]),
    refused(&["--ifname", "eth5", "--mac", "00:99:99:99:99:99"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], "Invalid usage: veth device eth5 is not configured, use --netif_add option first", 20),
    refused(&["--ifname", "eth0", "--ifname", "eth1"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], "Multiple use of --ifname option not allowed\nBad parameter for --ifname: eth1", 21),
    saved(&["--netif_add", "eth2", "--ifname", "eth2", "--mac", "00:aa:bb:cc:dd:ee", "--bridge", "vmbr9"], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on""#], &[r#"NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0,host_mac=00:18:51:00:00:02;ifname=eth1,bridge=br1,mac=00:18:51:00:00:03,host_ifname=veth101.1,host_mac=00:18:51:00:00:04,mac_filter=on;ifname=eth2,bridge=vmbr9,mac=00:18:51:19:62:C6,host_ifname=veth101.2,host_mac=00:18:51:26:F3:D3""#]),
    saved(&["--capability", "NET_ADMIN:on,sys_time:off"], &[], &[r#"CAPABILITY="NET_ADMIN:on SYS_TIME:off""#]),
    refused(&["--capability", "foo:on"], &[], "Capability foo is unknown\nBad parameter for --capability: foo:on", 21),
    refused(&["--capability", "net_admin"], &[], "Can't parse capability net_admin (expecting capname:on|off)\nBad parameter for --capability: net_admin", 21),
    saved(&["--capability", "fs_mask:on"], &[], &[r#"CAPABILITY="CHOWN:on FS_MASK:on""#]),
    saved(&["--features", "nfs:off"], &[r#"FEATURES="nfs:on ppp:on""#], &[r#"FEATURES="nfs:off ppp:on""#]),
    refused(&["--features", "nfs:on,foobar:on"], &[], "Warning: Unknown feature: foobar:on\nBad parameter for --features: nfs:on", 21),
    saved(&["--devices", "c:10:200:none"], &[r#"DEVICES="c:10:200:rw c:10:229:rw ""#], &[r#"DEVICES="c:10:229:rw ""#, r#"DEVNODES="""#]),
    refused(&["--devices", "b:7:0:rw"], &[], "Bad parameter for --devices: b:7:0:rw", 21),
    saved(&["--devnodes", "null:none"], &[r#"DEVNODES="null:rw zero:rw ""#], &[r#"DEVNODES="zero:rw ""#, r#"DEVICES="""#]),
    saved(&["--pci_del", "01:00.0"], &[r#"PCI="0000:01:00.0 0000:02:00.0""#], &[r#"PCI="0000:02:00.0""#]),
    saved(&["--iptables", "ip_conntrack ipt_state iptable_nat"], &[], &[r#"IPTABLES="ip_tables ip_conntrack ipt_state iptable_nat ""#]),
    refused(&["--iptables", "ip_tables foo"], &[], "Warning: Unknown iptable module: foo, skipped\nBad parameter for --iptables: ip_tables", 21),
    refused(&["--netfilter", "foo"], &[], "Incorrect netfilter value: foo\nBad parameter for --netfilter: foo", 21),
    saved(&["--diskspace", "10G:11G"], &[], &[r#"DISKSPACE="10485760:11534336""#]),
    refused(&["--diskspace", "unlimited"], &[], "Bad parameter for --diskspace: unlimited", 21),
    saved(&["--diskspace", "1", "--diskspace", "2"], &[], &[r#"DISKSPACE="1:1""#]),
    refused(&["--diskquota", "maybe"], &[], "Bad parameter for --diskquota: maybe", 21),
    refused(&["--cpuunits", "unlimited"], &[], "Bad parameter for --cpuunits: unlimited", 21),
    saved(&["--cpulimit", "50%"], &[], &[r#"CPULIMIT="100""#]),
    saved(&["--cpumask", "0-4095"], &[], &[r#"CPUMASK="all""#]),
    refused(&["--cpumask", "auto"], &[], "Error: --cpumask auto requires --nodemask", 20),
    saved(&["--cpumask", "auto", "--nodemask", "0"], &[], &[r#"CPUMASK="auto""#, r#"NODEMASK="0""#]),
    refused(&["--stop-timeout", "-1"], &[], "Bad parameter for --stop-timeout: -1", 21),
    refused(&["--ioprio", "8"], &[], "Bad parameter for --ioprio: 8", 21),
    refused(&["--iolimit", "2G"], &[], "Bad parameter for --iolimit: 2G", 21),
    refused(&["--meminfo", "none:5"], &[], "Bad parameter for --meminfo: none:5", 21),
    refused(&["--setmode", "restart", "--onboot", "yes"], &[], "Error: --setmode restart doesn't make sense without --save flag", 20),
];
