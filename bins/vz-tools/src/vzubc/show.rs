//! The table.

use std::fmt::Write;

use super::options::Options;
use super::store::{self, Store};

/// What stands for "no limit" in files of 64-bit and of 32-bit kernels.
const UNLIMITED: [u64; 2] = [9_223_372_036_854_775_807, 2_147_483_647];
/// The version of the form that is understood.
const VERSION: &str = "2.5";

/// Colours of a header, of what has failed, of what is close to its limit, and of the rest.
const HEADER: &str = "\x1b[1;32m";
const FAILED: &str = "\x1b[1;31m";
const CLOSE: &str = "\x1b[1;33m";
const NORMAL: &str = "\x1b[0;39m";

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row<'t> {
    resource: &'t str,
    held: u64,
    maxheld: u64,
    barrier: u64,
    limit: u64,
    failures: u64,
}

/// How much a row deserves to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Importance {
    Normal,
    Close,
    Failed,
}

/// What is shown, and of which containers.
#[derive(Debug)]
pub struct Table<'a> {
    /// How.
    pub options: &'a Options,
    /// Only these; empty for all.
    pub wanted: &'a [String],
    /// What was there before.
    pub store: Option<&'a Store>,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
enum Line<'t> {
    /// It says which form the file has.
    Version(&'t str),
    /// It begins the rows of a container.
    First(u64, Option<Row<'t>>),
    /// One more row.
    Row(Row<'t>),
    /// Nothing to be shown.
    Other,
}

impl Table<'_> {
    /// Makes the table of beancounters in the form of `/proc/user_beancounters`,
    /// `/proc/bc/resources` or `/proc/bc/CTID/resources`.
    ///
    /// # Errors
    /// A line, for a file of another version, one that does not say whose rows they are where
    /// that must be known, and when a number cannot be kept.
    pub fn render(&self, text: &str) -> Result<String, String> {
        let mut table = String::new();
        // The rows of one container's own file come without an id.
        let mut id = None;
        let mut shown = true;
        let mut header = Some(self.header(None));
        for line in text.lines() {
            let row = match read_line(line) {
                Line::Version(VERSION) | Line::Other => continue,
                Line::Version(other) => return Err(format!("Error: unknown version: {other}")),
                Line::First(number, row) => {
                    (id, shown) = (Some(number), self.is_wanted(number));
                    header = Some(self.header(id));
                    row
                }
                Line::Row(row) => Some(row),
            };
            if let (Some(row), true) = (row, shown) {
                self.add(&mut table, &mut header, id, row)?;
            }
        }
        if !table.is_empty() {
            let _ = writeln!(table, "{:-<68}{}", "", self.if_incremental("-------"));
        }
        Ok(table)
    }

    fn is_wanted(&self, id: u64) -> bool {
        self.wanted.is_empty() || self.wanted.contains(&id.to_string())
    }

    fn if_incremental(&self, text: &'static str) -> &'static str {
        if self.options.incremental { text } else { "" }
    }

    fn color(&self, code: &'static str) -> &'static str {
        if self.options.color { code } else { "" }
    }

    fn header(&self, id: Option<u64>) -> String {
        let id = id.map_or_else(|| "-1".to_owned(), |id| id.to_string());
        let sign = if self.options.relative { '+' } else { ' ' };
        let (wide, column) = (self.if_incremental("-------"), self.if_incremental("  +/-  "));
        let (bright, normal) = (self.color(HEADER), self.color(NORMAL));
        format!(
            "{bright}{:-<68}{wide}\n\
             CT {id:<10}| HELD{column}  Bar%  Lim%| MAXH  Bar%  Lim%| BAR | LIM |{sign}FAIL\n\
             -------------+{wide}-----------------+-----------------+-----+-----+------{normal}\n",
            ""
        )
    }

    /// Adds a row, if it is to be shown, below the header of its container.
    fn add(
        &self,
        table: &mut String,
        header: &mut Option<String>,
        id: Option<u64>,
        row: Row<'_>,
    ) -> Result<(), String> {
        let before = self.before(id, row)?;
        let failures = match before.failures {
            Some(failures) => row.failures.checked_sub(failures).unwrap_or(row.failures),
            None => row.failures,
        };
        let change = self.options.incremental.then(|| Change::between(before.held, row.held));
        let importance = self.importance(Row { failures, ..row });
        let is_hidden = self.options.quiet && importance == Importance::Normal
            || !self.options.verbose && UNLIMITED.contains(&row.barrier);
        let has_changed = change.is_some_and(|change| change.by != 0);
        if is_hidden && !has_changed {
            return Ok(());
        }
        if let Some(header) = header.take() {
            table.push_str(if table.is_empty() { "" } else { "\n" });
            table.push_str(&header);
        }
        self.line(table, Row { failures, ..row }, change, importance);
        self.keep(id, row, has_changed)
    }

    /// What was kept of the run before.
    fn before(&self, id: Option<u64>, row: Row<'_>) -> Result<Before, String> {
        let Some(store) = self.store else { return Ok(Before::default()) };
        let id =
            id.ok_or("Error: can not use relative/incremental modes: BCID is unknown".to_owned())?;
        let get = |what| store.get(&store::name(id, row.resource, what));
        let failures = match self.options.relative && row.failures > 0 {
            true => get("failcnt"),
            false => None,
        };
        let held = if self.options.incremental { get("held") } else { None };
        Ok(Before { failures, held: held.unwrap_or(0) })
    }

    fn keep(&self, id: Option<u64>, row: Row<'_>, has_changed: bool) -> Result<(), String> {
        let (Some(store), Some(id)) = (self.store, id) else { return Ok(()) };
        if self.options.relative && row.failures > 0 {
            store.put(&store::name(id, row.resource, "failcnt"), row.failures)?;
        }
        if has_changed {
            store.put(&store::name(id, row.resource, "held"), row.held)?;
        }
        Ok(())
    }

    fn importance(&self, row: Row<'_>) -> Importance {
        let barrier = if row.barrier == 0 { row.limit } else { row.barrier };
        if row.failures > 0 || row.held > barrier {
            return Importance::Failed;
        }
        let is_beyond = |value: u64, ratio: f64| value as f64 > barrier as f64 * ratio;
        match is_beyond(row.held, self.options.held_ratio)
            || is_beyond(row.maxheld, self.options.maxheld_ratio)
        {
            true => Importance::Close,
            false => Importance::Normal,
        }
    }

    fn line(
        &self,
        table: &mut String,
        row: Row<'_>,
        change: Option<Change>,
        importance: Importance,
    ) {
        let color = self.color(match importance {
            Importance::Failed => FAILED,
            Importance::Close => CLOSE,
            Importance::Normal => NORMAL,
        });
        let change = change.map_or_else(String::new, |change| change.text(row.resource));
        let amount = |value| amount(row.resource, value);
        let _ = write!(
            table,
            "{color}{:>13}|{:>5}{change} {:>5} {:>5}|{:>5} {:>5} {:>5}|{:>5}|{:>5}| {:>5}\n{}",
            row.resource,
            amount(row.held),
            percent(row.held, row.barrier),
            percent(row.held, row.limit),
            amount(row.maxheld),
            percent(row.maxheld, row.barrier),
            percent(row.maxheld, row.limit),
            amount(row.barrier),
            amount(row.limit),
            // A number of failures, whatever it was that failed.
            super::show::amount("", row.failures),
            self.color(NORMAL),
        );
    }
}

/// What was kept of the run before; nothing counts as 0.
#[derive(Debug, Default)]
struct Before {
    failures: Option<u64>,
    held: u64,
}

/// By how much held has changed.
#[derive(Debug, Clone, Copy)]
struct Change {
    by: u64,
    sign: char,
}

impl Change {
    fn between(before: u64, now: u64) -> Change {
        Change { by: now.abs_diff(before), sign: if now < before { '-' } else { '+' } }
    }

    fn text(self, resource: &str) -> String {
        match self.by {
            0 => format!("{:7}", ""),
            by => format!("{:>7}", format!("{}{}", self.sign, amount(resource, by))),
        }
    }
}

fn read_line(line: &str) -> Line<'_> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words.as_slice() {
        ["Version:", version, ..] => Line::Version(version),
        ["uid" | "dummy", ..] | [] => Line::Other,
        [first, rest @ ..] => match first.strip_suffix(':').map(str::parse) {
            Some(Ok(id)) => Line::First(id, read_row(rest)),
            Some(Err(_)) => Line::Other,
            None => read_row(&words).map_or(Line::Other, Line::Row),
        },
    }
}

fn read_row<'t>(words: &[&'t str]) -> Option<Row<'t>> {
    let [resource, numbers @ ..] = words else { return None };
    // It becomes part of a file's name.
    if resource.is_empty()
        || !resource.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    {
        return None;
    }
    let numbers: Vec<u64> = numbers.iter().map_while(|word| word.parse().ok()).collect();
    let [held, maxheld, barrier, limit, failures] = numbers.try_into().ok()?;
    Some(Row { resource, held, maxheld, barrier, limit, failures })
}

