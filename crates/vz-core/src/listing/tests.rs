#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::accounting::{Answer, Process, Running};
use crate::report::Kept;

/// A source that knows only which containers run.
struct Known(Vec<u32>);

impl Source for Known {
    fn running(&self) -> Answer<Vec<Running>> {
        let running = |id: &u32| Running { id: Ctid::new(*id).unwrap(), addresses: None };
        Ok(self.0.iter().map(running).collect())
    }
    fn beancounters(&self, running: &[Ctid]) -> Answer<BTreeMap<Ctid, Beancounters>> {
        Ok(running.iter().map(|id| (*id, Beancounters::default())).collect())
    }
    fn cpu_shares(&self, _: &[Ctid]) -> Answer<BTreeMap<Ctid, CpuShare>> {
        Ok(BTreeMap::new())
    }
    fn cpu_units(&self) -> Answer<Vec<(Ctid, u64)>> {
        Ok(Vec::new())
    }
    fn counts_kernel_memory_as_ram(&self) -> bool {
        false
    }
    fn cpus(&self, _: &[Ctid]) -> BTreeMap<Ctid, u64> {
        BTreeMap::new()
    }
    fn activity(&self, _: &[Ctid]) -> BTreeMap<Ctid, Activity> {
        BTreeMap::new()
    }
    fn disk_usage(&self, _: &[DiskPlace<'_>]) -> BTreeMap<Ctid, DiskUsage> {
        BTreeMap::new()
    }
    fn process(&self, _: i32) -> Option<Process> {
        None
    }
}

fn request(which: Which, ids: &[u32]) -> Request {
    Request {
        which,
        ids: ids.iter().map(|id| Ctid::new(*id).unwrap()).collect(),
        status: true,
        names: true,
        beancounters: true,
        cpu_shares: true,
        cpus: true,
        activity: true,
        disk: true,
        configurations: true,
    }
}

/// A node with these configurations; private areas for the ids named.
fn node(directory: &Path, confs: &[(&str, &str)], private: &[u32]) -> Node {
    let conf = directory.join("etc/vz/conf");
    std::fs::create_dir_all(&conf).unwrap();
    std::fs::write(
        directory.join("etc/vz/vz.conf"),
        "VE_PRIVATE=/vz/private/$VEID\nVE_ROOT=/vz/root/$VEID\nDUMPDIR=/vz/dump\nCPULIMIT=5\n",
    )
    .unwrap();
    for (name, text) in confs {
        std::fs::write(conf.join(name), text).unwrap();
    }
    for id in private {
        std::fs::create_dir_all(directory.join(format!("vz/private/{id}"))).unwrap();
        std::fs::create_dir_all(directory.join(format!("vz/root/{id}"))).unwrap();
    }
    std::fs::create_dir_all(directory.join("vz/dump")).unwrap();
    Node::load(Some(directory.to_owned())).unwrap()
}

fn ids(list: &[Listed]) -> Vec<u32> {
    list.iter().map(|one| one.id.get()).collect()
}

#[test]
fn which_ones() {
    let directory = tempfile::tempdir().unwrap();
    let confs = [("7.conf", ""), ("8.conf", ""), ("9.conf", ""), ("0.conf", "")];
    let node = node(directory.path(), &confs, &[0, 7, 8]);
    let source = Known(vec![8, 20]);
    let list = |which, only: &[u32]| {
        collect(&node, &source, &request(which, only), &mut Kept::default())
            .map(|list| ids(&list))
            .map_err(|error| error.to_string())
    };
    assert_eq!(list(Which::Running, &[]), Ok(vec![8, 20]));
    assert_eq!(list(Which::All, &[]), Ok(vec![7, 8, 20]));
    assert_eq!(list(Which::Stopped, &[]), Ok(vec![7]));
    assert_eq!(list(Which::Running, &[20, 7, 999]), Ok(vec![7, 20]));
    // 9 has no private area: found, and hidden.
    assert_eq!(list(Which::Running, &[9]), Ok(vec![]));
    assert_eq!(list(Which::All, &[999]), Err("Container(s) not found".into()));
}

#[test]
fn file_names_that_are_no_ids() {
    let directory = tempfile::tempdir().unwrap();
    let confs = [
        ("7.conf", ""),
        ("7.confx", ""),
        ("8.conf.destroyed", ""),
        ("web.conf", ""),
        (".conf", ""),
        ("-3.conf", ""),
        ("99999999999.conf", ""),
        ("ve-basic.conf-sample", ""),
    ];
    let node = node(directory.path(), &confs, &[7]);
    let mut report = Kept::default();
    let list = collect(&node, &Known(vec![]), &request(Which::All, &[]), &mut report).unwrap();
    assert_eq!(ids(&list), [7]);
    let mut lines: Vec<_> = report.0.into_iter().map(|(_, line)| line).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "Warning: invalid CTID in config file name: -3.conf, skipping",
            "Warning: invalid CTID in config file name: 99999999999.conf, skipping",
        ]
    );
}

