//! The rules, in the order they are gone through.

use vz_conf::size::SoftHard;
use vz_conf::ubc::{BarrierLimit, Resource, UNLIMITED, UbcSet};

use super::{Finding, Judgement, Limits, Repair, Severity, Value, at_most_unlimited};
use crate::judge::capacity::Capacity;

/// Kernel memory a process takes, in bytes.
const KERNEL_OF_PROCESS: u64 = 40 * 1024;
/// Directory entry cache an open file takes, in bytes.
const CACHE_OF_FILE: u64 = 384;
/// Buffer beyond the barrier that each socket may need, in bytes.
const BUFFER_OF_SOCKET: u64 = 2560;
/// The least buffers of TCP sockets, in bytes.
const TCP_BUFFER: u64 = 64 * 1024;
/// The least buffers of other sockets, and what is better, in bytes.
const OTHER_BUFFER: (u64, u64) = (32 * 1024, 129 * 1024);
/// Files a process has open.
const FILES_OF_PROCESS: u64 = 32;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// The barrier is the limit.
    Equal(Resource),
    /// The barrier is not above the limit.
    Ordered(Resource),
    /// There is no limit.
    WithoutLimit(Resource),
    /// The barrier is 0.
    WithoutBarrier(Resource),
    /// The barrier is 0 and the limit what the node has at most, in pages.
    Within(Resource, u64, Part),
    /// The soft limit of a disk resource is not above the hard one.
    Diskspace,
    /// The same.
    Diskinodes,
    /// The resources fit each other.
    Formula(fn(&UbcSet) -> Option<Finding>),
}

/// What of a value a rule is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Barrier,
    Limit,
}

/// All rules of a judgement.
pub(super) fn of(by: Judgement) -> Vec<Rule> {
    match by {
        Judgement::Vswap(node) => vswap(&node),
        Judgement::Classic { disk } => classic(disk),
    }
}

fn vswap(node: &Capacity) -> Vec<Rule> {
    let pages = |bytes: u64| bytes / vz_conf::ubc::PAGE;
    let both = [(Resource::Physpages, pages(node.ram)), (Resource::Swappages, pages(node.swap))];
    let parts = |(resource, most)| {
        [Part::Barrier, Part::Limit].map(move |part| Rule::Within(resource, most, part))
    };
    both.into_iter().flat_map(parts).collect()
}

fn classic(disk: bool) -> Vec<Rule> {
    use Resource as R;
    let mut rules: Vec<Rule> = [R::Numproc, R::Numtcpsock, R::Numothersock].map(Rule::Equal).into();
    rules.push(Rule::WithoutLimit(R::Vmguarpages));
    rules.extend(
        [R::Kmemsize, R::Tcpsndbuf, R::Tcprcvbuf, R::Othersockbuf, R::Dgramrcvbuf]
            .map(Rule::Ordered),
    );
    rules.extend([
        Rule::WithoutLimit(R::Oomguarpages),
        Rule::Ordered(R::Privvmpages),
        Rule::Ordered(R::Lockedpages),
        Rule::Equal(R::Shmpages),
        Rule::WithoutBarrier(R::Physpages),
        Rule::WithoutLimit(R::Physpages),
        Rule::Equal(R::Numfile),
        Rule::Ordered(R::Numflock),
        Rule::Equal(R::Numpty),
        Rule::Equal(R::Numsiginfo),
        Rule::Ordered(R::Dcachesize),
        Rule::Equal(R::Numiptent),
    ]);
    if disk {
        rules.extend([Rule::Diskspace, Rule::Diskinodes]);
    }
    rules.extend(FORMULAS.map(Rule::Formula));
    rules
}

const FORMULAS: [fn(&UbcSet) -> Option<Finding>; 11] = [
    |ubc| {
        let files = value(ubc, Resource::Numfile).barrier;
        let need = at_most_unlimited(u128::from(files) * u128::from(CACHE_OF_FILE));
        least_cache(ubc, need)
    },
    |ubc| {
        let need = u128::from(processes(ubc)) * u128::from(KERNEL_OF_PROCESS)
            + u128::from(value(ubc, Resource::Dcachesize).limit);
        least_barrier(ubc, Resource::Kmemsize, Severity::Error, at_most_unlimited(need))
    },
    allocatable,
    |ubc| gap(ubc, Resource::Tcpsndbuf, Resource::Numtcpsock, Severity::Error),
    |ubc| gap(ubc, Resource::Othersockbuf, Resource::Numothersock, Severity::Error),
    |ubc| gap(ubc, Resource::Tcprcvbuf, Resource::Numtcpsock, Severity::Warning),
    |ubc| least_barrier(ubc, Resource::Tcprcvbuf, Severity::Warning, TCP_BUFFER),
    |ubc| least_barrier(ubc, Resource::Tcpsndbuf, Severity::Warning, TCP_BUFFER),
    |ubc| other_buffer(ubc, Resource::Dgramrcvbuf),
    |ubc| other_buffer(ubc, Resource::Othersockbuf),
    files,
];

