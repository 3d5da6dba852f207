//! `vzctl set` from a command line and a file to the file it leaves, as the original did it.
//!
//! Each case is facts recorded from vzctl 4.11.1: the options, the lines of the container's
//! file that matter, and the lines that change or the message that comes instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails so")]

use std::path::Path;

use proptest::prelude::*;
use vz_conf::netif::Mac;
use vz_conf::param::{self, Commands};
use vz_conf::{Change, ConfFile, Config, Context, Ctid, OptionName, ParamId, Scope};

mod cases;

/// What a command line did.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The file's bytes afterwards, and what was said about the file before.
    Saved(Vec<u8>, String),
    /// The message and the exit code.
    Refused(String, u8),
}

/// The node of the recordings.
fn node(ctid: u32) -> Context {
    let node_mac = Mac([2, 0, 0, 0, 0, 1]);
    Context { cpus: 2, node_mac, ..Context::new(Ctid::new(ctid).unwrap()) }
}

/// Runs `vzctl set 101 ARGUMENTS` on a file.
fn set(arguments: &[&str], before: &[u8]) -> Outcome {
    let context = node(101);
    let mut change = Change::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (param, option) = match word.strip_prefix("--") {
            Some(name) => {
                let param = param::by_option(Commands::SET, name).expect(word);
                let typed = param.options.iter().find(|option| **option == name).unwrap();
                (param, OptionName::Long(typed))
            }
            None => {
                let short = word.chars().nth(1).unwrap();
                (param::by_short(short).expect(word), OptionName::Short(short))
            }
        };
        let value = if param.takes_value() { words.next().expect(word) } else { "" };
        if let Err(error) = change.apply(param, option, value, &context) {
            return Outcome::Refused(error.to_string(), error.exit().code());
        }
    }
    let mut file = ConfFile::parse(before);
    let path = Path::new("/etc/vz/conf/101.conf");
    let (config, warnings) = Config::read(&file, path, Scope::Container, &context);
    if let Err(error) = change.check(&config) {
        return Outcome::Refused(error.to_string(), error.exit().code());
    }
    change.store_into(&config, &mut file).unwrap();
    let shown = warnings.iter().filter(|warning| warning.level() < 1);
    let said: Vec<String> = shown.map(ToString::to_string).collect();
    Outcome::Saved(file.to_bytes(), said.join("\n"))
}

/// The lines that differ: (before, after), with "" before an appended one.
fn changes(before: &[u8], after: &[u8]) -> Vec<(String, String)> {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.split_inclusive('\n').map(|line| line.trim_end_matches('\n').to_owned()).collect()
    };
    let mut old = lines(before).into_iter();
    let pairs = lines(after).into_iter().map(|new| (old.next().unwrap_or_default(), new));
    pairs.filter(|(old, new)| old != new).collect()
}

#[test]
fn recorded_cases() {
    for case in cases::CASES {
        let lines: Vec<&str> = cases::USUAL.iter().chain(case.extra).copied().collect();
        let before = lines.join("\n") + "\n";
        // The recordings saved; without --save only the combinations are looked at first.
        let mut arguments = case.arguments.to_vec();
        if !arguments.contains(&"restart") {
            arguments.push("--save");
        }
        let outcome = set(&arguments, before.as_bytes());
        let shown = case.arguments;
        match (&case.expected, outcome) {
            (cases::Expected::Lines(expected), Outcome::Saved(after, said)) => {
                assert_eq!(said, "", "{shown:?}");
                check_changes(shown, &changes(before.as_bytes(), &after), expected);
            }
            (cases::Expected::Message(message, code), Outcome::Refused(said, exit)) => {
                assert_eq!((said.as_str(), exit), (*message, *code), "{shown:?}");
            }
            (_, outcome) => panic!("{shown:?}: {outcome:?}"),
        }
    }
}

