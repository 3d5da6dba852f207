//! The text in which vzdqdump(8) and vzdqload(8) carry a quota from one node to another.

use std::fmt::Write;

use super::change::BLOCK;
use super::command::Session;
use super::error::{Error, Result};
use super::file::{Amount, Object, QuotaFile, USERS_ACTIVE, USERS_ON};
use super::second;

const STATUS: &str = "ugid_quota_status:";
const GRACE: &str = "grace_time:";
const NUMBER: &str = "ugid_number:";
const OBJECT: &str = "ugid:";
const FIRST: &str = "first_level_quota:";

/// What is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `-G`: grace times of users and groups.
    pub graces: bool,
    /// `-U`: limits of users and groups.
    pub limits: bool,
    /// `-T`: when their grace ends.
    pub ends: bool,
    /// `-F`: the directory's own limits and use.
    pub first: bool,
}

impl Parts {
    /// Something is.
    pub fn is_any(&self) -> bool {
        *self != Parts::default()
    }

    fn has_objects(&self) -> bool {
        self.limits || self.ends
    }
}

impl Session<'_> {
    /// `vzdqdump`: the text; with `live` as the kernel counts now.
    ///
    /// # Errors
    /// 11 without a file; 6 when it is to be live and the quota is off.
    pub fn dump(&mut self, parts: Parts, live: bool) -> Result<String> {
        let (_store, mut file) = self.open()?;
        if !live {
            return Ok(text(&file, parts, file.has(USERS_ON)));
        }
        let is_off = || Error::NotRunning("Quota accounting is off".into());
        file.amounts = self.level(Some(&file))?.ok_or_else(is_off)?.amounts;
        let active = file.users.flags & USERS_ACTIVE != 0;
        if active {
            let directory = self.directory(&file)?;
            second::refresh(&mut file, self.kernel, &directory, self.now, self.report)?;
        }
        Ok(text(&file, parts, active))
    }

    /// `vzdqload`: puts a text into the file.
    ///
    /// # Errors
    /// 2 for a text that is none; then nothing is changed.
    pub fn load(&mut self, parts: Parts, input: &str) -> Result<()> {
        let (store, mut file) = self.open()?;
        let mut lines = Lines { lines: input.lines() };
        match put(&mut file, parts, &mut lines) {
            Ok(false) => Ok(()),
            Ok(true) => store.write(&file),
            Err(Bad::Line(line)) => Err(Error::Usage(format!("Invalid input data: {line}"))),
            Err(Bad::End) => {
                self.report.log(super::command::ERROR, "End of input file");
                self.report.log(super::command::ERROR, "Invalid input data: ");
                Err(Error::Reported(Error::Usage(String::new()).code()))
            }
        }
    }
}

/// The text of a quota; users and groups only when they count.
fn text(file: &QuotaFile, parts: Parts, users: bool) -> String {
    let mut text = format!("{STATUS}\t{}\n", u8::from(users));
    if users && parts.graces {
        let _ = writeln!(text, "#{GRACE}\ttype\tblock\tinode");
        for (kind, grace) in file.users.graces.iter().enumerate() {
            let _ = writeln!(text, "{GRACE}\t{kind}\t{}\t{}", grace.space, grace.inodes);
        }
    }
    if users && parts.has_objects() {
        objects(&mut text, file, parts);
    }
    if parts.first {
        let (amounts, grace) = (&file.amounts, &file.grace);
        let _ = writeln!(text, "{FIRST}");
        for (amount, grace) in [(&amounts.space, grace.space), (&amounts.inodes, grace.inodes)] {
            let Amount { hard, soft, end, held } = amount;
            let _ = writeln!(text, "{held} {soft} {hard} {end} {grace}");
        }
    }
    text
}

