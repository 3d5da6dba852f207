use super::*;
use proptest::prelude::*;

/// The node of the recorded cases: its first Ethernet link is 02:00:00:00:00:01.
fn context() -> Context {
    let node_mac = Mac([2, 0, 0, 0, 0, 1]);
    Context { node_mac, ..Context::new(Ctid::new(101).unwrap()) }
}

fn added(text: &str) -> Result<String, ParseError> {
    let mut list = NetifList::default();
    list.add_option(text, &context())?;
    Ok(list.to_string())
}

#[test]
fn generated_addresses_are_the_originals() {
    for (device, mac) in [
        ("eth0", "00:18:51:91:F5:89"),
        ("veth101.0", "00:18:51:86:7C:50"),
        ("eth1", "00:18:51:21:C2:9B"),
        ("veth101.1", "00:18:51:C2:D4:2F"),
        ("eth2", "00:18:51:19:62:C6"),
        ("veth101.2", "00:18:51:26:F3:D3"),
        ("eth12", "00:18:51:68:A3:DD"),
        ("veth101.12", "00:18:51:E2:E7:C3"),
        ("br", "00:18:51:2B:9A:6F"),
        ("abcdefghijklmno", "00:18:51:E7:5A:1A"),
    ] {
        let context = context();
        assert_eq!(Mac::generate(device, context.ctid, context.node_mac).to_string(), mac);
    }
}

#[test]
fn options() {
    let mac = "00:11:22:33:44:55";
    for (text, stored) in [
        (format!("eth0,{mac}"), format!("ifname=eth0,mac={mac},host_ifname=veth101.0,host_mac={mac}")),
        (
            "eth0,,veth101.9".into(),
            "ifname=eth0,mac=00:18:51:91:F5:89,host_ifname=veth101.9,host_mac=00:18:51:91:F5:89".into(),
        ),
        (
            format!("eth0,{mac},vethX,00:11:22:33:44:aa,br0"),
            format!("ifname=eth0,bridge=br0,mac={mac},host_ifname=vethX,host_mac=00:11:22:33:44:AA"),
        ),
        (
            "eth0,,,,vmbr0,junk".into(),
            "ifname=eth0,bridge=vmbr0,junk,mac=00:18:51:91:F5:89,host_ifname=veth101.0,host_mac=00:18:51:86:7C:50".into(),
        ),
        (
            "eth0,".into(),
            "ifname=eth0,mac=00:18:51:91:F5:89,host_ifname=veth101.0,host_mac=00:18:51:86:7C:50".into(),
        ),
        (String::new(), String::new()),
    ] {
        assert_eq!(added(&text).unwrap(), stored, "{text}");
    }
    for (text, error) in [
        ("eth0,00:11:22:33:44", ParseError::MacLength),
        ("eth0,00:11:22:33:44:ZZ", ParseError::MacFormat),
        ("eth0,00:11:22:33:44:55,vethX,0011", ParseError::HostMac),
        ("abcdefghijklmnop", ParseError::Name),
        (",00:11:22:33:44:55", ParseError::Name),
        ("a/b", ParseError::Name),
        ("a;b", ParseError::Name),
        ("eth0,,,,a$(b)", ParseError::Name),
    ] {
        assert_eq!(added(text), Err(error), "{text}");
    }
}

#[test]
fn stored_values() {
    let stored = |text| NetifList::parse_stored(text, &context()).map(|list| list.to_string());
    assert_eq!(
        stored("ifname=eth0").unwrap(),
        "ifname=eth0,mac=00:18:51:86:7C:50,host_ifname=veth101.0,host_mac=00:18:51:86:7C:50"
    );
    assert_eq!(stored("ifname=eth0,x=y;ifname=eth0").unwrap(), stored("ifname=eth0").unwrap());
    for text in ["bridge=br0", "ifname=eth0,mac=bad", "ifname=abcdefghijklmnop", "ifname="] {
        assert!(stored(text).is_err(), "{text}");
    }
}

#[test]
fn names_of_long_ids_fit() {
    assert_eq!(default_host_ifname("eth12", Ctid::MAX), "veth7ffffffc.12");
    assert_eq!(default_host_ifname("0eth5", Ctid::new(1).unwrap()), "veth1.0");
    assert!(default_host_ifname("e99999999999999", Ctid::MAX).len() <= NAME_MAX);
}

prop_compose! {
    fn netif()(
        ifname in "[a-z]{1,8}[0-9]{0,3}", host_ifname in "[a-z]{1,8}\\.[0-9]",
        bridge in prop::option::of("[a-z]{1,15}"), mac: [u8; 6], host_mac: [u8; 6],
        mac_filter: Option<bool>,
    ) -> Netif {
        Netif { ifname, bridge, mac: Mac(mac), host_ifname, host_mac: Mac(host_mac), mac_filter }
    }
}

proptest! {
    #[test]
    fn display_is_read_back(netifs in prop::collection::vec(netif(), 0..4)) {
        let list = NetifList::default().merged(&NetifList(netifs), &[]);
        let distinct = NetifList::parse_stored(&list.to_string(), &context()).unwrap();
        prop_assert_eq!(NetifList::parse_stored(&distinct.to_string(), &context()), Ok(distinct));
    }

    #[test]
    fn one_is_read_back(netif in netif()) {
        prop_assert_eq!(Netif::parse_stored(&netif.to_string(), &context()), Ok(netif));
    }

    #[test]
    fn any_text(text in ".*|[a-z0-9,:=;]*", ctid in 0..=Ctid::MAX.get()) {
        let context = Context::new(Ctid::new(ctid).unwrap());
        let _ = NetifList::parse_stored(&text, &context);
        let _ = NetifList::default().add_option(&text, &context);
    }
}
