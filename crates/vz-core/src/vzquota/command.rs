//! The commands of vzquota(8).

use std::path::PathBuf;

use super::change::{self, BLOCK, Given};
use super::error::{Error, Result};
use super::file::{
    Amounts, DIRTY, Grace, LOADED, OBJECT_DIRTY, ON, QuotaFile, USERS_ACTIVE, USERS_ON,
};
use super::kernel::{Kernel, Level};
use super::store::{self, Place, QuotaStore};
use super::{scan, second};
use crate::node::Node;
use crate::report::Report;

/// Level of [`Report::log`] for what is wrong and not only odd.
pub const ERROR: i32 = -2;
/// That of what was done.
const INFO: i32 = 1;

/// A quota to do something with.
pub struct Session<'s> {
    /// The node.
    pub node: &'s Node,
    /// Who counts and limits.
    pub kernel: &'s dyn Kernel,
    /// The quota's number.
    pub id: u32,
    /// Where its file and its directory are.
    pub place: Place,
    /// Seconds of the epoch.
    pub now: i64,
    /// Who is told.
    pub report: &'s mut dyn Report,
}

/// What `stat` and `show` have found.
#[derive(Debug)]
pub struct Shown {
    /// The quota.
    pub file: QuotaFile,
    /// The exit code: 9 when users and groups were asked for and are not counted, 10 when what is
    /// shown is known to be wrong.
    pub code: u8,
}

/// Which user or group gets which limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondLevel {
    /// Limits of one: its kind and number; soft and hard of space in blocks of 1024 bytes, and of
    /// inodes.
    Limits(u32, u32, [u64; 4]),
    /// Grace times of a kind, of space and inodes, in seconds.
    Grace(u32, i64, i64),
}

