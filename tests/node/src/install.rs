//! Our tree on a node: what `./setup install` makes, and the OS templates.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
};

use crate::{Error, Result, cache, machine::Machine, project::Project, tool};

/// Installs tools, and the templates whose names begin with one of `wanted`, on a machine;
/// `scratch` is a directory of the caller's, removed afterwards.
///
/// # Errors
/// `./setup install` fails, or the machine does.
pub fn install(
    project: &Project,
    machine: &dyn Machine,
    scratch: &Path,
    wanted: &BTreeSet<&str>,
) -> Result<()> {
    cache::remove(scratch)?;
    cache::make_directory(scratch)?;
    let installed = stage(project, scratch).and_then(|()| {
        send(machine, scratch, &[Path::new(".").into()], Path::new("/"))?;
        send(machine, &project.templates(), &templates(project, wanted)?, &machine.templates())?;
        // Units that came with the tree; a node without systemd has nothing to reload. lxcfs has
        // been started without the options of ours.
        let reload = "! test -d /run/systemd/system || \
            { systemctl daemon-reload && systemctl try-restart lxcfs; }";
        machine.connect()?.call(&["sh", "-c", reload], io::empty()).map(drop)
    });
    cache::remove(scratch)?;
    installed
}

/// Makes our tree in the directory `stage`, as it is to lie on a machine.
///
/// # Errors
/// `./setup install` fails.
pub fn stage(project: &Project, stage: &Path) -> Result<()> {
    let mut command = Command::new(project.root().join("setup"));
    command.arg("install").env("DESTDIR", stage).current_dir(project.root());
    tool::run(&mut command).map(drop)
}

fn templates(project: &Project, wanted: &BTreeSet<&str>) -> Result<Vec<PathBuf>> {
    let directory = project.templates();
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let files = cache::sorted_entries(&directory)?.into_iter();
    let names = files.filter_map(|path| path.file_name().map(PathBuf::from));
    let is_wanted = |name: &PathBuf| {
        let name = name.to_string_lossy();
        name.contains(".tar") && wanted.iter().any(|word| name.starts_with(word))
    };
    Ok(names.filter(is_wanted).collect())
}

/// Copies files of a directory here into a directory of the machine.
///
/// # Errors
/// tar fails on either side.
pub fn send(machine: &dyn Machine, from: &Path, names: &[PathBuf], to: &Path) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut command = tool::command(&["tar", "--owner=0", "--group=0", "-cf", "-", "-C"]);
    command.arg(from).arg("--").args(names);
    let (mut tar, output) = piped(command)?;
    let script =
        "mkdir -p -- \"$1\" && tar -xf - --no-same-owner --keep-directory-symlink -C \"$1\"";
    let to = to.to_string_lossy();
    let sent = machine.connect()?.call(&["sh", "-c", script, "sh", &to], output);
    finished(&mut tar)?;
    sent.map(drop)
}

/// Copies what is in a directory of the machine into a directory here.
///
/// # Errors
/// tar fails on either side.
pub fn fetch(machine: &dyn Machine, from: &str, to: &Path) -> Result<()> {
    cache::make_directory(to)?;
    let bytes = machine.connect()?.call(&["tar", "-cf", "-", "-C", from, "."], io::empty())?;
    let mut tar = tool::command(&["tar", "-xf", "-", "-C"])
        .arg(to)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Start { program: "tar".into(), source })?;
    if let Some(mut input) = tar.stdin.take() {
        io::Write::write_all(&mut input, &bytes).map_err(Error::file("write to", "tar"))?;
    }
    finished(&mut tar)
}

fn piped(mut command: Command) -> Result<(std::process::Child, ChildStdout)> {
    let failed = |source| Error::Start { program: "tar".into(), source };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let output = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    Ok((child, output))
}

fn finished(tar: &mut std::process::Child) -> Result<()> {
    let status = tar.wait().map_err(Error::file("wait for", "tar"))?;
    if status.success() {
        return Ok(());
    }
    let (command, status) = ("tar".into(), status.to_string());
    Err(Error::Tool { command, status, stderr: String::new() })
}
