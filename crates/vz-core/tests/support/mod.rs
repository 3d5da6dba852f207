//! What the tests of unpacking share: archives built byte by byte, a sandbox with a canary, and
//! pictures of trees that can be compared.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use vz_core::unpack::{Summary, UnpackError, unpack};

/// An archive under construction.
#[derive(Clone, Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    /// A member with a header of its own making; `change` has the last word before the checksum.
    pub fn with(
        mut self,
        kind: u8,
        name: &[u8],
        link: &[u8],
        data: &[u8],
        change: impl FnOnce(&mut [u8; 512]),
    ) -> Self {
        let mut header = [0_u8; 512];
        header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        header[157..157 + link.len().min(100)].copy_from_slice(&link[..link.len().min(100)]);
        octal(&mut header[100..108], 0o755);
        let (uid, gid) = ids();
        octal(&mut header[108..116], uid);
        octal(&mut header[116..124], gid);
        octal(&mut header[124..136], data.len() as u64);
        octal(&mut header[136..148], 1_500_000_000);
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        change(&mut header);
        checksum(&mut header);
        self.0.extend(header);
        self.raw(data)
    }

    pub fn member(self, kind: u8, name: &str, link: &str, data: &[u8]) -> Self {
        self.with(kind, name.as_bytes(), link.as_bytes(), data, |_| {})
    }

    pub fn file(self, name: &str, data: &str) -> Self {
        self.member(b'0', name, "", data.as_bytes())
    }

    pub fn directory(self, name: &str) -> Self {
        self.member(b'5', name, "", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.member(b'2', name, target, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.member(b'1', name, target, b"")
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.pax_kind(b'x', records)
    }

    pub fn pax_kind(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            data.extend(format!("{length} {key}=").into_bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        self.member(kind, "./PaxHeaders/x", "", &data)
    }

    /// Bytes, padded to a block.
    pub fn raw(mut self, data: &[u8]) -> Self {
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The end marker.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

pub fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
}

pub fn checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn ids() -> (u64, u64) {
    let me = std::fs::metadata("/proc/self").unwrap();
    (u64::from(me.uid()), u64::from(me.gid()))
}

pub fn is_root() -> bool {
    ids().0 == 0
}

/// A destination, and beside it a canary that must stay as it is.
pub struct Sandbox {
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tree")).unwrap();
        new_file(&directory.path().join("canary"), b"secret");
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn tree(&self) -> PathBuf {
        self.path().join("tree")
    }

    pub fn canary(&self) -> PathBuf {
        self.path().join("canary")
    }

    pub fn unpack(&self, archive: &[u8]) -> Result<Summary, UnpackError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(archive).unwrap();
        file.rewind().unwrap();
        let tree = File::open(self.tree()).unwrap();
        let answer = unpack(file, tree.as_fd(), &mut |_| {});
        self.assert_untouched();
        answer
    }

    /// Nothing but the tree has changed.
    pub fn assert_untouched(&self) {
        let canary = std::fs::symlink_metadata(self.canary()).unwrap();
        assert!(canary.is_file() && canary.nlink() == 1, "the canary was replaced or linked");
        assert_eq!(canary.mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read(self.canary()).unwrap(), b"secret");
        let mut beside: Vec<_> = std::fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        beside.sort();
        assert_eq!(beside, ["canary", "tree"]);
    }
}

pub fn new_file(path: &Path, contents: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(contents).unwrap();
}

/// All that can be seen of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    links: u64,
    /// The first name of the same file, where it has more than one.
    first_name: Option<PathBuf>,
    device: u64,
    size: u64,
    /// Blocks of 512 bytes that are allocated.
    pub blocks: u64,
    contents: Vec<u8>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A picture of each file of a tree, the top included.
pub fn pictures(top: &Path) -> BTreeMap<PathBuf, Picture> {
    let mut pictures = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let full = top.join(&path);
        if std::fs::symlink_metadata(&full).unwrap().is_dir() {
            let mut entries: Vec<_> =
                std::fs::read_dir(&full).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            entries.sort();
            left.extend(entries.iter().rev().map(|name| path.join(name)));
        }
        pictures.insert(path.clone(), picture(&full, &path, &mut names));
    }
    pictures
}

fn picture(full: &Path, path: &Path, names: &mut BTreeMap<u64, PathBuf>) -> Picture {
    let metadata = std::fs::symlink_metadata(full).unwrap();
    let kind = metadata.file_type();
    let readable = kind.is_file() || kind.is_dir();
    let contents = if kind.is_symlink() {
        std::fs::read_link(full).unwrap().as_os_str().as_bytes().to_vec()
    } else if kind.is_file() && metadata.size() < 1 << 24 {
        std::fs::read(full).unwrap()
    } else {
        Vec::new()
    };
    let linked = !kind.is_dir() && metadata.nlink() > 1;
    let first = linked.then(|| names.entry(metadata.ino()).or_insert(path.to_owned()).clone());
    if kind.is_file() {
        // Blocks are counted when they are allocated.
        File::open(full).unwrap().sync_all().unwrap();
    }
    Picture {
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        links: if kind.is_dir() { 0 } else { metadata.nlink() },
        first_name: first,
        device: if kind.is_char_device() || kind.is_block_device() { metadata.rdev() } else { 0 },
        size: if kind.is_dir() { 0 } else { metadata.size() },
        blocks: if kind.is_file() { std::fs::metadata(full).unwrap().blocks() } else { 0 },
        contents,
        attributes: if readable { attributes(full) } else { BTreeMap::new() },
    }
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let file = File::open(path).unwrap();
    let names = vz_sys::xattr::list(file.as_fd()).unwrap();
    let value = |name: &OsStr| vz_sys::xattr::get(file.as_fd(), name).unwrap();
    names.iter().map(|name| (name.as_bytes().to_vec(), value(name))).collect()
}
