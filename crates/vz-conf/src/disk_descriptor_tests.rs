use proptest::prelude::*;

use super::*;

/// As the original's ploop has written one with a snapshot.
const GENUINE: &str = r#"<?xml version="1.0"?>
<Parallels_disk_image>
  <Disk_Parameters>
    <Disk_size>4612096</Disk_size>
    <Cylinders>4575</Cylinders>
    <Heads>16</Heads>
    <Sectors>63</Sectors>
    <Padding>0</Padding>
  </Disk_Parameters>
  <StorageData>
    <Storage>
      <Start>0</Start>
      <End>4612096</End>
      <Blocksize>2048</Blocksize>
      <Image>
        <GUID>{f9a0d0a7-9d3c-4d4b-8a11-2f0f6a3b9a10}</GUID>
        <Type>Compressed</Type>
        <File>root.hdd</File>
      </Image>
      <Image>
        <GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID>
        <Type>Compressed</Type>
        <File>root.hdd.{b1e2}</File>
      </Image>
    </Storage>
  </StorageData>
  <Snapshots>
    <TopGUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</TopGUID>
    <Shot>
      <GUID>{f9a0d0a7-9d3c-4d4b-8a11-2f0f6a3b9a10}</GUID>
      <ParentGUID>{00000000-0000-0000-0000-000000000000}</ParentGUID>
    </Shot>
    <Shot>
      <GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID>
      <ParentGUID>{f9a0d0a7-9d3c-4d4b-8a11-2f0f6a3b9a10}</ParentGUID>
    </Shot>
  </Snapshots>
</Parallels_disk_image>
"#;

fn refused(text: &str) -> String {
    DiskDescriptor::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_ploop_writes_is_read_and_written_alike() {
    let disk = DiskDescriptor::parse(GENUINE.as_bytes()).unwrap();
    assert_eq!((disk.sectors, disk.block_sectors, disk.shots.len()), (4_612_096, 2048, 2));
    assert_eq!(disk.images[1].file, "root.hdd.{b1e2}");
    assert_eq!(disk.images[1].format, Format::Expanded);
    assert_eq!(disk.top.as_ref(), Some(&disk.images[1].id));
    assert_eq!(disk.to_string(), GENUINE);
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../root.hdd", "/etc/passwd", "..", "", "a/b", "a b", "a&amp;b"] {
        let text = GENUINE.replace("<File>root.hdd</File>", &format!("<File>{name}</File>"));
        assert!(DiskDescriptor::parse(text.as_bytes()).is_err(), "{name}");
    }
    assert!(DiskDescriptor::plain(1 << 30, "../x").is_err());
}

#[test]
fn what_is_odd_is_told() {
    let with = |from, to| GENUINE.replace(from, to);
    assert_eq!(refused(""), "Parallels_disk_image is missing");
    assert_eq!(refused("<a/>"), "Parallels_disk_image is missing");
    assert_eq!(refused(&with("4612096", "-1")), "Disk_size: bad value '-1'");
    assert_eq!(refused(&with("Compressed", "Zip")), "Type: bad value 'Zip'");
    assert_eq!(
        refused(&with("2048</Blocksize>", "8</Blocksize><Blocksize>8</Blocksize>")),
        "Blocksize is there twice"
    );
    assert_eq!(refused(&with("<Disk_size>4612096</Disk_size>", "")), "Disk_size is missing");
    assert_eq!(
        refused(&with("</StorageData>", "<Storage></Storage></StorageData>")),
        "Storage is there twice"
    );
    let declared = with("<Parallels", "<!DOCTYPE a [<!ENTITY b \"c\">]><Parallels");
    assert!(DiskDescriptor::parse(declared.as_bytes()).is_err());
    assert!(DiskDescriptor::parse(&[b' '; (LONGEST + 1) as usize]).is_err());
    let deep = format!("<Parallels_disk_image>{}", "<a>".repeat(10_000));
    assert_eq!(refused(&deep), "an element there is not allowed");
    for cut in 0..GENUINE.trim_end().len() {
        assert!(DiskDescriptor::parse(&GENUINE.as_bytes()[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn snapshots_come_and_go() {
    let (first, second) =
        ("11111111-0000-0000-0000-000000000001", "11111111-0000-0000-0000-000000000002");
    let (first, second): (Uuid, Uuid) = (first.parse().unwrap(), second.parse().unwrap());
    let mut disk = DiskDescriptor::plain(64 << 20, "root.hdd").unwrap();
    let alone = disk.clone();
    let lies_on = |disk: &DiskDescriptor| {
        let last = |id: &Uuid| id.to_string().chars().rev().nth(1).unwrap();
        disk.shots
            .iter()
            .map(|shot| format!("{}{}", last(&shot.id), last(&shot.parent)))
            .collect::<Vec<_>>()
    };
    disk.add_snapshot(&first, "root.hdd.{1}").unwrap();
    disk.add_snapshot(&second, "root.hdd.{2}").unwrap();
    assert_eq!(lies_on(&disk), ["10", "21", "12"]);
    assert_eq!(DiskDescriptor::parse(disk.to_string().as_bytes()).unwrap(), disk);
    assert_eq!(disk.top_image().unwrap().file, "root.hdd");
    for id in [&first, &NONE.parse().unwrap(), &TOP.parse().unwrap()] {
        assert!(disk.add_snapshot(id, "x").is_err());
    }
    disk.put_top_on(&first).unwrap();
    assert_eq!(lies_on(&disk), ["10", "21", "11"]);
    disk.remove_snapshot(&first);
    assert_eq!(lies_on(&disk), ["20", "10"]);
    disk.remove_snapshot(&second);
    disk.remove_snapshot(&second);
    assert_eq!(disk, alone);
    assert!(disk.add_snapshot(&first, "../x").is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(sectors in 1u64.., name in "[a-z][a-z0-9._{}-]{0,40}") {
        let mut disk = DiskDescriptor::plain(1 << 30, &name).unwrap();
        disk.sectors = sectors;
        prop_assert_eq!(DiskDescriptor::parse(disk.to_string().as_bytes()).unwrap(), disk);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..GENUINE.len(), put in "[<>&/a!\\[ ]{0,12}") {
        let _ = DiskDescriptor::parse(&bytes);
        let mut text = GENUINE.to_owned();
        text.insert_str(at, &put);
        if let Ok(disk) = DiskDescriptor::parse(text.as_bytes()) {
            prop_assert!(disk.images.iter().all(|image| !image.file.contains('/')));
        }
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let mut disk = DiskDescriptor::plain(1 << 30, "root.hdd").unwrap();
    let id: Uuid = "00000001-0000-0000-0000-000000000001".parse().unwrap();
    disk.add_snapshot(&id, &format!("root.hdd.{id}")).unwrap();
    assert_eq!(DiskDescriptor::parse(&disk.to_bytes().unwrap()).unwrap(), disk);
    let (image, shot) = (disk.images[0].clone(), disk.shots[0].clone());
    disk.images.extend(std::iter::repeat_n(image, 4000));
    disk.shots.extend(std::iter::repeat_n(shot, 4000));
    assert!(matches!(disk.to_bytes(), Err(DescriptorError::Long)));
}
