//! vzsplit: a configuration sample for one of a number of equal containers on this node.

use std::fmt::Write;
use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use vz_conf::file::ConfFile;
use vz_conf::ubc::{BarrierLimit, Resource};
use vz_core::judge::capacity::{self, Capacity};
use vz_core::judge::split::{self, Disk, Node, Share};

use crate::console::{err, out};
use crate::options::{self, misused};
use crate::place::Place;
use crate::vzcfgvalidate::save;

pub const USAGE: &str = "\
Usage: vzsplit [-f config_name] [-n num_CTs] [-s swap_size] [-v yes|no]
  -f NAME    write the sample ve-NAME.conf-sample (without: to standard output)
  -n N       number of containers (without: asked for)
  -s KB      swap to be divided, in kilobytes (without: what the node has)
  -v yes|no  make a VSwap configuration, or one of the classic beancounters
";

const LEVELS: [&str; 4] = [
    "Free resource distribution. Any parameters may be increased",
    "Normal resource distribution. Secondary parameters may be increased",
    "Partial resource shortage. Auxiliary parameters may be increased",
    "Overall resource shortage. Please, do not change any parameters!",
];

/// What stands before which resource, in the order of the sample.
const CLASSIC: [(&str, &[Resource]); 3] = [
    (
        "# Primary parameters\n",
        &[
            Resource::Numproc,
            Resource::Avnumproc,
            Resource::Numtcpsock,
            Resource::Numothersock,
            Resource::Vmguarpages,
        ],
    ),
    (
        "\n# Secondary parameters\n",
        &[
            Resource::Kmemsize,
            Resource::Tcpsndbuf,
            Resource::Tcprcvbuf,
            Resource::Othersockbuf,
            Resource::Dgramrcvbuf,
            Resource::Oomguarpages,
            Resource::Privvmpages,
        ],
    ),
    (
        "\n# Auxiliary parameters\n",
        &[
            Resource::Lockedpages,
            Resource::Shmpages,
            Resource::Physpages,
            Resource::Numfile,
            Resource::Numflock,
            Resource::Numpty,
            Resource::Numsiginfo,
            Resource::Dcachesize,
            Resource::Numiptent,
        ],
    ),
];

/// What stands in a VSwap sample, in its order.
const VSWAP: [(&str, &[Resource]); 2] = [
    (
        "\n# This is VSwap-enabled configuration\n\
         # NOTE this configuration needs OpenVZ kernel 042stab042 or newer!\n\n",
        &[Resource::Physpages, Resource::Swappages],
    ),
    (
        "\n",
        &[
            Resource::Kmemsize,
            Resource::Dcachesize,
            Resource::Lockedpages,
            Resource::Privvmpages,
            Resource::Shmpages,
            Resource::Numproc,
            Resource::Vmguarpages,
            Resource::Oomguarpages,
            Resource::Numtcpsock,
            Resource::Numflock,
            Resource::Numpty,
            Resource::Numsiginfo,
            Resource::Tcpsndbuf,
            Resource::Tcprcvbuf,
            Resource::Othersockbuf,
            Resource::Dgramrcvbuf,
            Resource::Numothersock,
            Resource::Numfile,
            Resource::Numiptent,
        ],
    ),
];

/// What is asked for.
#[derive(Debug, Default)]
struct Request {
    sample: Option<String>,
    containers: Option<i64>,
    swap: Option<u64>,
    vswap: bool,
}

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let mut place = Place::of_environment();
    let words = match options::parse("vzsplit", "f:n:s:hv:", &[], words) {
        Ok(words) => words,
        Err(line) => return misused(&line, USAGE),
    };
    let mut request = Request { vswap: place.node.has_vswap, ..Request::default() };
    for (letter, value) in &words.options {
        match (letter, value.as_str()) {
            ('h', _) => {
                out(USAGE);
                return 0;
            }
            ('f', name) => {
                let path = place.node.sample_path(name);
                if path.exists() {
                    err(&format!("File {} already exist", place.node.shown(&path).display()));
                    return 1;
                }
                request.sample = Some(name.to_owned());
            }
            (letter, value) => {
                if let Err(line) = take(&mut request, *letter, value) {
                    return misused(&line, USAGE);
                }
            }
        }
    }
    if !words.others.is_empty() {
        return misused("", USAGE);
    }
    match divide(&mut place, request) {
        Ok(()) => 0,
        Err(line) => {
            err(&line);
            1
        }
    }
}

