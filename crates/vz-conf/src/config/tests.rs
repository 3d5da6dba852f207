use super::*;
use proptest::prelude::*;

const HEAD: &str = "VE_ROOT=\"/vz/root/$VEID\"\nVE_PRIVATE=\"/vz/private/$VEID\"\n";

fn context() -> Context {
    Context { cpus: 2, ..Context::new(Ctid::new(101).unwrap()) }
}

fn read(text: &str, scope: Scope) -> (Config, Vec<String>) {
    let file = ConfFile::parse(text.as_bytes());
    let path = Path::new("/etc/vz/conf/101.conf");
    let (config, warnings) = Config::read(&file, path, scope, &context());
    (config, warnings.iter().map(ToString::to_string).collect())
}

#[test]
fn bad_lines_are_named_as_the_original_names_them() {
    let at = "Warning at /etc/vz/conf/101.conf:3:";
    for (line, expected) in [
        ("CPUUNITS=0", format!("{at} invalid value for CPUUNITS (\"0\"), skipped")),
        ("ONBOOT=\"\"", format!("{at} invalid value for ONBOOT (\"\"), skipped")),
        ("ONBOOT=\"yes \"", format!("{at} invalid value for ONBOOT (\"yes \"), skipped")),
        ("VE_LAYOUT=bogus", format!("{at} invalid value for VE_LAYOUT (\"bogus\"), skipped")),
        ("KMEMSIZE=1:2:3", format!("{at} invalid value for KMEMSIZE (\"1:2:3\"), skipped")),
        (
            "KMEMSIZE=99999999T",
            format!("{at} too large value for KMEMSIZE (\"99999999T\"), truncated"),
        ),
        ("QUOTAUGIDLIMIT=-1", format!("{at} invalid value for QUOTAUGIDLIMIT (\"-1\"), skipped")),
        (
            "IP_ADDRESS=\"10.0.0.1 bad 10.0.0.2\"",
            format!("{at} invalid value for IP_ADDRESS (\"10.0.0.1\"), skipped"),
        ),
        ("=foo", format!("{at} invalid value for  (\"foo\"), skipped")),
        ("NAME=a/b", format!("{at} invalid value for NAME (\"a/b\"), skipped")),
        (
            "NETIF=\"ifname=eth0,mac=bad\"",
            format!("{at} invalid value for NETIF (\"ifname=eth0,mac=bad\"), skipped"),
        ),
        ("FOO=\"bar\"", format!("{at} unknown parameter FOO (\"bar\"), ignored")),
        ("VE_ROOT=/x", format!("{at} duplicate for VE_ROOT (\"/x\"), ignored")),
        ("FEATURES=\"nfs:on bogus:on\"", "Warning: Unknown feature: bogus:on".into()),
        (
            "IPTABLES=\"iptable_filter bogus\"",
            "Warning: Unknown iptable module: bogus, skipped".into(),
        ),
        (
            "VETH=x",
            "Warning: VETH parameter is deprecated, remove it and use --netif_add instead".into(),
        ),
        ("JUNK", "Warning: can't parse /etc/vz/conf/101.conf:3 ('=' not found), skipping".into()),
    ] {
        let (_, warnings) = read(&format!("{HEAD}{line}\n"), Scope::Container);
        assert_eq!(warnings, [expected], "{line}");
    }
    for (line, own) in [
        ("CAPABILITY=\"BOGUS:on\"", "Capability BOGUS is unknown"),
        ("CAPABILITY=\"kill\"", "Can't parse capability kill (expecting capname:on|off)"),
        ("NETFILTER=bogus", "Incorrect netfilter value: bogus"),
    ] {
        let (_, warnings) = read(&format!("{HEAD}{line}\n"), Scope::Container);
        assert_eq!((warnings.len(), warnings[0].as_str()), (2, own), "{line}");
        assert!(warnings[1].contains("invalid value for"), "{line}");
    }
}

#[test]
fn good_lines_are_taken_in_silence() {
    for line in [
        "=",
        "KMEMSIZE=",
        "KMEMSIZE=5:1",
        "DCACHE=5:6",
        "CPULIMIT=50%",
        "MOUNT_OPTS=x",
        "VEID=102",
        "VE_STOP_MODE=x",
        "IP_ADDRESS=",
        "LOCAL_UID=x",
        "NAME=123",
        "MEMINFO=",
        "IOLIMIT=10M",
    ] {
        assert_eq!(read(&format!("{HEAD}{line}\n"), Scope::Container).1, [""; 0], "{line}");
    }
}

#[test]
fn repeated_lines() {
    let (config, warnings) = read(
        "HOSTNAME=a\nHOSTNAME=b\nKMEMSIZE=1\nKMEMSIZE=2\nIP_ADDRESS=10.0.0.1\nIP_ADDRESS=10.0.0.2\n\
         FEATURES=nfs:on\nFEATURES=ppp:off\nVE_LAYOUT=simfs\nVE_LAYOUT=ploop:raw\n",
        Scope::Container,
    );
    let stored = |id| config.stored(id).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(stored(ParamId::Hostname), "a");
    assert_eq!(stored(ParamId::Ubc(crate::ubc::Resource::Kmemsize)), "2");
    assert_eq!(stored(ParamId::IpAddress), "10.0.0.1 10.0.0.2");
    assert_eq!(stored(ParamId::Features), "nfs:on ppp:off");
    assert_eq!(stored(ParamId::VeLayout), "ploop");
}

#[test]
fn a_bad_list_keeps_what_came_before() {
    let (config, _) = read("IP_ADDRESS=\"10.0.0.1 bad 10.0.0.2\"\n", Scope::Container);
    assert_eq!(config.stored(ParamId::IpAddress).unwrap(), "10.0.0.1");
}

