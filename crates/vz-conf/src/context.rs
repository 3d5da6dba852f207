//! What a value's meaning depends on besides its text.

use crate::ctid::Ctid;
use crate::netif::Mac;

/// The node and the container for which a text is read.
///
/// This crate asks the kernel nothing, so the few facts that give a text its meaning are
/// handed in: `CPULIMIT=50%` is a share of this many CPUs, a generated MAC address comes
/// from the container's id and the node's own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The container the file or the command line belongs to; 0 for the node itself.
    pub ctid: Ctid,
    /// CPUs of the node that are online.
    pub cpus: u32,
    /// MAC address of the node's first Ethernet link; all zeros when it has none.
    pub node_mac: Mac,
    /// Whether the node can limit RAM and swap (`--ram`, `--swap`).
    pub vswap: bool,
}

impl Context {
    /// The context of a container on a node of one CPU without Ethernet.
    #[must_use]
    pub fn new(ctid: Ctid) -> Self {
        Self { ctid, cpus: 1, node_mac: Mac::default(), vswap: true }
    }
}
