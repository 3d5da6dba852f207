//! vzlist on a node of files: what it prints, to the byte.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A node: 7 runs and is called shop, 8 is stopped, 9 has a dump, 10 runs and has no
/// configuration, 12 has no private area.
struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Node {
        let node = Node(tempfile::tempdir().unwrap());
        node.write(
            "root/etc/vz/vz.conf",
            "VE_PRIVATE=/area/$VEID\nVE_ROOT=/mnt/$VEID\nDUMPDIR=/dumps\nLOCKDIR=/locks\n",
        );
        node.conf(
            7,
            "NAME=shop\nHOSTNAME=shop.example\nDESCRIPTION=\"sells hats\"\nBOOTORDER=3\n\
             NAMESERVER=\"192.0.2.53 192.0.2.54\"\nONBOOT=yes\nVM_OVERCOMMIT=1.25\n\
             CAPABILITY=\"SYS_TIME:on NET_ADMIN:off\"\nFEATURES=nfs:on\nIOLIMIT=4096\n",
        );
        node.conf(
            8,
            "HOSTNAME=a.host.whose.name.is.longer.than.its.column.example\nVE_LAYOUT=ploop\n\
             IP_ADDRESS=\"198.51.100.8/24 198.51.100.9\"\nNUMPROC=40:50\nPHYSPAGES=0:2048\n\
             DISKSPACE=1G:2G\nDISKINODES=100:200\nBOOTORDER=3\n",
        );
        node.conf(9, "HOSTNAME=asleep\nCPULIMIT=25\nNETFILTER=full\nDISABLED=yes\n");
        node.conf(12, "HOSTNAME=gone\n");
        fs::create_dir_all(node.path("root/etc/vz/names")).unwrap();
        symlink("/etc/vz/conf/7.conf", node.path("root/etc/vz/names/shop")).unwrap();
        for id in [7, 8, 9] {
            fs::create_dir_all(node.path(&format!("root/area/{id}"))).unwrap();
            fs::create_dir_all(node.path(&format!("root/mnt/{id}"))).unwrap();
        }
        node.write("root/dumps/Dump.9", "");
        node.write("proc/vz/veinfo", " 7 0 3 203.0.113.2 203.0.113.1\n 10 0 1\n 0 0 99\n");
        node.write(
            "proc/user_beancounters",
            "Version: 2.5\n   uid resource held maxheld barrier limit failcnt\n\
             \x20    7: kmemsize 100 200 300 400 5\n        numproc 3 6 30 31 1\n\
             \x20       physpages 11 12 0 9223372036854775807 0\n\
             \x20   10: numproc 1 1 30 31 0\n",
        );
        node.write("proc/fairsched", "veid id parent weight rate\n 0 7 0 250 256 1\n");
        node.write("proc/vz/laverage", "7 0.5 1.25 10 93784.5\n");
        node.write("proc/vz/fairsched/7/cpu.nr_cpus", "2\n");
        node.write(
            "proc/vz/vzquota",
            "qid: path\n7: /area/7\n 1k-blocks 10 20 30 0 0\n inodes 1 2 3 0 0\n",
        );
        node
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn conf(&self, id: u32, text: &str) {
        self.write(&format!("root/etc/vz/conf/{id}.conf"), text);
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vzlist"));
        command.args(arguments);
        command.env("VZ_SYSROOT", self.path("root")).env("VZ_PROC", self.path("proc"));
        command
    }

    /// Standard output of a run that succeeds.
    fn shows(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard output and standard error of a run that fails with 1.
    fn refuses(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }
}

const NO_CONF: &str = "Unable to open /etc/vz/conf/10.conf: No such file or directory\n";

/// What a field shows, and how it sorts, does not depend on what else the configurations are kept
/// for.
#[test]
fn a_field_alone_is_what_it_is_beside_others() {
    let node = Node::new();
    let names = node.shows(&["-L"]);
    let names: Vec<&str> =
        names.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 100, "{names:?}");
    for name in names {
        let list = |fields: &str| node.shows(&["-a", "-H", "-s", name, "-o", fields]);
        let (alone, beside) =
            (list(&format!("{name},ctid")), list(&format!("{name},ctid,iolimit")));
        assert_eq!(alone.lines().count(), 4, "{name}");
        for (alone, beside) in alone.lines().zip(beside.lines()) {
            assert!(beside.starts_with(alone), "{name}: {alone:?} and {beside:?}");
        }
    }
}

