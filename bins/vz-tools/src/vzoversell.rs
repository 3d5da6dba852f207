//! vzoversell: RAM and swap of running containers, and how far both are sold more than once.

use std::fmt::Write;
use std::fs;
use std::io::{self, Read};

use vz_conf::ctid::Ctid;
use vz_conf::ubc::UNLIMITED;
use vz_core::accounting::{Beancounters, beancounter_table};
use vz_core::judge::capacity::Capacity;
use vz_core::judge::oversell::{Amounts, Row, Totals};

use crate::console::{err, out};
use crate::options::{self, misused};
use crate::place::Place;

pub const USAGE: &str = "\
Usage: vzoversell [FILE]
  FILE  a table like /proc/bc/resources (-: standard input), instead of this node's containers
";

/// The version of the beancounter table.
const VERSION: &str = "2.5";

const LEGEND: [(char, &str); 5] = [
    ('R', "non-VSwap container, RAM limit guessed based on privvmpages"),
    ('U', "unlimited container, RAM limit not included into totals"),
    ('S', "unlimited swap (ok for non-vswap), not counted into total swap limit"),
    ('f', "RAM failctl > 0 (swap used), use vzubc to check details"),
    ('F', "beancounter failctl > 0, use vzubc to check details"),
];

/// Why there is no table, and the exit code.
type Failure = (String, u8);

/// Runs the tool.
pub fn run(words: &[String]) -> u8 {
    let words = match options::parse("vzoversell", "h", &[], words) {
        Ok(words) => words,
        Err(line) => return misused(&line, USAGE),
    };
    if words.has('h') {
        out(USAGE);
        return 0;
    }
    let place = Place::of_environment();
    match table(&place, words.others.first().map(String::as_str)) {
        Ok(text) => {
            out(&text);
            0
        }
        Err((line, code)) => {
            err(&line);
            code
        }
    }
}

fn table(place: &Place, file: Option<&str>) -> Result<String, Failure> {
    let node = Capacity::read(place.proc()).map_err(|error| (error.to_string(), 1))?;
    let counters = match file {
        None => of_node(place)?,
        Some(file) => of_file(place, file)?,
    };
    let rows: Vec<Row> = counters.iter().map(|(id, counters)| Row::of(*id, counters)).collect();
    Ok(shown(&rows, &node))
}

/// The running containers, the one with the highest CTID first.
fn of_node(place: &Place) -> Result<Vec<(Ctid, Beancounters)>, Failure> {
    let source = place.source();
    let failed = |error: vz_core::accounting::SourceError| (format!("vzoversell: {error}"), 2);
    let ids: Vec<Ctid> = source.running().map_err(failed)?.into_iter().map(|one| one.id).collect();
    let counters = source.beancounters(&ids).map_err(failed)?;
    Ok(counters.into_iter().rev().filter(|(id, _)| ids.contains(id)).collect())
}

/// The containers of a file, in its order.
fn of_file(place: &Place, file: &str) -> Result<Vec<(Ctid, Beancounters)>, Failure> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => io::stdin().lock().read_to_end(&mut bytes).map(drop),
        file => fs::read(place.file(file)).map(|read| bytes = read),
    };
    read.map_err(|error| (format!("vzoversell: Unable to open {file}: {error}"), 2))?;
    let text = String::from_utf8_lossy(&bytes);
    let version = text.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::trim);
    match version {
        Some(version) if version != VERSION => {
            Err((format!("Error: unknown version: {version}"), 1))
        }
        _ => Ok(beancounter_table(&text)),
    }
}

fn shown(rows: &[Row], node: &Capacity) -> String {
    let mut text = String::from(
        "           --------- RAM ---------  -------- Swap ---------  Flags\n\
         \x20           used  peak limit fails   used  peak limit fails\n",
    );
    let mut letters = String::new();
    for Row { id, ram, swap, flags } in rows {
        let flags = flags.letters();
        let _ = writeln!(text, "{id:>10} {}  {}  {flags}", amounts(ram), amounts(swap));
        letters.push_str(&flags);
    }
    let totals = Totals::of(rows);
    let (ram, swap) = (amounts(&totals.ram), amounts(&totals.swap));
    text.push_str("           ----- ----- ----- -----  ----- ----- ----- -----\n");
    let _ = write!(text, " TOTAL     {ram}  {swap}\n\n");
    for (what, (there, sold)) in ["RAM", "Swap", "RAM+Swap"].into_iter().zip(totals.against(node)) {
        let part = part(sold, there);
        let (there, sold) = (pages(there), pages(sold));
        let _ = writeln!(
            text,
            "{what:<10} available: {there:>5}  allocated: {sold:>5}  oversell: {part}"
        );
    }
    text + &legend(&letters)
}

fn amounts(amounts: &Amounts) -> String {
    let Amounts { used, peak, limit, fails } = *amounts;
    let values = [pages(used), pages(peak), pages(limit), number(fails, 0)];
    values.map(|value| format!("{value:>5}")).join(" ")
}

/// What the letters of the flags mean, for those that are there.
fn legend(letters: &str) -> String {
    let lines: String = LEGEND
        .iter()
        .filter(|(letter, _)| letters.contains(*letter))
        .map(|(letter, meaning)| format!("  {letter}: {meaning}\n"))
        .collect();
    if lines.is_empty() { lines } else { format!("\nFlags:\n{lines}") }
}

/// Pages, as kilobytes and more.
fn pages(pages: f64) -> String {
    if pages >= UNLIMITED as f64 { number(0.0, 1) } else { number(pages * 4.0, 1) }
}

/// A number of three digits and the letter of its power of 1024, which is at least `power`.
fn number(value: f64, power: usize) -> String {
    const LETTERS: [char; 9] = [' ', 'K', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
    if value <= 0.0 {
        return "- ".into();
    }
    let (mut value, mut power) = (value, power);
    while value >= 1024.0 && power + 1 < LETTERS.len() {
        value /= 1024.0;
        power += 1;
    }
    let letter = LETTERS[power];
    if value >= 100.0 {
        format!("{}{letter}", value as u64)
    } else {
        three_digits(value) + &letter.to_string()
    }
}

/// printf's `%.3g` of a number below 100.
fn three_digits(value: f64) -> String {
    let whole_digits = if value >= 10.0 { 2 } else { 1 };
    let text = format!("{value:.*}", 3 - whole_digits);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A part in percent, of one digit below 10.
fn part(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "- ".into();
    }
    let percent = (part / whole * 1000.0).round_ties_even() / 10.0;
    match percent {
        ..0.1 => "- ".into(),
        0.1..0.95 => format!("{percent:.1}%"),
        0.95..10.0 => format!("{percent:.0}%"),
        percent => format!("{}%", percent as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0.0, 36.0, 300.0, 12345.0, 65536.0, 1_048_576.0, 2_019_360.0].map(pages);
        assert_eq!(shown, ["- ", "144K", "1.17M", "48.2M", "256M", "4G", "7.7G"]);
        assert_eq!((number(7.0, 0), number(1.5e30, 0)), ("7 ".into(), "1240770Y".into()));
        assert_eq!(pages(UNLIMITED as f64), "- ");
    }

    #[test]
    fn percents() {
        let shown =
            [0.0, 0.04, 0.34, 0.96, 5.44, 9.96, 22.9, 340.0].map(|value| part(value, 100.0));
        assert_eq!(shown, ["- ", "- ", "0.3%", "1%", "5%", "10%", "22%", "340%"]);
        assert_eq!(part(1.0, 0.0), "- ");
    }
}
