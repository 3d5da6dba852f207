//! The files: which there are, and what they say at this moment.
//!
//! A file's number says what it is, so that a server which takes another's place knows what that
//! one's readers mean: the lower byte is the kind, the rest a container's id.

use std::ffi::OsStr;
use std::io;

use vz_conf::ctid::Ctid;
use vz_conf::layout::Layout;
use vz_sys::fuse::{self, Tree};

use crate::accounting::{Cgroups, DiskPlace, Source, SourceError};
use crate::container;
use crate::node::Node;
use crate::tables::{self, Quota};

/// For how long what never changes need not be asked for again, in seconds.
const LONG: u64 = 3600;

/// `/proc/vz/version`: of the last kernel of that line, for programs that look which one it is.
const VERSION: &str = "2.6.32-042stab145.3\n";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root = 1,
    UserBeancounters = 2,
    Vz = 3,
    Veinfo = 4,
    Vestat = 5,
    Vzquota = 6,
    Version = 7,
    Bc = 8,
    AllResources = 9,
    OneBc = 10,
    Resources = 11,
}

const KINDS: [Kind; 11] = [
    Kind::Root,
    Kind::UserBeancounters,
    Kind::Vz,
    Kind::Veinfo,
    Kind::Vestat,
    Kind::Vzquota,
    Kind::Version,
    Kind::Bc,
    Kind::AllResources,
    Kind::OneBc,
    Kind::Resources,
];

impl Kind {
    fn of(number: u64) -> Option<(Kind, Ctid)> {
        let kind = KINDS.into_iter().find(|kind| *kind as u64 == number & 0xff)?;
        let id = Ctid::new(u32::try_from(number >> 8).ok()?)?;
        let has_id = matches!(kind, Kind::OneBc | Kind::Resources);
        (has_id || id.is_node()).then_some((kind, id))
    }

    fn node(self, id: Ctid) -> fuse::Node {
        let is_directory = matches!(self, Kind::Root | Kind::Vz | Kind::Bc | Kind::OneBc);
        fuse::Node {
            number: u64::from(id.get()) << 8 | self as u64,
            is_directory,
            // As they were: for root, but for the version.
            mode: match self {
                Kind::Root | Kind::Vz => 0o555,
                Kind::Bc | Kind::OneBc => 0o500,
                Kind::Version => 0o444,
                _ => 0o400,
            },
            lasts: if is_directory && self != Kind::OneBc { LONG } else { 0 },
        }
    }
}

/// The entries of a directory that does not depend on what runs.
fn entries(directory: Kind, whole: bool) -> &'static [(&'static str, Kind)] {
    match (directory, whole) {
        (Kind::Root, true) => {
            &[("user_beancounters", Kind::UserBeancounters), ("vz", Kind::Vz), ("bc", Kind::Bc)]
        }
        (Kind::Root, false) => &[("user_beancounters", Kind::UserBeancounters), ("vz", Kind::Vz)],
        (Kind::Vz, true) => &[
            ("veinfo", Kind::Veinfo),
            ("vestat", Kind::Vestat),
            ("vzquota", Kind::Vzquota),
            ("version", Kind::Version),
        ],
        (Kind::Vz, false) => {
            &[("veinfo", Kind::Veinfo), ("vestat", Kind::Vestat), ("version", Kind::Version)]
        }
        (Kind::Bc, true) => &[("resources", Kind::AllResources)],
        (Kind::OneBc, true) => &[("resources", Kind::Resources)],
        _ => &[],
    }
}

fn is_there(kind: Kind, whole: bool) -> bool {
    let parents = [Kind::Root, Kind::Vz, Kind::Bc, Kind::OneBc];
    kind == Kind::Root
        || whole && kind == Kind::OneBc
        || parents.iter().any(|parent| entries(*parent, whole).iter().any(|entry| entry.1 == kind))
}

fn failed(error: SourceError) -> io::Error {
    error.source.0
}

/// What the node sees: all containers, and itself.
#[derive(Debug)]
pub struct Everything<'n> {
    /// The node.
    pub node: &'n Node,
}

impl Everything<'_> {
    /// The containers that have a beancounter, and the node.
    fn counted(&self) -> Vec<Ctid> {
        let running = Cgroups::new(self.node).running().unwrap_or_default();
        std::iter::once(Ctid::NODE).chain(running.iter().map(|one| one.id)).collect()
    }

    fn runs(&self, id: Ctid) -> bool {
        id.is_node() || self.counted().contains(&id)
    }
}

