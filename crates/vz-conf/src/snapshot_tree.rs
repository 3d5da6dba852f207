//! `Snapshots.xml`, which vzctl keeps in the private area of a container in an image: its snapshots,
//! which was made of which, and what they are called. The format is that of Parallels' saved states
//! (vzctl's `src/lib/xml.c`): each item lies in the one that it was made of, all in one without a GUID.
//!
//! Read as strictly as [`crate::disk_descriptor`], with entities of one character only.

use std::fmt;

use quick_xml::Reader;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::disk_descriptor::{DescriptorError, LONGEST};
use crate::uuid::Uuid;

/// The name of the file.
pub const FILE_NAME: &str = "Snapshots.xml";
/// The name that it is stored under before it counts.
pub const WAITING_NAME: &str = "Snapshots.xml.tmp";
/// How many snapshots may be made one of the other: what the original's kernel could have below an
/// image (ploop's `lib/snapshot.c`).
pub const DEEPEST: usize = 126;

/// More items than this are none that vzctl has written.
const MOST: usize = 4096;
/// How deep elements may lie in each other: each snapshot in the one before, and what tells of it.
const DEEPEST_ELEMENT: usize = 2 * DEEPEST;
/// The name of an item.
const ITEM: &str = "SavedStateItem";

type Result<T, E = DescriptorError> = std::result::Result<T, E>;

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identifier.
    pub id: Uuid,
    /// The one that was current when it was made.
    pub parent: Option<Uuid>,
    /// The state that the container has now was made of it.
    pub current: bool,
    /// What it is called.
    pub name: String,
    /// When it was made, `YYYY-MM-DD HH:MM:SS`.
    pub date: String,
    /// What is told of it.
    pub description: String,
}

/// Why a snapshot cannot be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// There is one with this identifier.
    #[error("Invalid guid {0} specified: already exists")]
    Exists(Uuid),
    /// The line of snapshots has its greatest length.
    #[error(
        "Unable to create a snapshot. The maximum number of snapshots ({DEEPEST}) has been reached"
    )]
    Deep,
    /// XML cannot keep this text.
    #[error("The {0} has a character that cannot be stored")]
    Character(&'static str),
}

/// The snapshots of a container, in the order they are listed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotTree {
    snapshots: Vec<Snapshot>,
}

