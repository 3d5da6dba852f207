//! Files of `KEY="value"` lines: vz.conf, container configurations, samples, dists.
//!
//! A file is a list of lines that are kept byte for byte; an edit changes the lines it must
//! and no other byte. The grammar of a line is the original's (see [`parse_line`]); three of
//! its defects are not kept: the endless loop on a file of one byte, the lost last character
//! of a single line without newline, and the splitting of lines above 16 KiB.

use std::borrow::Cow;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::error::ParseError;
use crate::new_file::NewFile;
use crate::number::is_space;
use crate::quote;
use crate::warning::{Warning, WarningKind};

/// The longest key, in bytes.
const KEY_MAX: usize = 511;

/// Mode of a file that did not exist before: what the tools' umask leaves.
const NEW_MODE: u32 = 0o644;

/// Why a file could not be saved.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The path, or what a link in it points to, cannot be found out.
    #[error("Unable to resolve path {path}: {source}")]
    Resolve {
        /// The path as it was given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The temporary file beside it cannot be made or written.
    #[error("Unable to create configuration file {path}: {source}")]
    Write {
        /// The file that was to be saved.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The temporary file cannot take the file's place.
    #[error("Unable to move configuration file to {path}: {source}")]
    Rename {
        /// The file that was to be saved.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A key and its value, as bytes.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A readable line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of the line, from 1.
    pub line: usize,
    /// The key, as it stands before the first `=`.
    pub key: String,
    /// The value, without its quotes and backslashes.
    pub value: Vec<u8>,
}

impl Entry {
    /// The value as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

/// A configuration file, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfFile {
    /// Each with its newline, which only the last may lack.
    lines: Vec<Vec<u8>>,
}

impl ConfFile {
    /// Takes a file's bytes apart. Every sequence of bytes is a file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self { lines: bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect() }
    }

    /// The file's bytes: what was parsed, with the edits made since.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// Whether the file has no line at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines, each with its newline, which only the last may lack.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }

    /// The readable lines in order, and what is the matter with unreadable ones.
    pub fn entries(&self) -> impl Iterator<Item = Result<Entry, (usize, WarningKind)>> + '_ {
        self.lines.iter().enumerate().filter_map(|(index, bytes)| {
            let line = index + 1;
            match parse_line(bytes) {
                Ok(None) => None,
                Ok(Some((key, value))) => {
                    let key = String::from_utf8_lossy(&key).into_owned();
                    Some(Ok(Entry { line, key, value }))
                }
                Err(kind) => Some(Err((line, kind))),
            }
        })
    }

    /// The readable lines, and a warning naming `path` for each unreadable one.
    #[must_use]
    pub fn read(&self, path: &Path) -> (Vec<Entry>, Vec<Warning>) {
        let mut entries = Vec::new();
        let mut warnings = Vec::new();
        for entry in self.entries() {
            match entry {
                Ok(entry) => entries.push(entry),
                Err((line, kind)) => warnings.push(Warning { file: path.into(), line, kind }),
            }
        }
        (entries, warnings)
    }

    /// The value of the first readable line with this key; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let entry = self.entries().flatten().find(|entry| entry.key == key)?;
        Some(entry.text().into_owned())
    }

    /// Whether a readable line has this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries().flatten().any(|entry| entry.key == key)
    }

    /// Sets a key: the first line that starts exactly with `KEY=` is replaced, else a line is
    /// appended. A line with blanks or `export` before the key does not count as one.
    ///
    /// # Errors
    /// [`ParseError::Control`] when the value cannot stand in one line; nothing changes then.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        let mut line = quote::line(key, value)?.into_bytes();
        line.push(b'\n');
        if let Some(last) = self.lines.last_mut()
            && !last.ends_with(b"\n")
        {
            last.push(b'\n');
        }
        let prefix = format!("{key}=");
        match self.lines.iter_mut().find(|old| old.starts_with(prefix.as_bytes())) {
            Some(old) => *old = line,
            None => self.lines.push(line),
        }
        Ok(())
    }

    /// As [`ConfFile::set`], and no other readable line with this key stays: of several lines for a
    /// beancounter the last one counts.
    ///
    /// # Errors
    /// As [`ConfFile::set`].
    pub fn set_only(&mut self, key: &str, value: &str) -> Result<(), ParseError> {
        self.set(key, value)?;
        let prefix = format!("{key}=");
        let own = self.lines.iter().position(|line| line.starts_with(prefix.as_bytes()));
        let mut index = 0;
        self.lines.retain(|line| {
            let is_own = Some(index) == own;
            index += 1;
            is_own || !has_key(line, key)
        });
        Ok(())
    }

    /// Removes every readable line with this key; says how many there were.
    pub fn remove(&mut self, key: &str) -> usize {
        let before = self.lines.len();
        self.lines.retain(|line| !has_key(line, key));
        before - self.lines.len()
    }

    /// Writes the file so that a reader sees the old one or the new one, also after a crash: to a
    /// new file that then takes its place. A symbolic link stays one; mode and
    /// owner of an old file are kept.
    ///
    /// # Errors
    /// [`SaveError`] with the step that failed. The old file is untouched then, and the
    /// new one is gone.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        let (target, old) = resolve(path)?;
        let write = |source| SaveError::Write { path: target.clone(), source };
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let new = NewFile::beside(directory).map_err(write)?;
        new.file().write_all(&self.to_bytes()).map_err(write)?;
        keep_owner_and_mode(new.file(), old.as_ref()).map_err(write)?;
        new.file().sync_all().map_err(write)?;
        let rename = |source| SaveError::Rename { path: target.clone(), source };
        new.replace(&target).map_err(rename)?;
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(rename)
    }
}

