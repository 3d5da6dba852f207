//! `DiskDescriptor.xml`, which ploop keeps beside an image: the disk's size, the image files and
//! which of them lies on which. The format is that of Parallels disks: ploop's `lib/xml.c`, and
//! `docs/interop/prl-xml.txt` of QEMU.
//!
//! Read strictly: no document type, no entities, nothing twice that there is one of, and image files
//! by a plain name only, so that no descriptor leads out of the directory it lies in.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::uuid::Uuid;

/// The name of the file.
pub const FILE_NAME: &str = "DiskDescriptor.xml";
/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// No descriptor is longer, in bytes: it has a few lines for each snapshot.
pub const LONGEST: u64 = 1 << 20;

/// The identifier that ploop gives the topmost image.
const TOP: &str = "{5fbaabe3-6958-40ff-92a7-860e329aab41}";
/// The parent of what has none.
const NONE: &str = "{00000000-0000-0000-0000-000000000000}";
/// Sectors in a block of ploop.
const BLOCK_SECTORS: u64 = 2048;
/// What old partition tables were told.
const HEADS: u64 = 16;
const SECTORS_OF_A_TRACK: u64 = 63;
/// How deep elements lie in each other.
const DEEPEST: usize = 8;

/// Why a descriptor is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// It is longer than [`LONGEST`].
    #[error("longer than {LONGEST} bytes")]
    Long,
    /// It is no UTF-8.
    #[error("not a text")]
    NoText,
    /// It is no XML.
    #[error("not XML: {0}")]
    Xml(#[from] quick_xml::Error),
    /// It has what a descriptor has no use for.
    #[error("{0} is not allowed")]
    Refused(&'static str),
    /// An element is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An element is there twice.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// An element has a value that it cannot have.
    #[error("{element}: bad value '{value}'")]
    Value {
        /// Which.
        element: &'static str,
        /// What it says.
        value: String,
    },
}

type Result<T> = std::result::Result<T, DescriptorError>;

/// How an image file holds the disk's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `Plain`: as they are, one after the other.
    Plain,
    /// `Compressed`: with a table of where each block lies (nothing in it is compressed).
    Expanded,
}

/// An image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its identifier.
    pub id: Uuid,
    /// How it holds the blocks.
    pub format: Format,
    /// Its name, in the directory of the descriptor.
    pub file: String,
}

/// Which image lies on which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// The image.
    pub id: Uuid,
    /// The one it lies on; all zeroes for none.
    pub parent: Uuid,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDescriptor {
    /// Its size in sectors of 512 bytes.
    pub sectors: u64,
    /// Sectors in a block.
    pub block_sectors: u64,
    /// The image that is written to, where it is told.
    pub top: Option<Uuid>,
    /// The images.
    pub images: Vec<Image>,
    /// What they lie on.
    pub shots: Vec<Shot>,
}

impl DiskDescriptor {
    /// A disk of `size` bytes in one plain image, the file `file`.
    ///
    /// # Errors
    /// [`DescriptorError::Value`] when `file` is no plain file name.
    pub fn plain(size: u64, file: &str) -> Result<Self> {
        let id = uuid("GUID", TOP)?;
        let image = Image { id: id.clone(), format: Format::Plain, file: file_name(file)? };
        Ok(Self {
            sectors: size / SECTOR,
            block_sectors: BLOCK_SECTORS,
            top: Some(id.clone()),
            images: vec![image],
            shots: vec![Shot { id, parent: uuid("ParentGUID", NONE)? }],
        })
    }

    /// Adds a snapshot, the plain image `file`, between the topmost image and what that lies on.
    ///
    /// # Errors
    /// [`DescriptorError`] when it is there already, nothing can be below another image, no image is
    /// the topmost one, or `file` is no plain file name.
    pub fn add_snapshot(&mut self, id: &Uuid, file: &str) -> Result<()> {
        if self.has(id) {
            return Err(DescriptorError::Twice("GUID"));
        }
        let image = Image { id: id.clone(), format: Format::Plain, file: file_name(file)? };
        let top = self.top_shot()?;
        let below = std::mem::replace(&mut top.parent, id.clone());
        let top = top.id.clone();
        let place = self.images.iter().position(|image| image.id == top);
        self.images.insert(place.unwrap_or(self.images.len()), image);
        let place = self.shots.iter().position(|shot| shot.id == top);
        let shot = Shot { id: id.clone(), parent: below };
        self.shots.insert(place.unwrap_or(self.shots.len()), shot);
        Ok(())
    }

    /// Takes an image out: what lay on it lies on what it lay on.
    pub fn remove_snapshot(&mut self, id: &Uuid) {
        if let Some(place) = self.shots.iter().position(|shot| shot.id == *id) {
            let gone = self.shots.remove(place);
            for shot in self.shots.iter_mut().filter(|shot| shot.parent == *id) {
                shot.parent.clone_from(&gone.parent);
            }
        }
        self.images.retain(|image| image.id != *id);
    }

