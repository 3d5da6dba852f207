//! Which images of a DiskDescriptor.xml lie on each other, as ploop understands it (`lib/di.c`,
//! `lib/xml.c`): a shot names an image and its parent; the image that is written to is the top one.
//! Identifiers are the same when they differ in upper and lower case only.

use std::collections::HashSet;

use crate::disk_descriptor::{DiskDescriptor, Image, Shot};
use crate::uuid::Uuid;

/// Why images are no disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Two images, or two shots, have the same identifier.
    #[error("{0} is there twice")]
    Twice(Uuid),
    /// Two images are the same file.
    #[error("the file {0} is there twice")]
    FileTwice(String),
    /// A shot is of no image, or lies on none.
    #[error("the image {0} is missing")]
    NoImage(Uuid),
    /// An image has no shot: what it lies on is not known.
    #[error("the shot {0} is missing")]
    NoShot(Uuid),
    /// It is not told which image is written to.
    #[error("TopGUID is missing")]
    NoTop,
    /// Images lie on each other in a circle.
    #[error("{0} lies on itself")]
    Circle(Uuid),
}

type Result<T> = std::result::Result<T, ChainError>;

fn is_none(id: &Uuid) -> bool {
    id.to_string().bytes().all(|byte| b"{-}0".contains(&byte))
}

impl DiskDescriptor {
    /// The image that is written to. A descriptor of ploop's first versions may not name it: there it
    /// is the one with the identifier that this has today, or the only one.
    ///
    /// # Errors
    /// [`ChainError::NoTop`], [`ChainError::NoImage`].
    pub fn top_image(&self) -> Result<&Image> {
        let usual = Self::top_id().ok();
        match (&self.top, self.images.as_slice()) {
            (Some(top), _) => self.find(top),
            (None, [image]) => Ok(image),
            (None, _) => {
                let image = usual.and_then(|usual| self.find(&usual).ok());
                image.ok_or(ChainError::NoTop)
            }
        }
    }

    /// The files that make up the disk as it is in the image `id`: that image first, the one that lies
    /// on no other last.
    ///
    /// # Errors
    /// What is wrong with the images and shots, these or others.
    pub fn chain(&self, id: &Uuid) -> Result<Vec<&Image>> {
        self.check()?;
        let mut chain = vec![self.find(id)?];
        // A single image may have no shot.
        while let Some(parent) = self.parent(chain.last().map_or(id, |image| &image.id))? {
            let image = self.find(parent)?;
            if chain.len() == self.images.len() {
                return Err(ChainError::Circle(id.clone()));
            }
            chain.push(image);
        }
        Ok(chain)
    }

    /// Nothing is there twice, and each shot has its image.
    fn check(&self) -> Result<()> {
        let (mut ids, mut files, mut shots) = (HashSet::new(), HashSet::new(), HashSet::new());
        for image in &self.images {
            if !ids.insert(&image.id) {
                return Err(ChainError::Twice(image.id.clone()));
            }
            if !files.insert(&image.file) {
                return Err(ChainError::FileTwice(image.file.clone()));
            }
        }
        for Shot { id, .. } in &self.shots {
            if !shots.insert(id) {
                return Err(ChainError::Twice(id.clone()));
            }
            if !ids.contains(id) {
                return Err(ChainError::NoImage(id.clone()));
            }
        }
        Ok(())
    }

    fn find(&self, id: &Uuid) -> Result<&Image> {
        self.image(id).ok_or_else(|| ChainError::NoImage(id.clone()))
    }

    /// What the image `id` lies on; `None` when on no other.
    ///
    /// # Errors
    /// [`ChainError::NoShot`].
    pub fn parent(&self, id: &Uuid) -> Result<Option<&Uuid>> {
        match self.shots.iter().find(|shot| shot.id == *id) {
            Some(shot) => Ok(Some(&shot.parent).filter(|parent| !is_none(parent))),
            None if self.images.len() == 1 && self.shots.is_empty() => Ok(None),
            None => Err(ChainError::NoShot(id.clone())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use super::*;
    use crate::disk_descriptor::Format;

    fn id(number: u32) -> Uuid {
        format!("{{abcdef{number:02x}-0000-0000-0000-000000000000}}").parse().unwrap()
    }

    fn none() -> Uuid {
        "{00000000-0000-0000-0000-000000000000}".parse().unwrap()
    }

    /// Images, and what each lies on (0: nothing), the top one last.
    fn disk(shots: &[(u32, u32)]) -> DiskDescriptor {
        let parent = |number| if number == 0 { none() } else { id(number) };
        let image =
            |number| Image { id: id(number), format: Format::Expanded, file: format!("f{number}") };
        let shot = |(number, below): &(u32, u32)| Shot { id: id(*number), parent: parent(*below) };
        DiskDescriptor {
            sectors: 2048,
            block_sectors: 2048,
            top: shots.last().map(|(number, _)| id(*number)),
            images: shots.iter().map(|(number, _)| image(*number)).collect(),
            shots: shots.iter().map(shot).collect(),
        }
    }

    fn files(disk: &DiskDescriptor, of: u32) -> Result<String> {
        let chain = disk.chain(&id(of))?;
        Ok(chain.iter().map(|image| image.file.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_tree_of_images() {
        let disk = disk(&[(1, 0), (2, 1), (3, 1), (4, 3)]);
        assert_eq!(files(&disk, 4).unwrap(), "f4 f3 f1");
        assert_eq!(files(&disk, 2).unwrap(), "f2 f1");
        assert_eq!(disk.top_image().unwrap().file, "f4");
        let mut upper = disk.clone();
        upper.top = Some(id(4).to_string().to_ascii_uppercase().parse().unwrap());
        assert_eq!(upper.top_image().unwrap().file, "f4");
    }

    #[test]
    fn an_old_descriptor() {
        let mut one = disk(&[(1, 0)]);
        (one.top, one.shots) = (None, Vec::new());
        assert_eq!(files(&one, 1).unwrap(), "f1");
        assert_eq!(one.top_image().unwrap().file, "f1");
        let mut two = disk(&[(1, 0), (2, 1)]);
        two.top = None;
        assert_eq!(two.top_image(), Err(ChainError::NoTop));
        for place in [&mut two.images[1].id, &mut two.shots[1].id] {
            *place = DiskDescriptor::top_id().unwrap();
        }
        assert_eq!(two.top_image().unwrap().file, "f2");
    }

    #[test]
    fn what_is_no_disk() {
        let mut circle = disk(&[(1, 3), (2, 1), (3, 2)]);
        assert_eq!(files(&circle, 3), Err(ChainError::Circle(id(3))));
        circle.shots[0].parent = id(9);
        assert_eq!(files(&circle, 3), Err(ChainError::NoImage(id(9))));
        circle.shots.remove(0);
        assert_eq!(files(&circle, 3), Err(ChainError::NoShot(id(1))));
        let itself = disk(&[(1, 1)]);
        assert_eq!(files(&itself, 1), Err(ChainError::Circle(id(1))));
        let mut twice = disk(&[(1, 0), (2, 1)]);
        twice.images[0].file = "f2".into();
        assert_eq!(files(&twice, 2), Err(ChainError::FileTwice("f2".into())));
        twice.images[0].id = id(2);
        assert_eq!(files(&twice, 2), Err(ChainError::Twice(id(2))));
        let alien = DiskDescriptor { images: Vec::new(), ..disk(&[(1, 0)]) };
        assert_eq!(files(&alien, 1), Err(ChainError::NoImage(id(1))));
    }
}