impl SnapshotTree {
    /// Reads the file.
    ///
    /// # Errors
    /// [`DescriptorError`] says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > LONGEST {
            return Err(DescriptorError::Long);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| DescriptorError::NoText)?;
        let mut reader = Reader::from_str(text);
        let mut parser = Parser::default();
        loop {
            match reader.read_event()? {
                Event::Start(element) => parser.open(&element)?,
                Event::Empty(element) => {
                    parser.open(&element)?;
                    parser.close();
                }
                Event::End(_) => parser.close(),
                Event::Text(text) => parser.text(&text)?,
                Event::CData(text) => parser.text(&text)?,
                Event::GeneralRef(entity) => parser.text(&character(&entity)?)?,
                Event::Decl(_) | Event::Comment(_) => {}
                Event::DocType(_) => return Err(DescriptorError::Refused("a document type")),
                Event::PI(_) => return Err(DescriptorError::Refused("an instruction")),
                Event::Eof => return parser.finish(),
            }
        }
    }

    /// The file's bytes: such as [`SnapshotTree::parse`] takes.
    ///
    /// # Errors
    /// [`DescriptorError`] says why it would not: there are too many of them, or what is told of them is
    /// too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = self.to_string().into_bytes();
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// All of them.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The one with this identifier.
    pub fn find(&self, id: &Uuid) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.id == *id)
    }

    /// The one with this identifier, the one that it was made of, and so on.
    pub fn line_of(&self, id: &Uuid) -> Vec<&Snapshot> {
        let parent = |snapshot: &&Snapshot| self.find(snapshot.parent.as_ref()?);
        std::iter::successors(self.find(id), parent).collect()
    }

    /// Adds one, made of the current one. It is the current one then.
    ///
    /// # Errors
    /// [`AddError`] says why it cannot be.
    pub fn add(&mut self, mut snapshot: Snapshot) -> Result<(), AddError> {
        if self.find(&snapshot.id).is_some() {
            return Err(AddError::Exists(snapshot.id));
        }
        for (what, text) in [("name", &snapshot.name), ("description", &snapshot.description)] {
            if !text.chars().all(can_be_stored) {
                return Err(AddError::Character(what));
            }
        }
        snapshot.parent = self.current().map(|current| current.id.clone());
        if snapshot.parent.as_ref().is_some_and(|parent| self.line_of(parent).len() >= DEEPEST) {
            return Err(AddError::Deep);
        }
        self.mark_current(None);
        self.snapshots.push(Snapshot { current: true, ..snapshot });
        Ok(())
    }

    /// Takes one out: what was made of it was made of its parent then.
    pub fn remove(&mut self, id: &Uuid) {
        let Some(place) = self.snapshots.iter().position(|snapshot| snapshot.id == *id) else {
            return;
        };
        let gone = self.snapshots.remove(place);
        for snapshot in &mut self.snapshots {
            if snapshot.parent.as_ref() == Some(id) {
                snapshot.parent.clone_from(&gone.parent);
            }
        }
        if gone.current {
            self.mark_current(gone.parent.as_ref());
        }
    }

    /// Makes one the current one.
    pub fn mark_current(&mut self, id: Option<&Uuid>) {
        for snapshot in &mut self.snapshots {
            snapshot.current = Some(&snapshot.id) == id;
        }
    }

    /// The current one.
    pub fn current(&self) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.current)
    }

    fn write_children(
        &self,
        f: &mut fmt::Formatter<'_>,
        parent: Option<&Uuid>,
        depth: usize,
    ) -> fmt::Result {
        for item in self.snapshots.iter().filter(|item| item.parent.as_ref() == parent) {
            let indent = depth * 2;
            let current = if item.current { " current=\"yes\"" } else { "" };
            writeln!(f, "{:indent$}<{ITEM} guid=\"{}\"{current}>", "", item.id)?;
            write_text(f, depth + 1, "Name", &item.name)?;
            write_text(f, depth + 1, "DateTime", &item.date)?;
            write_text(f, depth + 1, "Creator", "")?;
            write_text(f, depth + 1, "ScreenShot", "")?;
            // What would end the section goes into two of them.
            let text = item.description.replace("]]>", "]]]]><![CDATA[>");
            let inner = indent + 2;
            writeln!(f, "{:inner$}<Description><![CDATA[{text}]]></Description>", "")?;
            self.write_children(f, Some(&item.id), depth + 1)?;
            writeln!(f, "{:indent$}</{ITEM}>", "")?;
        }
        Ok(())
    }
}

/// As vzctl writes it.
impl fmt::Display for SnapshotTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<?xml version=\"1.0\"?>\n")?;
        if self.snapshots.is_empty() {
            return f.write_str("<ParallelsSavedStates/>\n");
        }
        f.write_str("<ParallelsSavedStates>\n  <SavedStateItem guid=\"\">\n")?;
        for name in ["Name", "DateTime", "Creator", "ScreenShot", "Description"] {
            write_text(f, 2, name, "")?;
        }
        self.write_children(f, None, 2)?;
        f.write_str("  </SavedStateItem>\n</ParallelsSavedStates>\n")
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, depth: usize, name: &str, text: &str) -> fmt::Result {
    let indent = depth * 2;
    match text {
        "" => writeln!(f, "{:indent$}<{name}/>", ""),
        text => writeln!(f, "{:indent$}<{name}>{}</{name}>", "", partial_escape(text)),
    }
}

/// The characters of XML 1.0 (section 2.2).
fn can_be_stored(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}'
        | '\u{fffe}' | '\u{ffff}')
}

/// A character that stands there by its number or its name.
fn character(entity: &BytesRef<'_>) -> Result<String> {
    if let Some(character) = entity.resolve_char_ref()? {
        return Ok(character.into());
    }
    let character = match &**entity {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "apos" => "'",
        "quot" => "\"",
        _ => return Err(DescriptorError::Refused("an entity")),
    };
    Ok(character.to_owned())
}

/// An element that is open.
enum Open {
    /// The outermost one.
    Tree,
    /// The item that all others lie in.
    Top,
    /// A snapshot, by its place in the list.
    Snapshot(usize),
    /// One that tells something of the snapshot around it.
    Told(String),
}

