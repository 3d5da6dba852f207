//! vzmemcheck: how much of the node's memory running containers hold, and are promised.

use std::fmt::Write;

use vz_core::judge::capacity::Capacity;
use vz_core::judge::commitment::{Held, Promised, in_force};

use crate::console::{err, out};
use crate::options::{self, misused};
use crate::place::Place;

pub const USAGE: &str = "Usage: vzmemcheck [-v] [-A]\n";

const MB: f64 = 1024.0 * 1024.0;
/// As wide as a CTID and the blank behind it.
const INDENT: &str = "           ";
const RULE: &str = "--------------------------------------------------------------------------";

/// Eight columns: low memory used and promised; RAM used; RAM and swap used and promised;
/// allocated memory used, promised and limited.
type Columns = [f64; 8];

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words = match options::parse("vzmemcheck", "Avh", &[], words) {
        Ok(words) => words,
        Err(line) => return misused(&line, USAGE),
    };
    if words.has('h') {
        out(USAGE);
        return 0;
    }
    match table(&Place::of_environment(), words.has('v'), words.has('A')) {
        Ok(text) => {
            out(&text);
            0
        }
        Err(line) => {
            err(&line);
            1
        }
    }
}

fn table(place: &Place, verbose: bool, absolute: bool) -> Result<String, String> {
    let node = Capacity::read(place.proc()).map_err(|error| error.to_string())?;
    let rows = rows(place, &node)?;
    let all = whole(&node);
    // Of each column, or in Mb.
    let scaled = |columns: &Columns| -> Columns {
        std::array::from_fn(|index| match absolute {
            true => columns[index] / MB,
            false => columns[index] * 100.0 / all[index],
        })
    };
    let mut text = header(verbose, absolute);
    let mut sum = Columns::default();
    for (id, columns) in &rows {
        sum = std::array::from_fn(|index| sum[index] + columns[index]);
        if verbose {
            let _ = writeln!(text, "{id:<10} {}", shown(&scaled(columns)));
        }
    }
    if verbose {
        let _ = write!(text, "{RULE}\nSummary:   ");
    }
    let _ = writeln!(text, "{}", shown(&scaled(&sum)));
    if absolute {
        let indent = if verbose { INDENT } else { "" };
        let _ = writeln!(text, "{indent}{}", shown(&all.map(|bytes| (bytes / MB).trunc())));
    }
    Ok(text)
}

/// The running containers, the one with the highest CTID first.
fn rows(place: &Place, node: &Capacity) -> Result<Vec<(u32, Columns)>, String> {
    let source = place.source();
    let failed = |error: vz_core::accounting::SourceError| {
        format!("Can't get list of running CTs: {}", error.source)
    };
    let ids: Vec<_> = source.running().map_err(failed)?.into_iter().map(|one| one.id).collect();
    let counters = source.beancounters(&ids).map_err(|error| error.to_string())?;
    let running = counters.iter().rev().filter(|(id, _)| ids.contains(id));
    let columns = running.map(|(id, counters)| {
        let held = Held::of(counters, source.counts_kernel_memory_as_ram());
        let promised = Promised::of(&in_force(counters), node);
        let columns = [
            held.low,
            promised.low,
            held.ram,
            held.mem_swap,
            promised.mem_swap,
            held.alloc,
            promised.alloc,
            promised.alloc_limit,
        ];
        (id.get(), columns)
    });
    Ok(columns.collect())
}

/// What the node has in each column, in bytes.
fn whole(node: &Capacity) -> Columns {
    let (low, ram, all) = (node.for_kernel() as f64, node.ram as f64, node.all() as f64);
    [low, low, ram, all, all, all, all, all]
}

fn header(verbose: bool, absolute: bool) -> String {
    let unit = if absolute { "Mbytes" } else { "%" };
    let (first, second) = if verbose { ("CTID       ", INDENT) } else { ("", "") };
    format!(
        "Output values in {unit}\n\
         {first} LowMem  LowMem     RAM MemSwap MemSwap   Alloc   Alloc   Alloc\n\
         {second}   util  commit    util    util  commit    util  commit   limit\n"
    )
}

fn shown(columns: &Columns) -> String {
    columns.map(|value| format!("{value:7.2}")).join(" ")
}
