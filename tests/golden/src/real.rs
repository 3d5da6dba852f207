//! Cases that make or start containers: as root, each group or case on a node of its own, which is
//! this machine in namespaces (`inside` makes it). Whatever ends the run, the kernel ends the first
//! process of the pid namespace with it, and all others, the mounts and the files; a group of the
//! cgroup hierarchy that is left is taken away by the next run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use crate::{
    Error, Result,
    case::{Case, Group},
    cgroups, command,
    compare::{Actual, Outcome, compare},
    files::Tree,
    node,
    rootless::Runner,
    scratch,
};

/// How long a command may take: the original waits 120 s for a container to stop.
const LIMIT: Duration = Duration::from_secs(150);
/// How long a node may take for a group.
const GROUP_LIMIT: Duration = Duration::from_secs(1200);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What shell lines of `states.toml` can say.
const WORDS: &str = r#"
private() {
	mkdir -p "/vz/private/$1"
	tar -C "/vz/private/$1" -xpf /vz/template/cache/centos-6-x86_64.tar
}
"#;

/// Makes the run's group the root of a cgroup namespace, and leaves it for one below: a group with
/// processes of its own can have no controllers for those below it.
const ENTER: &str = r#"
if [ -z "${CGROUP-}" ]; then
	exec "$@"
fi
echo $$ >"$CGROUP/cgroup.procs"
mkdir "$CGROUP/run"
exec unshare --cgroup sh -ec 'echo $$ >"$CGROUP/run/cgroup.procs"; exec "$@"' sh "$@"
"#;

/// Says why these cases cannot run here.
pub fn missing() -> Option<&'static str> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("not root");
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--net", "--fork", "true"]);
    match unshare.output() {
        Ok(output) if output.status.success() => None,
        _ => Some("no namespaces can be made"),
    }
}

/// Runs cases, one after the other, on one node. `program` is `vz-golden` itself.
///
/// # Errors
/// The node cannot be made.
pub fn run(runner: &Runner, program: &Path, names: &[&str]) -> Result<Vec<Outcome>> {
    let templates = templates(runner)?;
    let work = scratch::directory()?;
    let group = cgroups::Group::make()?;
    let mut command = Command::new("sh");
    command.args(["-ec", ENTER, "sh", "setpriv", "--pdeathsig", "KILL", "--"]);
    command.args(["unshare", "--mount", "--net", "--pid", "--ipc"]);
    command.args(["--uts", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(runner.sources.suite.join("inside"));
    command.arg(work.path()).arg(&runner.binaries).arg(templates);
    command.arg(program).arg("--bin").arg("/usr/sbin").arg("--inside");
    command.args(names);
    command.env_clear().env("PATH", PATH).env("TZ", "UTC").env("LANG", "C");
    if let Some(group) = &group {
        command.env("CGROUP", &group.path).env("HIERARCHY", &group.hierarchy);
    }
    let ended = command::run(command, "", GROUP_LIMIT)?;
    drop(group);
    serde_json::from_str(&ended.stdout).map_err(|_| Error::Program {
        program: "inside".into(),
        reason: format!("{} {}{}", ended.rc, ended.stdout, ended.stderr),
    })
}

/// The recordings' OS templates, made when they are not there.
fn templates(runner: &Runner) -> Result<PathBuf> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let directory = runner.sources.project.join("target/golden/templates");
    let mut command = Command::new(runner.sources.suite.join("templates"));
    command.arg(&directory);
    let output = command.output().map_err(Error::start("templates"))?;
    match output.status.success() {
        true => Ok(directory),
        false => Err(Error::Program {
            program: "templates".into(),
            reason: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

/// Runs cases on the node that this process is on.
///
/// # Errors
/// The node's files cannot be made.
pub fn inside(runner: &Runner, group: &Group, names: &[String]) -> Result<Vec<Outcome>> {
    let tree = Tree { root: "/".into(), proc: "/run/vz-golden-proc".into() };
    let cases = group.cases.iter().filter(|case| names.contains(&case.name));
    cases.map(|case| one(runner, group, case, &tree)).collect()
}

fn one(runner: &Runner, group: &Group, case: &Case, tree: &Tree) -> Result<Outcome> {
    let Some((tool, words)) = case.argv.split_first() else {
        return Ok(Outcome::not_run(case, "no command was recorded".into()));
    };
    let found = runner.states.of(&case.name);
    node::make(&runner.sources, tree, group, case, &found)?;
    let prepared = prepare(&found.prepare)?;
    tree.lay(&group.files(case))?;
    let before = tree.snapshot()?;
    let mut command = Command::new(tool);
    command.args(words).env_clear().env("PATH", PATH).env("TZ", "UTC").env("LANG", "C");
    command.env("HOME", "/root").env("TERM", "linux").current_dir("/");
    if group.needs_imitation() {
        // What one case switches on, the next one finds: not where each case gets its own.
        command.env("VZ_PROC", "/run/vz-golden-kernel");
    }
    let ended = match command::run(command, &case.stdin, LIMIT) {
        Err(Error::Start { program, .. }) => {
            return Ok(Outcome::not_run(case, format!("{program} is not there yet")));
        }
        other => other?,
    };
    let after = tree.snapshot()?;
    let (rc, stdout, stderr) = (ended.rc, ended.stdout, ended.stderr);
    let mut outcome = compare(case, &Actual { rc, stdout, stderr, before, after });
    if let Some(reason) = prepared {
        outcome.differences.push(reason);
    }
    Ok(outcome)
}

/// Brings about what a case finds; says what went wrong.
fn prepare(lines: &str) -> Result<Option<String>> {
    if lines.trim().is_empty() {
        return Ok(None);
    }
    let mut command = Command::new("bash");
    command.args(["-ec", &format!("{WORDS}{lines}")]).env_clear().env("PATH", PATH);
    command.current_dir("/");
    let ended = command::run(command, "", LIMIT)?;
    let failed = || format!("its state: {} {}{}", ended.rc, ended.stdout, ended.stderr);
    Ok((ended.rc != 0).then(failed))
}