/// What was read until now.
#[derive(Default)]
struct Parser {
    path: Vec<Open>,
    text: String,
    ended: bool,
    tops: u32,
    found: Vec<Snapshot>,
}

impl Parser {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<()> {
        if self.ended || self.path.len() == DEEPEST_ELEMENT {
            return Err(DescriptorError::Refused("an element there"));
        }
        self.text.clear();
        let name = element.name();
        let name: &str = name.as_ref();
        let open = match (self.path.last(), name) {
            (None, "ParallelsSavedStates") => Open::Tree,
            (None, _) => return Err(DescriptorError::Missing("ParallelsSavedStates")),
            (Some(Open::Tree), ITEM) => self.open_top(element)?,
            (Some(Open::Top), ITEM) => self.open_snapshot(element, None)?,
            (Some(Open::Snapshot(place)), ITEM) => {
                let parent = self.found.get(*place).map(|parent| parent.id.clone());
                self.open_snapshot(element, parent)?
            }
            _ => Open::Told(name.to_owned()),
        };
        self.path.push(open);
        Ok(())
    }

    fn open_top(&mut self, element: &BytesStart<'_>) -> Result<Open> {
        self.tops += 1;
        match (self.tops, attribute(element, "guid")?.as_deref()) {
            (1, Some("")) => Ok(Open::Top),
            (1, _) => Err(DescriptorError::Refused("a snapshot there")),
            _ => Err(DescriptorError::Twice(ITEM)),
        }
    }

    fn open_snapshot(&mut self, element: &BytesStart<'_>, parent: Option<Uuid>) -> Result<Open> {
        let text = attribute(element, "guid")?.ok_or(DescriptorError::Missing("guid"))?;
        let id: Uuid = text.parse().map_err(|_| DescriptorError::Value {
            element: "guid",
            value: text.chars().take(64).collect(),
        })?;
        let current = attribute(element, "current")?;
        let current = current.is_some_and(|text| text.eq_ignore_ascii_case("yes"));
        if self.found.len() == MOST {
            return Err(DescriptorError::Refused("another snapshot"));
        }
        if self.found.iter().any(|other| other.id == id) {
            return Err(DescriptorError::Twice("guid"));
        }
        if current {
            // As ever: the last one that says so is it.
            self.found.iter_mut().for_each(|other| other.current = false);
        }
        let (name, date, description) = Default::default();
        self.found.push(Snapshot { id, parent, current, name, date, description });
        Ok(Open::Snapshot(self.found.len() - 1))
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if self.path.is_empty() && !text.trim().is_empty() {
            return Err(DescriptorError::Refused("text around the elements"));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn close(&mut self) {
        let closed = self.path.pop();
        let text = std::mem::take(&mut self.text);
        self.ended = self.path.is_empty();
        let (Some(Open::Told(name)), Some(Open::Snapshot(place))) = (closed, self.path.last())
        else {
            return;
        };
        let Some(snapshot) = self.found.get_mut(*place) else { return };
        let field = match name.as_str() {
            "Name" => &mut snapshot.name,
            "DateTime" => &mut snapshot.date,
            "Description" => &mut snapshot.description,
            _ => return,
        };
        if field.is_empty() {
            *field = text;
        }
    }

    /// Puts them in the order in which vzctl has them: by how many others each was made of.
    fn finish(self) -> Result<SnapshotTree> {
        if !self.ended {
            return Err(DescriptorError::Missing("ParallelsSavedStates"));
        }
        let mut snapshots: Vec<Snapshot> = Vec::with_capacity(self.found.len());
        let (mut level, mut rest): (Vec<_>, Vec<_>) =
            self.found.into_iter().partition(|snapshot| snapshot.parent.is_none());
        while !level.is_empty() {
            let begin = snapshots.len();
            snapshots.append(&mut level);
            for parent in snapshots.iter().skip(begin) {
                let of_it = |snapshot: &Snapshot| snapshot.parent.as_ref() == Some(&parent.id);
                let (mut children, others) = rest.into_iter().partition(of_it);
                level.append(&mut children);
                rest = others;
            }
        }
        Ok(SnapshotTree { snapshots })
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|_| DescriptorError::Refused("such an attribute"))?;
        let key: &str = attribute.key.as_ref();
        if key == name {
            return Ok(Some(attribute.value.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
#[path = "snapshot_tree_tests.rs"]
mod tests;
