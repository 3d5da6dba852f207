//! `cargo run -p vz-node -- COMMAND`: the node of the tests by hand, and the scenario runner.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command as Process, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use vz_node::{
    agent::{Ended, Output, command},
    install,
    machine::{Kind, Machine},
    node::{Home, Node},
    project::Project,
    snapshot::Snapshot,
};

mod power;
mod suite;

/// The node that `start` starts.
const NAME: &str = "default";

fn main() -> ExitCode {
    match run(&arguments().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            // Nowhere else to say it.
            let _ = writeln!(io::stderr(), "vz-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Command {
    let flavour = Arg::new("flavour")
        .long("flavour")
        .value_parser(["systemd", "plain"])
        .help("init system of the node");
    let words = Arg::new("words").num_args(1..).required(true).trailing_var_arg(true);
    let path = |name| Arg::new(name).required(true).value_parser(clap::value_parser!(PathBuf));
    Command::new("vz-node")
        .about("A hardware node in a virtual machine, and the scenarios that run on it")
        .subcommand_required(true)
        .subcommand(Command::new("build").about("Build the node").arg(flavour.clone()))
        .subcommand(
            Command::new("start")
                .about("Start a node that stays, with our tree installed")
                .arg(flavour.default_value("systemd")),
        )
        .subcommand(
            Command::new("run")
                .about("Run a command on it; --input passes our standard input")
                .arg(Arg::new("input").long("input").short('i').action(ArgAction::SetTrue))
                .arg(words.allow_hyphen_values(true)),
        )
        .subcommand(Command::new("install").about("Install our tree on it again"))
        .subcommand(
            Command::new("put").about("Copy to it").arg(path("source")).arg(path("destination")),
        )
        .subcommand(
            Command::new("get").about("Copy from it").arg(path("source")).arg(path("destination")),
        )
        .subcommand(Command::new("shell").about("A shell on it"))
        .subcommand(Command::new("stop").about("End it"))
        .subcommand(
            Command::new("power")
                .about("Take the power from nodes in the middle of work on disks")
                .arg(
                    Arg::new("shots")
                        .long("shots")
                        .default_value("2")
                        .value_parser(clap::value_parser!(u32).range(1..=1000)),
                ),
        )
        .subcommand(test_arguments())
}

fn test_arguments() -> Command {
    Command::new("test")
        .about("Run scenarios")
        .arg(
            Arg::new("on")
                .long("on")
                .value_parser(["node", "host"])
                .help("only on nodes, or only on this machine"),
        )
        .arg(
            Arg::new("accept")
                .long("accept")
                .action(ArgAction::SetTrue)
                .help("rewrite the files as they would have passed"),
        )
        .arg(
            Arg::new("ctid")
                .long("ctid")
                .default_value("1000")
                .value_parser(clap::value_parser!(u32))
                .help("first of a hundred free container ids"),
        )
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .default_value("2")
                .value_parser(clap::value_parser!(u32).range(1..=8))
                .help("nodes at a time"),
        )
        .arg(Arg::new("filters").num_args(0..).help("parts of file names"))
}

fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let here = std::env::current_dir().context("find the current directory")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let project = Project::find(&here, target)?;
    let home = Home::open(project.state().join("run"))?;
    let Some((name, matches)) = matches.subcommand() else { bail!("no command") };
    let node = || Node::find(&home, NAME);
    match name {
        "build" => build(&project, &home, matches)?,
        "start" => start(&project, &home, matches)?,
        "stop" => node()?.stop()?,
        "install" => install_all(&project, &node()?)?,
        "run" => return on_node(&node()?, matches),
        "put" => put(&node()?, paths(matches))?,
        "get" => get(&node()?, paths(matches))?,
        "shell" => shell(&node()?)?,
        "power" => return power::test(&project, &home, matches),
        _ => return suite::test(&project, &home, matches),
    }
    Ok(ExitCode::SUCCESS)
}

fn flavour(name: &str) -> Kind {
    if name == "plain" { Kind::Plain } else { Kind::Systemd }
}

