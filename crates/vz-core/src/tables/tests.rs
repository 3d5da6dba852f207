use super::*;
use crate::accounting::{Activity, Counter, DiskCounter, DiskUsage, Imitation};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn id(number: u32) -> Ctid {
    Ctid::new(number).unwrap()
}

fn counter(held: u64, barrier: u64, limit: u64) -> Counter {
    Counter { held: Some(held), maxheld: Some(held + 1), barrier, limit, failcnt: Some(3) }
}

#[test]
fn columns_are_the_kernels() {
    let mut counters = Beancounters::default();
    counters.set(Resource::Kmemsize, counter(15, 16, 17));
    let text = user_beancounters(&[(id(101), counters), (Ctid::NODE, Beancounters::default())]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Version: 2.5");
    assert_eq!(
        lines[1],
        "       uid  resource                     held              maxheld              barrier\
         \x20               limit              failcnt"
    );
    assert_eq!(
        lines[2],
        "       101: kmemsize                       15                   16                   16\
         \x20                  17                    3"
    );
    assert_eq!(
        lines[3],
        "            lockedpages                     0                    0  9223372036854775807\
         \x20 9223372036854775807                    0"
    );
    assert_eq!(lines.len(), 2 + 2 * 25);
    assert!(lines[2..].iter().all(|line| line.len() == 129));
    assert_eq!(text.matches(" dummy ").count(), 8);
    assert!(lines[27].starts_with("         0: kmemsize "));
    assert_eq!(lines[26].split_whitespace().next(), Some("swappages"));
}

#[test]
fn resources_have_no_dummies() {
    let text = resources(&Beancounters::default());
    assert_eq!(text.lines().count(), 21);
    assert!(!text.contains(':') && !text.contains("dummy"));
    assert_eq!(all_resources(&[(id(7), Beancounters::default())]).lines().count(), 23);
}

#[test]
fn addresses_last_first() {
    let running = Running {
        id: id(101),
        addresses: Some(vec!["10.0.0.1".parse().unwrap(), "10.0.0.101".parse().unwrap()]),
    };
    let mut counters = Beancounters::default();
    counters.set(Resource::Numproc, counter(15, 0, 0));
    assert_eq!(
        veinfo(&[running], &BTreeMap::from([(id(101), counters)])),
        "       101     0    15      10.0.0.101        10.0.0.1\n"
    );
}

#[test]
fn quota_columns() {
    let space = DiskCounter { usage: 434_500, soft: 2_097_152, hard: 2_306_867 };
    let inodes = DiskCounter { usage: 12345, soft: 131_072, hard: 144_179 };
    let usage = DiskUsage { space, inodes };
    let text = vzquota(&[Quota { id: id(103), path: "/vz/private/103".into(), usage }]);
    assert_eq!(
        text,
        "qid: path               usage      softlimit      hardlimit       time     expire\n\
         103: /vz/private/103\n \
         1k-blocks           434500        2097152        2306867          0          0\n    \
         inodes            12345         131072         144179          0          0\n"
    );
    let broken = vzquota(&[Quota { id: id(5), path: "/a\n104: /b".into(), usage }]);
    assert_eq!(broken.lines().count(), 4);
}

#[test]
fn vestat_columns() {
    let times = BTreeMap::from([(id(101), CpuTime { user: 1_000_000, nice: 0, system: 0 })]);
    let activity = BTreeMap::from([(id(101), Activity { load: None, uptime: 1.0 })]);
    let text = vestat(&[id(101)], &times, &activity, 1);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.len() == 251), "{text}");
    let numbers: Vec<u64> = lines[2].split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!((numbers[0], numbers[5], numbers[8]), (101, 0, 1_000_000_000));
}

fn any_counters() -> impl Strategy<Value = Beancounters> {
    vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 22).prop_map(
        |values| {
            let mut counters = Beancounters::default();
            for (resource, (held, maxheld, barrier, limit, failcnt)) in
                Resource::ALL.into_iter().zip(values)
            {
                // The kernel's table has no row for it.
                if resource == Resource::Avnumproc {
                    continue;
                }
                let (held, maxheld, failcnt) = (Some(held), Some(maxheld), Some(failcnt));
                counters.set(resource, Counter { held, maxheld, barrier, limit, failcnt });
            }
            counters
        },
    )
}

fn any_addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::V4(bits.into()));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::V6(bits.into()));
    vec(prop_oneof![v4, v6], 0..4)
}

fn any_ids<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = BTreeMap<Ctid, T>> {
    btree_map((1_u32..2_147_483_644).prop_map(id), value, 0..5)
}

/// What the files say when they are read back.
#[allow(clippy::disallowed_methods)]
fn read_back(files: &[(&str, &str)]) -> (tempfile::TempDir, Imitation) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("vz")).unwrap();
    std::fs::create_dir_all(directory.path().join("bc")).unwrap();
    for (file, text) in files {
        std::fs::write(directory.path().join(file), text).unwrap();
    }
    let imitation = Imitation::new(directory.path().to_owned());
    (directory, imitation)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn beancounters_come_back(found in any_ids(any_counters())) {
        let rows: Vec<_> = found.clone().into_iter().rev().collect();
        for (file, text) in [
            ("user_beancounters", user_beancounters(&rows)),
            ("bc/resources", all_resources(&rows)),
        ] {
            let (_directory, imitation) = read_back(&[(file, &text)]);
            prop_assert_eq!(&imitation.beancounters(&[]).unwrap(), &found);
        }
    }

    #[test]
    fn running_come_back(found in any_ids(any_addresses())) {
        let running: Vec<Running> = found
            .into_iter()
            .map(|(id, addresses)| Running { id, addresses: Some(addresses) })
            .collect();
        let (_directory, imitation) =
            read_back(&[("vz/veinfo", &veinfo(&running, &BTreeMap::new()))]);
        prop_assert_eq!(imitation.running().unwrap(), running);
    }

    #[test]
    fn quotas_come_back(found in any_ids((any::<[u64; 6]>(), "/[^\u{0}]{0,20}"))) {
        let usage = |[a, b, c, d, e, f]: [u64; 6]| DiskUsage {
            space: DiskCounter { usage: a, soft: b, hard: c },
            inodes: DiskCounter { usage: d, soft: e, hard: f },
        };
        let quotas: Vec<Quota> = found
            .iter()
            .map(|(id, (values, path))| Quota {
                id: *id,
                path: path.clone(),
                usage: usage(*values),
            })
            .collect();
        let (_directory, imitation) = read_back(&[("vz/vzquota", &vzquota(&quotas))]);
        let expected: BTreeMap<_, _> =
            found.iter().map(|(id, (values, _))| (*id, usage(*values))).collect();
        prop_assert_eq!(imitation.disk_usage(&[]), expected);
    }
}
