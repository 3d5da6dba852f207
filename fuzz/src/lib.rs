//! What must hold for any bytes that come from outside, as plain functions: each takes bytes and
//! fails by a panic, which is what a fuzzer looks for.
//!
//! `tests/corpus.rs` runs them over `corpus/` and random changes of it for a few seconds, the same
//! ones each time. For cargo-fuzz or AFL a target is one line: `fuzz_target!(|data: &[u8]|
//! vz_fuzz::config(data));` with the same corpus.
#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a failure is a panic")]

use std::io;
use std::path::Path;

use vz_conf::change::{Change, OptionName};
use vz_conf::context::Context;
use vz_conf::ctid::Ctid;
use vz_conf::disk_descriptor::DiskDescriptor;
use vz_conf::file::ConfFile;
use vz_conf::param::{Commands, PARAMS, ParamId, by_option};
use vz_conf::snapshot_tree::SnapshotTree;
use vz_conf::{Config, Scope};
use vz_core::layout::ploop::genuine::Source;
use vz_core::layout::ploop::genuine::partition::file_system;
use vz_core::layout::ploop::genuine::stack::{Layer, Stack};
use vzctl::getopt::{LongOption, Scanner, Table};

/// A target: its name, which is its corpus's directory, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("set", set),
    ("getopt", getopt),
    ("values", values),
    ("disk_descriptor", disk_descriptor),
    ("snapshot_tree", snapshot_tree),
    ("ploop_image", ploop_image),
];

/// Any bytes as a Snapshots.xml: what is taken is the same when it is written and read again.
pub fn snapshot_tree(bytes: &[u8]) {
    let Ok(tree) = SnapshotTree::parse(bytes) else { return };
    match SnapshotTree::parse(tree.to_string().as_bytes()) {
        Ok(again) => assert_eq!(again, tree, "what was written"),
        Err(error) => panic!("what was written is not read: {error}"),
    }
}

/// Any bytes as a DiskDescriptor.xml: what is taken names plain files only, and is the same when it is
/// written and read again.
pub fn disk_descriptor(bytes: &[u8]) {
    let Ok(disk) = DiskDescriptor::parse(bytes) else { return };
    let plain = |name: &str| !name.contains('/') && !matches!(name, "" | "." | "..");
    assert!(disk.images.iter().all(|image| plain(&image.file)), "a file outside");
    if let Ok(top) = disk.top_image() {
        let chain = disk.chain(&top.id).map_or(0, |chain| chain.len());
        assert!(chain <= disk.images.len(), "an image lies on itself");
    }
    match DiskDescriptor::parse(disk.to_string().as_bytes()) {
        Ok(again) => assert_eq!(again, disk, "what was written"),
        Err(error) => panic!("what was written is not read: {error}"),
    }
}

/// A file that begins with these bytes, and has nothing but zeroes up to its end.
#[derive(Clone, Copy)]
struct Sparse<'a> {
    bytes: &'a [u8],
    size: u64,
}

impl Source for Sparse<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.saturating_add(buffer.len() as u64) > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer.fill(0);
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(())
    }
}

/// Any bytes as the beginning of an image, after two that say how large it is: in ploop's own format,
/// on a plain one, and plain with a partition table. What is taken lies in the file.
pub fn ploop_image(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first_chunk() else { return };
    let file = Sparse { bytes, size: u64::from(u16::from_le_bytes(*size)) << 8 };
    let Ok(plain) = Layer::plain(file) else { return };
    let mut disks = vec![Stack::new(vec![plain])];
    if let (Ok(upper), Ok(lower)) = (Layer::expanded(file), Layer::plain(file)) {
        disks.push(Stack::new(vec![upper, lower]));
    }
    for disk in disks {
        let Ok(mut disk) = disk else { continue };
        let Ok(range) = file_system(&mut disk) else { continue };
        assert!(range.start <= range.end && range.end <= disk.size(), "beyond the disk");
        let (mut at, mut left) = (range.start, 64);
        while at < range.end && left > 0 {
            let Ok(piece) = disk.piece(at, at.saturating_add(1 << 26).min(range.end)) else {
                break;
            };
            assert!(piece.length > 0, "no end");
            if let Some((_, offset)) = piece.place {
                assert!(offset + piece.length <= file.size, "beyond the file");
            }
            (at, left) = (at + piece.length, left - 1);
        }
    }
}

fn context() -> Context {
    Ctid::new(101).map_or_else(|| Context::new(Ctid::NODE), Context::new)
}

