//! What this node enforces, what not, and what would cure that: what vznodecheck shows.
//!
//! First the node is looked at ([`Facts::look`]), then judged ([`judge`]), which needs no node.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use vz_conf::ctid::Ctid;
use vz_conf::layout::Layout;
use vz_conf::yesno::YesNo;
use vz_sys::bpf::DeviceProgram;
use vz_sys::caps::{self, Capability};
use vz_sys::cgroup::{self, Cgroup};
use vz_sys::disk;
use vz_sys::quota::{self, Support};

use crate::limits;
use crate::node::Node;

/// The controllers that parameters need, and which.
const CONTROLLERS: [(&str, &[&str]); 5] = [
    ("memory", &["PHYSPAGES", "SWAPPAGES", "PRIVVMPAGES", "KMEMSIZE", "VMGUARPAGES"]),
    ("pids", &["NUMPROC"]),
    ("cpu", &["CPUUNITS", "CPULIMIT", "CPUS"]),
    ("cpuset", &["CPUMASK", "NODEMASK"]),
    ("io", &["IOLIMIT", "IOPSLIMIT"]),
];

/// What was found out about a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where cgroup v2 is mounted.
    pub hierarchy: Option<PathBuf>,
    /// Controllers that it has.
    pub controllers: BTreeSet<String>,
    /// Controllers that cgroup v1 has taken (`/proc/cgroups`).
    pub taken: BTreeSet<String>,
    /// Controllers that this kernel has but that are switched off.
    pub disabled: BTreeSet<String>,
    /// This process may raise resource limits: CAP_SYS_RESOURCE.
    pub may_raise_limits: bool,
    /// The node has swap.
    pub has_swap: bool,
    /// The kernel accounts swap for each group.
    pub accounts_swap: bool,
    /// User namespaces can be made.
    pub user_namespaces: bool,
    /// Device filters can be loaded; else why not.
    pub device_filter: Option<String>,
    /// Private areas that are directories: what the file system does for quota, and the device's
    /// path; `None` where that cannot be asked.
    pub quota: Option<(bool, PathBuf)>,
    /// The layout of new containers is an image, or DISK_QUOTA is off.
    pub needs_no_quota: bool,
    /// DISK_QUOTA=no in vz.conf.
    pub quota_off: bool,
    /// Names of the disks below the private areas, with their schedulers.
    pub disks: Vec<(String, String)>,
    /// The file of the weights that they honour.
    pub weights: Option<&'static str>,
    /// lxcfs serves its files.
    pub has_lxcfs: bool,
}

impl Facts {
    /// Looks at the node.
    pub fn look(node: &Node) -> Facts {
        let hierarchy = cgroup::find_hierarchy().unwrap_or(None);
        let root = hierarchy.as_ref().and_then(|path| Cgroup::open(path).ok());
        let read = |file: &str| root.as_ref().and_then(|root| root.read(file).ok());
        let words = |text: Option<String>| {
            text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let (taken, disabled) = controllers_elsewhere(&read_text("/proc/cgroups"));
        let private = existing(&node.path(node.config.private_of(Ctid::NODE).unwrap_or_default()));
        let disks = disk::disks_below(&private).unwrap_or_default();
        let weights = limits::weight_file(&disks, read("io.cost.qos").as_deref());
        let named = disks.iter().filter_map(|disk| {
            Some((disk.name()?, disk.scheduler().unwrap_or_else(|| "none".to_owned())))
        });
        let is_image = matches!(node.config.ve_layout, Some(Layout::Ploop(_)));
        let quota_off = node.config.disk_quota == Some(YesNo::No);
        Facts {
            controllers: words(read("cgroup.controllers")),
            hierarchy,
            taken,
            disabled,
            may_raise_limits: caps::has(Capability::CAP_SYS_RESOURCE),
            has_swap: read_text("/proc/swaps").lines().count() > 1,
            accounts_swap: accounts_swap(root.as_ref()),
            user_namespaces: read_text("/proc/sys/user/max_user_namespaces").trim() != "0"
                && Path::new("/proc/self/ns/user").exists(),
            device_filter: DeviceProgram::load("vz_check", &[]).err().map(|it| it.to_string()),
            quota: project_quota(&private),
            needs_no_quota: is_image,
            quota_off,
            disks: named.collect(),
            weights,
            has_lxcfs: Path::new("/var/lib/lxcfs/proc/meminfo").exists(),
        }
    }
}

fn read_text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The deepest directory of a path that is there: private areas may not be made yet.
fn existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}

/// Which controllers a v1 hierarchy has, and which are switched off (cgroups(7), /proc/cgroups).
fn controllers_elsewhere(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut taken, mut disabled) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, hierarchy, _, enabled] = words[..] else { continue };
        // Its name in version 1.
        let name = if name == "blkio" { "io" } else { name };
        if enabled == "0" {
            disabled.insert(name.to_owned());
        } else if hierarchy != "0" {
            taken.insert(name.to_owned());
        }
    }
    (taken, disabled)
}