fn objects(text: &mut String, file: &QuotaFile, parts: Parts) {
    let mut objects: Vec<&Object> = file.users.objects.iter().collect();
    objects.sort_by_key(|object| (object.id, object.kind));
    let _ = writeln!(text, "{NUMBER}\t{}", objects.len());
    if objects.is_empty() {
        return;
    }
    let _ = write!(text, "#{OBJECT}\tID\ttype");
    text.push_str(if parts.limits { "\tbsoft\tbhard\tisoft\tihard" } else { "" });
    text.push_str(if parts.ends { "\tbtime\titime\n" } else { "\n" });
    let end = |amount: &Amount| if amount.held < amount.soft { 0 } else { amount.end };
    for object in objects {
        let (space, inodes) = (&object.amounts.space, &object.amounts.inodes);
        let _ = write!(text, "{OBJECT}\t{}\t{}", object.id, object.kind);
        if parts.limits {
            let (soft, hard) = (space.soft / BLOCK, space.hard / BLOCK);
            let _ = write!(text, "\t{soft}\t{hard}\t{}\t{}", inodes.soft, inodes.hard);
        }
        if parts.ends {
            let _ = write!(text, "\t{}\t{}", end(space), end(inodes));
        }
        text.push('\n');
    }
}

/// What is wrong with a text.
enum Bad {
    Line(String),
    End,
}

struct Lines<'t> {
    lines: std::str::Lines<'t>,
}

impl Lines<'_> {
    /// The numbers of the next line that is no comment, behind `label`; just as many as are wanted,
    /// what follows them is not looked at.
    fn next<const N: usize>(&mut self, label: &str) -> Result<[i64; N], Bad> {
        let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let line = self.lines.find(is_said).ok_or(Bad::End)?;
        let bad = || Bad::Line(line.to_owned());
        let mut words = line.split_ascii_whitespace();
        if !label.is_empty() && words.next() != Some(label) {
            return Err(bad());
        }
        let mut numbers = [0; N];
        for number in &mut numbers {
            let parsed = words.next().and_then(|word| word.parse().ok());
            *number = parsed.filter(|number| *number >= 0).ok_or_else(bad)?;
        }
        Ok(numbers)
    }
}

/// Puts the parts of a text that are wanted into a quota; says whether something was there to be put.
fn put(file: &mut QuotaFile, parts: Parts, lines: &mut Lines<'_>) -> Result<bool, Bad> {
    let [status] = lines.next(STATUS)?;
    let bad = |numbers: &[i64]| Bad::Line(format!("{numbers:?}"));
    if status > 1 {
        return Err(bad(&[status]));
    }
    let has_users = status == 1;
    if has_users && parts.graces {
        for kind in 0..2 {
            let numbers = lines.next::<3>(GRACE)?;
            if numbers[0] != kind as i64 {
                return Err(bad(&numbers));
            }
            let grace = &mut file.users.graces[kind];
            (grace.space, grace.inodes) = (numbers[1], numbers[2]);
        }
    }
    if has_users && parts.has_objects() {
        let [count] = lines.next(NUMBER)?;
        for _ in 0..count {
            put_object(file, parts, lines)?;
        }
    }
    if parts.first {
        let _: [i64; 0] = lines.next(FIRST)?;
        for first in [true, false] {
            let [held, soft, hard, end, grace] = lines.next("")?;
            let (amount, own_grace) = match first {
                true => (&mut file.amounts.space, &mut file.grace.space),
                false => (&mut file.amounts.inodes, &mut file.grace.inodes),
            };
            let [held, soft, hard] = [held, soft, hard].map(i64::unsigned_abs);
            (*amount, *own_grace) = (Amount { hard, soft, end, held }, grace);
        }
    }
    Ok(has_users || parts.first)
}