impl Tree for Everything<'_> {
    fn find(&mut self, directory: u64, name: &OsStr) -> Option<fuse::Node> {
        let (kind, id) = Kind::of(directory)?;
        let name = name.to_str()?;
        if let Some((_, found)) = entries(kind, true).iter().find(|entry| entry.0 == name) {
            return Some(found.node(id));
        }
        let inner: Ctid = name.parse().ok().filter(|_| kind == Kind::Bc)?;
        (inner.to_string() == name && self.runs(inner)).then(|| Kind::OneBc.node(inner))
    }

    fn node(&mut self, number: u64) -> Option<fuse::Node> {
        let (kind, id) = Kind::of(number)?;
        (is_there(kind, true) && self.runs(id)).then(|| kind.node(id))
    }

    fn list(&mut self, directory: u64) -> Vec<(String, fuse::Node)> {
        let Some((kind, id)) = Kind::of(directory) else { return Vec::new() };
        let fixed = entries(kind, true).iter();
        let mut list: Vec<_> =
            fixed.map(|(name, found)| ((*name).to_owned(), found.node(id))).collect();
        if kind == Kind::Bc {
            let counted = self.counted().into_iter();
            list.extend(counted.map(|id| (id.to_string(), Kind::OneBc.node(id))));
        }
        list
    }

    fn read(&mut self, file: u64) -> io::Result<Vec<u8>> {
        let missing = || io::Error::from_raw_os_error(nix::libc::ENOENT);
        let (kind, id) = Kind::of(file).ok_or_else(missing)?;
        let source = Cgroups::new(self.node);
        let text = match kind {
            Kind::UserBeancounters => {
                tables::user_beancounters(&tables::rows(&source).map_err(failed)?)
            }
            Kind::AllResources => tables::all_resources(&tables::rows(&source).map_err(failed)?),
            Kind::Resources if id.is_node() => tables::resources(&Default::default()),
            Kind::Resources => {
                let found = source.beancounters(&[id]).map_err(failed)?;
                tables::resources(found.get(&id).ok_or_else(missing)?)
            }
            Kind::Vzquota => quotas(self.node, &source).map_err(failed)?,
            _ => of_running(kind, self.node, &source, None).map_err(failed)?,
        };
        Ok(text.into_bytes())
    }
}

/// What one container sees: itself.
#[derive(Debug)]
pub struct Container<'n> {
    /// The node.
    pub node: &'n Node,
    /// The container.
    pub id: Ctid,
}

impl Tree for Container<'_> {
    fn find(&mut self, directory: u64, name: &OsStr) -> Option<fuse::Node> {
        let (kind, _) = Kind::of(directory)?;
        let found = entries(kind, false).iter().find(|entry| name == entry.0)?;
        Some(found.1.node(Ctid::NODE))
    }

    fn node(&mut self, number: u64) -> Option<fuse::Node> {
        let (kind, id) = Kind::of(number)?;
        is_there(kind, false).then(|| kind.node(id))
    }

    fn list(&mut self, directory: u64) -> Vec<(String, fuse::Node)> {
        let Some((kind, id)) = Kind::of(directory) else { return Vec::new() };
        let entries = entries(kind, false).iter();
        entries.map(|(name, found)| ((*name).to_owned(), found.node(id))).collect()
    }

    fn read(&mut self, file: u64) -> io::Result<Vec<u8>> {
        let missing = || io::Error::from_raw_os_error(nix::libc::ENOENT);
        let (kind, _) =
            Kind::of(file).filter(|(kind, _)| is_there(*kind, false)).ok_or_else(missing)?;
        let source = Cgroups::new(self.node);
        let text = match kind {
            Kind::UserBeancounters => {
                let found = source.beancounters(&[self.id]).map_err(failed)?;
                tables::user_beancounters(&found.into_iter().collect::<Vec<_>>())
            }
            _ => of_running(kind, self.node, &source, Some(self.id)).map_err(failed)?,
        };
        Ok(text.into_bytes())
    }
}