/// Only groups below the root have the file; any will do.
fn accounts_swap(root: Option<&Cgroup>) -> bool {
    let Some(root) = root else { return false };
    let children = root.children().unwrap_or_default();
    let mut groups = children.iter().filter_map(|name| root.child(name).ok());
    groups.any(|group| group.has("memory.swap.max"))
}

fn project_quota(private: &Path) -> Option<(bool, PathBuf)> {
    let directory = File::open(private).ok()?;
    let support = quota::support(directory.as_fd()).ok()?;
    Some((support == Support::Enforced, private.to_owned()))
}

/// How something is with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is enforced.
    Enforced,
    /// It is not, and could be.
    Missing,
    /// No kernel of today has it.
    Nowhere,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Enforced => "yes",
            Verdict::Missing => "no",
            Verdict::Nowhere => "never",
        }
    }
}

/// One line of the judgement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The parameters, or what else it is about.
    pub parameters: Vec<&'static str>,
    /// How it is.
    pub enforced: Verdict,
    /// What does it, or why nothing does.
    pub by: String,
    /// What would cure it; empty where nothing is wrong or nothing can be done.
    pub cure: String,
}

/// Judges a node.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CONTROLLERS
        .iter()
        .map(|(controller, parameters)| of_controller(facts, controller, parameters))
        .collect();
    findings.push(of_swap(facts));
    findings.push(of_weights(facts));
    findings.push(of_privilege(facts));
    findings.push(finding(
        &["SHMPAGES", "NUMPTY"],
        true,
        "the container's IPC namespace and devpts",
        "",
    ));
    findings.push(of_disk(facts));
    findings.push(of_devices(facts));
    findings.push(finding(
        &["LOCAL_UID", "LOCAL_GID"],
        facts.user_namespaces,
        "user namespaces: root of a container is nobody on the node",
        "sysctl -w user.max_user_namespaces=65536",
    ));
    findings.push(finding(
        &["free", "nproc", "uptime", "top"],
        facts.has_lxcfs,
        "lxcfs: programs inside see the container's own limits",
        "install lxcfs from the distribution and start it, then restart the containers",
    ));
    findings.push(Finding {
        parameters: vec!["NUMFLOCK", "NUMSIGINFO", "NUMIPTENT", "DCACHESIZE", "VM_OVERCOMMIT"],
        enforced: Verdict::Nowhere,
        by: "no kernel of today has such a limit: see docs/ubc.md".to_owned(),
        cure: String::new(),
    });
    findings
}

