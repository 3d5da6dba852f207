//! vzrestore: a container out of an archive of vzdump, or out of one of a plain private area.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use vz_conf::ctid::Ctid;
use vz_conf::getopt::LongOption;
use vz_conf::layout::Layout;
use vz_core::container::Container;
use vz_core::error::Error;
use vz_core::lifecycle::{restore, teardown};
use vz_core::node::Node;

use crate::console::{Console, err, out};
use crate::options::{self, misused};
use crate::place::Place;

pub const USAGE: &str = "\
Usage: vzrestore [options] <archive> <CTID>
  --layout simfs|ploop   where its files are to be (without: as they were)
  --trusted              take over what reaches into the node, too: action scripts, devices,
                         features and capabilities
  --quiet                say nothing but errors
  --help                 show this text
";

const LONG: [LongOption; 4] = [
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
    let asked = Asked { layout, trusted: words.has('t'), quiet: words.has('q') };
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
    quiet: bool,
}

fn start(node: &Node, path: &Path, id: Ctid, asked: &Asked) -> Result<(), Error> {
    // A FIFO would be waited for, and can be read only once.
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let refused = |why: String| {
        let text = format!("Cannot open {}: {why}", path.display());
        Error::Refused(vz_conf::exit::Exit::OsTemplateNotFound, text)
    };
    let archive = file.map_err(|error| refused(vz_core::error::OsText(error).to_string()))?;
    if !archive.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(refused("not a regular file".into()));
    }
    let mut report = Console;
    let container = Container::load(node, id)?;
    let _lock = container.lock(&mut report)?;
    vz_sys::cancel::listen().map_err(|error| refused(error.to_string()))?;
    let mut container = Container::load(node, id)?;
    if !container.root.as_os_str().is_empty() {
        teardown::recover(&container, &mut report)?;
    }
    let request = restore::Request {
        archive: &archive,
        shown: path,
        layout: asked.layout,
        trusted: asked.trusted,
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
