use super::*;
use proptest::prelude::*;

const CLASSIC: Judgement = Judgement::Classic { disk: true };
const NODE: Capacity = Capacity { ram: 8 << 30, low: 8 << 30, swap: 4 << 30 };

fn text(limits: &Limits, by: Judgement) -> Vec<String> {
    let told = |finding: Finding| format!("{}: {}", finding.severity, finding.text);
    findings(limits, by).into_iter().map(told).collect()
}

/// A container that is in order.
fn valid() -> Limits {
    let mut limits = Limits {
        ubc: UbcSet::default(),
        diskspace: Some(SoftHard { soft: 1, hard: 2 }),
        diskinodes: Some(SoftHard { soft: 3, hard: 3 }),
    };
    let values = [
        (Resource::Kmemsize, 14_372_700, 14_790_164),
        (Resource::Lockedpages, 2048, 2048),
        (Resource::Privvmpages, 65536, 69632),
        (Resource::Shmpages, 21504, 21504),
        (Resource::Numproc, 240, 240),
        (Resource::Physpages, 0, UNLIMITED),
        (Resource::Vmguarpages, 33792, UNLIMITED),
        (Resource::Oomguarpages, 26112, UNLIMITED),
        (Resource::Numtcpsock, 360, 360),
        (Resource::Numflock, 188, 206),
        (Resource::Numpty, 16, 16),
        (Resource::Numsiginfo, 256, 256),
        (Resource::Tcpsndbuf, 1_720_320, 2_703_360),
        (Resource::Tcprcvbuf, 1_720_320, 2_703_360),
        (Resource::Othersockbuf, 1_126_080, 2_097_152),
        (Resource::Dgramrcvbuf, 262_144, 262_144),
        (Resource::Numothersock, 360, 360),
        (Resource::Numfile, 9312, 9312),
        (Resource::Dcachesize, 3_409_920, 3_624_960),
        (Resource::Numiptent, 128, 128),
    ];
    for (resource, barrier, limit) in values {
        limits.ubc.set(resource, Some(BarrierLimit { barrier, limit }));
    }
    limits
}

fn with(resource: Resource, barrier: u64, limit: u64) -> Limits {
    let mut limits = valid();
    limits.ubc.set(resource, Some(BarrierLimit { barrier, limit }));
    limits
}

#[test]
fn in_order() {
    assert_eq!(text(&valid(), CLASSIC), [""; 0]);
    assert!(repair(&mut valid(), CLASSIC));
}

#[test]
fn barrier_and_limit() {
    let cases = [
        (
            with(Resource::Numproc, 240, 239),
            "Error: barrier should be equal to limit for numproc (currently, 240:239)",
        ),
        (
            with(Resource::Vmguarpages, 9, 8),
            "Error: limit should be = 9223372036854775807 for vmguarpages (currently, 8)",
        ),
        (
            with(Resource::Lockedpages, 9, 8),
            "Error: barrier should be <= limit for lockedpages (currently, 9:8)",
        ),
        (
            with(Resource::Physpages, 1, UNLIMITED),
            "Error: barrier should be = 0 for physpages (currently, 1)",
        ),
        (
            with(Resource::Privvmpages, 33791, 69632),
            "Warning: privvmpages.bar should be > 33792 (currently, 33791)",
        ),
        (
            with(Resource::Tcprcvbuf, 100_000, 1_000_000),
            "Warning: tcprcvbuf.lim-tcprcvbuf.bar should be > 921600 (currently, 1000000-100000=900000)",
        ),
        (
            with(Resource::Dgramrcvbuf, 32768, 32768),
            "Recommendation: dgramrcvbuf.bar should be > 132096 (currently, 32768)",
        ),
        (
            with(Resource::Dgramrcvbuf, 32767, 32768),
            "Warning: dgramrcvbuf.bar should be > 32768 (currently, 32767)",
        ),
    ];
    for (limits, told) in cases {
        assert_eq!(text(&limits, CLASSIC), [told]);
    }
}

#[test]
fn a_limit_of_allocated_memory_stays() {
    let mut limits = with(Resource::Privvmpages, 100, 69632);
    assert!(repair(&mut limits, CLASSIC));
    let value = limits.ubc.get(Resource::Privvmpages);
    assert_eq!(value, Some(BarrierLimit { barrier: 33792, limit: 69632 }));
}