fn finding(parameters: &[&'static str], is_enforced: bool, by: &str, cure: &str) -> Finding {
    Finding {
        parameters: parameters.to_vec(),
        enforced: if is_enforced { Verdict::Enforced } else { Verdict::Missing },
        by: by.to_owned(),
        cure: if is_enforced { String::new() } else { cure.to_owned() },
    }
}

fn of_controller(facts: &Facts, controller: &str, parameters: &[&'static str]) -> Finding {
    let by = format!("the {controller} controller of cgroup v2");
    if facts.controllers.contains(controller) {
        return finding(parameters, true, &by, "");
    }
    let (why, cure) = if facts.hierarchy.is_none() {
        (
            format!("{by}: cgroup v2 is not mounted"),
            "mount -t cgroup2 none /sys/fs/cgroup/unified; no container starts without".to_owned(),
        )
    } else if facts.taken.contains(controller) {
        (
            format!("{by}: cgroup v1 has it"),
            "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all".to_owned(),
        )
    } else if facts.disabled.contains(controller) {
        (
            format!("{by}: it is switched off"),
            format!("boot with cgroup_enable={controller}, without cgroup_disable={controller}"),
        )
    } else {
        (format!("{by}: this kernel has none"), "boot the distribution's own kernel".to_owned())
    };
    finding(parameters, false, &why, &cure)
}

fn of_swap(facts: &Facts) -> Finding {
    let parameters = ["SWAPPAGES of a container that swaps"];
    match (facts.has_swap, facts.accounts_swap || !facts.controllers.contains("memory")) {
        (true, true) => finding(&parameters, true, "swap of the node", ""),
        (true, false) => {
            finding(&parameters, false, "swap is not accounted", "boot with swapaccount=1")
        }
        (false, _) => finding(
            &parameters,
            false,
            "the node has no swap: what exceeds RAM is killed",
            "mkswap and swapon a partition or file",
        ),
    }
}

fn of_weights(facts: &Facts) -> Finding {
    let parameters = ["IOPRIO"];
    if let Some(file) = facts.weights.filter(|_| facts.controllers.contains("io")) {
        return finding(&parameters, true, &format!("{file} of cgroup v2"), "");
    }
    let cures =
        facts.disks.iter().map(|(name, _)| format!("echo bfq > /sys/block/{name}/queue/scheduler"));
    let cures: Vec<String> = cures.collect();
    let schedulers: Vec<String> =
        facts.disks.iter().map(|(name, scheduler)| format!("{scheduler} of {name}")).collect();
    let why = match schedulers.is_empty() {
        true => "the private areas lie on no disk".to_owned(),
        false => format!("I/O weights: the scheduler {} has none", schedulers.join(", ")),
    };
    finding(&parameters, false, &why, &cures.join("; "))
}

fn of_privilege(facts: &Facts) -> Finding {
    finding(
        &["NUMFILE", "LOCKEDPAGES", "OOMGUARPAGES"],
        facts.may_raise_limits,
        "limits of processes, which CAP_SYS_RESOURCE raises",
        "run vzctl with CAP_SYS_RESOURCE: as root of the node itself, not of a container",
    )
}

fn of_disk(facts: &Facts) -> Finding {
    let parameters = ["DISKSPACE", "DISKINODES"];
    if facts.needs_no_quota {
        return finding(&parameters, true, "the size of the image (VE_LAYOUT=ploop)", "");
    }
    if facts.quota_off {
        let cure = "DISK_QUOTA=yes in vz.conf, or VE_LAYOUT=ploop";
        return finding(&parameters, false, "disk quota: vz.conf says DISK_QUOTA=no", cure);
    }
    match &facts.quota {
        Some((true, _)) => finding(&parameters, true, "project quota of the file system", ""),
        other => {
            let path = other.as_ref().map(|(_, path)| path.display().to_string());
            let path = path.unwrap_or_else(|| "the private areas".to_owned());
            let cure = format!(
                "unmount the file system of {path}, tune2fs -O project -Q prjquota on it, mount it \
                 with prjquota; or VE_LAYOUT=ploop"
            );
            finding(&parameters, false, "project quota: the file system has none", &cure)
        }
    }
}

fn of_devices(facts: &Facts) -> Finding {
    let by = match &facts.device_filter {
        None => "a BPF program on the container's cgroup".to_owned(),
        Some(why) => format!("a BPF program: {why}"),
    };
    let cure = "boot a kernel with CONFIG_CGROUP_BPF; without it no container starts";
    finding(&["DEVICES", "DEVNODES"], facts.device_filter.is_none(), &by, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        let all = ["memory", "pids", "cpu", "cpuset", "io"];
        Facts {
            hierarchy: Some("/sys/fs/cgroup".into()),
            controllers: all.map(str::to_owned).into(),
            may_raise_limits: true,
            has_swap: true,
            accounts_swap: true,
            user_namespaces: true,
            quota: Some((true, "/vz".into())),
            disks: vec![("sda".to_owned(), "bfq".to_owned())],
            weights: Some("io.bfq.weight"),
            has_lxcfs: true,
            ..Facts::default()
        }
    }

    fn missing(facts: &Facts) -> Vec<Finding> {
        let is_missing = |finding: &Finding| finding.enforced == Verdict::Missing;
        judge(facts).into_iter().filter(is_missing).collect()
    }

    #[test]
    fn a_good_node_wants_nothing() {
        assert_eq!(missing(&good()), []);
    }

    #[test]
    fn each_fault_has_its_cure() {
        let taken = Facts {
            controllers: ["pids"].map(str::to_owned).into(),
            taken: ["memory", "io"].map(str::to_owned).into(),
            disabled: ["cpu"].map(str::to_owned).into(),
            ..good()
        };
        let cures: Vec<String> = missing(&taken).into_iter().map(|finding| finding.cure).collect();
        assert!(cures[0].contains("cgroup_no_v1=all"), "{cures:?}");
        assert!(cures[1].contains("cgroup_enable=cpu"), "{cures:?}");
        assert!(cures[2].contains("own kernel"), "{cures:?}");

        let one = |facts: &Facts| match &missing(facts)[..] {
            [one] => one.clone(),
            other => panic!("{other:?}"),
        };
        let none = Facts { disks: vec![("vda".into(), "none".into())], weights: None, ..good() };
        assert_eq!(one(&none).cure, "echo bfq > /sys/block/vda/queue/scheduler");
        let plain = Facts { quota: Some((false, "/vz/private".into())), ..good() };
        assert!(one(&plain).cure.contains("tune2fs"));
        assert!(missing(&Facts { needs_no_quota: true, ..plain }).is_empty());
        assert_eq!(one(&Facts { quota_off: true, ..good() }).parameters[0], "DISKSPACE");
        assert!(one(&Facts { has_swap: false, ..good() }).cure.contains("mkswap"));
        assert!(one(&Facts { has_lxcfs: false, ..good() }).cure.contains("lxcfs"));
        let every = missing(&Facts::default());
        assert!(every.iter().all(|finding| !finding.by.is_empty()));
        assert!(every.len() >= 9);
    }

    #[test]
    fn where_controllers_are() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n\
                    cpu\t3\t60\t1\nblkio\t4\t1\t1\nmemory\t0\t80\t0\npids\t0\t80\t1\nx\n";
        let (taken, disabled) = controllers_elsewhere(text);
        assert_eq!(taken, ["cpu", "io"].map(str::to_owned).into());
        assert_eq!(disabled, ["memory"].map(str::to_owned).into());
    }

    #[test]
    fn this_node_can_be_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let facts = Facts::look(&Node::without_config(Some(directory.path().to_owned())));
        assert_eq!(judge(&facts).len(), judge(&good()).len());
    }
}
