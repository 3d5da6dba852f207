//! vzcpucheck: the CPUUNITS that are promised, beside those that the node has.

use vz_conf::ctid::Ctid;
use vz_core::judge::power;

use crate::console::{Console, err, err_text, out};
use crate::place::Place;

pub const USAGE: &str = "Usage: vzcpucheck [-v]\n";

/// The node's own CPUUNITS, when vz.conf does not set VE0CPUUNITS.
const NODE_UNITS: u64 = 1000;

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let verbose = match words {
        [] => false,
        [word] if word == "-v" => true,
        _ => {
            err_text(USAGE);
            return 2;
        }
    };
    match table(&mut Place::of_environment(), verbose) {
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

fn table(place: &mut Place, verbose: bool) -> Result<String, String> {
    let power = power::of_node(place.proc(), &place.cpus()).map_err(|error| error.to_string())?;
    let units = units(place)?;
    let mut text = String::new();
    if verbose {
        text.push_str("VEID\t\tCPUUNITS\n-------------------------\n");
        text.extend(units.iter().map(|(id, units)| format!("{id}\t\t{units}\n")));
    }
    let sum = units.iter().fold(0, |sum: u64, (_, units)| sum.saturating_add(*units));
    text.push_str(&format!("Current CPU utilization: {sum}\nPower of the node: {power}\n"));
    if sum > power {
        text.push_str("Warning: hardware node is overcommitted\n");
    }
    Ok(text)
}

/// CPUUNITS of the node's own processes and of all running containers. This kernel weighs the
/// groups of containers against each other and not against the node's: what vz.conf asks for the
/// node is counted, as it has to be left over for it.
fn units(place: &mut Place) -> Result<Vec<(Ctid, u64)>, String> {
    if !place.is_imitation()
        && let Err(error) = place.node.read_config()
    {
        vz_core::report::Report::error(&mut Console, &error.to_string());
    }
    let mut units = place.source().cpu_units().map_err(|error| error.to_string())?;
    if !units.iter().any(|(id, _)| id.is_node()) && !place.is_imitation() {
        let set = place.node.config.script_value("VE0CPUUNITS");
        let own = set.and_then(|units| units.parse().ok()).unwrap_or(NODE_UNITS);
        units.insert(0, (Ctid::NODE, own));
    }
    Ok(units)
}