/// Takes an option with a value; the line about one that is none.
fn take(request: &mut Request, letter: char, value: &str) -> Result<(), String> {
    let invalid = || format!("Invalid argument for -{letter}: {value}");
    match (letter, value) {
        ('v', "yes") => request.vswap = true,
        ('v', "no") => request.vswap = false,
        ('n', value) => request.containers = Some(options::number(value).ok_or_else(invalid)?),
        ('s', value) if value.starts_with('-') => return Err("Negative value for -s".into()),
        ('s', value) => {
            let kilobytes = options::number(value).and_then(|number| u64::try_from(number).ok());
            request.swap = Some(kilobytes.ok_or_else(invalid)?.saturating_mul(1024));
        }
        _ => return Err(invalid()),
    }
    Ok(())
}

fn divide(place: &mut Place, request: Request) -> Result<(), String> {
    let containers = match request.containers {
        Some(number) => number,
        None => ask()?,
    };
    let containers = u64::try_from(containers).ok().filter(|number| (1..=1 << 31).contains(number));
    let containers = containers.ok_or("Incorrect value for number of containers.")?;
    let mut memory = Capacity::read(place.proc()).map_err(|error| error.to_string())?;
    memory.swap = request.swap.unwrap_or(memory.swap);
    if memory.swap > memory.ram.saturating_mul(2) && memory.ram >= 50 << 20 {
        let optimal = memory.ram.saturating_mul(2) >> 20;
        err(&format!(
            "The optimal swap space size is {optimal} Mb, twice bigger than the RAM size\n"
        ));
    }
    let mut node = Node { memory, threads: 0, disk: None, containers };
    split::check(&node).map_err(|error| error.to_string())?;
    node.threads = capacity::threads(place.proc()).map_err(|error| error.to_string())?;
    node.disk = disk(place, containers);
    let share = split::split(&node).map_err(|error| error.to_string())?;
    let text = sample(&node, &share, request.vswap);
    match request.sample {
        None => out(&text),
        Some(name) => write(place, &name, &text)?,
    }
    Ok(())
}

/// Asks for the number of containers.
fn ask() -> Result<i64, String> {
    out("Enter the number of containers: ");
    let mut line = String::new();
    // Blank lines are passed over, as scanf(3) does.
    while line.trim().is_empty() && io::stdin().read_line(&mut line).unwrap_or(0) > 0 {}
    let word = line.trim_start();
    let end =
        word.char_indices().find(|(at, c)| !(c.is_ascii_digit() || *at == 0 && "+-".contains(*c)));
    let word = &word[..end.map_or(word.len(), |(at, _)| at)];
    options::number(word).filter(|_| !word.is_empty()).ok_or_else(|| "Invalid value.".into())
}

/// The disk of private areas, without the node's own part. What is odd about it is said, and
/// another one is counted on then.
fn disk(place: &mut Place, containers: u64) -> Option<Disk> {
    let defaults = || {
        err("Default disk space values to be used.\n");
        None
    };
    let _ = place.node.read_config();
    let Some(private) = place.node.config.ve_private.as_deref().map(above_containers) else {
        let conf = place.node.shown(&place.node.global_config_path());
        err(&format!("WARNING: unable to get VE_PRIVATE value from {}.", conf.display()));
        return defaults();
    };
    let status = match statvfs(&place.node.path(&private)) {
        Ok(status) => status,
        Err(error) => {
            err(&format!("WARNING: statfs on {private} failed: {}", error.desc()));
            return defaults();
        }
    };
    let space = status.blocks().saturating_mul(status.fragment_size()) / 1024;
    let (disk, is_small) = split::disk_for_containers(Disk { space, inodes: status.files() });
    if is_small {
        let size = split::RECOMMENDED_DISK;
        err(&format!(
            "WARNING: Recommended minimal size of partition holding {private} is {size} Gb!"
        ));
    }
    let Some(most) = split::disk_shortage(disk, containers) else { return Some(disk) };
    err(&format!(
        "WARNING: partition holding {private} do not have space required for {containers} \
         containers\nThe maximum allowed value is {most}"
    ));
    err("Default disk space values will be used\n");
    None
}