    /// Has the topmost image lie on the snapshot `id`.
    ///
    /// # Errors
    /// [`DescriptorError::Missing`] when no image is the topmost one.
    pub fn put_top_on(&mut self, id: &Uuid) -> Result<()> {
        self.top_shot()?.parent = id.clone();
        Ok(())
    }

    /// Says whether `id` is one of its images, or stands for none.
    pub fn has(&self, id: &Uuid) -> bool {
        let is_none = id.to_string() == NONE;
        is_none || self.shots.iter().any(|shot| shot.id == *id) || self.image(id).is_some()
    }

    /// The image `id`.
    pub fn image(&self, id: &Uuid) -> Option<&Image> {
        self.images.iter().find(|image| image.id == *id)
    }

    fn top_shot(&mut self) -> Result<&mut Shot> {
        let top = self.top_image().map(|image| image.id.clone());
        let top = top.map_err(|_| DescriptorError::Missing("TopGUID"))?;
        let shot = self.shots.iter_mut().find(|shot| shot.id == top);
        shot.ok_or(DescriptorError::Missing("Shot"))
    }

    /// The identifier that ploop gives the image that is written to.
    ///
    /// # Errors
    /// None.
    pub fn top_id() -> Result<Uuid> {
        uuid("TopGUID", TOP)
    }

    /// Reads a descriptor.
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
                Event::Start(element) => parser.open(element.name().as_ref())?,
                Event::Empty(element) => {
                    parser.open(element.name().as_ref())?;
                    parser.close()?;
                }
                Event::End(_) => parser.close()?,
                Event::Text(text) => parser.text(&text)?,
                Event::Decl(_) | Event::Comment(_) => {}
                Event::DocType(_) => return Err(DescriptorError::Refused("a document type")),
                Event::GeneralRef(_) => return Err(DescriptorError::Refused("an entity")),
                Event::CData(_) => return Err(DescriptorError::Refused("a CDATA section")),
                Event::PI(_) => return Err(DescriptorError::Refused("an instruction")),
                Event::Eof => return parser.finish(),
            }
        }
    }
}

impl DiskDescriptor {
    /// The file's bytes: such as [`DiskDescriptor::parse`] takes.
    ///
    /// # Errors
    /// [`DescriptorError`] says why it would not: there are too many images in it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = self.to_string().into_bytes();
        Self::parse(&bytes)?;
        Ok(bytes)
    }
}

/// As ploop writes it.
impl fmt::Display for DiskDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cylinders = self.sectors / (HEADS * SECTORS_OF_A_TRACK);
        let (size, block) = (self.sectors, self.block_sectors);
        write!(
            f,
            "<?xml version=\"1.0\"?>\n<Parallels_disk_image>\n  <Disk_Parameters>\n    \
             <Disk_size>{size}</Disk_size>\n    <Cylinders>{cylinders}</Cylinders>\n    \
             <Heads>{HEADS}</Heads>\n    <Sectors>{SECTORS_OF_A_TRACK}</Sectors>\n    \
             <Padding>0</Padding>\n  </Disk_Parameters>\n  <StorageData>\n    <Storage>\n      \
             <Start>0</Start>\n      <End>{size}</End>\n      <Blocksize>{block}</Blocksize>\n"
        )?;
        for image in &self.images {
            let kind = match image.format {
                Format::Plain => "Plain",
                Format::Expanded => "Compressed",
            };
            write!(
                f,
                "      <Image>\n        <GUID>{}</GUID>\n        <Type>{kind}</Type>\n        \
                 <File>{}</File>\n      </Image>\n",
                image.id, image.file
            )?;
        }
        f.write_str("    </Storage>\n  </StorageData>\n  <Snapshots>\n")?;
        if let Some(top) = &self.top {
            writeln!(f, "    <TopGUID>{top}</TopGUID>")?;
        }
        for shot in &self.shots {
            write!(
                f,
                "    <Shot>\n      <GUID>{}</GUID>\n      <ParentGUID>{}</ParentGUID>\n    \
                 </Shot>\n",
                shot.id, shot.parent
            )?;
        }
        f.write_str("  </Snapshots>\n</Parallels_disk_image>\n")
    }
}

/// An image or a shot, as far as it was read.
#[derive(Default)]
struct Entry {
    id: Option<Uuid>,
    format: Option<Format>,
    file: Option<String>,
    parent: Option<Uuid>,
}

/// What was read until now.
#[derive(Default)]
struct Parser {
    /// The names of the elements that are open.
    path: Vec<String>,
    /// The text of the innermost one.
    text: String,
    ended: bool,
    sectors: Option<u64>,
    block_sectors: Option<u64>,
    top: Option<Uuid>,
    images: Vec<Image>,
    shots: Vec<Shot>,
    entry: Entry,
    storages: u32,
}

