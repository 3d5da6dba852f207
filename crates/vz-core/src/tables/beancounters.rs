//! `/proc/user_beancounters`, `/proc/bc/resources` and `/proc/bc/CTID/resources`.

use std::fmt::Write;

use vz_conf::ctid::Ctid;
use vz_conf::ubc::Resource;

use crate::accounting::{Beancounters, Counter};

/// The rows of a beancounter in the kernel's order; `None` for a number that had lost its resource.
const ROWS: [Option<Resource>; 25] = [
    Some(Resource::Kmemsize),
    Some(Resource::Lockedpages),
    Some(Resource::Privvmpages),
    Some(Resource::Shmpages),
    None,
    Some(Resource::Numproc),
    Some(Resource::Physpages),
    Some(Resource::Vmguarpages),
    Some(Resource::Oomguarpages),
    Some(Resource::Numtcpsock),
    Some(Resource::Numflock),
    Some(Resource::Numpty),
    Some(Resource::Numsiginfo),
    Some(Resource::Tcpsndbuf),
    Some(Resource::Tcprcvbuf),
    Some(Resource::Othersockbuf),
    Some(Resource::Dgramrcvbuf),
    Some(Resource::Numothersock),
    Some(Resource::Dcachesize),
    Some(Resource::Numfile),
    None,
    None,
    None,
    Some(Resource::Numiptent),
    Some(Resource::Swappages),
];

/// A row for no resource: no charge, no limit, all zeros.
const DUMMY: Counter =
    Counter { held: Some(0), maxheld: Some(0), barrier: 0, limit: 0, failcnt: Some(0) };

/// `/proc/user_beancounters`, with the rows that mean nothing.
pub fn user_beancounters(rows: &[(Ctid, Beancounters)]) -> String {
    let mut text = header();
    for (id, counters) in rows {
        block(&mut text, Some(*id), counters, true);
    }
    text
}

/// `/proc/bc/resources`: the same without the rows that mean nothing.
pub fn all_resources(rows: &[(Ctid, Beancounters)]) -> String {
    let mut text = header();
    for (id, counters) in rows {
        block(&mut text, Some(*id), counters, false);
    }
    text
}

/// `/proc/bc/CTID/resources`: the rows of one, without its id and without a header.
pub fn resources(counters: &Beancounters) -> String {
    let mut text = String::new();
    block(&mut text, None, counters, false);
    text
}

fn header() -> String {
    let mut text = String::from("Version: 2.5\n");
    let _ = writeln!(
        text,
        "{:>10}  {:<12} {:>20} {:>20} {:>20} {:>20} {:>20}",
        "uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt"
    );
    text
}

fn block(text: &mut String, id: Option<Ctid>, counters: &Beancounters, dummies: bool) {
    for (index, row) in ROWS.iter().enumerate() {
        let (name, counter) = match row {
            Some(resource) => (resource.key().to_ascii_lowercase(), counters.get(*resource)),
            None if dummies => ("dummy".to_owned(), DUMMY),
            None => continue,
        };
        match id {
            Some(id) if index == 0 => {
                let _ = write!(text, "{:>10}: ", id.get());
            }
            _ => text.push_str("            "),
        }
        line(text, &name, counter);
    }
}

/// What nothing counts is shown as the kernel showed what was not charged: held 0.
fn line(text: &mut String, name: &str, counter: Counter) {
    let _ = writeln!(
        text,
        "{name:<12} {:>20} {:>20} {:>20} {:>20} {:>20}",
        counter.held.unwrap_or(0),
        counter.maxheld.or(counter.held).unwrap_or(0),
        counter.barrier,
        counter.limit,
        counter.failcnt.unwrap_or(0),
    );
}