impl Rule {
    /// What is the matter, if the rule does not hold.
    pub(super) fn finding(&self, limits: &Limits) -> Option<Finding> {
        let ubc = &limits.ubc;
        match *self {
            Rule::Equal(resource) => beancounter(ubc, resource, equal),
            Rule::Ordered(resource) => beancounter(ubc, resource, ordered),
            Rule::WithoutLimit(resource) => beancounter(ubc, resource, without_limit),
            Rule::WithoutBarrier(resource) => beancounter(ubc, resource, without_barrier),
            Rule::Within(resource, most, part) => within(ubc, resource, most, part),
            Rule::Diskspace => disk("diskspace", limits.diskspace, Value::Diskspace),
            Rule::Diskinodes => disk("diskinodes", limits.diskinodes, Value::Diskinodes),
            Rule::Formula(formula) => formula(ubc),
        }
    }
}

/// The name of a resource in messages.
pub(super) fn name(resource: Resource) -> String {
    resource.key().to_ascii_lowercase()
}

/// A value that is not there.
pub(super) fn not_found(name: &str) -> Finding {
    Finding { severity: Severity::Error, text: format!("parameter {name} not found"), repair: None }
}

/// A finding that a value of a resource repairs; `shown` is what is told of the value.
fn found(
    severity: Severity,
    text: String,
    resource: Resource,
    value: BarrierLimit,
    shown: String,
) -> Option<Finding> {
    let value = Value::Ubc(resource, value);
    Some(Finding { severity, text, repair: Some(Repair { shown, value }) })
}

fn both(value: BarrierLimit) -> String {
    format!("{}:{}", value.barrier, value.limit)
}

/// A rule about one value, which has to be there.
fn beancounter(
    ubc: &UbcSet,
    resource: Resource,
    rule: fn(Resource, BarrierLimit) -> Option<Finding>,
) -> Option<Finding> {
    match ubc.get(resource) {
        None => Some(not_found(&name(resource))),
        Some(value) => rule(resource, value),
    }
}

fn equal(resource: Resource, value: BarrierLimit) -> Option<Finding> {
    if value.barrier == value.limit {
        return None;
    }
    let new = BarrierLimit::both(value.barrier.max(value.limit));
    let (name, shown) = (name(resource), both(value));
    let text = format!("barrier should be equal to limit for {name} (currently, {shown})");
    found(Severity::Error, text, resource, new, both(new))
}

fn ordered(resource: Resource, value: BarrierLimit) -> Option<Finding> {
    if value.barrier <= value.limit {
        return None;
    }
    let new = BarrierLimit::both(value.barrier);
    let (name, shown) = (name(resource), both(value));
    let text = format!("barrier should be <= limit for {name} (currently, {shown})");
    found(Severity::Error, text, resource, new, both(new))
}

fn without_limit(resource: Resource, value: BarrierLimit) -> Option<Finding> {
    let BarrierLimit { barrier, limit } = value;
    if limit == UNLIMITED {
        return None;
    }
    let name = name(resource);
    let text = format!("limit should be = {UNLIMITED} for {name} (currently, {limit})");
    let new = BarrierLimit { barrier, limit: UNLIMITED };
    found(Severity::Error, text, resource, new, UNLIMITED.to_string())
}

fn without_barrier(resource: Resource, value: BarrierLimit) -> Option<Finding> {
    let BarrierLimit { barrier, limit } = value;
    if barrier == 0 {
        return None;
    }
    let name = name(resource);
    let text = format!("barrier should be = 0 for {name} (currently, {barrier})");
    found(Severity::Error, text, resource, BarrierLimit { barrier: 0, limit }, "0".into())
}

/// RAM and swap of a VSwap container. That one is not there is told once.
fn within(ubc: &UbcSet, resource: Resource, most: u64, part: Part) -> Option<Finding> {
    let name = name(resource);
    match (ubc.get(resource), part) {
        (None, Part::Barrier) => Some(not_found(&name)),
        (Some(BarrierLimit { barrier, limit }), Part::Barrier) if barrier != 0 => {
            let text = format!("{name}.bar should be = 0 (currently, {barrier})");
            found(Severity::Error, text, resource, BarrierLimit { barrier: 0, limit }, "0".into())
        }
        (Some(BarrierLimit { barrier, limit }), Part::Limit) if limit > most => {
            let text = format!("{name}.lim should be <= {most} (currently, {limit})");
            let new = BarrierLimit { barrier, limit: most };
            found(Severity::Warning, text, resource, new, most.to_string())
        }
        _ => None,
    }
}

