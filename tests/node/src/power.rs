//! `vz-node power`: nodes that lose their power in the middle of the work of `tests/power`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::ArgMatches;
use vz_node::{
    install,
    machine::{Kind, Machine},
    node::{Home, Node},
    project::Project,
    scenario::plan::{Count, Report, Verdict},
    snapshot::Snapshot,
};

/// The script, here and on the node.
const SCRIPT: &str = "tests/power/disks";
const ON_NODE: &str = "/root/disks";

/// How long the work goes on before the first shot, and how much longer before each next one: these
/// share no measure with the commands, so that each meets them somewhere else.
const FIRST: Duration = Duration::from_millis(4100);
const LATER: Duration = Duration::from_millis(1370);

/// Runs the shots, each on a node of its own.
pub fn test(project: &Project, home: &Home, matches: &ArgMatches) -> Result<ExitCode> {
    let shots = matches.get_one::<u32>("shots").copied().unwrap_or(1);
    let scratch = home.scratch(&format!("test-{}-power", std::process::id()))?;
    let base = Snapshot::get(project, home, Kind::Systemd)?;
    let node =
        Node::restore(home, &format!("test-{}-power-first", std::process::id()), &base, false)?;
    let templates = BTreeSet::from(["busybox"]);
    install::install(project, &node, &scratch.path().join("stage"), &templates)?;
    let snapshot = Snapshot::take(node, scratch.path())?;
    let mut count = Count::default();
    for shot in 1..=shots {
        let start = Instant::now();
        let name = format!("test-{}-power-{shot}", std::process::id());
        let node = Node::restore(home, &name, &snapshot, false)?;
        let verdict = shoot(project, node, FIRST + LATER * (shot - 1))?;
        let report = Report { name: format!("power {shot}"), verdict, took: start.elapsed() };
        count.add(&report.verdict);
        writeln!(io::stdout(), "{report}")?;
    }
    writeln!(io::stdout(), "{count}")?;
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shoot(project: &Project, mut node: Node, after: Duration) -> Result<Verdict> {
    let script = project.root().join(SCRIPT);
    let script = File::open(&script).with_context(|| format!("open {}", script.display()))?;
    node.connect()?.call(&["sh", "-c", "cat > \"$1\"", "sh", ON_NODE], script)?;
    node.connect()?.call(&["bash", ON_NODE, "prepare"], io::empty())?;
    let work = format!("setsid bash {ON_NODE} work > /dev/null 2>&1 &");
    node.connect()?.call(&["sh", "-c", &work], io::empty())?;
    thread::sleep(after);
    node.lose_power()?;
    let said = node.connect()?.call(&["bash", ON_NODE, "check"], io::empty())?;
    Ok(match said.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed(String::from_utf8_lossy(&said).into_owned()),
    })
}