/// New lines take the place of an old one with the same key, or come last; in this order.
fn check_changes(shown: &[&str], changes: &[(String, String)], expected: &[&str]) {
    let key = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    for (old, new) in changes.iter().filter(|(old, _)| !old.is_empty()) {
        assert_eq!(key(old), key(new), "{shown:?}");
    }
    let new: Vec<&str> = changes.iter().map(|(_, new)| new.as_str()).collect();
    assert_eq!(new, expected, "{shown:?}");
}

/// Files of every shape: what a save leaves of them.
#[test]
fn files_of_every_shape() {
    let onboot: &[&str] = &["--onboot", "yes", "--save"];
    for (arguments, before, after) in [
        (onboot, "ONBOOT=\"no\"\r\nHOSTNAME=h\r\n", "ONBOOT=\"yes\"\nHOSTNAME=h\r\n"),
        (onboot, "\n\t\n\tONBOOT=\"no\"\n\n", "\n\t\n\tONBOOT=\"no\"\n\nONBOOT=\"yes\"\n"),
        (onboot, "#ONBOOT=\"no\"\nX=1", "#ONBOOT=\"no\"\nX=1\nONBOOT=\"yes\"\n"),
        (onboot, "export ONBOOT=no\n", "export ONBOOT=no\nONBOOT=\"yes\"\n"),
        (onboot, "", "ONBOOT=\"yes\"\n"),
        (onboot, "\n", "\nONBOOT=\"yes\"\n"),
        (onboot, "VE_LAYOUT=ploop:raw\n", "VE_LAYOUT=\"ploop\"\nONBOOT=\"yes\"\n"),
        (onboot, "DEVICES=c:1:3:r\n", "DEVICES=\"c:1:3:r \"\nONBOOT=\"yes\"\n"),
        (
            &["--dcachesize", "10", "--save"],
            "DCACHE=\"5:6\"\n",
            "DCACHE=\"5:6\"\nDCACHESIZE=\"10\"\n",
        ),
        (
            &["--ipdel", "10.0.0.1", "--save"],
            "IP_ADDRESS=10.0.0.1 10.0.0.2",
            "IP_ADDRESS=\"10.0.0.2\"\n",
        ),
    ] {
        let expected = Outcome::Saved(after.as_bytes().to_vec(), String::new());
        assert_eq!(set(arguments, before.as_bytes()), expected, "{before:?}");
    }
}

/// What a shell runs when it sources a file is part of a value, or the value is refused.
#[test]
fn no_value_breaks_out_of_its_line() {
    for (option, value) in [
        ("--hostname", "a$(touch /tmp/p)"),
        ("--nameserver", "1.1.1.1\";touch/tmp/p;\""),
        ("--description", "a \"quoted\" $VEID \\ back\\slash #hash `id`"),
        ("--mount_opts", "noatime\\"),
        ("--private", "/vz/$(id)/$VEID"),
        ("--root", "/vz/\"`id`\"/${VEID}"),
    ] {
        let Outcome::Saved(after, _) = set(&[option, value, "--save"], b"X=1\n") else {
            panic!("{option} {value}");
        };
        let key = param::by_option(Commands::SET, &option[2..]).unwrap().key.unwrap();
        let file = ConfFile::parse(&after);
        assert_eq!(file.get(key).as_deref(), Some(value), "{option}");
        assert_eq!(file.entries().count(), 2, "{option}");
        assert_eq!(
            sourced(&after, key),
            value.replace("${VEID}", "101").replace("$VEID", "101"),
            "{option}"
        );
    }
    for (option, value) in [
        ("--description", "line1\nONBOOT=yes"),
        ("--name", "../../x"),
        ("--name", ".."),
        ("--hostname", "a\0b"),
        ("--netif_add", "eth0,,,,b\"$(id)\""),
        ("--ifname", "a\";b"),
        ("--devnodes", "../x:rw"),
        ("--searchdomain", "a\nb"),
    ] {
        let outcome = set(&[option, value, "--save"], b"X=1\n");
        assert!(matches!(outcome, Outcome::Refused(_, 21)), "{option} {value:?}: {outcome:?}");
    }
}