impl Parser {
    fn open(&mut self, name: &str) -> Result<()> {
        if self.ended || self.path.len() == DEEPEST {
            return Err(DescriptorError::Refused("an element there"));
        }
        self.path.push(name.to_owned());
        self.text.clear();
        match self.place().as_str() {
            "Parallels_disk_image/StorageData/Storage" => {
                self.storages += 1;
                match self.storages {
                    1 => {}
                    _ => return Err(DescriptorError::Twice("Storage")),
                }
            }
            "Parallels_disk_image/StorageData/Storage/Image"
            | "Parallels_disk_image/Snapshots/Shot" => self.entry = Entry::default(),
            _ => {}
        }
        match self.path.first().map(String::as_str) {
            Some("Parallels_disk_image") => Ok(()),
            _ => Err(DescriptorError::Missing("Parallels_disk_image")),
        }
    }

    fn place(&self) -> String {
        self.path.join("/")
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if self.path.is_empty() && !text.trim().is_empty() {
            return Err(DescriptorError::Refused("text around the elements"));
        }
        self.text.push_str(text);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let place = self.place();
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        self.path.pop();
        self.ended = self.path.is_empty();
        let inside = place.strip_prefix("Parallels_disk_image/").unwrap_or_default();
        let entry = &mut self.entry;
        match inside {
            "Disk_Parameters/Disk_size" => {
                once("Disk_size", &mut self.sectors, number("Disk_size", text)?)
            }
            "StorageData/Storage/Blocksize" => {
                once("Blocksize", &mut self.block_sectors, number("Blocksize", text)?)
            }
            "Snapshots/TopGUID" => once("TopGUID", &mut self.top, uuid("TopGUID", text)?),
            "StorageData/Storage/Image/GUID" | "Snapshots/Shot/GUID" => {
                once("GUID", &mut entry.id, uuid("GUID", text)?)
            }
            "StorageData/Storage/Image/Type" => once("Type", &mut entry.format, format(text)?),
            "StorageData/Storage/Image/File" => once("File", &mut entry.file, file_name(text)?),
            "Snapshots/Shot/ParentGUID" => {
                once("ParentGUID", &mut entry.parent, uuid("ParentGUID", text)?)
            }
            "StorageData/Storage/Image" => self.end_image(),
            "Snapshots/Shot" => self.end_shot(),
            _ => Ok(()),
        }
    }

    fn end_image(&mut self) -> Result<()> {
        let entry = std::mem::take(&mut self.entry);
        self.images.push(Image {
            id: entry.id.ok_or(DescriptorError::Missing("GUID"))?,
            // ploop takes what it does not know for its own format.
            format: entry.format.unwrap_or(Format::Expanded),
            file: entry.file.ok_or(DescriptorError::Missing("File"))?,
        });
        Ok(())
    }

    fn end_shot(&mut self) -> Result<()> {
        let entry = std::mem::take(&mut self.entry);
        self.shots.push(Shot {
            id: entry.id.ok_or(DescriptorError::Missing("GUID"))?,
            parent: entry.parent.ok_or(DescriptorError::Missing("ParentGUID"))?,
        });
        Ok(())
    }

    fn finish(self) -> Result<DiskDescriptor> {
        if !self.ended {
            return Err(DescriptorError::Missing("Parallels_disk_image"));
        }
        if self.images.is_empty() {
            return Err(DescriptorError::Missing("Image"));
        }
        Ok(DiskDescriptor {
            sectors: self.sectors.ok_or(DescriptorError::Missing("Disk_size"))?,
            block_sectors: self.block_sectors.ok_or(DescriptorError::Missing("Blocksize"))?,
            top: self.top,
            images: self.images,
            shots: self.shots,
        })
    }
}

fn once<T>(element: &'static str, place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(DescriptorError::Twice(element)),
    }
}

fn bad(element: &'static str, value: &str) -> DescriptorError {
    DescriptorError::Value { element, value: value.chars().take(64).collect() }
}

fn number(element: &'static str, text: &str) -> Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|value| digits && *value > 0);
    value.ok_or_else(|| bad(element, text))
}

fn uuid(element: &'static str, text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| bad(element, text))
}

fn format(text: &str) -> Result<Format> {
    match text {
        "Plain" => Ok(Format::Plain),
        "Compressed" => Ok(Format::Expanded),
        other => Err(bad("Type", other)),
    }
}

/// One name, of characters that need no escape in XML.
fn file_name(text: &str) -> Result<String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/<>&'\"".contains(&byte);
    match !matches!(text, "" | "." | "..") && text.len() <= 255 && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(bad("File", text)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
#[path = "disk_descriptor_tests.rs"]
mod tests;