fn build(project: &Project, home: &Home, matches: &ArgMatches) -> Result<()> {
    let flavours = match matches.get_one::<String>("flavour") {
        Some(name) => vec![flavour(name)],
        None => vec![Kind::Systemd, Kind::Plain],
    };
    for flavour in flavours {
        let snapshot = Snapshot::get(project, home, flavour)?;
        writeln!(io::stdout(), "{flavour}: {}", snapshot.directory.display())?;
    }
    Ok(())
}

fn start(project: &Project, home: &Home, matches: &ArgMatches) -> Result<()> {
    let name = matches.get_one::<String>("flavour").map_or("systemd", String::as_str);
    let snapshot = Snapshot::get(project, home, flavour(name))?;
    let node = Node::restore(home, NAME, &snapshot, true)?;
    install_all(project, &node)
}

/// Our tree with every template there is.
fn install_all(project: &Project, node: &Node) -> Result<()> {
    let scratch = project.state().join("stage");
    install::install(project, node, &scratch, &BTreeSet::from([""])).map_err(Into::into)
}

fn on_node(node: &Node, matches: &ArgMatches) -> Result<ExitCode> {
    let words = matches.get_many::<String>("words").into_iter().flatten();
    let words: Vec<_> = words.map(String::as_str).collect();
    let mut connection = node.connect()?;
    let mut lost = Ok(());
    let mut output = |from: Output, bytes: &[u8]| {
        let written = match from {
            Output::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Output::Stderr => io::stderr().write_all(bytes),
        };
        if lost.is_ok() {
            lost = written;
        }
    };
    let ended = if matches.get_flag("input") {
        connection.run(&command(&words), io::stdin(), &mut output, None)?
    } else {
        connection.run(&command(&words), io::empty(), &mut output, None)?
    };
    lost.context("write output")?;
    let Ended::Code(code) = ended else { bail!("the command timed out") };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn paths(matches: &ArgMatches) -> (&Path, &Path) {
    let path = |name| matches.get_one::<PathBuf>(name).map_or(Path::new(""), PathBuf::as_path);
    (path("source"), path("destination"))
}

/// As cp(1): into a directory that is there, else under the new name.
fn put(node: &Node, (source, destination): (&Path, &Path)) -> Result<()> {
    let is_directory =
        node.connect()?.call(&["test", "-d", &text(destination)], io::empty()).is_ok();
    let name = source.file_name().context("the source has no name")?;
    let place = if is_directory { destination.join(name) } else { destination.into() };
    if source.is_dir() {
        return Ok(install::send(node, source, &[".".into()], &place)?);
    }
    let file = std::fs::File::open(source).with_context(|| format!("open {}", source.display()))?;
    let meta = file.metadata().with_context(|| format!("read {}", source.display()))?;
    let mode =
        format!("{:o}", std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777);
    let script = "cat > \"$1\" && chmod \"$2\" \"$1\"";
    node.connect()?.call(&["sh", "-c", script, "sh", &text(&place), &mode], file)?;
    Ok(())
}

fn get(node: &Node, (source, destination): (&Path, &Path)) -> Result<()> {
    let name = source.file_name().context("the source has no name")?;
    let place = if destination.is_dir() { destination.join(name) } else { destination.into() };
    if node.connect()?.call(&["test", "-d", &text(source)], io::empty()).is_ok() {
        return Ok(install::fetch(node, &text(source), &place)?);
    }
    let bytes = node.connect()?.call(&["cat", "--", &text(source)], io::empty())?;
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).open(&place);
    file.and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("write {}", place.display()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// script(1) gives the shell a terminal on the node; ours passes every key on.
fn shell(node: &Node) -> Result<()> {
    let terminal = io::stdin().is_terminal();
    let stty = |mode: &[&str]| -> Result<()> {
        if terminal {
            Process::new("stty").args(mode).status().context("start stty")?;
        }
        Ok(())
    };
    let words = ["script", "-qfc", "TERM=linux HOME=/root exec bash -il", "/dev/null"];
    stty(&["raw", "-echo"])?;
    let mut output = |_: Output, bytes: &[u8]| {
        // A terminal that is gone takes the session with it.
        let _ = io::stdout().write_all(bytes).and_then(|()| io::stdout().flush());
    };
    let ended = node.connect()?.run(&command(&words), io::stdin(), &mut output, None);
    stty(&["sane"])?;
    ended.map(drop).map_err(Into::into)
}
