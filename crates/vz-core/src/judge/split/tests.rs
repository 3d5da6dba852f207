use super::*;
use crate::judge::validate::{Severity, findings};
use proptest::prelude::*;

fn node(containers: u64) -> Node {
    let memory = Capacity { ram: 8_077_440 << 10, low: 8_077_440 << 10, swap: 4_194_300 << 10 };
    let disk = Disk { space: 264_212_084, inodes: 1 << 24 };
    let disk = Some(disk_for_containers(disk).0);
    Node { memory, threads: 126_000, disk, containers }
}

fn shown(share: &Share, resource: Resource) -> String {
    share.limits.ubc.get(resource).unwrap().to_string()
}

#[test]
fn five_of_the_recorded_node() {
    let share = split(&node(5)).unwrap();
    assert_eq!((share.level, share.threads), (0, 16000));
    assert_eq!(shown(&share, Resource::Kmemsize), "330851942:363937136");
    assert_eq!(shown(&share, Resource::Numproc), "8076");
    assert_eq!(shown(&share, Resource::Privvmpages), "449478:494425");
    assert_eq!(share.limits.diskspace, Some(SoftHard { soft: 23_066_029, hard: 25_372_632 }));
}

#[test]
fn no_more_ram_and_swap_than_the_node_has() {
    let shown = |containers| {
        let node = node(containers);
        let ubc = split(&node).unwrap().vswap(&node.memory).ubc;
        let text = |resource| ubc.get(resource).unwrap().to_string();
        (text(Resource::Physpages), text(Resource::Swappages))
    };
    assert_eq!(shown(5), ("0:449478".into(), "0:898956".into()));
    assert_eq!(shown(1), ("0:2019360".into(), "0:1048575".into()));
}

#[test]
fn too_many() {
    let error = split(&node(5000)).unwrap_err().to_string();
    let wanted = "On node with 11984 Mb of memory (RAM + swap) 5000 containers can not be \
                  allocated\nThe maximum allowed value is 2257";
    assert_eq!(error, wanted);
    let mut little = node(100);
    little.memory.low = 100 << 20;
    let error = split(&little).unwrap_err().to_string();
    assert!(error.starts_with("On node with 100 Mb of Low Memory 100 containers"), "{error}");
    assert!(error.ends_with("value is 38"), "{error}");
    little.memory.ram = 40 << 20;
    assert_eq!(split(&little), Err(SplitError::NoMemory));
}

#[test]
fn disks() {
    let small = Disk { space: 1 << 20, inodes: 0 };
    assert_eq!(disk_for_containers(small), (Disk { space: 1 << 19, inodes: 0 }, true));
    let large = Disk { space: 1 << 30, inodes: 1 << 20 };
    let (rest, is_small) = disk_for_containers(large);
    assert!(!is_small);
    assert_eq!((disk_shortage(rest, 10), disk_shortage(rest, 11)), (None, Some(10)));
    // Inodes that are made as needed are no shortage, and no limit of 0.
    let (rest, _) = disk_for_containers(Disk { space: 1 << 30, inodes: 0 });
    assert_eq!(disk_shortage(rest, 1000), None);
    let share = split(&Node { disk: Some(rest), ..node(3) }).unwrap();
    assert_eq!(share.limits.diskinodes.unwrap().hard, DEFAULT_DISK.inodes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever the node, what comes out is valid, in both forms.
    #[test]
    fn a_share_is_valid(
        ram in 0..1u64 << 44,
        low in 0..1u64 << 44,
        swap in 0..1u64 << 44,
        threads in 1..10_000_000u64,
        space in 0..1u64 << 40,
        inodes in 0..1u64 << 40,
        containers in prop_oneof![1..50u64, 1..10_000u64],
    ) {
        let memory = Capacity { ram, low: low.min(ram), swap };
        let disk = Some(Disk { space, inodes });
        let node = Node { memory, threads, disk, containers };
        if let Ok(share) = split(&node) {
            let found = findings(&share.limits, Judgement::Classic { disk: true });
            let left = found.iter().filter(|one| one.severity > Severity::Recommendation);
            prop_assert_eq!(left.count(), 0, "{:?} {:?}", found, share);
            prop_assert!(share.level <= 3);
            let vswap = share.vswap(&memory);
            prop_assert_eq!(findings(&vswap, Judgement::Vswap(memory)), []);
            prop_assert!(vswap.ubc.is_vswap());
        }
    }

    /// Scarce memory, where the levels are.
    #[test]
    fn a_small_share_is_valid(ram in 50u64..4096, swap in 0u64..512, containers in 1..200u64) {
        let memory = Capacity { ram: ram << 20, low: ram << 20, swap: swap << 20 };
        let node = Node { memory, threads: 32_000, disk: None, containers };
        if let Ok(share) = split(&node) {
            let found = findings(&share.limits, Judgement::Classic { disk: true });
            let left = found.iter().filter(|one| one.severity > Severity::Recommendation);
            prop_assert_eq!(left.count(), 0, "{:?} {:?}", found, share);
        }
    }
}
