//! Images written here by the format's description, not by the reader's code, and by QEMU.

#![allow(clippy::disallowed_methods, reason = "a test's own files")]

use std::process::Command;

use proptest::prelude::*;

use super::delta::Delta;
use super::partition::file_system;
use super::stack::{Layer, Stack};
use super::*;

/// Sectors in a cluster, the least there are.
const SECTORS: u32 = 64;
const CLUSTER: usize = SECTORS as usize * 512;

/// Puts a little-endian number into bytes.
fn put(bytes: &mut [u8], at: usize, value: u64, length: usize) {
    bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
}

/// An image of a disk of `disk` clusters that has these, in the order in which they were written.
fn expanded(version: u32, disk: usize, clusters: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let table = (64 + 4 * disk).div_ceil(CLUSTER);
    let mut image = vec![0; (table + clusters.len()) * CLUSTER];
    let signature = if version == 1 { "WithoutFreeSpace" } else { "WithouFreSpacExt" };
    image[..16].copy_from_slice(signature.as_bytes());
    put(&mut image, 16, 2, 4);
    put(&mut image, 20, 16, 4);
    put(&mut image, 28, SECTORS.into(), 4);
    put(&mut image, 32, disk as u64, 4);
    put(&mut image, 36, (disk * CLUSTER / 512) as u64, if version == 1 { 4 } else { 8 });
    put(&mut image, 48, (table * CLUSTER / 512) as u64, 4);
    for (number, (index, data)) in clusters.iter().enumerate() {
        let place = table + number;
        let entry = if version == 1 { place * CLUSTER / 512 } else { place };
        put(&mut image, 64 + 4 * index, entry as u64, 4);
        image[place * CLUSTER..][..CLUSTER].copy_from_slice(data);
    }
    image
}

fn layer(image: &[u8]) -> Result<Layer<&[u8]>> {
    Layer::expanded(image)
}

fn content<S: Source>(disk: &mut Stack<S>) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(disk.size()).unwrap()];
    disk.read(&mut bytes, 0).unwrap();
    bytes
}

/// A cluster that differs from all others.
fn cluster(seed: u8) -> Vec<u8> {
    (0..CLUSTER).map(|at| seed.wrapping_add((at % 251) as u8)).collect()
}

/// A disk of 12 clusters: what each of its layers has, lowest first.
fn layers() -> impl Strategy<Value = Vec<(u32, Vec<(usize, u8)>)>> {
    let clusters = proptest::collection::btree_map(0..12_usize, any::<u8>(), 0..12)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>())
        .prop_shuffle();
    proptest::collection::vec((1..=2_u32, clusters), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_disk_reads_as_it_was_written(layers in layers(), plain in any::<bool>(), at in 0..12 * CLUSTER) {
        let base: Vec<u8> = (0..11).flat_map(|number| cluster(100 + number)).collect();
        let mut expected = vec![0; 12 * CLUSTER];
        if plain {
            expected[..base.len()].copy_from_slice(&base);
        }
        let mut images = Vec::new();
        for (version, clusters) in &layers {
            let clusters: Vec<_> =
                clusters.iter().map(|(index, seed)| (*index, cluster(*seed))).collect();
            for (index, data) in &clusters {
                expected[index * CLUSTER..][..CLUSTER].copy_from_slice(data);
            }
            images.push(expanded(*version, 12, &clusters));
        }
        let mut stacked: Vec<_> =
            images.iter().rev().map(|image| layer(image).unwrap()).collect();
        if plain {
            stacked.push(Layer::plain(base.as_slice()).unwrap());
        }
        let mut disk = Stack::new(stacked).unwrap();
        prop_assert!(content(&mut disk) == expected);
        // A part of it, beyond the end as well.
        let mut part = vec![1; CLUSTER * 2];
        disk.read(&mut part, at as u64).unwrap();
        expected.resize(14 * CLUSTER, 0);
        prop_assert!(part == expected[at..at + part.len()]);
    }
}

#[test]
fn layers_of_other_sizes() {
    // A disk that has grown since: what the lower one does not have is nothing.
    let lower = expanded(1, 2, &[(1, cluster(1))]);
    let upper = expanded(2, 4, &[(0, cluster(2))]);
    let mut disk = Stack::new(vec![layer(&upper).unwrap(), layer(&lower).unwrap()]).unwrap();
    let expected = [cluster(2), cluster(1), vec![0; 2 * CLUSTER]].concat();
    assert_eq!(content(&mut disk), expected);
    // And one that has shrunk.
    let mut disk = Stack::new(vec![layer(&lower).unwrap(), layer(&upper).unwrap()]).unwrap();
    assert_eq!(content(&mut disk), [cluster(2), cluster(1)].concat());
    let mut large = upper.clone();
    put(&mut large, 28, 128, 4);
    put(&mut large, 48, 128, 4);
    large.resize(4 * CLUSTER, 0);
    put(&mut large, 64, 0, 4);
    let other = Stack::new(vec![layer(&lower).unwrap(), layer(&large).unwrap()]);
    assert!(matches!(other, Err(ImageError::Clusters(65536, 32768))), "{other:?}");
    let on_plain = vec![Layer::plain(lower.as_slice()).unwrap(), layer(&upper).unwrap()];
    assert!(matches!(Stack::new(on_plain), Err(ImageError::Signature)));
}

