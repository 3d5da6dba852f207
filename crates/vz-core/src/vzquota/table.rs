//! What `stat` and `show` print.

use std::fmt::Write;

use super::change::BLOCK;
use super::file::{
    Amount, LOADED, OBJECT_DIRTY, Object, QuotaFile, USERS_ACTIVE, USERS_EXCEEDED, USERS_ON,
};
use super::time;

/// Names of the kinds of objects.
const KINDS: [&str; 2] = ["user", "group"];

/// How a quota is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Numbers only, for programs.
    pub batch: bool,
    /// The file was not looked at: whether users are counted next time is not known.
    pub without_file: bool,
    /// Seconds of the epoch.
    pub now: i64,
}

/// The limits and the use of a directory.
pub fn limits(file: &QuotaFile, style: &Style) -> String {
    let (space, inodes) = (&file.amounts.space, &file.amounts.inodes);
    let mut text = String::new();
    if style.batch {
        batch_line(&mut text, space, BLOCK, file.grace.space);
        batch_line(&mut text, inodes, 1, file.grace.inodes);
        return text;
    }
    let _ = writeln!(
        text,
        "{:>11} {:>14}  {:>14} {:>14} {:>8}",
        "resource", "usage", "softlimit", "hardlimit", "grace"
    );
    line(&mut text, "1k-blocks", space, BLOCK, style.now);
    line(&mut text, "inodes", inodes, 1, style.now);
    text
}

/// The end that counts: none while not above the soft limit.
fn end(amount: &Amount) -> i64 {
    if amount.held <= amount.soft { 0 } else { amount.end }
}

fn batch_line(text: &mut String, amount: &Amount, unit: u64, grace: i64) {
    let (held, soft, hard) = (amount.held / unit, amount.soft / unit, amount.hard / unit);
    let _ = writeln!(text, "{held:>14} {soft:>14} {hard:>14} {:>14} {grace:>14}", end(amount));
}

fn line(text: &mut String, name: &str, amount: &Amount, unit: u64, now: i64) {
    let (held, soft, hard) = (amount.held / unit, amount.soft / unit, amount.hard / unit);
    let mark = if amount.is_over() { '*' } else { ' ' };
    let left = time::left(end(amount), now);
    let _ = writeln!(text, "{name:>11} {held:>14}{mark} {soft:>14} {hard:>14} {left:>8}");
}

/// The users and groups.
pub fn users(file: &QuotaFile, style: &Style) -> String {
    let mut text = String::new();
    status(&mut text, file, style);
    graces(&mut text, file, style);
    let mut objects: Vec<&Object> = file.users.objects.iter().collect();
    objects.sort_by_key(|object| (object.id, object.kind));
    if !objects.is_empty() && !style.batch {
        let _ = writeln!(
            text,
            "\nUser/group objects:\n{:<11} {:>5} {:>9} {:>11} {:>11} {:>11} {:>8} {:>6}",
            "ID", "type", "resource", "usage", "softlimit", "hardlimit", "grace", "status"
        );
    }
    for object in objects {
        object_line(&mut text, object, "1k-blocks", &object.amounts.space, BLOCK, style);
        object_line(&mut text, object, "inodes", &object.amounts.inodes, 1, style);
    }
    text
}

fn status(text: &mut String, file: &QuotaFile, style: &Style) {
    let users = &file.users;
    let (total, limit, loaded) = (users.objects.len(), users.limit, users.loaded);
    let active = users.flags & USERS_ACTIVE != 0;
    let is_on = file.has(USERS_ON);
    if style.batch {
        let on = if style.without_file { -1 } else { i32::from(is_on) };
        let exceeded = u8::from(users.flags & USERS_EXCEEDED != 0);
        let active = u8::from(active);
        let _ = writeln!(text, "{on} {active}\n{loaded} {total} {limit}\n{exceeded}");
        return;
    }
    let on = match is_on {
        _ if style.without_file => "-",
        true => "on",
        false => "off",
    };
    let active = if active { "active" } else { "inactive" };
    let mark = if total > limit as usize { "*" } else { "" };
    let exceeded = if limit != 0 && loaded >= limit { "yes" } else { "no" };
    let _ = writeln!(text, "User/group quota: {on},{active}");
    let _ = writeln!(text, "{mark}Ugids: loaded {loaded}, total {total}, limit {limit}");
    let _ = writeln!(text, "Ugid limit was exceeded: {exceeded}");
}

