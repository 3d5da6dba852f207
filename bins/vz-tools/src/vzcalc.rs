//! vzcalc: the part of the node that one container holds, is promised, and could take.

use std::fs;

use vz_conf::config::Config;
use vz_conf::ctid::Ctid;
use vz_conf::file::ConfFile;
use vz_conf::param::Scope;
use vz_conf::ubc::{Resource, UbcSet};
use vz_core::accounting::{Beancounters, Source};
use vz_core::judge::capacity::{self, Capacity};
use vz_core::judge::commitment::{Held, Promised};
use vz_core::report::Report;

use crate::console::{Console, err, out};
use crate::options::{self, misused};
use crate::place::Place;

pub const USAGE: &str = "Usage: vzcalc [-v] <veid>\n";

/// What a configuration must have, in the order it is told.
const NEEDED: [Resource; 8] = [
    Resource::Numproc,
    Resource::Vmguarpages,
    Resource::Kmemsize,
    Resource::Tcpsndbuf,
    Resource::Tcprcvbuf,
    Resource::Othersockbuf,
    Resource::Dgramrcvbuf,
    Resource::Privvmpages,
];

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words = match options::parse("vzcalc", "vh", &[], words) {
        Ok(words) => words,
        Err(line) => {
            err(&line);
            return 1;
        }
    };
    if words.has('h') {
        out(USAGE);
        return 0;
    }
    let Some(id) = words.others.first() else { return misused("", USAGE) };
    match calculate(&Place::of_environment(), id, words.has('v')) {
        Ok(text) => {
            out(&text);
            0
        }
        Err(lines) => {
            err(&lines);
            1
        }
    }
}

fn calculate(place: &Place, word: &str, verbose: bool) -> Result<String, String> {
    let id = word.parse::<Ctid>().ok().filter(|_| !word.is_empty());
    let id = id.ok_or_else(|| format!("Invalid CT ID: {word}"))?;
    let ubc = configured(place, id)?;
    let threads = capacity::threads(place.proc()).map_err(|error| error.to_string())?;
    let node = Capacity::read(place.proc()).map_err(|error| error.to_string())?;
    let source = place.source();
    let held = counters(source.as_ref(), id).map(|counters| {
        let has_kernel = source.counts_kernel_memory_as_ram();
        Current::of(&counters, has_kernel, &node, threads)
    });
    let planned = Planned::of(&ubc, &node, threads);
    Ok(table(held.as_ref(), &planned, verbose))
}

/// What a container holds, if it runs.
fn counters(source: &dyn Source, id: Ctid) -> Option<Beancounters> {
    let runs = source.running().is_ok_and(|all| all.iter().any(|one| one.id == id));
    if runs { source.beancounters(&[id]).ok()?.remove(&id) } else { None }
}

/// The beancounters of a container's configuration.
fn configured(place: &Place, id: Ctid) -> Result<UbcSet, String> {
    let path = place.node.conf_path(id);
    let shown = place.node.shown(&path);
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("Container configuration file: {} not found", shown.display())
        }
        _ => format!("Unable to open {}: {error}", shown.display()),
    })?;
    let context = place.node.text_context(id);
    let (config, warnings) =
        Config::read(&ConfFile::parse(&bytes), &shown, Scope::Container, &context);
    for warning in warnings {
        Console.log(warning.level().into(), &warning.to_string());
    }
    let missing = NEEDED.iter().filter(|resource| config.ubc.get(**resource).is_none());
    let lines: Vec<String> =
        missing.map(|resource| format!("Error: parameter {} not found", resource.key())).collect();
    if lines.is_empty() { Ok(config.ubc) } else { Err(lines.join("\n")) }
}

/// What a running container holds, in percent.
struct Current {
    low: f64,
    ram: f64,
    mem_swap: f64,
    alloc: f64,
    processes: f64,
}

impl Current {
    fn of(counters: &Beancounters, ram_has_kernel: bool, node: &Capacity, threads: u64) -> Self {
        let held = Held::of(counters, ram_has_kernel);
        let processes = counters.get(Resource::Numproc).held.unwrap_or(0);
        Current {
            low: percent(held.low, node.for_kernel()),
            ram: percent(held.ram, node.ram),
            mem_swap: percent(held.mem_swap, node.all()),
            alloc: percent(held.alloc, node.all()),
            processes: percent(processes as f64, threads),
        }
    }

    fn most(&self) -> f64 {
        [self.low, self.ram, self.mem_swap, self.alloc, self.processes]
            .into_iter()
            .fold(0.0, f64::max)
    }
}

/// What its configuration promises, in percent.
struct Planned {
    low: f64,
    mem_swap: f64,
    alloc: f64,
    alloc_limit: f64,
    processes: f64,
}

impl Planned {
    fn of(ubc: &UbcSet, node: &Capacity, threads: u64) -> Self {
        let promised = Promised::of(ubc, node);
        let processes = ubc.get(Resource::Numproc).map_or(0, |value| value.barrier);
        Planned {
            low: percent(promised.low, node.for_kernel()),
            mem_swap: percent(promised.mem_swap, node.all()),
            alloc: percent(promised.alloc, node.all()),
            alloc_limit: percent(promised.alloc_limit, node.all()),
            // Without a limit of its own the kernel's is in force.
            processes: match processes {
                vz_conf::ubc::UNLIMITED => 100.0,
                processes => percent(processes as f64, threads),
            },
        }
    }
}

fn percent(part: f64, whole: u64) -> f64 {
    part * 100.0 / whole.max(1) as f64
}

fn table(current: Option<&Current>, planned: &Planned, verbose: bool) -> String {
    let held = |part: fn(&Current) -> f64| match current {
        Some(current) => format!("{:10.2}", part(current)),
        None => format!("{:>10}", "n/a"),
    };
    let mut text = String::from("Resource     Current(%)  Promised(%)  Max(%)\n");
    if verbose {
        let Planned { low, mem_swap, alloc, alloc_limit, processes } = planned;
        text += &format!("Low Mem    {} {low:10.2} {low:10.2}\n", held(|one| one.low));
        text += &format!("Total RAM  {}        n/a        n/a \n", held(|one| one.ram));
        text += &format!("Mem + Swap {} {mem_swap:10.2}        n/a\n", held(|one| one.mem_swap));
        text += &format!("Alloc. Mem {} {alloc:10.2} {alloc_limit:10.2}\n", held(|one| one.alloc));
        text += &format!("Num. Proc  {}        n/a {processes:10.2}\n", held(|one| one.processes));
        text += "--------------------------------------------\n";
    }
    let promised = planned.low.max(planned.mem_swap).max(planned.alloc);
    let most = planned.low.max(planned.alloc_limit).max(planned.processes);
    text += &format!("Memory     {} {promised:10.2} {most:10.2}\n", held(Current::most));
    text
}