/// An amount in the unit that makes it short: pages as bytes; `- ` for none and for no limit.
fn amount(resource: &str, value: u64) -> String {
    if value == 0 || UNLIMITED.contains(&value) {
        return "- ".to_owned();
    }
    let mut value = value as f64;
    let mut units = " KMGTPEZY".chars();
    let mut unit = units.next().unwrap_or(' ');
    let mut up = |value: f64| {
        unit = units.next().unwrap_or('?');
        value
    };
    if resource.ends_with("pages") {
        value = up(value * 4.0);
    }
    while value >= 1024.0 {
        value = up(value / 1024.0);
    }
    match value < 100.0 {
        true => format!("{}{unit}", three_digits(value)),
        false => format!("{}{unit}", value as u64),
    }
}

/// As `%.3g` of printf(3) for what is below 100.
fn three_digits(value: f64) -> String {
    let text = if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        return "100".to_owned();
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Which part of `limit` a value is; `- ` for nearly nothing, and of no limit.
fn percent(value: u64, limit: u64) -> String {
    if limit == 0 || UNLIMITED.contains(&limit) {
        return "- ".to_owned();
    }
    let tenths = format!("{:.1}", value as f64 / limit as f64 * 100.0);
    let percent: f64 = tenths.parse().unwrap_or(0.0);
    match percent {
        0.0 => "- ".to_owned(),
        ..1.0 => format!("{tenths}%"),
        // Below 2 rounded, above cut: as the original came to do it.
        ..2.0 => format!("{}%", percent.round_ties_even()),
        _ => format!("{}%", percent as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts() {
        for (resource, value, text) in [
            ("numproc", 0, "- "),
            ("numproc", 45, "45 "),
            ("numfile", 1800, "1.76K"),
            ("numfile", 9312, "9.09K"),
            ("kmemsize", 15_000_000, "14.3M"),
            ("physpages", 37_035, "144M"),
            ("physpages", 640, "2.5M"),
            ("physpages", 1, "4K"),
            ("kmemsize", 1023, "1023 "),
            ("kmemsize", 102_389, "100K"),
            ("kmemsize", u64::MAX, "16E"),
            ("kmemsize", 9_223_372_036_854_775_807, "- "),
            ("numproc", 2_147_483_647, "- "),
        ] {
            assert_eq!(amount(resource, value), text, "{resource} {value}");
        }
    }

    #[test]
    fn parts() {
        for (value, limit, text) in [
            (37_035, 131_072, "28%"),
            (300, 131_072, "0.2%"),
            (8, 2048, "0.4%"),
            (1000, 65_536, "2%"),
            (5, 360, "1%"),
            (66, 240, "27%"),
            (1, 100_000, "- "),
            (7, 0, "- "),
            (240, 240, "100%"),
            (480, 240, "200%"),
        ] {
            assert_eq!(percent(value, limit), text, "{value} of {limit}");
        }
    }

    fn render(text: &str, options: &Options, wanted: &[&str]) -> Result<String, String> {
        let wanted: Vec<String> = wanted.iter().map(|word| (*word).to_owned()).collect();
        Table { options, wanted: &wanted, store: None }.render(text)
    }

    const TWO: &str = "Version: 2.5\n  uid resource held maxheld barrier limit failcnt\n\
        102: kmemsize 1 2 9223372036854775807 9223372036854775807 0\n dummy 0 0 0 0 0\n\
        numproc 9 9 10 10 0\n\
        101: kmemsize 4 4 100 100 0\n numproc 1 1 10 10 3\n";

    #[test]
    fn rows_that_matter() {
        let names = |text: &str| -> Vec<String> {
            let rows = text.lines().filter(|line| !line.starts_with('-'));
            rows.filter_map(|line| Some(line.split('|').next()?.trim().to_owned())).collect()
        };
        let table = render(TWO, &Options::default(), &[]).unwrap();
        assert_eq!(names(&table), ["CT 102", "numproc", "", "CT 101", "kmemsize", "numproc"]);
        let quiet = Options { quiet: true, ..Options::default() };
        let table = render(TWO, &quiet, &["101"]).unwrap();
        assert_eq!(names(&table), ["CT 101", "numproc"]);
        let verbose = Options { verbose: true, ..Options::default() };
        let table = render(TWO, &verbose, &["102"]).unwrap();
        assert_eq!(names(&table), ["CT 102", "kmemsize", "numproc"]);
        assert_eq!(render(TWO, &Options::default(), &["999"]).unwrap(), "");
        assert!(render("Version: 2.6\n", &verbose, &[]).is_err());
    }

    #[test]
    fn a_file_of_one_container() {
        let table = render(" numproc 1 1 10 10 3\n", &Options::default(), &[]).unwrap();
        assert!(table.contains("\nCT -1        |"), "{table}");
    }

    #[test]
    fn differences() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(&place.path().join("s")).unwrap();
        let options = Options { relative: true, incremental: true, ..Options::default() };
        let table = Table { options: &options, wanted: &[], store: Some(&store) };
        let row = |text: &str| {
            let table = table.render(text).unwrap();
            table.lines().nth(3).map(str::to_owned)
        };
        let first = row("101: numproc 5 5 10 10 3\n").unwrap();
        assert_eq!(
            first,
            "      numproc|   5     +5    50%   50%|   5    50%   50%|  10 |  10 |    3 "
        );
        let second = row("101: numproc 2 5 10 10 4\n").unwrap();
        assert_eq!(
            second,
            "      numproc|   2     -3    20%   20%|   5    50%   50%|  10 |  10 |    1 "
        );
        let third = row("101: numproc 2 5 10 10 4\n").unwrap();
        assert_eq!(
            third,
            "      numproc|   2           20%   20%|   5    50%   50%|  10 |  10 |    - "
        );
        // Counted anew after a restart.
        let fourth = row("101: numproc 2 5 10 10 2\n").unwrap();
        assert!(fourth.ends_with("|    2 "), "{fourth}");
        assert!(table.render("numproc 1 1 1 1 1\n").unwrap_err().contains("BCID is unknown"));
    }

    proptest! {
        #[test]
        fn any_text(text in "[-0-9a-z: .\n]*", held in any::<u64>(), limit in any::<u64>()) {
            let options = Options { verbose: true, color: true, ..Options::default() };
            let _ = render(&text, &options, &[]);
            let row = format!("1: physpages {held} {held} {limit} {limit} {held}\n");
            let table = render(&row, &options, &[]).unwrap();
            prop_assert_eq!(table.lines().count(), 5);
        }
    }
}
