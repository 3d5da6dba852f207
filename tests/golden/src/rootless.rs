//! Cases that need no container: below `VZ_SYSROOT`, with `VZ_PROC` as the kernel. Each runs in a
//! mount namespace (root's, or of a user namespace), where it finds two processors, the recorded
//! host name and network card, mounted root areas, and disks of a recorded size.

use std::{os::unix::ffi::OsStrExt, path::PathBuf, process::Command, time::Duration};

use crate::{
    Error, Result,
    case::{Case, Group},
    command,
    compare::{Actual, Outcome, compare},
    files::Tree,
    node::{self, Sources},
    scratch,
    states::{Found, States},
};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The directories of a recorded PATH, after that of our tools.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the namespace shows; then the command.
const INSIDE: &str = r#"
set -e
hostname ovzhost
ip link add name eth0 address 02:00:00:00:00:01 type bridge
mount --bind "$0" /sys/devices/system/cpu/online
while test "$1" != --; do
	mount --bind "$1" "$1"
	shift
done
shift
while test "$1" != --; do
	mount -t tmpfs -o "$2" none "$1"
	shift 2
done
shift
cd /
exec "$@"
"#;

/// The tools, and what the suite has to say.
#[derive(Debug)]
pub struct Runner {
    /// The directory of our tools.
    pub binaries: PathBuf,
    /// The suite's files.
    pub sources: Sources,
    /// What cases find.
    pub states: States,
}

impl Runner {
    /// Runs one case.
    ///
    /// # Errors
    /// The node cannot be made, or the namespace.
    pub fn run(&self, group: &Group, case: &Case) -> Result<Outcome> {
        let Some((tool, words)) = case.argv.split_first() else {
            return Ok(Outcome::not_run(case, "no command was recorded".into()));
        };
        let program = self.binaries.join(tool);
        if !program.is_file() {
            return Ok(Outcome::not_run(case, format!("{tool} is not there yet")));
        }
        let place = scratch::directory()?;
        let tree = Tree { root: place.path().join("node"), proc: place.path().join("proc") };
        let found = self.states.of(&case.name);
        node::make(&self.sources, &tree, group, case, &found)?;
        let before = tree.snapshot()?;
        let command = self.command(&tree, &found, tool, words)?;
        let ended = command::run(command, &case.stdin, LIMIT)?;
        let after = tree.snapshot()?;
        let (rc, stdout, stderr) = (ended.rc, ended.stdout, ended.stderr);
        Ok(compare(case, &Actual { rc, stdout, stderr, before, after }))
    }

    fn command(&self, tree: &Tree, found: &Found, tool: &str, words: &[String]) -> Result<Command> {
        let online = tree.proc.join("cpus-online");
        std::fs::write(&online, "0-1\n").map_err(Error::file("write", &online))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--net"]);
        if !nix::unistd::Uid::effective().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--", "sh", "-c", INSIDE]).arg(online);
        command.args(found.mounted.iter().map(|id| tree.root.join("vz/root").join(id)));
        command.arg("--");
        for (directory, options) in &found.disks {
            command.arg(tree.root.join(directory)).arg(options);
        }
        command.arg("--").arg(tool).args(words);
        command.env_clear().envs([("TZ", "UTC"), ("LANG", "C"), ("HOME", "/root")]);
        command.env("TERM", "linux").env("VZ_SYSROOT", &tree.root).env("VZ_PROC", &tree.proc);
        let path = [self.binaries.as_os_str().as_bytes(), PATH.as_bytes()].join(&b':');
        command.env("PATH", std::ffi::OsStr::from_bytes(&path));
        Ok(command)
    }
}