/// What a shell that sources the file has in a variable; `$VEID` in a text other than a path
/// stays as it is, so it is compared with the id put in.
fn sourced(file: &[u8], key: &str) -> String {
    let script = format!("{}printf %s \"${{{key}}}\"", String::from_utf8_lossy(file));
    let mut shell = std::process::Command::new("/bin/sh");
    let output = shell.env("VEID", "101").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().replace("$VEID", "101")
}

#[test]
fn a_sample_counts_before_the_options() {
    let (context, path) = (node(101), Path::new("s"));
    let sample = ConfFile::parse(b"CPUUNITS=1000\nAVNUMPROC=9\nHOSTNAME=s\nNUMPROC=240:240\n");
    let (sample, _) = Config::read(&sample, path, Scope::Container, &context);
    let mut change = Change::new();
    let cpuunits = param::by_option(Commands::SET, "cpuunits").unwrap();
    change.apply(cpuunits, OptionName::Long("cpuunits"), "77", &context).unwrap();
    change.apply_sample("basic", &sample);
    let mut file = ConfFile::parse(b"ORIGIN_SAMPLE=\"vswap-256m\"\n");
    assert_eq!(change.store_into(&Config::default(), &mut file), Ok(3));
    assert_eq!(
        String::from_utf8(file.to_bytes()).unwrap(),
        "ORIGIN_SAMPLE=\"basic\"\nNUMPROC=\"240\"\nCPUUNITS=\"1000\"\n"
    );
}

#[test]
fn ram_needs_a_node_that_can_limit_it_or_force() {
    let context = Context { vswap: false, ..node(101) };
    let option = |name| param::by_option(Commands::SET, name).unwrap();
    let mut change = Change::new();
    let error = change.apply(option("ram"), OptionName::Long("ram"), "1G", &context).unwrap_err();
    assert_eq!(error.exit().code(), 3);
    change.apply(option("force"), OptionName::Long("force"), "", &context).unwrap();
    change.apply(option("ram"), OptionName::Long("ram"), "1G", &context).unwrap();
}

proptest! {
    /// Whatever is accepted stands in one line of its key, and is read back without a warning
    /// as what it was stored from.
    #[test]
    fn what_is_accepted_is_read_back(
        index in 0..param::PARAMS.len(),
        value in ".*|[-+.0-9:,TGMKPB%/a-f ]{0,12}|[a-z:,=;./$`\"\\\\]{0,20}|(on|off|yes|no|all|none)",
    ) {
        let param = &param::PARAMS[index];
        let context = node(101);
        let mut change = Change::new();
        let Some(name) = param.options.first() else { return Ok(()) };
        let mut file = ConfFile::parse(b"# kept\n");
        if change.apply(param, OptionName::Long(name), &value, &context).is_ok() {
            change.store_into(&Config::default(), &mut file).unwrap();
        }
        let (read, warnings) =
            Config::read(&file, Path::new("f"), Scope::Container, &context);
        prop_assert_eq!(warnings, []);
        let after = change.apply_to(&Config::default());
        let mut lines = 1;
        for stored in param::PARAMS.iter().filter(|param| param.key.is_some()) {
            let expected = after.stored(stored.id).filter(|value| !value.is_empty());
            // A sample's name is not saved by this key; a bridge is cut at its first comma.
            let bridge = stored.id == ParamId::Netif && value.contains(',');
            let differs = bridge || stored.id == ParamId::Configfile;
            if !differs {
                let found = read.stored(stored.id).filter(|value| !value.is_empty());
                prop_assert_eq!(found, expected, "{:?}", stored.id);
            }
            lines += usize::from(file.get(stored.key.unwrap()).is_some());
        }
        let bytes = file.to_bytes();
        prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), lines);
    }
}
