//! What the command line changes in a quota, and what is odd about its limits then.

use super::error::{Error, Result};
use super::file::{Amount, DIRTY, Object, QuotaFile, USERS_ON};
use crate::report::Report;

/// Limits of space are typed and shown in units of this many bytes.
pub const BLOCK: u64 = 1024;

/// Two limits and a grace time, as far as they are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenAmount {
    /// Of space in [`BLOCK`]s.
    pub soft: Option<u64>,
    /// The same.
    pub hard: Option<u64>,
    /// In seconds.
    pub grace: Option<i64>,
}

/// What the command line gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// `-b`, `-B`, `-e`.
    pub space: GivenAmount,
    /// `-i`, `-I`, `-n`.
    pub inodes: GivenAmount,
    /// `-s`: count users and groups.
    pub users: Option<bool>,
    /// `-u`: how many of them.
    pub users_limit: Option<u32>,
    /// `-f`.
    pub force: bool,
    /// `--nocheck`: the count of before is believed.
    pub no_check: bool,
}

impl GivenAmount {
    fn is_any(&self) -> bool {
        self.soft.is_some() || self.hard.is_some() || self.grace.is_some()
    }

    fn is_all(&self) -> bool {
        self.soft.is_some() && self.hard.is_some() && self.grace.is_some()
    }
}

impl Given {
    /// A limit or grace time of the directory itself is given.
    pub fn has_limits(&self) -> bool {
        self.space.is_any() || self.inodes.is_any()
    }

    /// All limits and grace times are given, as `init` needs them.
    pub fn has_all_limits(&self) -> bool {
        self.space.is_all() && self.inodes.is_all()
    }

    /// Something about users and groups is given.
    pub fn has_users(&self) -> bool {
        self.users.is_some() || self.users_limit.is_some()
    }

    /// Puts it into a quota; one whose users were not counted before has to be counted.
    ///
    /// # Errors
    /// For a limit beyond 64 bits.
    pub fn put_into(&self, file: &mut QuotaFile) -> Result<()> {
        put(&self.space, BLOCK, &mut file.amounts.space, &mut file.grace.space)?;
        put(&self.inodes, 1, &mut file.amounts.inodes, &mut file.grace.inodes)?;
        if let Some(on) = self.users {
            let begins = on && !file.has(USERS_ON);
            file.mark(USERS_ON, on);
            file.mark(DIRTY, begins || file.has(DIRTY));
        }
        if let Some(limit) = self.users_limit {
            let begins = file.users.limit == 0 && limit != 0 && file.has(USERS_ON);
            file.mark(DIRTY, begins || file.has(DIRTY));
            file.users.limit = limit;
        }
        Ok(())
    }
}

fn put(given: &GivenAmount, unit: u64, amount: &mut Amount, grace: &mut i64) -> Result<()> {
    let scaled = |limit: u64| {
        let too_big = || Error::Usage(format!("limit [{limit}] is too big"));
        limit.checked_mul(unit).ok_or_else(too_big)
    };
    amount.soft = given.soft.map_or(Ok(amount.soft), scaled)?;
    amount.hard = given.hard.map_or(Ok(amount.hard), scaled)?;
    *grace = given.grace.unwrap_or(*grace);
    Ok(())
}

/// Looks at the limits: all of them, or those that are given.
///
/// # Errors
/// When a hard limit is below its soft limit.
pub fn check(file: &QuotaFile, given: Option<&Given>, report: &mut dyn Report) -> Result<()> {
    let amounts = &file.amounts;
    let of = |pick: fn(&Given) -> &GivenAmount| {
        given.map_or((true, true), |given| (pick(given).soft.is_some(), pick(given).hard.is_some()))
    };
    let rows = [
        ("block", &amounts.space, BLOCK, of(|given| &given.space)),
        ("inode", &amounts.inodes, 1, of(|given| &given.inodes)),
    ];
    for (name, amount, unit, (soft, hard)) in &rows {
        if amount.hard < amount.soft && (*soft || *hard) {
            let (hard, soft) = (amount.hard / unit, amount.soft / unit);
            let text = format!("{name}_hard_limit [{hard}] < {name}_soft_limit [{soft}]");
            return Err(Error::Usage(text));
        }
    }
    for (name, amount, unit, (soft, hard)) in &rows {
        let passed = |limit: u64| limit != 0 && limit < amount.held;
        let (which, limit) = match amount {
            _ if passed(amount.hard) && *hard => ("hard", amount.hard),
            _ if passed(amount.soft) && *soft => ("soft", amount.soft),
            _ => continue,
        };
        let (limit, held) = (limit / unit, amount.held / unit);
        report.error(&format!("{name}_{which}_limit [{limit}] < {name}_current_usage [{held}]"));
    }
    let (limit, count) = (file.users.limit, file.users.objects.len());
    let asked = given.is_none_or(|given| given.users_limit.is_some());
    if file.has(USERS_ON) && asked && (limit as usize) < count {
        report.error(&format!("ugid_limit [{limit}] < ugid_current_usage [{count}]"));
    }
    Ok(())
}

