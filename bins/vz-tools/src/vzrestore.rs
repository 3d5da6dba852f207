//! vzrestore: a container out of an archive of vzdump, or out of one of a plain private area.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use vz_conf::ctid::Ctid;
use vz_conf::exit::Exit;
use vz_conf::getopt::LongOption;
use vz_conf::layout::Layout;
use vz_core::container::Container;
use vz_core::error::{Error, OsText};
use vz_core::lifecycle::{restore, teardown};
use vz_core::node::Node;
use vz_sys::cancel::Waited;

use crate::console::{Console, err, out};
use crate::options::{self, misused};
use crate::place::Place;

pub const USAGE: &str = "\
Usage: vzrestore [options] <archive> <CTID>
  <archive>              a file; - for standard input
  --force                in the place of a container that there is, which is destroyed
  --layout simfs|ploop   where its files are to be (without: as they were)
  --trusted              take over what reaches into the node, too: action scripts, devices,
                         features and capabilities
  --quiet                say nothing but errors
  --help                 show this text
";

const LONG: [LongOption; 5] = [
    LongOption { long: "force", takes_value: false, meaning: 'f' as usize },
    LongOption { long: "layout", takes_value: true, meaning: 'l' as usize },
    LongOption { long: "trusted", takes_value: false, meaning: 't' as usize },
    LongOption { long: "quiet", takes_value: false, meaning: 'q' as usize },
    LongOption { long: "help", takes_value: false, meaning: 'h' as usize },
];

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words = match options::parse("vzrestore", "", &LONG, words) {
        Ok(words) => words,
        Err(line) => return misused(&line, USAGE),
    };
    if words.has('h') {
        out(USAGE);
        return 0;
    }
    let [archive, id] = &words.others[..] else { return misused("", USAGE) };
    let Ok(id) = id.parse::<Ctid>() else {
        return misused(&format!("Invalid CT ID: {id}"), USAGE);
    };
    let mut layout = None;
    for (_, value) in words.options.iter().filter(|(letter, _)| *letter == 'l') {
        match value.parse::<Layout>() {
            Ok(asked) => layout = Some(asked),
            Err(_) => return misused(&format!("Bad parameter for --layout: {value}"), USAGE),
        }
    }
    let mut node = Place::of_environment().node;
    let (trusted, force, quiet) = (words.has('t'), words.has('f'), words.has('q'));
    let asked = Asked { layout, trusted, force, quiet };
    let done = node.read_config().and_then(|()| start(&node, Path::new(archive), id, &asked));
    match done {
        Ok(()) => 0,
        Err(error) => {
            error.line().iter().for_each(|line| err(line));
            error.code()
        }
    }
}

struct Asked {
    layout: Option<Layout>,
    trusted: bool,
    force: bool,
    quiet: bool,
}

fn start(node: &Node, path: &Path, id: Ctid, asked: &Asked) -> Result<(), Error> {
    let is_input = path == Path::new("-");
    let path = if is_input { Path::new("standard input") } else { path };
    let refused = |error: io::Error| {
        let text = format!("Cannot open {}: {}", path.display(), OsText(error));
        Error::Refused(Exit::OsTemplateNotFound, text)
    };
    let mut archive = open(path, is_input).map_err(refused)?;
    let mut report = Console;
    let container = Container::load(node, id)?;
    let _lock = container.lock(&mut report)?;
    vz_sys::cancel::listen().map_err(refused)?;
    let mut container = Container::load(node, id)?;
    if !container.root.as_os_str().is_empty() {
        teardown::recover(&container, &mut report)?;
    }
    if !archive.metadata().is_ok_and(|metadata| metadata.is_file()) {
        archive = keep(&container, &archive)?;
    }
    let request = restore::Request {
        archive: &archive,
        shown: path,
        layout: asked.layout,
        trusted: asked.trusted,
        force: asked.force,
    };
    // Hidden by itself where standard error is no terminal.
    let bar = if asked.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {percent:>3}% {binary_bytes_per_sec}")
    {
        bar.set_style(style);
    }
    let restored = restore::restore(&mut container, &request, &mut report, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.read);
    });
    bar.finish_and_clear();
    restored?;
    if !asked.quiet {
        out(&format!("Container {id} was restored\n"));
    }
    Ok(())
}

/// Opens the archive: a regular file, or what standard input is.
fn open(path: &Path, is_input: bool) -> io::Result<File> {
    if is_input {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    // A FIFO would be waited for.
    let archive = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    match archive.metadata()?.is_file() {
        true => Ok(archive),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Keeps what comes through a pipe, in a file without a name beside the private area: an archive is
/// read twice, and a container that it replaces is destroyed when all of it is there.
fn keep(container: &Container<'_>, mut input: &File) -> Result<File, Error> {
    let directory = container.private.parent().unwrap_or(Path::new("/"));
    let failed = |error: io::Error| {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        let exit = match full.contains(&error.kind()) {
            true => Exit::NoDiskSpace,
            false => Exit::UnpackFailed,
        };
        let text =
            format!("Cannot keep standard input in {}: {}", directory.display(), OsText(error));
        Error::Refused(exit, text)
    };
    container.node.make_directory(directory, 0o700).map_err(failed)?;
    let mut file = tempfile::tempfile_in(directory).map_err(failed)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        if vz_sys::cancel::wait_readable(input.as_fd(), None).map_err(failed)? == Waited::Cancelled
        {
            return Err(Error::Cancelled);
        }
        let read = input.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(file);
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(failed)?;
    }
}
