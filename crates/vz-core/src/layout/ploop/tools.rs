//! The programs of e2fsprogs, on an image that is not mounted.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use vz_conf::exit::Exit;
use vz_sys::child;

use super::demands::refuse_harmful;
use crate::description::PATH;
use crate::error::{Error, Result};

/// Makes a file system in the image.
///
/// # Errors
/// What mke2fs says.
pub fn make_file_system(image: &Path) -> Result<()> {
    // Blocks of 4 KiB also for a small one, which could not grow far with less.
    let options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0";
    let mut command = tool("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-I", "256", "-E", options]);
    match run(command.arg(image)) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(said(&output)),
        Err(text) => Err(text),
    }
    .map_err(|text| {
        let text = format!("Cannot make a file system in {}: {text}", image.display());
        Error::Refused(Exit::PloopCreateFailed, text)
    })
}

/// `e2fsck -p` mends what can be mended without asking. A clean file system is seen to be so from its
/// superblock, in a few milliseconds.
///
/// # Errors
/// When it cannot be mended so.
pub fn check_file_system(image: &Path) -> Result<()> {
    check_copy(image, image)
}

/// The same with a copy, which what is said names by what it was made `of`.
///
/// # Errors
/// As [`check_file_system`].
pub fn check_copy(copy: &Path, of: &Path) -> Result<()> {
    // e2fsck writes to a journal wherever it finds it.
    refuse_harmful(of)?;
    mend(copy, &["-p"], of).map_err(|text| Error::Refused(Exit::PloopMountFailed, text))
}

/// Has the file system in the image count what users and groups hold, from now on and from the
/// beginning (tune2fs(8)). Killed in between, it is mended by the next check.
///
/// # Errors
/// What tune2fs says.
pub fn count_users(image: &Path) -> Result<()> {
    let failed = |text: String| {
        let text = format!("Cannot count users' files in {}: {text}", image.display());
        Error::Refused(Exit::SetUserQuotaFailed, text)
    };
    let mut command = tool("tune2fs");
    command.args(["-O", "quota", "-Q", "usrquota,grpquota"]).arg(image);
    let output = run(&mut command).map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(said(&output))),
    }
}

/// Gives the file system in the image, which is as large as `size` bytes at least, this size.
///
/// # Errors
/// What e2fsck or resize2fs says.
pub fn resize_file_system(image: &Path, size: u64) -> Result<(), String> {
    mend(image, &["-f", "-p"], image)?;
    let output = run(tool("resize2fs").arg("-p").arg(image).arg(format!("{}K", size >> 10)))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(said(&output)),
    }
}

/// Codes of e2fsck above 2 mean that it could not (e2fsck(8)).
fn mend(image: &Path, options: &[&str], shown: &Path) -> Result<(), String> {
    let failed = |text: String| {
        let image = shown.display();
        format!("The file system in {image} cannot be mended by itself ({text}): run e2fsck on it")
    };
    match run(tool("e2fsck").args(options).arg(image)).map_err(failed)?.status.code() {
        Some(0..=2) => Ok(()),
        code => Err(failed(format!("e2fsck exited with {code:?}"))),
    }
}

fn run(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Whoever takes the lock next must be alone with the image.
    child::die_with_parent(command)
        .output()
        .map_err(|error| format!("{name}: {error} (package e2fsprogs)"))
}

/// What it has said of what went wrong, in one line: its last one.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    lines.next().unwrap_or("it does not say why").to_owned()
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", PATH.strip_prefix("PATH=").unwrap_or(PATH))
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}