#[test]
fn the_default_table() {
    let output = Node::new().run(&["-a"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME
         7          3 running   203.0.113.1     shop.example
         8          - stopped   198.51.100.8/24 a.host.whose.name.is.longer.than.its.column.example
         9          - suspended -               asleep
        10          1 running   -               -
"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), NO_CONF);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn only_running_ones_without_options() {
    let shown = Node::new().shows(&[]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
}

#[test]
fn stopped_ones() {
    assert_eq!(
        Node::new().shows(&["-HSo", "ctid,status"]),
        "         8 stopped\n         9 suspended\n"
    );
}

#[test]
fn names_in_place_of_ids() {
    let node = Node::new();
    let first = |shown: String| shown.lines().nth(1).unwrap().to_owned();
    assert_eq!(
        first(node.shows(&["-n"])),
        "      shop          3 running   203.0.113.1     shop.example"
    );
    assert_eq!(node.shows(&["-H", "-o", "ctid,name", "8"]), "         8 -\n");
}

#[test]
fn ids_alone() {
    let node = Node::new();
    assert_eq!(node.shows(&["-1"]), "         7\n        10\n");
    assert_eq!(node.shows(&["-o", "ip", "-a1"]).lines().count(), 4);
    assert_eq!(node.shows(&["-1", "-ostatus", "9"]), "suspended\n");
}

#[test]
fn texts_are_cut_to_their_columns() {
    let node = Node::new();
    assert_eq!(
        node.shows(&["-H", "-o", "hostname,status", "8"]),
        "a.host.whose.name.is.longer.than stopped\n"
    );
    assert_eq!(
        node.shows(&["-H", "-t", "-o", "hostname,status", "8"]),
        "a.host.whose.name.is.longer.than.its.column.example stopped\n"
    );
}

#[test]
fn lists_show_their_first_word_or_all() {
    let node = Node::new();
    assert_eq!(node.shows(&["-Ho", "ip,ctid", "7"]), "203.0.113.1              7\n");
    assert_eq!(node.shows(&["-Ho", "ctid,ip", "7"]), "         7 203.0.113.1 203.0.113.2\n");
    assert_eq!(node.shows(&["-tHo", "ip,onboot", "7"]), "203.0.113.1 203.0.113.2     yes\n");
    assert_eq!(node.shows(&["-tHo", "nameserver,onboot", "7"]), "192.0.2.53 192.0.2.54    yes\n");
}

#[test]
fn beancounters_in_force_and_configured() {
    let node = Node::new();
    let fields = "numproc,numproc.m,numproc.b,numproc.l,numproc.f,vswap";
    assert_eq!(
        node.shows(&["-Ho", fields, "7"]),
        "         3          6         30         31          1    no\n"
    );
    assert_eq!(
        node.shows(&["-Ho", fields, "8"]),
        "         -          -         40         50          -   yes\n"
    );
}

#[test]
fn cpu_load_and_uptime() {
    let node = Node::new();
    let fields = "cpulimit,cpuunits,cpus,laverage,uptime";
    assert_eq!(
        node.shows(&["-Ho", fields, "7"]),
        "     25    2000     2 0.50/1.25/10.00 001d02h:03m:04s\n"
    );
    assert_eq!(
        node.shows(&["-Ho", fields, "9"]),
        "     25       0     -              -               -\n"
    );
}

#[test]
fn disk_usage_and_limits() {
    let node = Node::new();
    let fields = "diskspace,diskspace.s,diskspace.h,diskinodes,diskinodes.h";
    assert_eq!(
        node.shows(&["-Ho", fields, "7", "8"]),
        "        10         20         30          1          3
         -    1048576    2097152          -        200
"
    );
}

#[test]
fn switches_and_words() {
    let node = Node::new();
    let fields =
        "onboot,disabled,layout,netfilter,vm_overcommit,iolimit,ioprio,features,capability";
    assert_eq!(
        node.shows(&["-aHo", fields, "7", "9"]),
        "   yes     no simfs  -           1.25       4096   - nfs:on          \
         net_admin:off,sys_time:on
     -    yes simfs  full           -          -   - -               -
"
    );
}

#[test]
fn sorting() {
    let node = Node::new();
    let ids = |arguments: &[&str]| {
        let shown = node.shows(&[&["-aHo", "ctid", "-s"], arguments].concat());
        shown.split_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["-ctid"]), [10, 9, 8, 7]);
    assert_eq!(ids(&["hostname"]), [10, 8, 9, 7]);
    assert_eq!(ids(&["status"]), [7, 10, 8, 9]);
    assert_eq!(ids(&["numproc"]), [8, 9, 10, 7]);
    assert_eq!(ids(&["numproc.l"]), [9, 7, 10, 8]);
    assert_eq!(ids(&["-layout"]), [8, 10, 9, 7]);
    // Equal ones, and those without an order, stand in the order that -bootorder reverses.
    assert_eq!(ids(&["bootorder"]), [10, 9, 8, 7]);
    assert_eq!(ids(&["-bootorder"]), [7, 8, 9, 10]);
}

#[test]
fn filters() {
    let node = Node::new();
    let ids = |arguments: &[&str]| node.shows(&[&["-a1"], arguments].concat());
    assert_eq!(ids(&["-h", "*.example"]), "         7\n         8\n");
    assert_eq!(ids(&["-h", "*", "-N", "s[gh]op"]), "         7\n");
    assert_eq!(ids(&["-d", "sells*"]), "         7\n");
    assert_eq!(ids(&["-h", "shop*", "-h", "asleep"]), "         9\n");
    assert_eq!(ids(&["-N", "*", "-h", "asleep"]), "");
}

#[test]
fn containers_by_id_and_name() {
    let node = Node::new();
    assert_eq!(node.shows(&["9", "-1", "shop"]), "         7\n         9\n");
    assert_eq!(node.shows(&["-1", "8", "999"]), "         8\n");
    assert_eq!(node.shows(&["-H", "12"]), "");
    assert_eq!(node.refuses(&["999"]), (String::new(), "Container(s) not found\n".into()));
    for word in ["0", "nobody", "2147483645", "../7"] {
        let line = format!("CT ID {word} is invalid.\n");
        assert_eq!(node.refuses(&[word]), (String::new(), line));
    }
}

#[test]
fn an_empty_node() {
    let node = Node::new();
    node.write("proc/vz/veinfo", " 0 0 99\n");
    let output = node.run(&["-j"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"[]\n"[..], &b"Container(s) not found\n"[..])
    );
    assert_eq!(node.refuses(&["-j", "999"]).0, "[]\n");
}

#[test]
fn fields_that_are_none() {
    let node = Node::new();
    for (fields, line) in [
        ("hat", "Unknown field: hat\n"),
        ("", "Unknown field: \n"),
        ("ctid, ip", "Unknown field:  ip\n"),
        ("ctid,,ip", "Unknown field: \n"),
    ] {
        assert_eq!(node.refuses(&["-o", fields]), (String::new(), line.into()));
    }
    assert_eq!(node.refuses(&["-s", "-hat"]).1, "Invalid sort field name: -hat\n");
    assert_eq!(
        node.refuses(&["-jo", "ctid,kmemsize.b"]).1,
        "Field `kmemsize.b' is not available in JSON output\n"
    );
}

#[test]
fn options_that_are_none() {
    let node = Node::new();
    for (option, line) in [
        ("-Z", "vzlist: invalid option -- 'Z'\n"),
        ("--hats", "vzlist: unrecognized option '--hats'\n"),
        ("-o", "vzlist: option requires an argument -- 'o'\n"),
        ("--help", ""),
    ] {
        let (stdout, stderr) = node.refuses(&[option]);
        assert!(stdout.starts_with("Usage:\tvzlist [-a | -S]"), "{stdout}");
        assert_eq!(stderr, line);
    }
}

#[test]
fn the_fields_there_are() {
    let shown = Node::new().shows(&["-L"]);
    assert_eq!(shown.lines().count(), 144);
    assert!(shown.lines().all(|line| line.split_whitespace().count() == 2), "{shown}");
    assert!(shown.starts_with("ctid            CTID           \n"), "{shown}");
}

#[test]
fn json() {
    let fields = "veid,smart_name,description,ip,status,numproc,laverage,uptime,cpulimit,cpus,\
                  onboot,bootorder,diskspace,capability,vm_overcommit,netfilter";
    assert_eq!(
        Node::new().shows(&["-aj", "-o", fields, "7", "9"]),
        r#"[
  {
    "veid": 7,
    "smart_name": "shop",
    "description": "sells hats",
    "ip": ["203.0.113.1", "203.0.113.2"],
    "status": "running",
    "numproc": {
      "held": 3,
      "maxheld": 6,
      "barrier": 30,
      "limit": 31,
      "failcnt": 1
    },
    "laverage": [0.50, 1.25, 10.00],
    "uptime": 93784.500,
    "cpulimit": 25,
    "cpus": 2,
    "onboot": true,
    "bootorder": 3,
    "diskspace": {
      "usage": 10,
      "softlimit": 20,
      "hardlimit": 30
    },
    "capability": {
      "net_admin": false,
      "sys_time": true
    },
    "vm_overcommit": 1.25,
    "netfilter": null
  },
  {
    "veid": 9,
    "smart_name": 9,
    "description": null,
    "ip": [],
    "status": "suspended",
    "numproc": {
      "held": 0,
      "maxheld": 0,
      "barrier": 0,
      "limit": 0,
      "failcnt": 0
    },
    "laverage": null,
    "uptime": 0.000,
    "cpulimit": 25,
    "cpus": 0,
    "onboot": null,
    "bootorder": null,
    "diskspace": null,
    "capability": null,
    "vm_overcommit": 0,
    "netfilter": "full"
  }
]
"#
    );
}

#[test]
fn json_of_everything_is_valid() {
    let node = Node::new();
    node.conf(8, "DESCRIPTION=\"say \"hi\" \\\\ and \u{1b}[2J\tb\"\nHOSTNAME=Kühe\n");
    let shown = node.shows(&["-aj"]);
    let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(list[1]["description"], "say \"hi\" \\ and \u{1b}[2J\tb");
    assert_eq!(list[1]["hostname"], "Kühe");
    for key in ["ctid", "veid", "vpsid", "private", "root", "ip", "hostname", "description"] {
        assert!(list[0].get(key).is_some(), "{key}");
    }
}

#[test]
fn values_cannot_break_a_line() {
    let node = Node::new();
    node.conf(8, "HOSTNAME=\"a\u{1b}[2J\u{c}b\u{85}\"\n");
    assert_eq!(node.shows(&["-Ho", "hostname,ctid", "8"]).lines().count(), 1);
    assert_eq!(node.shows(&["-Ho", "hostname", "8"]), "a?[2J?b?\n");
}

#[test]
fn odd_lines_are_told_on_standard_error() {
    let node = Node::new();
    node.conf(8, "HOSTNAME=x\nno value\nCPUS=many\nFEATURES=hats:on\n");
    let output = node.run(&["-Ho", "hostname", "8"]);
    assert_eq!(output.stdout, b"x\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with(
        "Warning: can't parse /etc/vz/conf/8.conf:2 ('=' not found), skipping\n\
         Warning at /etc/vz/conf/8.conf:3: invalid value for CPUS (\"many\"), skipped\n"
    ));
    assert!(stderr.lines().count() > 2, "the unknown feature: {stderr}");
}