/// Files that have a line for each container; for all, or only this one.
fn of_running(
    kind: Kind,
    node: &Node,
    source: &Cgroups<'_>,
    only: Option<Ctid>,
) -> Result<String, SourceError> {
    if kind == Kind::Version {
        return Ok(VERSION.to_owned());
    }
    let mut running = source.running()?;
    running.retain(|one| only.is_none_or(|id| id == one.id));
    let ids: Vec<Ctid> = running.iter().map(|one| one.id).collect();
    if kind == Kind::Veinfo {
        return Ok(tables::veinfo(&running, &source.beancounters(&ids)?));
    }
    let cpus = u64::from(node.text_context(Ctid::NODE).cpus);
    Ok(tables::vestat(&ids, &tables::cpu_times(node, &ids), &source.activity(&ids), cpus))
}

/// The quotas of containers that run, which are those that are on.
fn quotas(node: &Node, source: &Cgroups<'_>) -> Result<String, SourceError> {
    let running = source.running()?;
    let containers: Vec<_> =
        running.iter().filter_map(|one| container::Container::load(node, one.id).ok()).collect();
    let places: Vec<_> = containers
        .iter()
        // A ploop image is a quota by itself, and was none here.
        .filter(|one| !matches!(one.layout(), Layout::Ploop(_)))
        .map(|one| DiskPlace {
            id: one.id,
            layout: one.layout(),
            private: &one.private,
            root: &one.root,
        })
        .collect();
    let mut found = source.disk_usage(&places);
    let quotas: Vec<Quota> = places
        .iter()
        .filter_map(|place| {
            let path = node.shown(place.private).display().to_string();
            Some(Quota { id: place.id, path, usage: found.remove(&place.id)? })
        })
        .collect();
    Ok(tables::vzquota(&quotas))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(directory: &std::path::Path) -> Node {
        Node::without_config(Some(directory.to_owned()))
    }

    fn names(tree: &mut dyn Tree, directory: u64) -> Vec<String> {
        tree.list(directory).into_iter().map(|(name, _)| name).collect()
    }

    /// Each listed name is found, has a node of the same number, and a text if it is a file.
    fn walk(tree: &mut dyn Tree, directory: u64) -> usize {
        let list = tree.list(directory);
        for (name, node) in &list {
            assert_eq!(tree.find(directory, name.as_ref()), Some(*node), "{name}");
            assert_eq!(tree.node(node.number), Some(*node), "{name}");
            match node.is_directory {
                true => assert!(walk(tree, node.number) > 0, "{name}"),
                false => assert!(!tree.read(node.number).unwrap().is_empty() || name == "veinfo"),
            }
        }
        list.len()
    }

    #[test]
    fn the_node_sees_all() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path());
        let mut tree = Everything { node: &node };
        assert_eq!(names(&mut tree, fuse::ROOT), ["user_beancounters", "vz", "bc"]);
        let bc = tree.find(fuse::ROOT, "bc".as_ref()).unwrap().number;
        assert_eq!(names(&mut tree, bc), ["resources", "0"]);
        assert_eq!(walk(&mut tree, fuse::ROOT), 3);
        for name in ["101", "00", "-1", "resources/", ""] {
            assert_eq!(tree.find(bc, name.as_ref()), None, "{name}");
        }
        assert_eq!(tree.node(101 << 8 | Kind::OneBc as u64), None);
        assert_eq!(tree.node(101 << 8 | Kind::Veinfo as u64), None);
    }

    #[test]
    fn a_container_sees_no_bc_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let node = node(directory.path());
        let id = Ctid::new(101).unwrap();
        let mut tree = Container { node: &node, id };
        assert_eq!(names(&mut tree, fuse::ROOT), ["user_beancounters", "vz"]);
        let vz = tree.find(fuse::ROOT, "vz".as_ref()).unwrap().number;
        assert_eq!(names(&mut tree, vz), ["veinfo", "vestat", "version"]);
        for kind in [Kind::Bc, Kind::AllResources, Kind::OneBc, Kind::Resources, Kind::Vzquota] {
            for id in [0, 101, 102] {
                let number = id << 8 | kind as u64;
                assert_eq!(tree.node(number), None, "{kind:?}");
                assert!(tree.read(number).is_err(), "{kind:?}");
            }
        }
        assert_eq!(tree.find(fuse::ROOT, "bc".as_ref()), None);
    }
}