/// The directory of all private areas.
fn above_containers(private: &str) -> String {
    let place = ["$VEID", "${VEID}"].iter().filter_map(|word| private.find(word)).min();
    private[..place.unwrap_or(private.len())].to_owned()
}

/// The text of the sample.
fn sample(node: &Node, share: &Share, vswap: bool) -> String {
    let mut text = header(node, share);
    let (limits, parts) = match vswap {
        true => (share.vswap(&node.memory), &VSWAP[..]),
        false => (share.limits, &CLASSIC[..]),
    };
    for (title, resources) in parts {
        text.push_str(title);
        for resource in *resources {
            if let Some(value) = limits.ubc.get(*resource) {
                let _ = writeln!(text, "{}=\"{}\"", resource.key(), shown(value));
            }
        }
    }
    if vswap {
        text.push('\n');
    }
    let disk = [("DISKSPACE", limits.diskspace), ("DISKINODES", limits.diskinodes)];
    for (key, value) in disk.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        let _ = writeln!(text, "{key}=\"{value}\"");
    }
    text.push_str("CPUUNITS=\"1000\"\n");
    text
}

/// What was divided.
fn header(node: &Node, share: &Share) -> String {
    let Node { memory, containers, .. } = node;
    let [ram, low, swap] = [memory.ram, memory.low, memory.swap].map(|bytes| bytes >> 20);
    let Share { level, threads, .. } = share;
    // The blank in the place of the plural's letter is the original's.
    let plural = if *containers == 1 { ' ' } else { 's' };
    let meaning = LEVELS[(*level).min(LEVELS.len() - 1)];
    format!(
        "# Configuration file generated by vzsplit for {containers} container{plural}\n\
         # on HN with total amount of physical memory {ram} Mb,\n\
         # low memory {low} Mb, swap size {swap} Mb, max threads {threads}.\n\
         # Resource commit level {level}:\n# {meaning}\n"
    )
}

/// A value as samples have it; no swap at all is still one of VSwap's pairs.
fn shown(value: BarrierLimit) -> String {
    if value == BarrierLimit::both(0) { "0:0".into() } else { value.to_string() }
}

fn write(place: &Place, name: &str, text: &str) -> Result<(), String> {
    let path = place.node.sample_path(name);
    let shown = place.node.shown(&path);
    save(&ConfFile::parse(text.as_bytes()), Path::new(&path), &shown)?;
    err(&format!("Config {} was created", shown.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_areas() {
        assert_eq!(above_containers("/vz/private/$VEID"), "/vz/private/");
        assert_eq!(above_containers("/vz/${VEID}/a"), "/vz/");
        assert_eq!(above_containers("/vz/private"), "/vz/private");
    }

    #[test]
    fn a_sample_is_read_back_as_it_was_meant() {
        let memory = Capacity { ram: 8 << 30, low: 8 << 30, swap: 4 << 30 };
        let node = Node { memory, threads: 126_000, disk: None, containers: 7 };
        let share = split::split(&node).unwrap();
        for vswap in [false, true] {
            let text = sample(&node, &share, vswap);
            let (config, warnings) = vz_conf::config::Config::read(
                &ConfFile::parse(text.as_bytes()),
                Path::new("x"),
                vz_conf::param::Scope::Container,
                &vz_conf::context::Context::new(vz_conf::ctid::Ctid::NODE),
            );
            assert_eq!(warnings, []);
            assert_eq!(config.is_vswap(), vswap);
            assert_eq!(config.diskspace, share.limits.diskspace);
            let limits = if vswap { share.vswap(&memory) } else { share.limits };
            assert_eq!(config.ubc, limits.ubc);
        }
    }
}
