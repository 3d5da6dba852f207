//! What is under way with a container's snapshots, in a file beside its image.

use std::io::{self, Write};
use std::path::PathBuf;

use vz_conf::exit::Exit;
use vz_conf::new_file::{self, NewFile};
use vz_conf::uuid::Uuid;

use super::sync;
use crate::container::Container;
use crate::error::{Context, Result};

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A snapshot is made, or deleted: what the tree says of it counts.
    Change(Uuid),
    /// What a switch needs is copied.
    Copying,
    /// A switch has all it needs.
    Switch {
        /// To which.
        id: Uuid,
        /// The configuration of that time comes back as well.
        configuration: bool,
    },
    /// What no version of this program has written.
    Unknown,
}

fn path(container: &Container<'_>) -> PathBuf {
    container.private.join("root.hdd").join("snapshot")
}

impl Note {
    fn parse(text: &str) -> Note {
        let words: Vec<&str> = text.split_whitespace().collect();
        let id = words.get(1).and_then(|word| word.parse::<Uuid>().ok());
        match (words.as_slice(), id) {
            (["change", _], Some(id)) => Note::Change(id),
            (["copying"], _) => Note::Copying,
            (["switch", _], Some(id)) => Note::Switch { id, configuration: false },
            (["switch", _, "configuration"], Some(id)) => Note::Switch { id, configuration: true },
            _ => Note::Unknown,
        }
    }

    fn text(&self) -> String {
        match self {
            Note::Change(id) => format!("change {id}\n"),
            Note::Copying | Note::Unknown => "copying\n".to_owned(),
            Note::Switch { id, configuration: false } => format!("switch {id}\n"),
            Note::Switch { id, configuration: true } => format!("switch {id} configuration\n"),
        }
    }

    /// The note that is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(container: &Container<'_>) -> Result<Option<Note>> {
        let path = path(container);
        match super::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => {
                let bytes = other.at(Exit::SystemError, "Cannot read", &path)?;
                Ok(Some(Note::parse(&String::from_utf8_lossy(&bytes))))
            }
        }
    }

    /// Writes it, in the place of one that is there: it is on disk before anything else happens.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, container: &Container<'_>) -> Result<()> {
        let path = path(container);
        let directory = container.private.join("root.hdd");
        let write = || {
            let file = NewFile::beside(&directory)?;
            file.file().write_all(self.text().as_bytes())?;
            file.file().sync_all()?;
            match path.exists() {
                true => file.replace(&path)?,
                // In one step: it leaves nothing else behind.
                false => drop(file.link(&path)?),
            }
            sync(&directory)
        };
        write().at(Exit::SystemError, "Cannot write", &path)
    }

    /// Nothing is under way any more.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(container: &Container<'_>) -> Result<()> {
        let path = path(container);
        new_file::remove(&path).and_then(|()| sync(&container.private.join("root.hdd"))).at(
            Exit::SystemError,
            "Cannot remove",
            &path,
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back() {
        let id: Uuid = "11111111-0000-0000-0000-000000000001".parse().unwrap();
        let switch = |configuration| Note::Switch { id: id.clone(), configuration };
        for note in [Note::Change(id.clone()), Note::Copying, switch(true), switch(false)] {
            assert_eq!(Note::parse(&note.text()), note);
        }
        for text in ["", "switch", "switch x", "change", "change {1} x", "copying x", "\0"] {
            assert_eq!(Note::parse(text), Note::Unknown, "{text}");
        }
    }
}