#[test]
fn states_of_a_container() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(directory.path(), &[("7.conf", ""), ("8.conf", "")], &[7, 8]);
    std::fs::write(directory.path().join("vz/dump/Dump.8"), "").unwrap();
    let status = |request: &Request| -> Vec<Status> {
        let list = collect(&node, &Known(vec![]), request, &mut Kept::default()).unwrap();
        list.iter().map(|one| one.status).collect()
    };
    let mut request = request(Which::All, &[]);
    assert_eq!(status(&request), [Status::Stopped, Status::Suspended]);
    request.status = false;
    assert_eq!(status(&request), [Status::Stopped, Status::Stopped]);
}

#[test]
fn what_the_configuration_says() {
    let directory = tempfile::tempdir().unwrap();
    let text = "IP_ADDRESS=\"10.0.0.1/24 10.0.0.2\"\nNUMPROC=5:6\nCPUUNITS=500\nNAME=web\n\
                DISKSPACE=1G:2G\nDISKINODES=10:20\nVE_ROOT=/elsewhere/$VEID\nCPUS=x\n";
    let node = node(directory.path(), &[("7.conf", text)], &[7]);
    let mut report = Kept::default();
    let list = collect(&node, &Known(vec![]), &request(Which::All, &[]), &mut report).unwrap();
    let one = &list[0];
    assert_eq!(one.addresses, ["10.0.0.1/24", "10.0.0.2"]);
    let counter = one.counter(Resource::Numproc);
    assert_eq!((counter.held, counter.barrier, counter.limit), (None, 5, 6));
    assert_eq!(one.counter(Resource::Numfile).limit, 0);
    // vz.conf's CPULIMIT is for starting containers, not for showing them.
    assert_eq!(one.cpu_share, Some(CpuShare { limit: 0, units: 500 }));
    assert_eq!(one.disk.unwrap().space, DiskCounter { usage: 0, soft: 1 << 20, hard: 2 << 20 });
    assert_eq!(one.private.as_deref(), Some("/vz/private/7"));
    assert_eq!(one.root.as_deref(), Some("/elsewhere/7"));
    assert_eq!((one.name.as_deref(), one.cpus, one.is_vswap()), (None, None, true));
    let line = "Warning at /etc/vz/conf/7.conf:8: invalid value for CPUS (\"x\"), skipped";
    // It was never mounted.
    let missing = "stat(/elsewhere/7): No such file or directory";
    assert_eq!(report.0, [(-1, line.to_owned()), (-1, missing.to_owned())]);
}

#[test]
fn a_name_is_its_own_only_by_its_link() {
    let directory = tempfile::tempdir().unwrap();
    let confs = [("7.conf", "NAME=web\n"), ("8.conf", "NAME=web\n")];
    let node = node(directory.path(), &confs, &[7, 8]);
    std::fs::create_dir_all(directory.path().join("etc/vz/names")).unwrap();
    let link = directory.path().join("etc/vz/names/web");
    std::os::unix::fs::symlink("/etc/vz/conf/8.conf", link).unwrap();
    let request = request(Which::All, &[]);
    let list = collect(&node, &Known(vec![]), &request, &mut Kept::default()).unwrap();
    assert_eq!(list[0].name, None);
    assert_eq!(list[1].name.as_deref(), Some("web"));
}

#[test]
fn a_running_one_shows_what_is_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let text = "PHYSPAGES=0:1000\nIP_ADDRESS=10.0.0.1/24\n";
    let node = node(directory.path(), &[("7.conf", text)], &[7]);
    let request = request(Which::Running, &[]);
    let mut report = Kept::default();
    let list = collect(&node, &Known(vec![7, 8]), &request, &mut report).unwrap();
    assert_eq!(list[0].counter(Resource::Physpages), Counter::UNCOUNTED);
    assert!(!list[0].is_vswap());
    assert_eq!(list[0].addresses, ["10.0.0.1"]);
    let line = "Unable to open /etc/vz/conf/8.conf: No such file or directory";
    assert_eq!(report.0, [(-1, line.to_owned())]);
}