#[test]
fn accounting_that_is_missing() {
    let node = Node::new();
    fs::remove_file(node.path("proc/user_beancounters")).unwrap();
    let line = "Unable to open /proc/user_beancounters: No such file or directory\n";
    let output = node.run(&["-a"]);
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b""[..], line.as_bytes()));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(node.refuses(&["7"]), (String::new(), line.into()));
    // It is not needed for what does not run, nor for what shows none of it.
    assert_eq!(node.shows(&["-S"]).lines().count(), 3);
    assert_eq!(node.shows(&["-Ho", "hostname", "7"]), "shop.example\n");
}

#[test]
fn without_the_running_ones() {
    let node = Node::new();
    fs::remove_file(node.path("proc/vz/veinfo")).unwrap();
    let output = node.run(&["-aHo", "status"]);
    assert_eq!(output.stdout, b"stopped\nstopped\nsuspended\n");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Unable to open /proc/vz/veinfo: No such file or directory\n"
    );
}

#[test]
fn this_kernel_runs_none_of_the_node_s_containers() {
    let node = Node::new();
    let output = node.command(&["-aHo", "ctid,status"]).env_remove("VZ_PROC").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown, "         7 stopped\n         8 stopped\n         9 suspended\n");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let node = Node::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = node.command(&["-L"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
