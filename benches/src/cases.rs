//! What is measured, and what is to be reached.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::census::Census;
use crate::disks::disks;
use crate::measure::{self, Pairs, alternate};
use crate::ours::Node;
use crate::peers::{self, Crun, Lxc};
use crate::table::Row;

/// The container that is started and stopped, and its template.
const SMALL: (u32, &str) = (441, "busybox-x86_64");
/// The one that boots a systemd.
const LARGE: (u32, &str) = (442, "debian-12-x86_64");
/// The one that is created.
const NEW: u32 = 443;

/// How long what a stop leaves to others (the kernel, vzmon's end) may take.
const SETTLING: Duration = Duration::from_secs(5);

/// How often each thing is done.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Pairs of runs of the short commands.
    pub runs: usize,
    /// The same for `create` and for boots.
    pub long_runs: usize,
    /// Cycles that are looked over for leaks.
    pub cycles: usize,
}

/// A part of the whole, by its word.
pub type Part = fn(&Node, Amount) -> Result<Vec<Row>>;

/// The parts in their order.
pub const PARTS: [(&str, Part); 10] = [
    ("version", version),
    ("list", list),
    ("running", running),
    ("start", start),
    ("exec", exec),
    ("vzmon", vzmon),
    ("create", create),
    ("disks", disks),
    ("boot", boot),
    ("cycles", cycles),
];

/// Creates a container where there is none yet.
fn ensure(node: &Node, (id, template): (u32, &str)) -> Result<()> {
    if !node.path(&format!("etc/vz/conf/{id}.conf")).exists() {
        node.create(id, template)?;
    }
    Ok(())
}

/// crun with a container of the same template, made once for each part.
fn crun(node: &Node, part: &str) -> Result<Crun> {
    let directory = node.beside(&format!("crun-{part}"));
    Crun::prepare(&node.template(SMALL.1), &directory)
}

fn version(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    const LIMIT: f64 = 1.0;
    let empty = node.program("empty");
    let pairs = alternate(
        amount.runs * 4,
        || node.vzctl("--version"),
        || measure::run(measure::command(&empty, [""; 0])),
    )?;
    let over = pairs.ours.median() - pairs.peer.median();
    let mut row = Row::of_pairs("vzctl --version : empty static program", &pairs, None);
    row.target = format!("+{LIMIT} ms (is {over:+.2})");
    row.reached = Some(over <= LIMIT);
    Ok(vec![row])
}

/// `vzlist -a` over many stopped containers, on a node of files.
#[expect(clippy::disallowed_methods, reason = "a tree of our own, below a temporary directory")]
fn list(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    const LIMITS: [(u32, f64); 2] = [(1_000, 10.0), (10_000, 100.0)];
    let vzlist = node.program("vzlist");
    let run = |(number, limit): &(u32, f64)| {
        let root = node.beside(&format!("list-{number}"));
        make_stopped(&root, *number)?;
        let mut taken = measure::Samples::default();
        for _ in 0..amount.runs {
            let mut command = measure::command(&vzlist, ["-a"]);
            command.env("VZ_SYSROOT", &root);
            taken.push(measure::run(command)?);
        }
        fs::remove_dir_all(&root)?;
        Ok(Row::of_samples(format!("vzlist -a, {number} stopped containers"), &taken, *limit))
    };
    LIMITS.iter().map(run).collect()
}

/// What is asked of many running containers, and a limit changed of one.
fn running(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    const FIRST: u32 = 5000;
    const NUMBER: u32 = 100;
    const COLUMNS: &str = "ctid,numproc,physpages,numfile,tcpsndbuf";
    for id in FIRST..FIRST + NUMBER {
        ensure(node, (id, SMALL.1))?;
        node.vzctl(&format!("start {id}"))?;
    }
    let (vzlist, tools) = (node.program("vzlist"), node.program("vz-tools"));
    let cases = [
        (format!("vzlist over {NUMBER} running"), vzlist.clone(), vec![], 20.0),
        (format!("vzlist -o {COLUMNS}"), vzlist, vec!["-o", COLUMNS], 100.0),
        (format!("vzubc over {NUMBER} running"), tools, vec!["vzubc", "-v"], 100.0),
    ];
    let mut rows = Vec::new();
    for (what, program, words, limit) in cases {
        let mut taken = measure::Samples::default();
        for _ in 0..amount.runs {
            let mut command = measure::command(&program, words.clone());
            command.env("VZ_SYSROOT", node.path(""));
            taken.push(measure::run(command)?);
        }
        rows.push(Row::of_samples(what, &taken, limit));
    }
    let mut taken = measure::Samples::default();
    for turn in 0..amount.runs {
        taken.push(node.vzctl(&format!("set {FIRST} --numfile {}", 900 + turn % 2))?);
    }
    rows.push(Row::of_samples("vzctl set --numfile, live".to_owned(), &taken, 6.0));
    for id in FIRST..FIRST + NUMBER {
        node.vzctl(&format!("stop {id} --fast"))?;
        node.destroy(id)?;
    }
    Ok(rows)
}

