//! The table of quotas of the OpenVZ kernel, `/proc/vz/vzquota`, as a file: of another node, or for
//! tests. What is switched on, set and switched off changes the file.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use vz_conf::new_file;

use super::change::BLOCK;
use super::error::{Error, Result};
use super::file::{Amount, Grace, Object, QuotaFile};
use super::kernel::{Kernel, Level};
use crate::report::Report;

/// The table's first line.
const HEADER: &str =
    "qid: path               usage      softlimit      hardlimit       time     expire\n";

/// A table in a file.
#[derive(Debug)]
pub struct Imitation {
    path: PathBuf,
}

/// A quota that is on: its number, directory, and numbers.
type Row = (u32, String, Level);

impl Imitation {
    /// The one in a directory that stands for `/proc`.
    pub fn new(proc: &Path) -> Imitation {
        Imitation { path: proc.join("vz/vzquota") }
    }

    fn read(&self) -> Result<Vec<Row>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    fn write(&self, rows: &[Row]) -> Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new()
            .recursive(true)
            .create(directory)
            .and_then(|()| new_file::write(&self.path, text(rows).as_bytes()))
            .map_err(|error| self.failed("write", error))
    }

    fn failed(&self, action: &'static str, error: io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source: error.into() }
    }
}

impl Kernel for Imitation {
    fn get(&self, id: u32, _: Option<&Path>) -> Result<Option<Level>> {
        Ok(self.read()?.into_iter().find(|row| row.0 == id).map(|row| row.2))
    }

    fn on(
        &self,
        id: u32,
        directory: &Path,
        file: &QuotaFile,
        _: bool,
        _: &mut dyn Report,
    ) -> Result<()> {
        let mut rows = self.read()?;
        let grace = (file.grace.space, file.grace.inodes);
        rows.retain(|row| row.0 != id);
        let level = Level { amounts: file.amounts, grace };
        rows.push((id, directory.to_string_lossy().into_owned(), level));
        self.write(&rows)
    }

    fn set(&self, id: u32, _: Option<&Path>, file: &QuotaFile) -> Result<()> {
        let mut rows = self.read()?;
        for row in rows.iter_mut().filter(|row| row.0 == id) {
            row.2 = Level { amounts: file.amounts, grace: (file.grace.space, file.grace.inodes) };
        }
        self.write(&rows)
    }

    fn off(&self, id: u32, _: Option<&Path>) -> Result<()> {
        let mut rows = self.read()?;
        rows.retain(|row| row.0 != id);
        self.write(&rows)
    }

    /// That kernel had them, and did not show them in its table.
    fn limits_users(&self, _: &Path) -> bool {
        true
    }

    fn users(&self, _: &Path) -> Result<Option<Vec<Object>>> {
        Ok(None)
    }

    fn set_user(&self, _: &Path, _: &Object) -> Result<()> {
        Ok(())
    }

    fn set_users_grace(&self, _: &Path, _: u32, _: &Grace) -> Result<()> {
        Ok(())
    }
}

fn parse(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        if let Some((id, path)) = line.split_once(':') {
            if let Ok(id) = id.trim().parse() {
                rows.push((id, path.trim().to_owned(), Level::default()));
            }
            continue;
        }
        let Some((_, _, level)) = rows.last_mut() else { continue };
        let mut words = line.split_ascii_whitespace();
        let name = words.next();
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        let [held, soft, hard, end, grace] = numbers[..] else { continue };
        let seconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let amount = |unit: u64| Amount {
            hard: hard.saturating_mul(unit),
            soft: soft.saturating_mul(unit),
            end: seconds(end),
            held: held.saturating_mul(unit),
        };
        match name {
            Some("1k-blocks") => {
                (level.amounts.space, level.grace.0) = (amount(BLOCK), seconds(grace));
            }
            Some("inodes") => (level.amounts.inodes, level.grace.1) = (amount(1), seconds(grace)),
            _ => {}
        }
    }
    rows
}

fn text(rows: &[Row]) -> String {
    let mut text = String::from(HEADER);
    for (id, path, level) in rows {
        let _ = writeln!(text, "{id}: {}", path.replace(char::is_control, "?"));
        line(&mut text, "1k-blocks", &level.amounts.space, BLOCK, level.grace.0);
        line(&mut text, "inodes", &level.amounts.inodes, 1, level.grace.1);
    }
    text
}

fn line(text: &mut String, name: &str, amount: &Amount, unit: u64, grace: i64) {
    let (held, soft, hard) = (amount.held / unit, amount.soft / unit, amount.hard / unit);
    let _ = writeln!(
        text,
        "{name:>10} {held:>16} {soft:>14} {hard:>14} {:>10} {grace:>10}",
        amount.end
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Silent;

    #[test]
    fn on_set_off() {
        let directory = tempfile::tempdir().unwrap();
        let table = Imitation::new(directory.path());
        assert_eq!(table.get(5, None).unwrap(), None);
        let mut file = QuotaFile::default();
        file.amounts.space = Amount { hard: 60 << 10, soft: 50 << 10, end: 7, held: 172 << 10 };
        file.grace.inodes = 600;
        table.on(5, Path::new("/vz/private/5"), &file, false, &mut Silent).unwrap();
        table.on(6, Path::new("/vz/private/6"), &file, false, &mut Silent).unwrap();
        let level = table.get(5, None).unwrap().unwrap();
        assert_eq!((level.amounts, level.grace), (file.amounts, (0, 600)));
        file.amounts.inodes.hard = 9;
        table.set(5, None, &file).unwrap();
        assert_eq!(table.get(5, None).unwrap().unwrap().amounts, file.amounts);
        assert_eq!(table.get(6, None).unwrap().unwrap().amounts.inodes.hard, 0);
        table.off(5, None).unwrap();
        assert_eq!(table.get(5, None).unwrap(), None);
        assert!(table.get(6, None).unwrap().is_some());
    }

    #[test]
    fn what_is_no_table() {
        assert_eq!(parse("x: y\n 1k-blocks 1 2 3 4 5\n5: /a\n inodes 1 2\nq\n").len(), 1);
    }
}
