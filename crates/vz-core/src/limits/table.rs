//! The one table of beancounters: what enforces each on this kernel, and what it is counted from.
//!
//! `limits` reads its one half and `accounting` the other, so that nothing is shown as limited
//! that is not, and docs/ubc.md says it to people.

use vz_conf::ubc::Resource;
use vz_sys::rlimit::ProcessLimit;

/// What enforces a beancounter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// A file of the container's cgroup takes the limit.
    Group(&'static str),
    /// `pids.max` of the group that its processes are in, so that ours beside them do not count.
    Processes,
    /// With others it makes up the container's memory: barriers `memory.high`, limits `memory.max`.
    Memory,
    /// The barrier is what the container keeps when memory gets short: `memory.low`.
    Guarantee,
    /// Below the barrier its processes are not the ones to be killed when the node runs out of
    /// memory: their `oom_score_adj`.
    OutOfMemoryGuarantee,
    /// Each process has the limit for itself.
    Process(ProcessLimit),
    /// Pages of System V shared memory: `kernel.shmall` of the IPC namespace.
    SharedMemory,
    /// Terminals: `max` of the container's devpts.
    Terminals,
    /// Programs on the container's cgroup: see [`crate::sockets`].
    Sockets,
    /// Each socket has the barrier for itself, and in a classic container it is part of the memory.
    TcpBuffer,
    /// This kernel has no such limit.
    Nothing,
}

/// What a number of a beancounter is read from, in the container's cgroup unless it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A file with a number.
    Number(&'static str),
    /// The same of the group that the container's processes are in, without its vzmon.
    InnerNumber(&'static str),
    /// A key in a file.
    Key(&'static str, &'static str),
    /// The same of that inner group.
    InnerKey(&'static str, &'static str),
    /// Several of these keys of `memory.stat` together.
    MemoryKeys(&'static [&'static str]),
    /// Something that only its processes tell, one by one.
    Processes(OfProcesses),
    /// Entries in its devpts.
    Terminals,
    /// Those programs and sock_diag: see [`crate::sockets`].
    Sockets,
    /// Rules of the packet filters of its network namespace.
    PacketFilter,
    /// Nothing counts it.
    Nothing,
}

/// What is added up over a container's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfProcesses {
    /// Descriptors open.
    OpenFiles,
    /// File locks, those waited for as well.
    FileLocks,
    /// Signals that wait to be taken.
    PendingSignals,
}

/// A beancounter's row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which one.
    pub resource: Resource,
    /// What enforces it.
    pub enforced: Enforced,
    /// What is held, in the beancounter's unit; bytes are made pages where that is its unit.
    pub held: Counted,
    /// The most that was held: where the kernel keeps none, vzmon's samples and what is held.
    pub maxheld: Counted,
    /// How often something was refused.
    pub failed: Counted,
}

impl Row {
    /// The row of a beancounter.
    pub fn of(resource: Resource) -> &'static Row {
        &ROWS[resource as usize]
    }
}

const fn row(
    resource: Resource,
    enforced: Enforced,
    held: Counted,
    maxheld: Counted,
    failed: Counted,
) -> Row {
    Row { resource, enforced, held, maxheld, failed }
}

/// In the order of [`Resource::ALL`].
pub const ROWS: [Row; Resource::ALL.len()] = {
    use Counted::{
        InnerKey, InnerNumber, Key, MemoryKeys, Nothing as NotCounted, Number, Processes,
    };
    use Enforced::{Group, Guarantee, Memory, Nothing, Process};
    use Resource as R;
    [
        row(R::Kmemsize, Memory, Key("memory.stat", "kernel"), NotCounted, NotCounted),
        row(
            R::Lockedpages,
            Process(ProcessLimit::LockedMemory),
            Key("memory.stat", "unevictable"),
            NotCounted,
            NotCounted,
        ),
        // Memory that was asked for and never touched is not counted by this kernel.
        row(
            R::Privvmpages,
            Memory,
            MemoryKeys(&["anon", "shmem"]),
            NotCounted,
            Key("memory.events", "max"),
        ),
        row(
            R::Shmpages,
            Enforced::SharedMemory,
            Key("memory.stat", "shmem"),
            NotCounted,
            NotCounted,
        ),
        row(
            R::Numproc,
            Enforced::Processes,
            InnerNumber("pids.current"),
            InnerNumber("pids.peak"),
            InnerKey("pids.events", "max"),
        ),
        row(
            R::Physpages,
            Group("memory.max"),
            Number("memory.current"),
            Number("memory.peak"),
            Key("memory.events", "max"),
        ),
        row(R::Vmguarpages, Guarantee, NotCounted, NotCounted, NotCounted),
        row(
            R::Oomguarpages,
            Enforced::OutOfMemoryGuarantee,
            MemoryKeys(&["anon", "shmem", "kernel"]),
            NotCounted,
            Key("memory.events", "oom_kill"),
        ),
        row(R::Numtcpsock, Enforced::Sockets, Counted::Sockets, NotCounted, NotCounted),
        row(R::Numflock, Nothing, Processes(OfProcesses::FileLocks), NotCounted, NotCounted),
        row(R::Numpty, Enforced::Terminals, Counted::Terminals, NotCounted, NotCounted),
        row(R::Numsiginfo, Nothing, Processes(OfProcesses::PendingSignals), NotCounted, NotCounted),
        row(R::Tcpsndbuf, Enforced::TcpBuffer, Counted::Sockets, NotCounted, NotCounted),
        row(R::Tcprcvbuf, Enforced::TcpBuffer, Counted::Sockets, NotCounted, NotCounted),
        row(R::Othersockbuf, Memory, Counted::Sockets, NotCounted, NotCounted),
        row(R::Dgramrcvbuf, Memory, Counted::Sockets, NotCounted, NotCounted),
        row(R::Numothersock, Enforced::Sockets, Counted::Sockets, NotCounted, NotCounted),
        row(
            R::Numfile,
            Process(ProcessLimit::OpenFiles),
            Processes(OfProcesses::OpenFiles),
            NotCounted,
            NotCounted,
        ),
        row(R::Dcachesize, Nothing, Key("memory.stat", "slab_reclaimable"), NotCounted, NotCounted),
        row(R::Numiptent, Nothing, Counted::PacketFilter, NotCounted, NotCounted),
        row(R::Avnumproc, Nothing, NotCounted, NotCounted, NotCounted),
        row(
            R::Swappages,
            Group("memory.swap.max"),
            Number("memory.swap.current"),
            Number("memory.swap.peak"),
            Key("memory.swap.events", "fail"),
        ),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_row() {
        for resource in Resource::ALL {
            assert_eq!(Row::of(resource).resource, resource);
        }
    }
}