/// Whether a line can be read and has this key.
fn has_key(line: &[u8], key: &str) -> bool {
    matches!(parse_line(line), Ok(Some((found, _))) if found == key.as_bytes())
}

/// Follows links to the file that is to be replaced; it need not exist.
#[expect(
    clippy::disallowed_methods,
    reason = "a configuration file lies on the node, where no container plants links"
)]
fn resolve(path: &Path) -> Result<(PathBuf, Option<Metadata>), SaveError> {
    let failed = |source| SaveError::Resolve { path: path.into(), source };
    match fs::canonicalize(path) {
        Ok(target) => {
            let metadata = fs::metadata(&target).map_err(failed)?;
            Ok((target, Some(metadata)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((path.into(), None)),
        Err(error) => Err(failed(error)),
    }
}

/// Gives the new file what the old one had.
fn keep_owner_and_mode(new: &File, old: Option<&Metadata>) -> io::Result<()> {
    let Some(old) = old else {
        return new.set_permissions(Permissions::from_mode(NEW_MODE));
    };
    let now = new.metadata()?;
    if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}

/// Reads one line: its key and value, or nothing for a blank or comment line.
///
/// In this order: a NUL ends the line; every `\x` becomes `x` (a last backslash goes); blanks
/// around the line go; `#` first makes it a comment; the first `=` ends the key; a value that
/// begins with `"` ends at the last `"` of the line, and any other is the rest of the line.
///
/// # Errors
/// The [`WarningKind`] of a line that has no `=`, a key above 511 bytes or a single quote mark.
pub fn parse_line(line: &[u8]) -> Result<Option<KeyValue>, WarningKind> {
    let line = unescape(line);
    let fields = fields(&line)?;
    Ok(fields.map(|(key, value)| (line[key].to_vec(), line[value].to_vec())))
}

/// Where in a line its key and its value stand.
pub(crate) type Fields = (Range<usize>, Range<usize>);

/// As [`parse_line`], of a line without its backslashes, and without making copies.
pub(crate) fn fields(line: &[u8]) -> Result<Option<Fields>, WarningKind> {
    if line.first() == Some(&b'#') {
        return Ok(None);
    }
    let Range { start, end } = trimmed(line);
    if start == end || line[start] == b'#' {
        return Ok(None);
    }
    let find = |byte| move |other: &u8| *other == byte;
    let length = line[start..end].iter().position(find(b'=')).ok_or(WarningKind::NoEquals)?;
    if length > KEY_MAX {
        return Err(WarningKind::LongKey);
    }
    let equals = start + length;
    let value = match line[equals + 1..end].strip_prefix(b"\"") {
        None => equals + 1..end,
        Some(rest) => {
            let length = rest.iter().rposition(find(b'"')).ok_or(WarningKind::UnmatchedQuotes)?;
            equals + 2..equals + 2 + length
        }
    };
    Ok(Some((start..equals, value)))
}

/// Removes backslashes, keeping what follows each; stops at a NUL. Most lines have neither.
pub(crate) fn unescape(line: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(line) {
        return line.into();
    }
    let mut plain = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied().take_while(|b| *b != 0);
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            plain.push(byte);
        } else if let Some(escaped) = bytes.next() {
            plain.push(escaped);
        }
    }
    plain.into()
}

/// Whether there is no backslash and no NUL: then [`unescape`] changes nothing.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    memchr::memchr2(b'\\', 0, bytes).is_none()
}

/// What is left between the blanks at both ends.
fn trimmed(line: &[u8]) -> Range<usize> {
    let start = line.iter().position(|b| !is_space(*b)).unwrap_or(line.len());
    let end = line.iter().rposition(|b| !is_space(*b)).map_or(start, |last| last + 1);
    start..end
}

#[cfg(test)]
mod tests;