impl Session<'_> {
    /// `init`: makes the file, with what the directory holds now.
    ///
    /// # Errors
    /// 5 while the quota is on, 1 and 8 for the directory, 2 for the limits.
    pub fn init(&mut self, given: &Given) -> Result<()> {
        let typed = self.place.directory.clone().ok_or(Error::NoPath)?;
        let path = self.place.new_file(self.node, self.id)?;
        let before = store::read(&path, self.id).ok().and_then(|(file, _)| file.directory());
        if self.runs(None, before)? {
            return Err(Error::Running);
        }
        let (store, is_there) = QuotaStore::make(path, self.id)?;
        if is_there {
            self.report.error("Quota file exists, it will be overwritten");
        }
        let mut file = QuotaFile::default();
        if !self.place.relative {
            file.set_directory(&typed);
        }
        given.put_into(&mut file)?;
        self.count(&mut file)?;
        change::check(&file, None, self.report)?;
        store.write(&file)?;
        self.info(&format!("quota initialization for id {} complete", self.id));
        Ok(())
    }

    /// `on`.
    ///
    /// # Errors
    /// 5 when it is on, 3 when the file system cannot.
    pub fn on(&mut self, given: &Given) -> Result<()> {
        let (store, mut file) = self.open()?;
        let mut force = given.force;
        let before = file.directory();
        if let Some(directory) = self.place.directory.clone()
            && file.directory().is_some_and(|known| known != directory)
        {
            file.set_directory(&directory);
            force = true;
        }
        let mut unfinished = file.clone();
        unfinished.mark(DIRTY, true);
        given.put_into(&mut file)?;
        if !file.has(USERS_ON) || file.users.limit == 0 {
            second::clear(&mut file.users);
        }
        if self.runs(Some(&file), before)? {
            self.report.error(&format!("Quota is running for id {} already", self.id));
            return Err(Error::Reported(Error::Running.code()));
        }
        let anew = self.has_to_count(&file, force, given.no_check);
        if anew {
            self.count(&mut file)?;
        }
        change::check(&file, None, self.report)?;
        change::correct_ends(&mut file, self.now);
        change::correct_users(&mut file.users.objects, &file.users.graces, self.now);
        second::activate(&mut file);
        self.tell_users(&file);
        let directory = self.directory(&file)?;
        // Whoever is killed, or fails, from here on leaves a quota that has to be counted anew.
        store.write(&unfinished)?;
        self.kernel.on(self.id, &directory, &file, anew, self.report)?;
        if file.has(USERS_ON) {
            second::enforce(&file.users, self.kernel, &directory, self.report)?;
        }
        if let Some(level) = self.level(Some(&file))? {
            take(&mut file, &level);
        }
        file.mark(ON, true);
        file.mark(DIRTY, file.users.objects.iter().any(|object| object.flags & OBJECT_DIRTY != 0));
        store.write(&file)?;
        self.info(&format!("Quota was switched on for id {}", self.id));
        Ok(())
    }

    /// Whether the directory is to be counted before the quota is switched on.
    fn has_to_count(&mut self, file: &QuotaFile, force: bool, no_check: bool) -> bool {
        let id = self.id;
        if file.has(ON) && !no_check {
            let text = format!("Incorrect quota shutdown for id {id}, recalculating disk usage");
            self.report.error(&text);
            return true;
        }
        if file.has(DIRTY) && !no_check {
            let text = format!("quota usage is invalid for id {id}, recalculating disk usage...");
            self.report.error(&text);
            return true;
        }
        if force {
            self.info(&format!("Force quota checking for id {id}..."));
        }
        force
    }

    fn tell_users(&mut self, file: &QuotaFile) {
        let limit = file.users.limit;
        match file.has(USERS_ON) {
            true => {
                self.info(&format!("User/group quota was activated with ugid limit of {limit}"))
            }
            false => self.info("User/group quota is off"),
        }
        if file.users.objects.iter().any(|object| object.flags & OBJECT_DIRTY != 0) {
            self.report.error(&format!(
                "Quotas were not loaded for some users/groups for id {} due to ugid limit",
                self.id
            ));
        }
    }

    /// `off`; with `force` also without a file.
    ///
    /// # Errors
    /// 6 when it is off.
    pub fn off(&mut self, force: bool) -> Result<()> {
        let (store, mut file) = match self.open() {
            Ok((store, file)) => (Some(store), file),
            Err(error) if force => {
                self.report.log(ERROR, &error.to_string());
                self.report.error(&format!(
                    "Force switching quota off for id {} (quota file may be inconsistent)",
                    self.id
                ));
                (None, QuotaFile::default())
            }
            Err(error) => return Err(error),
        };
        match self.level(Some(&file))? {
            Some(level) => self.switch_off(&mut file, &level, store.is_some())?,
            None => {
                self.report.log(ERROR, &format!("Quota is not running for id {}", self.id));
                if store.is_none() || !file.has(ON) {
                    return Err(Error::Reported(Error::NotRunning(String::new()).code()));
                }
                self.repair("running");
            }
        }
        if let Some(store) = store {
            second::deactivate(&mut file.users);
            file.mark(ON, false);
            store.write(&file)?;
        }
        self.info(&format!("Quota was switched off for id {}", self.id));
        Ok(())
    }

    fn switch_off(&mut self, file: &mut QuotaFile, level: &Level, has_file: bool) -> Result<()> {
        if has_file && !file.has(ON) {
            self.repair("stopped");
        }
        take(file, level);
        if file.users.flags & USERS_ACTIVE != 0 {
            let directory = self.directory(file)?;
            if let Err(error) =
                second::refresh(file, self.kernel, &directory, self.now, self.report)
            {
                self.report.error(&error.to_string());
                file.mark(DIRTY, true);
            }
            second::lift(&file.users, self.kernel, &directory)?;
        }
        let directory = self.known_directory(Some(file));
        self.kernel.off(self.id, directory.as_deref())
    }

    fn repair(&mut self, marked: &str) {
        let id = self.id;
        let text = format!("Repairing quota: it was incorrectly marked as {marked} for id {id}");
        self.report.error(&text);
    }

    /// `drop`: removes the file; of a quota that is on only with `force`.
    ///
    /// # Errors
    /// 5 when it is on, 11 without a file.
    pub fn drop(&mut self, force: bool) -> Result<()> {
        let path = self.place.old_file(self.node, self.id)?;
        let store = QuotaStore::open(path, self.id)?;
        let file = store.read().ok();
        if self.level(file.as_ref())?.is_some() {
            self.report.error(&format!("Quota is running for id {}", self.id));
            if !force {
                return Err(Error::Reported(Error::Running.code()));
            }
            self.report.error(&format!("Force quota id {} file delete", self.id));
        }
        store.remove()?;
        self.info(&format!("Quota file was deleted for id {}", self.id));
        Ok(())
    }

    /// `setlimit`: in the file, and at once when the quota is on.
    ///
    /// # Errors
    /// 2 for the limits.
    pub fn set_limits(&mut self, given: &Given) -> Result<()> {
        let (store, mut file) = self.open()?;
        let level = self.level(Some(&file))?;
        if let Some(level) = &level {
            take(&mut file, level);
        }
        given.put_into(&mut file)?;
        change::check(&file, Some(given), self.report)?;
        change::correct_ends(&mut file, self.now);
        if level.is_some() && given.has_limits() {
            let directory = self.known_directory(Some(&file));
            self.kernel.set(self.id, directory.as_deref(), &file)?;
        }
        if let Some(directory) = self.place.directory.clone() {
            match file.directory() {
                Some(_) => {
                    file.set_directory(&directory);
                    self.info(&format!("Set mount point path to {}", directory.display()));
                }
                None => self.info("Mount point path will not be changed, it's relative"),
            }
        }
        file.mark(DIRTY, given.force || file.has(DIRTY));
        store.write(&file)?;
        self.info(&format!("Quota limits were set for id {}", self.id));
        Ok(())
    }

    /// `setlimit2`: limits of a user or a group, or their grace times.
    ///
    /// # Errors
    /// 6 when the quota, or that of users, is off; [`Error::NotEnforced`] when it was kept and has
    /// no effect.
    pub fn set_second_level(&mut self, change: SecondLevel) -> Result<()> {
        let (store, mut file) = self.open()?;
        if self.level(Some(&file))?.is_none() {
            return Err(Error::NotRunning("Quota accounting is off".into()));
        }
        if file.users.flags & USERS_ACTIVE == 0 {
            return Err(Error::NotRunning("Second level quota accounting is off".into()));
        }
        match change {
            SecondLevel::Grace(kind, space, inodes) => {
                file.users.graces[(kind as usize).min(1)] = Grace { space, inodes, flags: 0 };
            }
            SecondLevel::Limits(kind, id, limits) => put_limits(&mut file, kind, id, limits)?,
        }
        store.write(&file)?;
        let directory = self.directory(&file)?;
        if !self.kernel.limits_users(&directory) {
            self.report.error(second::NOT_ENFORCED);
            return Err(Error::NotEnforced);
        }
        match change {
            SecondLevel::Grace(kind, space, inodes) => {
                let grace = Grace { space, inodes, flags: 0 };
                self.kernel.set_users_grace(&directory, kind, &grace)
            }
            SecondLevel::Limits(kind, id, _) => {
                self.kernel.set_user(&directory, file.users.object(kind, id))
            }
        }
    }

    /// `reload2`: has the limits of users and groups that the file has taken, as far as they can be.
    ///
    /// # Errors
    /// The file's.
    pub fn reload_second_level(&mut self) -> Result<()> {
        let (_store, file) = self.open()?;
        let is_on = self.level(Some(&file))?.is_some() && file.users.flags & USERS_ACTIVE != 0;
        if !is_on {
            return Ok(());
        }
        let directory = self.directory(&file)?;
        second::enforce(&file.users, self.kernel, &directory, self.report)
    }

    /// `stat`: what the kernel counts. With `force` the file is not looked at. With `users` they
    /// are counted, and all is kept in the file.
    ///
    /// # Errors
    /// 6 when it is off.
    pub fn stat(&mut self, force: bool, users: bool) -> Result<Shown> {
        let is_off = || Error::NotRunning("Quota accounting is off, try vzquota show id\n".into());
        if force {
            let level = self.level(None)?.ok_or_else(is_off)?;
            let grace = Grace { space: level.grace.0, inodes: level.grace.1, flags: 0 };
            let file = QuotaFile { amounts: level.amounts, grace, ..QuotaFile::default() };
            return Ok(Shown { file, code: if users { USERS_OFF } else { 0 } });
        }
        let path = self.place.old_file(self.node, self.id)?;
        if !users {
            let (mut file, _) = store::read(&path, self.id)?;
            let level = self.level(Some(&file))?.ok_or_else(is_off)?;
            take(&mut file, &level);
            return Ok(Shown { file, code: 0 });
        }
        let store = QuotaStore::open(path, self.id)?;
        let before = store.read()?;
        let level = self.level(Some(&before))?.ok_or_else(is_off)?;
        let mut file = before.clone();
        take(&mut file, &level);
        let active = file.users.flags & USERS_ACTIVE != 0;
        if active {
            let directory = self.directory(&file)?;
            second::refresh(&mut file, self.kernel, &directory, self.now, self.report)?;
        }
        if file != before {
            store.write(&file)?;
        }
        Ok(Shown { file, code: if active { 0 } else { USERS_OFF } })
    }

    /// `show`: what the file has.
    ///
    /// # Errors
    /// 11 without one, 4 for one that is none.
    pub fn show(&mut self) -> Result<Shown> {
        let path = self.place.old_file(self.node, self.id)?;
        let file = match store::read_current(&path, self.id, self.report) {
            Err(error @ Error::NoFile(_)) => {
                self.report.log(ERROR, &error.to_string());
                self.report.log(ERROR, "Quota file must exist for show command");
                return Err(Error::Reported(error.code()));
            }
            other => other?,
        };
        if file.has(ON) {
            self.report.error(
                "Quota is running, so data reported from quota file may not reflect current values",
            );
        }
        let code = if file.has(DIRTY) { DIRTY_FILE } else { 0 };
        Ok(Shown { file, code })
    }

    /// The file, held, and its content.
    pub(super) fn open(&mut self) -> Result<(QuotaStore, QuotaFile)> {
        let path = self.place.old_file(self.node, self.id)?;
        let store = QuotaStore::open(path, self.id)?;
        let file = store.read()?;
        Ok((store, file))
    }

    /// What the kernel knows of it.
    pub(super) fn level(&self, file: Option<&QuotaFile>) -> Result<Option<Level>> {
        let directory = self.known_directory(file);
        self.kernel.get(self.id, directory.as_deref())
    }

    /// Whether it is on: also where the file says it was before, maybe on another file system.
    fn runs(&self, file: Option<&QuotaFile>, before: Option<PathBuf>) -> Result<bool> {
        if self.level(file)?.is_some() {
            return Ok(true);
        }
        let Some(before) = before.map(|path| self.node.path(path)) else { return Ok(false) };
        Ok(self.kernel.get(self.id, Some(&before))?.is_some())
    }

    /// The directory: that of the command line, or of the file.
    fn known_directory(&self, file: Option<&QuotaFile>) -> Option<PathBuf> {
        let typed = self.place.directory.clone();
        let path = typed.or_else(|| file?.directory())?;
        Some(self.node.path(path))
    }

    pub(super) fn directory(&self, file: &QuotaFile) -> Result<PathBuf> {
        self.known_directory(Some(file)).ok_or(Error::NoPath)
    }

    /// Counts the directory into the file.
    fn count(&mut self, file: &mut QuotaFile) -> Result<()> {
        let directory = self.directory(file)?;
        let count = scan::count(&directory, file.has(USERS_ON), self.report)?;
        file.amounts.space.held = count.space;
        file.amounts.inodes.held = count.inodes;
        if let Some(counted) = &count.users {
            second::put_usage(&mut file.users, counted);
        }
        file.mark(DIRTY, false);
        Ok(())
    }

    fn info(&mut self, text: &str) {
        self.report.log(INFO, text);
    }
}

/// Users and groups were asked for and are not counted.
const USERS_OFF: u8 = 9;
/// What the file says is known to be wrong.
const DIRTY_FILE: u8 = 10;

/// Takes over what the kernel knows.
fn take(file: &mut QuotaFile, level: &Level) {
    file.amounts = level.amounts;
}

fn put_limits(file: &mut QuotaFile, kind: u32, id: u32, limits: [u64; 4]) -> Result<()> {
    let [space_soft, space_hard, soft, hard] = limits;
    let bytes = |blocks: u64| {
        let too_big = || Error::Usage(format!("limit [{blocks}] is too big"));
        blocks.checked_mul(BLOCK).ok_or_else(too_big)
    };
    let users = &mut file.users;
    let is_new = !users.has(kind, id);
    let object = users.object(kind, id);
    let Amounts { space, inodes } = &mut object.amounts;
    (space.soft, space.hard) = (bytes(space_soft)?, bytes(space_hard)?);
    (inodes.soft, inodes.hard) = (soft, hard);
    if is_new {
        object.flags = LOADED;
        users.loaded = users.loaded.saturating_add(1);
    }
    Ok(())
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