fn put_object(file: &mut QuotaFile, parts: Parts, lines: &mut Lines<'_>) -> Result<(), Bad> {
    let (key, limits, ends) = match (parts.limits, parts.ends) {
        (true, true) => {
            let [id, kind, a, b, c, d, e, f] = lines.next(OBJECT)?;
            ([id, kind], Some([a, b, c, d]), Some([e, f]))
        }
        (true, false) => {
            let [id, kind, a, b, c, d] = lines.next(OBJECT)?;
            ([id, kind], Some([a, b, c, d]), None)
        }
        (false, _) => {
            let [id, kind, e, f] = lines.next(OBJECT)?;
            ([id, kind], None, Some([e, f]))
        }
    };
    let bad = || Bad::Line(format!("{OBJECT}\t{}\t{}", key[0], key[1]));
    let id = u32::try_from(key[0]).map_err(|_| bad())?;
    let kind = u32::try_from(key[1]).ok().filter(|kind| *kind < 2).ok_or_else(bad)?;
    let amounts = &mut file.users.object(kind, id).amounts;
    if let Some(limits) = limits {
        let [space_soft, space_hard, soft, hard] = limits.map(i64::unsigned_abs);
        let (space, inodes) = (&mut amounts.space, &mut amounts.inodes);
        space.soft = space_soft.checked_mul(BLOCK).ok_or_else(bad)?;
        space.hard = space_hard.checked_mul(BLOCK).ok_or_else(bad)?;
        (inodes.soft, inodes.hard) = (soft, hard);
    }
    if let Some([space, inodes]) = ends {
        (amounts.space.end, amounts.inodes.end) = (space, inodes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Parts = Parts { graces: true, limits: true, ends: true, first: true };

    fn file() -> QuotaFile {
        let mut file = QuotaFile { flags: USERS_ON, ..QuotaFile::default() };
        file.amounts.space = Amount { hard: 61_440, soft: 51_200, end: 77, held: 176_128 };
        file.users.graces[1].inodes = 9;
        file.users.object(1, 1000).amounts.space.hard = 2048;
        file.users.object(0, 0).amounts.inodes = Amount { hard: 4, soft: 3, end: 8, held: 5 };
        file
    }

    #[test]
    fn a_text_and_back() {
        let text = text(&file(), ALL, true);
        assert!(text.contains("\nugid_number:\t2\n#ugid:\tID\ttype\tbsoft"), "{text}");
        assert!(text.contains("\nugid:\t1000\t1\t0\t2\t0\t0\t0\t0\n"), "{text}");
        let mut loaded = QuotaFile { flags: USERS_ON, ..QuotaFile::default() };
        assert!(matches!(put(&mut loaded, ALL, &mut Lines { lines: text.lines() }), Ok(true)));
        // Use is counted anew there, but for the directory's own.
        loaded.users.object(0, 0).amounts.inodes.held = 5;
        assert_eq!(loaded, file());
    }

    #[test]
    fn parts_of_a_text() {
        for parts in 1..16_u8 {
            let has = |bit: u8| parts & bit != 0;
            let parts = Parts { graces: has(1), limits: has(2), ends: has(4), first: has(8) };
            for users in [true, false] {
                let text = text(&file(), parts, users);
                let loaded = put(&mut file(), parts, &mut Lines { lines: text.lines() });
                assert!(matches!(loaded, Ok(put) if put == (users || parts.first)), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_text() {
        let load = |text: &str| put(&mut file(), ALL, &mut Lines { lines: text.lines() });
        assert!(matches!(load("foo\n"), Err(Bad::Line(line)) if line == "foo"));
        assert!(matches!(load("# only this\n"), Err(Bad::End)));
        let start = "ugid_quota_status: 1\ngrace_time: 0 0 0\ngrace_time: 1 0 0\n";
        for rest in ["ugid_number: x", "ugid_number: 1\nugid: 1 2 0 0 0 0 0 0", "ugid_number: -1"] {
            assert!(matches!(load(&format!("{start}{rest}")), Err(Bad::Line(_))), "{rest}");
        }
        assert!(matches!(load(&format!("{start}ugid_number: 5\n")), Err(Bad::End)));
    }
}