/// A node's tree with so many containers that do not run.
#[expect(clippy::disallowed_methods, reason = "a tree of our own, below a temporary directory")]
fn make_stopped(root: &Path, number: u32) -> Result<()> {
    const FIRST: u32 = 1000;
    let directory = |path: &str| fs::create_dir_all(root.join(path));
    for path in ["etc/vz/conf", "private", "root", "dump"] {
        directory(path)?;
    }
    let places = "VE_ROOT=\"/root/$VEID\"\nVE_PRIVATE=\"/private/$VEID\"\n";
    fs::write(root.join("etc/vz/vz.conf"), format!("LOCKDIR=/lock\nDUMPDIR=/dump\n{places}"))?;
    for id in FIRST..FIRST + number {
        directory(&format!("private/{id}"))?;
        directory(&format!("root/{id}"))?;
        let text = format!(
            "PHYSPAGES=\"0:65536\"\nSWAPPAGES=\"0:131072\"\nDISKSPACE=\"2097152:2306867\"\n\
             DISKINODES=\"131072:144179\"\nQUOTATIME=\"0\"\nCPUUNITS=\"1000\"\nNETFILTER=\"stateless\"\n\
             {places}IP_ADDRESS=\"192.0.2.7\"\nHOSTNAME=\"h{id}.example.com\"\nVE_LAYOUT=\"simfs\"\n\
             OSTEMPLATE=\"debian-12-x86_64\"\nORIGIN_SAMPLE=\"vswap-256m\"\n"
        );
        fs::write(root.join(format!("etc/vz/conf/{id}.conf")), text)?;
    }
    Ok(())
}

fn start(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    ensure(node, SMALL)?;
    let crun = crun(node, "start")?;
    let (mut starts, mut stops) = (Pairs::default(), Pairs::default());
    let id = SMALL.0;
    let both = alternate(
        amount.runs,
        || {
            let (started, stopped) =
                (node.vzctl(&format!("start {id}"))?, node.vzctl(&format!("stop {id} --fast"))?);
            starts.ours.push(started);
            stops.ours.push(stopped);
            Ok(started + stopped)
        },
        || {
            let (started, stopped) = (crun.start()?, crun.delete()?);
            starts.peer.push(started);
            stops.peer.push(stopped);
            Ok(started + stopped)
        },
    )?;
    Ok(vec![
        Row::of_pairs("start + stop --fast : crun create + start + delete -f", &both, Some(1.0)),
        Row::of_pairs("  start : crun create + start", &starts, None),
        Row::of_pairs("  stop --fast : crun delete -f", &stops, None),
    ])
}

fn exec(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    ensure(node, SMALL)?;
    let crun = crun(node, "exec")?;
    let id = SMALL.0;
    node.vzctl(&format!("start {id}"))?;
    crun.start()?;
    let pairs =
        alternate(amount.runs * 2, || node.vzctl(&format!("exec {id} true")), || crun.exec());
    crun.delete()?;
    node.vzctl(&format!("stop {id} --fast"))?;
    Ok(vec![Row::of_pairs("exec CTID true : crun exec true", &pairs?, Some(1.0))])
}

fn vzmon(node: &Node, _: Amount) -> Result<Vec<Row>> {
    const LIMITS: [(&str, u64); 2] = [("VmRSS", 1229), ("RssAnon", 204)];
    ensure(node, SMALL)?;
    let id = SMALL.0;
    node.vzctl(&format!("start {id}"))?;
    let status = node
        .monitor(id)
        .and_then(|monitor| Ok(fs::read_to_string(format!("/proc/{monitor}/status"))?));
    node.vzctl(&format!("stop {id} --fast"))?;
    let status = status?;
    LIMITS
        .iter()
        .map(|(field, limit)| {
            let kib = field_of(&status, field).with_context(|| format!("No {field} of vzmon"))?;
            Ok(Row {
                what: format!("vzmon {field}"),
                ours: format!("{kib} KiB"),
                peer: String::new(),
                ratio: None,
                target: format!("<= {limit} KiB"),
                reached: Some(kib <= *limit),
            })
        })
        .collect()
}