fn disk(name: &str, value: Option<SoftHard>, of: fn(SoftHard) -> Value) -> Option<Finding> {
    let Some(SoftHard { soft, hard }) = value else { return Some(not_found(name)) };
    if soft <= hard {
        return None;
    }
    let text = format!("barrier should be <= limit for {name} (currently, {soft}:{hard})");
    let shown = format!("{soft}:{soft}");
    let value = of(SoftHard { soft, hard: soft });
    Some(Finding { severity: Severity::Error, text, repair: Some(Repair { shown, value }) })
}

/// A value that [`super::has_needed`] has looked for.
fn value(ubc: &UbcSet, resource: Resource) -> BarrierLimit {
    ubc.get(resource).unwrap_or(BarrierLimit::both(0))
}

/// The average number of processes: half of the most, where it is not set.
fn processes(ubc: &UbcSet) -> u64 {
    let set = ubc.get(Resource::Avnumproc).map(|value| value.barrier);
    set.unwrap_or(value(ubc, Resource::Numproc).barrier / 2)
}

/// A value whose barrier is raised to `barrier`, and its limit by as much.
fn raised(value: BarrierLimit, barrier: u64) -> BarrierLimit {
    let limit = match value.limit {
        UNLIMITED => UNLIMITED,
        limit => {
            let sum = u128::from(limit) + u128::from(barrier);
            at_most_unlimited(sum.saturating_sub(value.barrier.into()))
        }
    };
    BarrierLimit { barrier, limit }
}

fn least_cache(ubc: &UbcSet, need: u64) -> Option<Finding> {
    let BarrierLimit { barrier, limit } = value(ubc, Resource::Dcachesize);
    if limit >= need {
        return None;
    }
    let text = format!("dcachesize.lim should be > {need} (currently, {limit})");
    let new = BarrierLimit { barrier, limit: need };
    found(Severity::Warning, text, Resource::Dcachesize, new, need.to_string())
}

fn least_barrier(
    ubc: &UbcSet,
    resource: Resource,
    severity: Severity,
    need: u64,
) -> Option<Finding> {
    let old = value(ubc, resource);
    if old.barrier >= need {
        return None;
    }
    let text = format!("{}.bar should be > {need} (currently, {})", name(resource), old.barrier);
    let new = raised(old, need);
    found(severity, text, resource, new, both(new))
}

/// What is guaranteed can be allocated. The limit stays where it is above the new barrier.
fn allocatable(ubc: &UbcSet) -> Option<Finding> {
    let need = value(ubc, Resource::Vmguarpages).barrier;
    let BarrierLimit { barrier, limit } = value(ubc, Resource::Privvmpages);
    if barrier >= need {
        return None;
    }
    let text = format!("privvmpages.bar should be > {need} (currently, {barrier})");
    let new = BarrierLimit { barrier: need, limit: limit.max(need) };
    found(Severity::Warning, text, Resource::Privvmpages, new, need.to_string())
}

/// Between barrier and limit there is room for one buffer of each socket. That a barrier is above
/// its limit was told before; without a limit there is room.
fn gap(ubc: &UbcSet, resource: Resource, sockets: Resource, severity: Severity) -> Option<Finding> {
    let sockets = u128::from(value(ubc, sockets).barrier);
    let need = at_most_unlimited(sockets * u128::from(BUFFER_OF_SOCKET));
    let BarrierLimit { barrier, limit } = value(ubc, resource);
    let room = limit.checked_sub(barrier)?;
    if room >= need || limit == UNLIMITED {
        return None;
    }
    let name = name(resource);
    let text =
        format!("{name}.lim-{name}.bar should be > {need} (currently, {limit}-{barrier}={room})");
    let limit = at_most_unlimited(u128::from(barrier) + u128::from(need));
    let new = BarrierLimit { barrier, limit };
    found(severity, text, resource, new, both(new))
}

fn other_buffer(ubc: &UbcSet, resource: Resource) -> Option<Finding> {
    let (least, better) = OTHER_BUFFER;
    least_barrier(ubc, resource, Severity::Warning, least)
        .or_else(|| least_barrier(ubc, resource, Severity::Recommendation, better))
}

/// Files for the processes; every socket and terminal is one as well.
fn files(ubc: &UbcSet) -> Option<Finding> {
    let old = value(ubc, Resource::Numfile);
    let barrier = |resource| u128::from(value(ubc, resource).barrier);
    let sockets = barrier(Resource::Numtcpsock) + barrier(Resource::Numothersock);
    let descriptors = sockets + barrier(Resource::Numpty);
    let need = u128::from(processes(ubc)) * u128::from(FILES_OF_PROCESS);
    let need = at_most_unlimited(need.max(descriptors));
    if old.barrier >= need {
        return None;
    }
    let text = format!("numfile should be > {need} (currently, {})", old.barrier);
    let new = raised(old, need);
    found(Severity::Warning, text, Resource::Numfile, new, both(new))
}