#[test]
fn what_ploop_does_not_take_is_not_taken() {
    let good = expanded(2, 4, &[(2, cluster(1)), (0, cluster(2))]);
    layer(&good).unwrap();
    let one = expanded(1, 4, &[(2, cluster(1)), (0, cluster(2))]);
    for (image, at, value, why) in [
        (&good, 0, 0, "signature"),
        (&good, 16, 1, "type: 1"),
        (&good, 28, 63, "cluster size: 63"),
        (&good, 28, 1 << 18, "cluster size"),
        (&good, 36, 0, "disk size: 0"),
        (&good, 40, 1 << 20, "disk size"),
        (&good, 36, u64::from(SECTORS) << 13, "disk size"),
        (&good, 48, 0, "first block offset: 0"),
        (&good, 48, 65, "first block offset: 65"),
        (&good, 48, 6400, "first block offset"),
        (&good, 64, 3, "lies beyond"),
        (&good, 64, 0xffff_ffff, "lies beyond"),
        (&good, 64, 1, "cluster 2 is also another's"),
        (&one, 64, 63, "does not begin"),
        (&one, 64, 0xffff_ffc0, "lies beyond"),
    ] {
        let mut image = image.clone();
        put(&mut image, at, value, 4);
        let error = layer(&image).unwrap_err().to_string();
        assert!(error.contains(why), "{at} {value}: {error}");
    }
    // An allocation that was not finished, and a file that ends in its table.
    assert!(layer(&good[..good.len() - 1]).unwrap_err().to_string().contains("beyond the end"));
    assert!(layer(&good[..CLUSTER - 1]).is_err());
    assert!(layer(&good[..63]).is_err());
    // An entry in the table.
    let mut image = expanded(2, 4, &[(0, cluster(1)), (1, cluster(2))]);
    put(&mut image, 48, 2 * u64::from(SECTORS), 4);
    assert!(layer(&image).unwrap_err().to_string().contains("lies in the table"));
}

#[test]
fn the_mark_of_one_in_use() {
    let mut image = expanded(2, 4, &[(0, cluster(1))]);
    put(&mut image, 44, 0x746f_6e59, 4);
    assert!(Delta::open(image.as_slice()).unwrap().header().in_use);
    put(&mut image, 52, 1, 4);
    layer(&image).unwrap();
    // In the middle of a change of version entries of both kinds may be there.
    put(&mut image, 52, 2, 4);
    assert!(matches!(layer(&image), Err(ImageError::VersionChange)));
    put(&mut image, 44, 0x312e_3276, 4);
    layer(&image).unwrap();
}

/// A GUID partition table with one partition, of sectors of this size.
fn with_table(disk: &mut [u8], sector: usize, first: u64, last: u64) {
    let crc = |bytes: &[u8]| {
        let mut sum = u32::MAX;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
            }
        }
        u64::from(!sum)
    };
    let entries = 2 * sector;
    disk[entries] = 0xa2;
    put(disk, entries + 32, first, 8);
    put(disk, entries + 40, last, 8);
    let sum = crc(&disk[entries..entries + 16384]);
    let header = &mut disk[sector..sector + 92];
    header.fill(0);
    header[..8].copy_from_slice(b"EFI PART");
    put(header, 8, 0x1_0000, 4);
    put(header, 12, 92, 4);
    put(header, 24, 1, 8);
    put(header, 72, 2, 8);
    put(header, 80, 128, 4);
    put(header, 84, 128, 4);
    put(header, 88, sum, 4);
    let sum = crc(header);
    put(header, 16, sum, 4);
}

fn partition_of(disk: &[u8]) -> Result<std::ops::Range<u64>> {
    file_system(&mut Stack::new(vec![Layer::plain(disk).unwrap()]).unwrap())
}