/// The number of a `Name: N kB` line of `/proc/PID/status`.
fn field_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn create(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    let archive = node.template(LARGE.1);
    let tree = node.beside("tar");
    let pairs = alternate(
        amount.long_runs,
        || {
            let taken = node.create(NEW, LARGE.1)?;
            node.destroy(NEW)?;
            Ok(taken)
        },
        || {
            fs::create_dir(&tree)?;
            let taken = measure::run(peers::tar(&archive, &tree))?;
            measure::run(measure::command("/bin/rm".as_ref(), ["-rf".as_ref(), tree.as_os_str()]))?;
            Ok(taken)
        },
    )?;
    Ok(vec![Row::of_pairs("create, Debian on tmpfs : tar -xzf", &pairs, Some(0.5))])
}

fn boot(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    ensure(node, LARGE)?;
    let lxc = Lxc::prepare(&node.template(LARGE.1), &node.beside("lxc"))?;
    let id = LARGE.0;
    let pairs = alternate(
        amount.long_runs,
        || {
            let taken = node.vzctl(&format!("start {id} --wait"))?;
            node.vzctl(&format!("stop {id} --fast"))?;
            Ok(taken)
        },
        || {
            let taken = lxc.start()?;
            lxc.stop()?;
            Ok(taken)
        },
    )?;
    Ok(vec![Row::of_pairs("start --wait, Debian : lxc-start until READY=1", &pairs, Some(1.0))])
}

fn cycles(node: &Node, amount: Amount) -> Result<Vec<Row>> {
    ensure(node, SMALL)?;
    let cycle = || -> Result<Duration> {
        let started = node.vzctl(&format!("start {}", SMALL.0))?;
        Ok(started + node.vzctl(&format!("stop {} --fast", SMALL.0))?)
    };
    // The first makes what is kept on purpose: the directories of locks and of root areas.
    cycle()?;
    let before = Census::take(&node.path(""))?;
    let mut taken = measure::Samples::default();
    for number in 1..=amount.cycles {
        taken.push(cycle().with_context(|| format!("Cycle {number}"))?);
    }
    let left = settle(node, &before)?;
    for line in &left {
        eprintln!("left behind: {line}");
    }
    Ok(vec![Row {
        what: format!("{} x start + stop --fast", amount.cycles),
        ours: format!("{:.2} ({:.2}) ms, {} left", taken.median(), taken.least(), left.len()),
        peer: String::new(),
        ratio: None,
        target: "no leak, no hang".to_owned(),
        reached: Some(left.is_empty()),
    }])
}

/// What is still left a little later.
fn settle(node: &Node, before: &Census) -> Result<Vec<String>> {
    let end = Instant::now() + SETTLING;
    loop {
        let left = Census::take(&node.path(""))?.since(before);
        if left.is_empty() || Instant::now() >= end {
            return Ok(left);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs the parts that are asked for.
///
/// # Errors
/// When there is no such part. A part that fails is a row that says so.
pub fn run(node: &Node, amount: Amount, only: Option<&str>) -> Result<Vec<Row>> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    if !PARTS.iter().any(|(name, _)| wanted(name)) {
        bail!("There is no part {}", only.unwrap_or_default());
    }
    let mut rows = Vec::new();
    for (name, part) in PARTS.iter().filter(|(name, _)| wanted(name)) {
        eprintln!("{name} ...");
        match part(node, amount) {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                // Not in the way of the parts that follow.
                for (id, _) in [SMALL, LARGE] {
                    let _ = node.vzctl(&format!("stop {id} --fast"));
                }
                rows.push(Row {
                    what: format!("{name}: failed, see above"),
                    ours: String::new(),
                    peer: String::new(),
                    ratio: None,
                    target: String::new(),
                    reached: Some(false),
                });
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_status() {
        let status = "Name:\tvzmon\nVmRSS:\t    1024 kB\nRssAnon:\t     64 kB\n";
        assert_eq!(field_of(status, "VmRSS"), Some(1024));
        assert_eq!(field_of(status, "RssAnon"), Some(64));
        assert_eq!(field_of(status, "Vm"), None);
    }

    #[test]
    fn a_part_that_is_not_there() {
        let amount = Amount { runs: 1, long_runs: 1, cycles: 1 };
        let node = Node::at("/no/such/node".as_ref());
        assert!(run(&node, amount, Some("nothing")).is_err());
        let rows = run(&node, amount, Some("start")).unwrap();
        assert_eq!(rows[0].reached, Some(false));
    }
}