/// Sets when the grace time of what is over its soft limit ends, and forgets the end of the others.
pub fn correct_ends(file: &mut QuotaFile, now: i64) {
    let grace = file.grace;
    correct(&mut file.amounts.space, grace.space, now);
    correct(&mut file.amounts.inodes, grace.inodes, now);
}

/// The same for users and groups.
pub fn correct_users(objects: &mut [Object], graces: &[super::file::Grace; 2], now: i64) {
    for object in objects {
        let grace = graces[(object.kind as usize).min(1)];
        correct(&mut object.amounts.space, grace.space, now);
        correct(&mut object.amounts.inodes, grace.inodes, now);
    }
}

fn correct(amount: &mut Amount, grace: i64, now: i64) {
    if amount.soft == 0 || amount.held <= amount.soft {
        amount.end = 0;
    } else if amount.end == 0 {
        amount.end = now.saturating_add(grace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Kept;

    fn file(soft: u64, hard: u64, held: u64) -> QuotaFile {
        let mut file = QuotaFile::default();
        file.amounts.space =
            Amount { hard: hard << 10, soft: soft << 10, end: 0, held: held << 10 };
        file.amounts.inodes = Amount { hard: 9, soft: 8, end: 5, held: 7 };
        file
    }

    fn said(file: &QuotaFile, given: Option<&Given>) -> Vec<String> {
        let mut kept = Kept::default();
        check(file, given, &mut kept).unwrap();
        kept.0.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn limits_that_are_passed() {
        let hard = "block_hard_limit [60] < block_current_usage [172]";
        assert_eq!(said(&file(50, 60, 172), None), [hard]);
        let soft = "block_soft_limit [50] < block_current_usage [55]";
        assert_eq!(said(&file(50, 60, 55), None), [soft]);
        assert_eq!(said(&file(0, 0, 55), None), [""; 0]);
        assert_eq!(said(&file(50, 60, 172), Some(&Given::default())), [""; 0]);
        let error = check(&file(100, 50, 0), None, &mut Kept::default()).unwrap_err();
        assert_eq!(error.to_string(), "block_hard_limit [50] < block_soft_limit [100]\n");
        assert_eq!(error.code(), 2);
    }

    #[test]
    fn ends_begin_and_are_forgotten() {
        let mut file = file(50, 60, 55);
        file.grace.space = 600;
        correct_ends(&mut file, 1000);
        assert_eq!((file.amounts.space.end, file.amounts.inodes.end), (1600, 0));
        correct_ends(&mut file, 2000);
        assert_eq!(file.amounts.space.end, 1600);
    }

    #[test]
    fn users_that_begin_to_count_have_to_be_counted() {
        let mut file = file(50, 60, 55);
        let given = Given { users: Some(true), users_limit: Some(5), ..Given::default() };
        given.put_into(&mut file).unwrap();
        assert!(file.has(USERS_ON) && file.has(DIRTY));
        file.mark(DIRTY, false);
        given.put_into(&mut file).unwrap();
        assert!(!file.has(DIRTY));
        let huge = GivenAmount { soft: Some(u64::MAX), ..GivenAmount::default() };
        let given = Given { space: huge, ..Given::default() };
        assert_eq!(given.put_into(&mut file).unwrap_err().code(), 2);
    }
}