fn graces(text: &mut String, file: &QuotaFile, style: &Style) {
    if !style.batch {
        let _ = writeln!(
            text,
            "\nUser/group grace times and quotafile flags:\n{:>5} {:>14} {:>14} {:>10}",
            "type", "block_exp_time", "inode_exp_time", "dqi_flags"
        );
    }
    for (kind, grace) in KINDS.iter().zip(&file.users.graces) {
        let (space, inodes, flags) = (grace.space, grace.inodes, grace.flags);
        let shown = |seconds: i64| if seconds == 0 { String::new() } else { time::text(seconds) };
        let _ = match style.batch {
            true => writeln!(text, "{kind:>5} {space} {inodes} {flags:>9X}h"),
            false => {
                let (space, inodes) = (shown(space), shown(inodes));
                writeln!(text, "{kind:>5} {space:>14} {inodes:>14} {flags:>9X}h")
            }
        };
    }
}

fn object_line(
    text: &mut String,
    object: &Object,
    name: &str,
    amount: &Amount,
    unit: u64,
    style: &Style,
) {
    let (held, soft, hard) = (amount.held / unit, amount.soft / unit, amount.hard / unit);
    let end = if amount.held < amount.soft { 0 } else { amount.end };
    let (loaded, dirty) = (object.flags & LOADED != 0, object.flags & OBJECT_DIRTY != 0);
    let (left, status) = match style.batch {
        true => (end.to_string(), format!("{} {}", u8::from(loaded), u8::from(dirty))),
        false => {
            let words = [(loaded, "loaded"), (dirty, "dirty")];
            let words: Vec<&str> = words.iter().filter(|(on, _)| *on).map(|word| word.1).collect();
            (time::left(end, style.now), words.join(","))
        }
    };
    let kind = KINDS[(object.kind as usize).min(1)];
    let _ = writeln!(
        text,
        "{:<11} {kind:>5} {name:>9} {held:>11} {soft:>11} {hard:>11} {left:>8} {status:>6}",
        object.id
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> QuotaFile {
        let mut file = QuotaFile::default();
        file.amounts.space = Amount { hard: 60 << 10, soft: 50 << 10, end: 700, held: 172 << 10 };
        file.amounts.inodes = Amount { hard: 220, soft: 200, end: 0, held: 8 };
        file.grace.space = 600;
        file.users.object(1, 0).flags = LOADED | OBJECT_DIRTY;
        file.users.object(0, 1000).amounts = file.amounts;
        file.users.object(0, 0).flags = LOADED;
        file
    }

    #[test]
    fn as_a_table_and_for_programs() {
        let style = Style { now: 100, ..Style::default() };
        let table = "   resource          usage       softlimit      hardlimit    grace
  1k-blocks            172*             50             60    00:10
     inodes              8             200            220         \n";
        assert_eq!(limits(&file(), &style), table);
        let batch = Style { batch: true, ..style };
        let lines = "           172             50             60            700            600
             8            200            220              0              0\n";
        assert_eq!(limits(&file(), &batch), lines);
    }

    #[test]
    fn users_by_number() {
        let style = Style { now: 100, ..Style::default() };
        let text = users(&file(), &style);
        let objects: Vec<&str> = text.lines().skip(11).collect();
        assert_eq!(
            objects,
            [
                "0            user 1k-blocks           0           0           0          loaded",
                "0            user    inodes           0           0           0          loaded",
                "0           group 1k-blocks           0           0           0          loaded,dirty",
                "0           group    inodes           0           0           0          loaded,dirty",
                "1000         user 1k-blocks         172          50          60    00:10       ",
                "1000         user    inodes           8         200         220                ",
            ]
        );
        assert!(
            text.starts_with(
                "User/group quota: off,inactive\n*Ugids: loaded 0, total 3, limit 0\n"
            )
        );
        let batch = users(&file(), &Style { batch: true, without_file: true, ..style });
        assert!(batch.starts_with("-1 0\n0 3 0\n0\n user 0 0         0h\n"), "{batch}");
        assert!(batch.ends_with("inodes           8         200         220        0    0 0\n"));
    }
}
