//! What running containers hold, as text: the tables that the OpenVZ kernel had under `/proc`.
//!
//! Programs of that time read them by column, so widths, order and the rows that mean nothing are
//! that kernel's (`kernel/bc/proc.c`, `kernel/ve/vecalls.c` of 2.6.32-042stab, 64 bits). Any
//! [`Source`](crate::accounting::Source) will do; [`Imitation`](crate::accounting::Imitation) reads
//! back what is written here.

mod beancounters;
mod quota;
mod vestat;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use vz_conf::ctid::Ctid;
use vz_conf::ubc::Resource;

pub use beancounters::{all_resources, resources, user_beancounters};
pub use quota::{Quota, vzquota};
pub use vestat::{CpuTime, cpu_times, vestat};

use crate::accounting::{Answer, Beancounters, Running, Source};

/// The beancounters of all that run and of the node itself, in the kernel's order: the node last.
///
/// Nothing is charged to the node's own beancounter here, and nothing limits it.
///
/// # Errors
/// Those of the source.
pub fn rows(source: &dyn Source) -> Answer<Vec<(Ctid, Beancounters)>> {
    let running: Vec<Ctid> = source.running()?.iter().map(|one| one.id).collect();
    let mut found = source.beancounters(&running)?;
    found.entry(Ctid::NODE).or_default();
    Ok(found.into_iter().rev().collect())
}

/// `/proc/vz/veinfo`: a line `ctid class processes [addresses…]` for each container, the address
/// that was given last first.
pub fn veinfo(running: &[Running], counters: &BTreeMap<Ctid, Beancounters>) -> String {
    let mut text = String::new();
    for one in running {
        let processes = counters
            .get(&one.id)
            .and_then(|counters| counters.get(Resource::Numproc).held)
            .unwrap_or(0);
        veinfo_line(&mut text, one.id, processes, one.addresses.as_deref().unwrap_or_default());
    }
    text
}

fn veinfo_line(text: &mut String, id: Ctid, processes: u64, addresses: &[IpAddr]) {
    let _ = write!(text, "{:>10} {:>5} {processes:>5}", id.get(), 0);
    for address in addresses.iter().rev() {
        let _ = write!(text, " {:>15}", address.to_string());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests;
