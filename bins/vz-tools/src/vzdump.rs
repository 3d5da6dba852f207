//! vzdump: backups of containers, as OpenVZ's and Proxmox VE's vzdump made them.

mod target;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use vz_conf::ctid::Ctid;
use vz_conf::getopt::LongOption;
use vz_core::container::Container;
use vz_core::copy_tree::CopyError;
use vz_core::lifecycle::{dump, teardown};
use vz_core::listing;
use vz_core::node::Node;
use vz_core::pack::Summary;
use vz_core::report::Report;
use vz_sys::fnmatch::fnmatch;

use crate::console::{err, out};
use crate::options::{self, misused};
use crate::place::Place;
use target::Target;

pub const USAGE: &str = "\
Usage: vzdump [options] <CTID> [<CTID> ...]
       vzdump [options] --all
  --all                        back up all containers
  --exclude CTID               but this one
  --dumpdir DIR                where to (without: DUMPDIR of vz.conf)
  --stdout                     write the archive to standard output
  --compress [gzip|zstd]       compress the archive
  --mode suspend|stop|snapshot what a running container does meanwhile
  --suspend | --stop | --snapshot   the same
  --stdexcl                    leave out temporary files and logs
  --exclude-path PATTERN       leave out files by a pattern, such as /srv/cache/*
  --maxfiles N                 keep no more than the newest N of each container
  --quiet                      say nothing but errors
  --help                       show this text
";

const LONG: [LongOption; 14] = [
    long("all", false, 'a'),
    long("exclude", true, 'e'),
    long("dumpdir", true, 'd'),
    long("stdout", false, 'o'),
    long("compress", true, 'c'),
    long("mode", true, 'm'),
    long("suspend", false, 's'),
    long("stop", false, 't'),
    long("snapshot", false, 'n'),
    long("stdexcl", false, 'x'),
    long("exclude-path", true, 'p'),
    long("maxfiles", true, 'f'),
    long("quiet", false, 'q'),
    long("help", false, 'h'),
];

const fn long(long: &'static str, takes_value: bool, letter: char) -> LongOption {
    LongOption { long, takes_value, meaning: letter as usize }
}

/// Temporary files and logs; the directories stay.
const STANDARD: [&str; 4] = ["/var/log/?*", "/tmp/?*", "/var/tmp/?*", "/var/run/*.pid"];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Suspend,
    Stop,
    Snapshot,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn suffix(self) -> &'static str {
        match self {
            Compression::None => "tar",
            Compression::Gzip => "tar.gz",
            Compression::Zstd => "tar.zst",
        }
    }
}

/// How archives of a container may end, those of other vzdumps included.
const SUFFIXES: [&str; 5] = ["tar", "tgz", "tar.gz", "tar.lzo", "tar.zst"];

#[derive(Debug, Default)]
struct Request {
    containers: Vec<Ctid>,
    all: bool,
    excluded: Vec<Ctid>,
    directory: Option<String>,
    stdout: bool,
    compression: Compression,
    mode: Mode,
    patterns: Vec<String>,
    most: Option<usize>,
    quiet: bool,
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let parsed = options::parse("vzdump", "", &LONG, &long_words(words));
    let request = match parsed.and_then(|words| {
        if words.has('h') {
            return Ok(None);
        }
        request(&words.options, &words.others).map(Some)
    }) {
        Ok(Some(request)) => request,
        Ok(None) => {
            out(USAGE);
            return 0;
        }
        Err(line) => return misused(&line, USAGE),
    };
    let mut node = Place::of_environment().node;
    let done = node.read_config().map_err(|error| error.to_string());
    match done.and_then(|()| back_up_each(&node, &request)) {
        Ok(code) => code,
        Err(line) => {
            err(&line);
            1
        }
    }
}

/// Long options may have a single dash, as ever; `--compress` alone means gzip.
fn long_words(words: &[String]) -> Vec<String> {
    let mut long = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let single = word.len() > 2 && word.starts_with('-') && !word.starts_with("--");
        let word = if single { format!("-{word}") } else { word.clone() };
        if word != "--compress" {
            long.push(word);
            continue;
        }
        let next = words
            .next_if(|next| ["0", "1", "none", "gzip", "zstd", "lzo"].contains(&next.as_str()));
        long.push(format!("--compress={}", next.map_or("gzip", |next| next)));
    }
    long
}

fn request(options: &[(char, String)], others: &[String]) -> Result<Request, String> {
    let container =
        |text: &String| text.parse::<Ctid>().map_err(|_| format!("Invalid CT ID: {text}"));
    let mut request = Request::default();
    for (letter, value) in options {
        let bad = |option: &str| format!("Bad parameter for --{option}: {value}");
        match letter {
            'a' => request.all = true,
            'e' => request.excluded.push(container(value)?),
            'd' => request.directory = Some(value.clone()),
            'o' => request.stdout = true,
            'c' => {
                request.compression = match value.as_str() {
                    "0" | "none" => Compression::None,
                    "1" | "gzip" => Compression::Gzip,
                    "zstd" => Compression::Zstd,
                    _ => return Err(bad("compress")),
                }
            }
            'm' => {
                request.mode = match value.as_str() {
                    "suspend" => Mode::Suspend,
                    "stop" => Mode::Stop,
                    "snapshot" => Mode::Snapshot,
                    _ => return Err(bad("mode")),
                }
            }
            's' => request.mode = Mode::Suspend,
            't' => request.mode = Mode::Stop,
            'n' => request.mode = Mode::Snapshot,
            'x' => request.patterns.extend(STANDARD.map(str::to_owned)),
            'p' => request.patterns.push(value.clone()),
            'f' => {
                let most = value.parse().ok().filter(|most| *most > 0);
                request.most = Some(most.ok_or_else(|| bad("maxfiles"))?);
            }
            'q' => request.quiet = true,
            _ => {}
        }
    }
    request.containers = others.iter().map(container).collect::<Result<_, _>>()?;
    match (request.all, request.containers.len(), request.stdout) {
        (false, 0, _) => Err("CT ID missing".into()),
        (true, 1.., _) => Err("--all, or CT IDs".into()),
        (true, ..) | (_, 2.., _) if request.stdout => Err("--stdout takes one container".into()),
        _ => Ok(request),
    }
}

fn back_up_each(node: &Node, request: &Request) -> Result<u8, String> {
    vz_sys::cancel::listen().map_err(|error| format!("Cannot listen for signals: {error}"))?;
    let mut containers = match request.all {
        true => listing::scan(node, &mut crate::console::Console),
        false => request.containers.clone(),
    };
    // 0 is the node itself.
    containers.retain(|id| !request.excluded.contains(id) && id.get() != 0);
    containers.sort_unstable();
    containers.dedup();
    let mut code = 0;
    for id in containers {
        let mut job = Job { node, request, id };
        let begun = Instant::now();
        job.tell(&format!("Starting Backup of VM {id} (openvz)"));
        match job.run() {
            Ok(()) => job.tell(&format!("Finished Backup of VM {id} ({})", clock(begun))),
            Err(line) => {
                err(&format!("ERROR: Backup of VM {id} failed - {line}"));
                code = 1;
            }
        }
        if vz_sys::cancel::was_requested() {
            return Ok(1);
        }
    }
    Ok(code)
}

fn clock(begun: Instant) -> String {
    let seconds = begun.elapsed().as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// How many files that could not be read are named; a container can make any number of them.
const NAMED: u64 = 20;

/// The backup of one container.
struct Job<'a> {
    node: &'a Node,
    request: &'a Request,
    id: Ctid,
}

/// What the actions of vz-core have to say, as lines of the job.
impl Report for Job<'_> {
    fn log(&mut self, level: i32, text: &str) {
        match level {
            ..0 => err(text),
            0 => self.tell(text),
            _ => {}
        }
    }
}

impl Job<'_> {
    /// Standard output may be the archive's.
    fn tell(&self, text: &str) {
        match (self.request.quiet, self.request.stdout) {
            (true, _) => {}
            (false, true) => err(&format!("INFO: {text}")),
            (false, false) => out(&format!("INFO: {text}\n")),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let said = |error: vz_core::error::Error| error.line().unwrap_or("it is locked".into());
        let container = Container::require(self.node, self.id).map_err(said)?;
        let _lock = container.lock(self).map_err(said)?;
        // What was read before the lock was taken may have been changed until then.
        let container = Container::require(self.node, self.id).map_err(said)?;
        teardown::recover(&container, self).map_err(said)?;
        let runs = container.is_running().map_err(said)?;
        self.tell(&format!("status = {}", if runs { "running" } else { "stopped" }));
        let stops = runs && self.mode(runs) == Mode::Stop;
        match stops {
            true => self.write_stopped(&container),
            false => self.write(&container),
        }
    }

    /// What ran before runs afterwards, whatever has happened in between.
    fn write_stopped(&mut self, container: &Container<'_>) -> Result<(), String> {
        let written = self.vzctl("stop").and_then(|()| self.write(container));
        // What was called off is the backup, not this.
        vz_sys::cancel::take();
        match (written, self.start_again(container)) {
            (Err(line), Err(other)) => Err(format!("{line}; {other}")),
            (written, started) => written.and(started),
        }
    }

    fn start_again(&mut self, container: &Container<'_>) -> Result<(), String> {
        // A stop that was broken off is finished by this, or was not begun.
        let recovered = teardown::recover(container, self).and_then(|_| container.is_running());
        match recovered {
            Ok(true) => Ok(()),
            // vzctl says what is wrong.
            Ok(false) | Err(_) => self.vzctl("start"),
        }
    }

    /// A snapshot of the disk below is what nobody makes here; as ever, suspending does instead.
    fn mode(&self, runs: bool) -> Mode {
        let name = match (runs, self.request.mode) {
            (false, _) => "stop",
            (true, Mode::Stop) => "stop",
            (true, Mode::Suspend) => "suspend",
            (true, Mode::Snapshot) => {
                self.tell("mode failure - unable to detect lvm volume group");
                self.tell("trying 'suspend' mode instead");
                "suspend"
            }
        };
        self.tell(&format!("backup mode: {name}"));
        self.request.mode
    }

    /// Under the lock of this process.
    fn vzctl(&self, command: &str) -> Result<(), String> {
        let mut vzctl = Command::new("vzctl");
        if self.request.stdout {
            // The archive goes there, and nothing that a script has to say.
            vzctl.stdout(std::io::stderr());
        }
        if command == "start" {
            // What a terminal's Ctrl-C ends is the backup.
            vzctl.process_group(0);
        }
        vzctl.args(["--quiet", "--skiplock", command, &self.id.to_string()]);
        match vzctl.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("vzctl {command} failed: {status}")),
            Err(error) => Err(format!("Cannot run vzctl: {error}")),
        }
    }

    fn write(&mut self, container: &Container<'_>) -> Result<(), String> {
        if self.request.stdout {
            let summary = self.pack(container, &mut io::stdout().lock())?;
            return is_complete(&summary);
        }
        let directory = match &self.request.directory {
            Some(directory) => self.node.path(directory),
            None => {
                self.node.path(self.node.config.dumpdir.as_deref().unwrap_or("/var/lib/vz/dump"))
            }
        };
        let path = directory.join(self.name());
        let shown = self.node.shown(&path).display().to_string();
        self.tell(&format!("creating archive '{shown}'"));
        let failed = |error: io::Error| format!("Cannot write {shown}: {error}");
        let archive = Target::make(&directory, self.id).map_err(failed)?;
        let summary = self.pack(container, &mut archive.file())?;
        let size = archive.file().metadata().map_err(failed)?.len();
        archive.settle(&path).map_err(failed)?;
        self.tell(&format!("Total bytes written: {}", summary.bytes));
        self.tell(&format!("archive file size: {}", in_units(size)));
        is_complete(&summary)?;
        self.remove_old(&directory);
        Ok(())
    }

    /// As PVE named them, by which its tools and others find them.
    fn name(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let stamp = vz_sys::local_time::stamp(now.cast_signed());
        let stamp: String = stamp
            .chars()
            .take(19)
            .map(|c| match c {
                'T' => '-',
                '-' | ':' => '_',
                other => other,
            })
            .collect();
        format!("vzdump-openvz-{}-{stamp}.{}", self.id, self.request.compression.suffix())
    }

    fn pack(&self, container: &Container<'_>, output: &mut dyn Write) -> Result<Summary, String> {
        let excluded = |path: &Path| is_excluded(&self.request.patterns, path);
        let said = |error: vz_core::error::Error| error.to_string();
        let failed = |error: io::Error| format!("Cannot write the archive: {error}");
        let mut unread = 0;
        let mut tell = |error: &CopyError| {
            unread += 1;
            match unread {
                ..=NAMED => err(&printable(&format!("WARNING: {error}"))),
                _ if unread == NAMED + 1 => err("WARNING: and more files that cannot be read"),
                _ => {}
            }
        };
        let mut output = BufWriter::with_capacity(1 << 20, output);
        let summary = match self.request.compression {
            Compression::None => {
                dump::write(container, &mut output, &excluded, &mut tell).map_err(said)?
            }
            Compression::Gzip => {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::GzEncoder::new(&mut output, level);
                let summary =
                    dump::write(container, &mut encoder, &excluded, &mut tell).map_err(said)?;
                encoder.finish().map_err(failed)?;
                summary
            }
            Compression::Zstd => {
                let mut encoder =
                    zstd::stream::write::Encoder::new(&mut output, 3).map_err(failed)?;
                let summary =
                    dump::write(container, &mut encoder, &excluded, &mut tell).map_err(said)?;
                encoder.finish().map_err(failed)?;
                summary
            }
        };
        output.flush().map_err(failed)?;
        Ok(summary)
    }

    /// Names with dates sort by these.
    fn remove_old(&self, directory: &Path) {
        let Some(most) = self.request.most else { return };
        let start = format!("vzdump-openvz-{}-", self.id);
        let is_ours = |name: &str| {
            name.strip_prefix(&start)
                .and_then(|rest| rest.split_once('.'))
                .is_some_and(|(stamp, suffix)| stamp.len() == 19 && SUFFIXES.contains(&suffix))
        };
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_ours(name))
            .collect();
        names.sort_unstable();
        let old = names.len().saturating_sub(most);
        for path in names.iter().take(old).map(|name| directory.join(name)) {
            self.tell(&format!("delete old backup '{}'", self.node.shown(&path).display()));
            if let Err(error) = fs::remove_file(&path) {
                err(&format!("Cannot remove {}: {error}", path.display()));
            }
        }
    }
}

/// An archive without some files is better than none, but no reason to remove an older one.
fn is_complete(summary: &Summary) -> Result<(), String> {
    match summary.unread {
        0 => Ok(()),
        unread => Err(format!("{unread} files could not be read, the archive is without them")),
    }
}

/// A container's names could do anything to a terminal.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Patterns are of paths in the container.
fn is_excluded(patterns: &[String], path: &Path) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let path = PathBuf::from("/").join(path);
    let path = path.to_string_lossy();
    patterns.iter().any(|pattern| fnmatch(pattern, &path))
}

fn in_units(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{}KB", bytes.div_ceil(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{}MB", bytes >> 20),
        _ => format!("{:.2}GB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Request, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let words = options::parse("vzdump", "", &LONG, &long_words(&words))?;
        request(&words.options, &words.others)
    }

    #[test]
    fn options_of_all_vzdumps() {
        let request = parsed(&["--compress", "101", "-dumpdir", "/d", "--stop"]).unwrap();
        assert_eq!((request.compression, request.mode), (Compression::Gzip, Mode::Stop));
        assert_eq!((request.containers.len(), request.directory.as_deref()), (1, Some("/d")));
        let request = parsed(&["-compress", "zstd", "-mode", "snapshot", "101", "102"]).unwrap();
        assert_eq!((request.compression, request.mode), (Compression::Zstd, Mode::Snapshot));
        let request = parsed(&["--compress", "0", "--all", "--exclude", "5"]).unwrap();
        assert!(request.all && request.compression == Compression::None);
        for words in [
            &[][..],
            &["x"],
            &["--all", "101"],
            &["--maxfiles", "0", "101"],
            &["--compress", "lzo", "101"],
            &["--stdout", "--all"],
            &["--mode", "x", "101"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn patterns() {
        let standard = STANDARD.map(str::to_owned);
        for path in ["tmp/a", "var/log/a/b", "var/tmp/.x", "var/run/a/b.pid"] {
            assert!(is_excluded(&standard, Path::new(path)), "{path}");
        }
        for path in ["tmp", "var/log", "usr/tmp/a", "var/run/a", ""] {
            assert!(!is_excluded(&standard, Path::new(path)), "{path}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!([in_units(1), in_units(5 << 20), in_units(3 << 29)], ["1KB", "5MB", "1.50GB"]);
    }
}