#[test]
fn a_recommendation_may_be_refused() {
    let mut limits = with(Resource::Dgramrcvbuf, 32768, 32768);
    let mut told = 0;
    assert!(judge(&mut limits, CLASSIC, &mut |_| {
        told += 1;
        false
    }));
    assert_eq!(told, 1);
}

#[test]
fn a_repair_that_calls_for_another() {
    let mut limits = with(Resource::Numfile, 1, 1);
    limits.ubc.set(Resource::Dcachesize, Some(BarrierLimit { barrier: 384, limit: 384 }));
    assert!(repair(&mut limits, CLASSIC));
    assert_eq!(limits.ubc.get(Resource::Dcachesize).unwrap().limit, 3840 * 384);
}

#[test]
fn what_is_not_there_is_told_at_once() {
    let mut limits = valid();
    limits.ubc.set(Resource::Numproc, None);
    limits.ubc.set(Resource::Numpty, None);
    limits.ubc.set(Resource::Shmpages, None);
    let wanted = ["Error: parameter numproc not found", "Error: parameter numpty not found"];
    assert_eq!(text(&limits, CLASSIC), wanted);
    let mut limits = valid();
    limits.ubc.set(Resource::Shmpages, None);
    limits.diskspace = None;
    let wanted = ["Error: parameter shmpages not found", "Error: parameter diskspace not found"];
    assert_eq!(text(&limits, CLASSIC), wanted);
    assert!(!repair(&mut limits, CLASSIC));
    assert!(
        text(&Limits { diskspace: None, ..valid() }, Judgement::Classic { disk: false }).is_empty()
    );
}

#[test]
fn vswap() {
    let mut limits = with(Resource::Physpages, 5, 99_999_999);
    let by = Judgement::Vswap(NODE);
    let wanted = [
        "Error: physpages.bar should be = 0 (currently, 5)",
        "Warning: physpages.lim should be <= 2097152 (currently, 99999999)",
        "Error: parameter swappages not found",
    ];
    assert_eq!(text(&limits, by), wanted);
    limits.ubc.set(Resource::Swappages, Some(BarrierLimit::UNLIMITED));
    assert!(repair(&mut limits, by));
    let limit = |resource| limits.ubc.get(resource).unwrap().to_string();
    assert_eq!(limit(Resource::Physpages), "0:2097152");
    assert_eq!(limit(Resource::Swappages), "0:1048576");
}

/// Values of every size, and those at the ends.
fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=UNLIMITED,
        0..100_000u64,
        Just(UNLIMITED),
        Just(0),
        (0..63u32).prop_map(|n| 1 << n)
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let pair = || (any_value(), any_value());
    (proptest::collection::vec(pair(), Resource::ALL.len()), pair(), pair()).prop_map(
        |(values, space, inodes)| {
            let mut ubc = UbcSet::default();
            for (resource, (barrier, limit)) in Resource::ALL.into_iter().zip(values) {
                ubc.set(resource, Some(BarrierLimit { barrier, limit }));
            }
            let disk = |(soft, hard)| Some(SoftHard { soft, hard });
            Limits { ubc, diskspace: disk(space), diskinodes: disk(inodes) }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Where all values are there, a repair leaves no error and no warning, and never takes away:
    /// but for a barrier that has to be 0 and what the node has not.
    #[test]
    fn a_repair_makes_any_limits_valid(limits in any_limits(), drop_average: bool) {
        let mut before = limits;
        if drop_average {
            before.ubc.set(Resource::Avnumproc, None);
        }
        for by in [CLASSIC, Judgement::Vswap(NODE)] {
            let mut after = before;
            prop_assert!(repair(&mut after, by));
            let left = findings(&after, by);
            prop_assert!(left.iter().all(|one| one.severity == Severity::Recommendation), "{left:?}");
            if by == CLASSIC {
                for (resource, old) in before.ubc.iter().filter(|(one, _)| *one != Resource::Physpages) {
                    let new = after.ubc.get(resource).unwrap();
                    prop_assert!(new.barrier >= old.barrier && new.limit >= old.limit, "{resource:?}");
                }
            }
        }
    }

    /// Whatever is answered, the values that come out are limits, and nothing panics.
    #[test]
    fn any_answers(limits in any_limits(), answers: Vec<bool>) {
        let mut limits = limits;
        let mut answers = answers.into_iter().cycle();
        judge(&mut limits, CLASSIC, &mut |_| answers.next().unwrap_or(true));
        prop_assert!(limits.ubc.iter().all(|(_, value)| value.limit <= UNLIMITED));
    }
}
