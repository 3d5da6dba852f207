use proptest::prelude::*;

use super::*;

/// Of a directory with users and groups, as vzquota 2.5.0 wrote it.
const WRITTEN: &str = "27bcdcfe0500000000f000000000000000c8000000000000c0f6006b0000000000b0020000000000dc000000c8000000000000000000000008000000000000005802000000000000803a09000000000000000000000000000f000000000000002f767a2f707269766174652f32303064000000040000000200000004000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000e00100000000000000000000000000000000000000000007000000000000000100000000000000e80300000000000000000000000000000000000000000000000000000000000000d00000000000000000000000000000000000000000000001000000000000000100000000000000000000000100000000000000000000000000000000000000000000000000000000e00100000000000000000000000000000000000000000007000000000000000100000000000000e80300000100000000000000000000000000000000000000000000000000000000d00000000000000000000000000000000000000000000001000000000000000100000000000000aaf8c8958f425910";

fn written() -> Vec<u8> {
    let digits = WRITTEN.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_file_of_the_original() {
    let (file, is_old) = QuotaFile::parse(&written(), 200).unwrap();
    assert!(!is_old && file.has(ON) && file.has(USERS_ON) && !file.has(DIRTY));
    assert_eq!(file.path, "/vz/private/200");
    let space = Amount { hard: 60 << 10, soft: 50 << 10, end: 1_795_225_280, held: 172 << 10 };
    assert_eq!(file.amounts.space, space);
    assert_eq!((file.amounts.inodes.soft, file.amounts.inodes.hard), (200, 220));
    assert_eq!((file.grace.space, file.grace.inodes), (600, 604_800));
    assert_eq!((file.users.limit, file.users.loaded, file.users.flags), (100, 4, USERS_ACTIVE));
    let held: Vec<_> =
        file.users.objects.iter().map(|o| (o.kind, o.id, o.amounts.space.held)).collect();
    assert_eq!(held, [(0, 0, 122_880), (0, 1000, 53_248), (1, 0, 122_880), (1, 1000, 53_248)]);
    assert_eq!(file.bytes(), written());
}

#[test]
fn damage_is_told() {
    let good = written();
    let parse = |bytes: &[u8]| QuotaFile::parse(bytes, 200).unwrap_err();
    assert_eq!(parse(&[]), FileError::TooShort);
    assert_eq!(parse(&[0; 96]), FileError::NotOne);
    let mut longer = good.clone();
    longer.push(b'x');
    assert_eq!(parse(&longer), FileError::Checksum(200));
    for place in 8..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        assert_eq!(parse(&bad), FileError::Checksum(200), "{place}");
    }
    for length in 0..good.len() {
        assert!(QuotaFile::parse(&good[..length], 200).is_err(), "{length}");
    }
}

/// The structures as a C compiler lays them out, on x86-64.
#[test]
fn old_versions() {
    let mut bytes = Writer::default();
    bytes.u32(MAGIC_1).u32(ON).u32(60).u32(50).i64(600).i64(7).u32(10).u32(220).u32(200).u32(8);
    bytes.i64(300).i64(9).u32(0).u32(0).u64(2).bytes(b"/q");
    let (first, is_old) = QuotaFile::parse(&bytes.0, 1).unwrap();
    assert!(is_old);
    assert_eq!(first.flags, ON);
    let mut bytes = Writer::default();
    bytes.u32(MAGIC_2).u32(ON).u64(60 << 10).u64(50 << 10).i64(600).i64(7).u64(10 << 10);
    bytes.u32(220).u32(200).u32(8).u32(0).i64(300).i64(9).u32(0).u32(0).u64(2).bytes(b"/q");
    let (second, _) = QuotaFile::parse(&bytes.0, 1).unwrap();
    assert_eq!(second.flags, ON | DIRTY);
    assert_eq!(QuotaFile { flags: ON, ..second.clone() }, first);
    let space = Amount { hard: 61_440, soft: 51_200, end: 7, held: 10_240 };
    let inodes = Amount { hard: 220, soft: 200, end: 9, held: 8 };
    assert_eq!(second.amounts, Amounts { space, inodes });
    assert_eq!((second.grace.space, second.grace.inodes), (600, 300));
    assert_eq!(second.directory(), Some(PathBuf::from("/q")));
}

fn amount(limit: u64) -> impl Strategy<Value = Amount> {
    (0..=limit, 0..=limit, any::<i64>(), 0..=limit).prop_map(|(hard, soft, end, held)| Amount {
        hard,
        soft,
        end,
        held,
    })
}

fn amounts() -> impl Strategy<Value = Amounts> {
    (amount(u64::MAX), amount(u32::MAX.into()))
        .prop_map(|(space, inodes)| Amounts { space, inodes })
}

fn grace() -> impl Strategy<Value = Grace> {
    (any::<i64>(), any::<i64>(), any::<u32>()).prop_map(|(space, inodes, flags)| Grace {
        space,
        inodes,
        flags,
    })
}

fn users() -> impl Strategy<Value = Users> {
    let object = (any::<u32>(), 0..2_u32, amounts(), any::<u32>());
    let objects = prop::collection::vec(object, 0..8);
    (any::<[u32; 3]>(), grace(), grace(), objects).prop_map(
        |(numbers, of_users, of_groups, all)| {
            let [limit, loaded, flags] = numbers;
            let graces = [of_users, of_groups];
            let mut users = Users { limit, loaded, flags, graces, objects: Vec::new() };
            for (id, kind, amounts, flags) in all {
                *users.object(kind, id) = Object { id, kind, amounts, flags };
            }
            users
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        flags in any::<u32>(), amounts in amounts(), grace in grace(), users in users(),
        path in prop::collection::vec(1..=255_u8, 0..40),
    ) {
        let path = OsString::from_vec(path);
        let file = QuotaFile { flags, amounts, grace, path, users };
        prop_assert_eq!(QuotaFile::parse(&file.bytes(), 5).unwrap(), (file, false));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        magic in prop::sample::select(vec![MAGIC, MAGIC_1, MAGIC_2, 0]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
        is_summed in any::<bool>(),
    ) {
        let mut bytes = [magic.to_le_bytes().to_vec(), rest].concat();
        if is_summed {
            let sum = checksum(&bytes);
            bytes.extend(sum.to_le_bytes());
        }
        if let Ok((file, false)) = QuotaFile::parse(&bytes, 5) {
            prop_assert_eq!(QuotaFile::parse(&file.bytes(), 5).unwrap().0, file);
        }
    }
}