#[test]
fn a_container_counts_before_the_node() {
    let (node, warnings) = read(
        "LOCKDIR=/vz/lock\nLOG_LEVEL=3\nTEMPLATE=/t\nNAMESERVER=1.1.1.1 2.2.2.2\nVE_LAYOUT=ploop\n\
         NETFILTER=full\nIP_ADDRESS=10.9.9.9\nKMEMSIZE=1\nNUMPROC=5\n",
        Scope::Node,
    );
    let (container, _) =
        read("LOCKDIR=/x\nNAMESERVER=8.8.8.8\nIP_ADDRESS=\nKMEMSIZE=2\n", Scope::Container);
    let merged = node.merged_with(&container);
    let stored = |id| merged.stored(id);
    assert!(warnings[0].contains("NETFILTER should not be set in /etc/vz/conf/101.conf, ignoring"));
    assert_eq!(stored(ParamId::Lockdir).unwrap(), "/vz/lock");
    assert_eq!(stored(ParamId::Nameserver).unwrap(), "8.8.8.8");
    assert_eq!(stored(ParamId::IpAddress).unwrap(), "10.9.9.9");
    assert_eq!(stored(ParamId::VeLayout), None);
    assert_eq!(stored(ParamId::Netfilter), None);
    assert_eq!(merged.ubc.iter().count(), 2);
    assert_eq!(stored(ParamId::Template).unwrap(), "/t");
}

#[test]
fn paths_of_a_container() {
    let ctid = Ctid::new(101).unwrap();
    for (path, expanded) in [
        ("/vz/root/$VEID/x$VEID", "/vz/root/101/x$VEID"),
        ("/vz/${VEID}/$VEID", "/vz/${VEID}/101"),
        ("/vz/${VEID}", "/vz/101"),
        ("/vz/root//$VEID//", "/vz/root//101"),
        ("/", "/"),
        ("", ""),
    ] {
        assert_eq!(expand_veid(path, ctid), expanded);
    }
}

#[test]
fn vswap() {
    for (line, expected) in [
        ("PHYSPAGES=0:65536", true),
        ("PHYSPAGES=0:unlimited", false),
        ("PHYSPAGES=0:2147483647", false),
        ("KMEMSIZE=1", false),
    ] {
        assert_eq!(read(line, Scope::Container).0.is_vswap(), expected, "{line}");
    }
}

#[test]
fn every_key_is_read_and_stored() {
    for param in param::PARAMS.iter().filter(|param| param.kind != Kind::Ignored) {
        let (Some(key), text) = (param.key, sample(param.kind)) else { continue };
        let (config, warnings) = read(&format!("{key}=\"{text}\"\n"), Scope::Container);
        assert_eq!(warnings, [""; 0], "{key}");
        assert_eq!(config.stored(param.id).as_deref(), Some(text), "{key}");
    }
}

/// A value in its stored form.
fn sample(kind: Kind) -> &'static str {
    match kind {
        Kind::BarrierLimit => "1:2",
        Kind::YesNo => "yes",
        Kind::CpuUnits | Kind::CpuLimit | Kind::Int | Kind::Natural | Kind::Unsigned => "8",
        Kind::IoPriority | Kind::IoLimit | Kind::CpuMask | Kind::IndexSet => "3",
        Kind::Factor => "1.5",
        Kind::Addresses => "10.0.0.1/24 ::1",
        Kind::Devices => "b:8:0:rw ",
        Kind::Devnodes => "net/tun:rw ",
        Kind::Pci => "0000:01:00.0",
        Kind::Capabilities => "KILL:on",
        Kind::Features => "nfs:on",
        Kind::Netfilter => "full",
        Kind::IptablesModules => "ip_tables ",
        Kind::Layout => "simfs",
        Kind::DiskSpace | Kind::DiskInodes => "1:2",
        Kind::Meminfo => "pages:5",
        Kind::Netif => {
            "ifname=eth0,mac=00:11:22:33:44:55,host_ifname=v0,host_mac=00:11:22:33:44:66"
        }
        _ => "word",
    }
}

proptest! {
    #[test]
    fn any_file(lines in prop::collection::vec((0..param::PARAMS.len(), ".*"), 0..10)) {
        let line = |(index, value): &(usize, String)| {
            format!("{}={value}\n", param::PARAMS[*index].key.unwrap_or(""))
        };
        let text: String = lines.iter().map(line).collect();
        let (config, _) = read(&text, Scope::Container);
        for param in param::PARAMS {
            let _ = config.stored(param.id);
        }
    }

    /// A file that is read in one piece says what one does that is read line by line.
    #[test]
    fn both_ways_of_reading_agree(
        lines in prop::collection::vec((0..param::PARAMS.len(), "[ \t]{0,2}", "\\PC{0,12}|[0-9:yesno\\\\\" \t.]{0,9}"), 0..12),
        odd in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..6),
    ) {
        let line = |(index, blanks, value): &(usize, String, String)| {
            format!("{blanks}{}={value}\n", param::PARAMS[*index].key.unwrap_or("X"))
        };
        let mut bytes = lines.iter().map(line).collect::<String>().into_bytes();
        let path = Path::new("f");
        for more in [&[][..], &odd] {
            bytes.extend(more);
            let file = ConfFile::parse(&bytes);
            let mut config = Config::default();
            let warnings = config.read_bytes(&bytes, path, Scope::Container, &context());
            let by_line = Config::read(&file, path, Scope::Container, &context());
            prop_assert_eq!((config, warnings), by_line);
        }
    }
}