/// Any bytes as a configuration: reading them and storing one value changes the line of its key,
/// or adds one, and leaves every other byte as it was; what was stored is read back.
pub fn config(bytes: &[u8]) {
    let path = Path::new("/etc/vz/conf/101.conf");
    let file = ConfFile::parse(bytes);
    assert_eq!(file.to_bytes(), bytes, "an unchanged file");
    for scope in [Scope::Container, Scope::Node] {
        let (_, warnings) = Config::read(&file, path, scope, &context());
        for warning in warnings {
            let _ = warning.to_string();
        }
    }
    let (current, _) = Config::read(&file, path, Scope::Container, &context());
    let mut change = Change::new();
    change.values.bootorder = Some(77);
    let mut changed = file.clone();
    if change.store_into(&current, &mut changed).is_err() {
        return;
    }
    check_other_lines(&file.to_bytes(), &changed.to_bytes());
    let (after, _) = Config::read(&changed, path, Scope::Container, &context());
    let stored = ["BOOTORDER=\"77\"\n"].iter().any(|line| {
        changed.to_bytes().split_inclusive(|byte| *byte == b'\n').any(|l| l == line.as_bytes())
    });
    assert!(stored, "the value is not in the file");
    // A readable duplicate before it (with blanks before the key) counts first, as ever.
    assert!(after.bootorder.is_some(), "the value is not read back");
}

/// Every line is as it was, but those of keys that a save writes and those after the old end.
fn check_other_lines(before: &[u8], after: &[u8]) {
    const WRITTEN: [&[u8]; 4] = [b"BOOTORDER=", b"VE_LAYOUT=", b"DEVICES=", b"DEVNODES="];
    let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let (before, after) = (lines(before), lines(after));
    assert!(after.len() >= before.len(), "a line is gone");
    let last = before.len().saturating_sub(1);
    for (number, (old, new)) in before.iter().zip(&after).enumerate() {
        let mut whole = old.clone();
        if number == last && !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        let may_change = WRITTEN.iter().any(|key| old.starts_with(key));
        assert!(may_change || whole == *new, "line {} has changed", number + 1);
    }
}

/// Lines of `option NUL value` as a command line of `set`: no panic, and what is stored in an empty
/// file is read back to the same values.
pub fn set(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut change = Change::new();
    for line in text.lines() {
        let (option, value) = line.split_once('\0').unwrap_or((line, ""));
        if let Some(param) = by_option(Commands::SET, option) {
            let name = OptionName::Long(param.options.first().copied().unwrap_or_default());
            let _ = change.apply(param, name, value, &context());
        }
    }
    let empty = Config::default();
    let _ = change.check(&empty);
    let mut file = ConfFile::default();
    if change.store_into(&empty, &mut file).is_err() {
        return;
    }
    let path = Path::new("/etc/vz/conf/101.conf");
    let (read, _) = Config::read(&file, path, Scope::Container, &context());
    let after = change.apply_to(&empty);
    for param in PARAMS.iter().filter(|param| param.key.is_some()) {
        let (stored, again) = (after.stored(param.id), read.stored(param.id));
        // An empty list is kept as an empty value, which is read as no list.
        let is_empty = stored.as_deref().is_none_or(|text| text.trim().is_empty());
        assert!(is_empty || stored == again, "{:?}: {stored:?}, read back {again:?}", param.key);
    }
}

/// Words ended by NUL bytes as a command line: no panic, every word taken once.
pub fn getopt(bytes: &[u8]) {
    let rows = PARAMS.iter().enumerate();
    let long: Vec<LongOption> = rows
        .flat_map(|(meaning, param)| {
            let takes_value = param.takes_value();
            param.options.iter().map(move |long| LongOption { long, takes_value, meaning })
        })
        .collect();
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    let count = words.len();
    let length = text.len();
    let mut scanner =
        Scanner::new(Table { program: "vzctl", long: &long, short: "e:p:f:x:h" }, words);
    assert!(scanner.by_ref().count() <= length + 1, "more options than letters");
    assert!(scanner.others().len() <= count, "more words than there were");
}

/// `KEY=value` as a value of that key: what is understood is written so that it is read back as the
/// same.
pub fn values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((key, _)) = text.split_once('=') else { return };
    let Some(param) = PARAMS.iter().find(|param| param.key == Some(key)) else { return };
    if matches!(param.id, ParamId::Script(_)) {
        return;
    }
    let path = Path::new("/etc/vz/conf/101.conf");
    let read = |file: &ConfFile| Config::read(file, path, Scope::Container, &context()).0;
    let first = read(&ConfFile::parse(text.as_bytes()));
    let Some(stored) = first.stored(param.id) else { return };
    let mut file = ConfFile::default();
    if let Err(error) = file.set(key, &stored) {
        assert!(stored.contains(char::is_control), "{key}: {stored:?} is not kept: {error}");
        return;
    }
    let again = read(&file).stored(param.id);
    let is_same = again.as_deref() == Some(stored.as_str());
    assert!(is_same || stored.trim().is_empty(), "{key}: {stored:?}, read back {again:?}");
}