#[test]
fn the_first_partition_is_the_file_system() {
    for sector in [512, 4096] {
        let mut disk = vec![0; 1 << 20];
        assert_eq!(partition_of(&disk).unwrap(), 0..1 << 20);
        with_table(&mut disk, sector, 64, 127);
        let bytes = sector as u64;
        assert_eq!(partition_of(&disk).unwrap(), 64 * bytes..128 * bytes);
        for (first, last) in
            [(64, (1 << 20) / bytes), (64, 63), (0, 63), (64, u64::MAX), (1 << 60, 1 << 61)]
        {
            with_table(&mut disk, sector, first, last);
            let error = partition_of(&disk).unwrap_err().to_string();
            assert!(error.contains("lies beyond the disk"), "{first} {last}: {error}");
        }
        with_table(&mut disk, sector, 64, 127);
        for (at, why) in [
            (sector + 50, "another checksum"),
            (2 * sector + 3, "another checksum"),
            (sector + 13, "bad length"),
        ] {
            let mut disk = disk.clone();
            disk[at] ^= 0xff;
            assert!(partition_of(&disk).unwrap_err().to_string().contains(why), "{at}");
            // What is a file system has no table, whatever lies in what it does not use.
            put(&mut disk, 1024 + 0x38, 0xef53, 2);
            assert_eq!(partition_of(&disk).unwrap(), 0..1 << 20);
        }
    }
}

#[test]
fn what_qemu_writes_is_read() {
    let place = tempfile::tempdir().unwrap();
    let (plain, image) = (place.path().join("plain"), place.path().join("image"));
    let file = File::create(&plain).unwrap();
    file.set_len(9 << 20).unwrap();
    for (at, seed) in [(0, 1), (3 << 20, 2), ((8 << 20) + 4096, 3)] {
        file.write_all_at(&cluster(seed), at).unwrap();
    }
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", "parallels"]).arg(&plain).arg(&image);
    let Ok(done) = command.status() else {
        eprintln!("skipped: no qemu-img here");
        return;
    };
    assert!(done.success());
    let image = File::open(image).unwrap();
    assert!(image.metadata().unwrap().len() < 9 << 20, "not all is written");
    let mut disk = Stack::new(vec![Layer::expanded(image).unwrap()]).unwrap();
    assert!(content(&mut disk) == std::fs::read(plain).unwrap());
}

#[test]
fn a_flat_file_has_the_same_bytes_and_no_more_blocks() {
    use std::os::unix::fs::MetadataExt;
    let place = tempfile::tempdir().unwrap();
    let mut zeroes = cluster(9);
    zeroes[4096..3 * 4096].fill(0);
    zeroes[7 * 4096..].fill(0);
    let image = expanded(2, 40, &[(3, cluster(1)), (4, zeroes), (39, vec![0; CLUSTER])]);
    let path = place.path().join("image");
    std::fs::write(&path, &image).unwrap();
    let open = || Layer::expanded(File::open(&path).unwrap()).unwrap();
    let expected = content(&mut Stack::new(vec![open()]).unwrap());
    let mut flat = Flat::new(vec![open()], path.clone()).unwrap();
    let total = flat.data().unwrap();
    assert!(total <= 3 * CLUSTER as u64, "{total}");
    let (to, mut done) = (place.path().join("flat"), 0);
    let file = File::options().write(true).create_new(true).open(&to).unwrap();
    flat.write(&file, &mut |bytes| done += bytes).unwrap();
    assert_eq!(done, total);
    assert!(std::fs::read(&to).unwrap() == expected);
    file.sync_all().unwrap();
    let blocks = file.metadata().unwrap().blocks() * 512;
    let can_share = flat.can_share(&tempfile::tempfile_in(place.path()).unwrap());
    assert!(can_share || blocks <= 13 * 4096 + 4096, "{blocks} bytes are written");
}

/// A private area whose `root.hdd` has these files, and this descriptor.
fn area(descriptor: Option<&str>, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let area = tempfile::tempdir().unwrap();
    let directory = area.path().join("root.hdd");
    std::fs::create_dir(&directory).unwrap();
    for (name, bytes) in files {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
    if let Some(text) = descriptor {
        std::fs::write(directory.join("DiskDescriptor.xml"), text).unwrap();
    }
    area
}

const ONE: &str = "{aaaaaaaa-0000-0000-0000-000000000001}";
const NONE: &str = "{00000000-0000-0000-0000-000000000000}";

/// A descriptor of images (identifier, type, file, parent), the last of which is written to.
fn describe(images: &[(&str, &str, &str, &str)]) -> String {
    let image = |(id, kind, file, _): &(&str, &str, &str, &str)| {
        format!("<Image><GUID>{id}</GUID><Type>{kind}</Type><File>{file}</File></Image>")
    };
    let shot = |(id, _, _, parent): &(&str, &str, &str, &str)| {
        // As some other tool may have written it.
        let id = id.to_ascii_uppercase();
        format!("<Shot><GUID>{id}</GUID><ParentGUID>{parent}</ParentGUID></Shot>")
    };
    format!(
        "<Parallels_disk_image><Disk_Parameters><Disk_size>256</Disk_size></Disk_Parameters>\
         <StorageData><Storage><Blocksize>64</Blocksize>{}</Storage></StorageData>\
         <Snapshots><TopGUID>{}</TopGUID>{}</Snapshots></Parallels_disk_image>",
        images.iter().map(image).collect::<String>(),
        images.last().unwrap().0,
        images.iter().map(shot).collect::<String>()
    )
}

#[test]
fn a_disk_with_a_snapshot() {
    const TWO: &str = "{bbbbbbbb-0000-0000-0000-000000000002}";
    let lower = expanded(2, 4, &[(0, cluster(1)), (1, cluster(2))]);
    let upper = expanded(2, 4, &[(1, cluster(3))]);
    let text = describe(&[
        (ONE, "Compressed", "root.hdd", NONE),
        (TWO, "Compressed", "root.hdd.top", ONE),
    ]);
    let area = area(Some(&text), &[("root.hdd", &lower), ("root.hdd.top", &upper)]);
    let form = form(&area.path().join("root.hdd"), vz_conf::exit::Exit::PloopMountFailed);
    assert!(matches!(form, Ok(Form::Genuine(what)) if what.contains("2 images")));
    let disk = Disk::open(area.path()).unwrap();
    let zeroes = vec![0; 2 * CLUSTER];
    let snapshot = format!("root.hdd.{ONE}");
    let expected = [
        ("root.hdd", [cluster(1), cluster(3), zeroes.clone()].concat()),
        (snapshot.as_str(), [cluster(1), cluster(2), zeroes].concat()),
    ];
    let images = disk.images().unwrap();
    assert_eq!(images.len(), 2);
    for ((name, id), (expected_name, bytes)) in images.iter().zip(expected) {
        assert_eq!(name, expected_name);
        let mut flat = disk.flat(id).unwrap();
        let path = area.path().join("flat");
        let file = File::create(&path).unwrap();
        flat.write(&file, &mut |_| {}).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}");
    }
    // The snapshot keeps its identifier, what is written to gets the usual one and lies on it.
    let plain = disk.plain_descriptor(1 << 20).unwrap();
    let shots: Vec<_> =
        plain.shots.iter().map(|shot| (shot.id.to_string(), shot.parent.to_string())).collect();
    let top = plain.top.clone().unwrap().to_string();
    assert_eq!(shots, [(top, ONE.to_owned()), (ONE.to_owned(), NONE.to_owned())]);
    let files: Vec<_> = plain.images.iter().map(|image| image.file.as_str()).collect();
    assert_eq!(files, ["root.hdd", &snapshot]);
}

fn open_top(disk: &Disk) -> crate::error::Result<Flat> {
    disk.images().and_then(|images| disk.flat(&images[0].1))
}

#[test]
fn what_is_no_disk_is_refused_in_one_line() {
    let good = expanded(2, 4, &[(0, cluster(1))]);
    let one = |kind, file| describe(&[(ONE, kind, file, NONE)]);
    for (text, files, why) in [
        (Some(one("Compressed", "../root.hdd")), vec![("root.hdd", good.as_slice())], "bad value"),
        (Some(one("Compressed", "gone")), vec![("root.hdd", good.as_slice())], "No such file"),
        (
            Some(one("Compressed", "root.hdd")),
            vec![("root.hdd", &[0; 512])],
            "signature is missing",
        ),
        (
            Some(one("Compressed", "root.hdd").replace(NONE, ONE)),
            vec![("root.hdd", &good)],
            "lies on itself",
        ),
        (
            None,
            vec![("root.hdd", good.as_slice()), ("root.hdd.{x}", b"")],
            "what root.hdd.{x} lies on is not known",
        ),
        (None, vec![], "No such file"),
    ] {
        let area = area(text.as_deref(), &files);
        let error = Disk::open(area.path()).and_then(|disk| open_top(&disk)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.exit(), vz_conf::exit::Exit::PloopConvertFailed, "{error}");
    }
    // What is no file, or leads elsewhere.
    let area = area(None, &[]);
    let image = area.path().join("root.hdd/root.hdd");
    nix::unistd::mkfifo(&image, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let refused = |why: &str| {
        let error = Disk::open(area.path()).and_then(|disk| open_top(&disk)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(why), "{error}");
    };
    refused("is not a file");
    std::fs::remove_file(&image).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &image).unwrap();
    refused("symbolic links");
    std::fs::remove_dir_all(area.path().join("root.hdd")).unwrap();
    std::os::unix::fs::symlink("/", area.path().join("root.hdd")).unwrap();
    refused("symbolic links");
}
