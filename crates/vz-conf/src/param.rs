//! The one table of parameters: every configuration key and every option that sets one.
//!
//! Reading and saving files, the command line, `--help`, the man page, shell completion and
//! vzcfgvalidate all go by it. It is in the order of the original, which is the order in which
//! new keys are appended to a file.

use std::sync::LazyLock;

use crate::list::{BLANKS, BLANKS_AND_COMMA};
use crate::ubc::Resource;

/// Which parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParamId {
    /// A beancounter.
    Ubc(Resource),
    /// A key that only scripts read.
    Script(&'static str),
    /// `LOCKDIR`.
    Lockdir,
    /// `DUMPDIR`.
    Dumpdir,
    /// `LOGGING`.
    Logging,
    /// `LOG_LEVEL`.
    LogLevel,
    /// `LOGFILE`.
    Logfile,
    /// `VERBOSE`.
    Verbose,
    /// `IPTABLES`.
    Iptables,
    /// `NETFILTER`.
    Netfilter,
    /// `--ram`.
    Ram,
    /// `--swap`.
    Swap,
    /// `CAPABILITY`.
    Capability,
    /// `IP_ADDRESS`.
    IpAddress,
    /// `--ipdel`.
    IpDel,
    /// `NETDEV`.
    Netdev,
    /// `--netdev_del`.
    NetdevDel,
    /// `HOSTNAME`.
    Hostname,
    /// `DESCRIPTION`.
    Description,
    /// `NAMESERVER`.
    Nameserver,
    /// `IPV6`.
    Ipv6,
    /// `SEARCHDOMAIN`.
    Searchdomain,
    /// `--userpasswd`.
    Userpasswd,
    /// `DEVICES`.
    Devices,
    /// `DEVNODES`.
    Devnodes,
    /// `PCI`.
    Pci,
    /// `--pci_del`.
    PciDel,
    /// `VE_ROOT`.
    VeRoot,
    /// `VE_PRIVATE`.
    VePrivate,
    /// `TEMPLATE`.
    Template,
    /// `MOUNT_OPTS`.
    MountOpts,
    /// `VE_LAYOUT`.
    VeLayout,
    /// `OSTEMPLATE`.
    Ostemplate,
    /// `OVERLAY_TEMPLATE`.
    OverlayTemplate,
    /// `DEF_OSTEMPLATE`.
    DefOstemplate,
    /// `CPUUNITS`.
    Cpuunits,
    /// `CPUUWEIGHT`.
    Cpuweight,
    /// `CPULIMIT`.
    Cpulimit,
    /// `CPUS`.
    Cpus,
    /// `CPUMASK`.
    Cpumask,
    /// `NODEMASK`.
    Nodemask,
    /// `ONBOOT`.
    Onboot,
    /// `CONFIGFILE`.
    Configfile,
    /// `ORIGIN_SAMPLE`.
    OriginSample,
    /// `DISABLED`.
    Disabled,
    /// `LOCAL_UID`.
    LocalUid,
    /// `LOCAL_GID`.
    LocalGid,
    /// `DISK_QUOTA`.
    DiskQuota,
    /// `DISKSPACE`.
    Diskspace,
    /// `DISKINODES`.
    Diskinodes,
    /// `QUOTATIME`.
    Quotatime,
    /// `QUOTAUGIDLIMIT`.
    Quotaugidlimit,
    /// `MEMINFO`.
    Meminfo,
    /// `VETH`.
    Veth,
    /// `NETIF`.
    Netif,
    /// `--netif_del`.
    NetifDel,
    /// `--ifname`.
    NetifIfname,
    /// `--mac`.
    NetifMac,
    /// `--host_ifname`.
    NetifHostIfname,
    /// `--host_mac`.
    NetifHostMac,
    /// `--bridge`.
    NetifBridge,
    /// `--mac_filter`.
    NetifMacFilter,
    /// `VEID`.
    Veid,
    /// `NAME`.
    Name,
    /// `FEATURES`.
    Features,
    /// `IOPRIO`.
    Ioprio,
    /// `IOLIMIT`.
    Iolimit,
    /// `IOPSLIMIT`.
    Iopslimit,
    /// `BOOTORDER`.
    Bootorder,
    /// `STOP_TIMEOUT`.
    StopTimeout,
    /// `VM_OVERCOMMIT`.
    VmOvercommit,
    /// `--save`.
    Save,
    /// `--force`.
    Force,
    /// `--setmode`.
    Setmode,
    /// `--reset_ub`.
    ResetUb,
    /// `--applyconfig`.
    Applyconfig,
    /// `--applyconfig_map`.
    ApplyconfigMap,
    /// `--skip_arpdetect`.
    SkipArpdetect,
    /// `--offline-resize`.
    OfflineResize,
}

/// The type of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`crate::ubc::BarrierLimit`].
    BarrierLimit,
    /// Bytes of RAM or swap, rounded up to pages.
    Memory,
    /// Any text on one line.
    Text,
    /// A path.
    Path,
    /// A container's name.
    Name,
    /// `yes` or `no`.
    YesNo,
    /// A number, maybe negative.
    Int,
    /// A number that is not negative, up to 2147483647.
    Natural,
    /// A number that is not negative, or `unlimited`.
    Unsigned,
    /// A decimal factor.
    Factor,
    /// CPU units.
    CpuUnits,
    /// Percent of a CPU.
    CpuLimit,
    /// [`crate::cpumask::CpuMask`].
    CpuMask,
    /// [`crate::cpumask::IndexSet`].
    IndexSet,
    /// IP addresses.
    Addresses,
    /// Words.
    Words,
    /// Network devices of the node.
    Netdevs,
    /// Devices by number.
    Devices,
    /// Devices by name.
    Devnodes,
    /// PCI devices.
    Pci,
    /// Capabilities.
    Capabilities,
    /// Features.
    Features,
    /// A netfilter mode.
    Netfilter,
    /// iptables modules.
    IptablesModules,
    /// A layout.
    Layout,
    /// Soft and hard limit of KiB.
    DiskSpace,
    /// Soft and hard limit of inodes.
    DiskInodes,
    /// 0 to 7.
    IoPriority,
    /// Bytes a second.
    IoLimit,
    /// What memory the container sees.
    Meminfo,
    /// veth interfaces, or a part of one.
    Netif,
    /// `restart` or `ignore`.
    Setmode,
    /// An option without a value.
    Flag,
    /// A key whose value the tools do not look at.
    Ignored,
}

impl Kind {
    /// What separates the items of a list, none if the value is no list.
    pub(crate) fn separators(self) -> &'static [char] {
        match self {
            Self::Addresses | Self::Words | Self::Netdevs => BLANKS,
            Self::Capabilities | Self::Features | Self::IptablesModules => BLANKS_AND_COMMA,
            Self::Devices | Self::Devnodes | Self::Pci => &[' '],
            _ => &[],
        }
    }

    /// The words a value is one of, for shell completion; empty when it is open.
    #[must_use]
    pub fn choices(self) -> &'static [&'static str] {
        match self {
            Self::YesNo => &["yes", "no"],
            Self::Netfilter => &["disabled", "stateless", "stateful", "full"],
            Self::Layout => &["simfs", "ploop", "overlay"],
            Self::Setmode => &["restart", "ignore"],
            _ => &[],
        }
    }
}

/// Where a key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Only in the node's vz.conf.
    Node,
    /// Only in a container's file.
    Container,
    /// In both; the container's counts.
    Both,
}

/// When a changed value takes effect on a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applies {
    /// At once.
    Live,
    /// When it is restarted.
    Restart,
    /// Not on the container itself: the tools use the value, or it is fixed when it starts.
    Never,
}

/// A set of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commands(u8);

impl Commands {
    /// None.
    pub const NONE: Self = Self(0);
    /// `vzctl set`.
    pub const SET: Self = Self(1);
    /// `vzctl create`.
    pub const CREATE: Self = Self(2);
    /// `vzctl convert`.
    pub const CONVERT: Self = Self(4);
    /// `set` and `create`.
    pub const SET_CREATE: Self = Self(3);
    /// `create` and `convert`.
    pub const CREATE_CONVERT: Self = Self(6);
    /// All three.
    pub const ALL: Self = Self(7);

    /// Whether every command of `other` is in this set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Which one.
    pub id: ParamId,
    /// Its configuration key, if it has one of its own.
    pub key: Option<&'static str>,
    /// Older keys that are understood.
    pub aliases: &'static [&'static str],
    /// Long options without their dashes; the first is the one to document.
    pub options: &'static [&'static str],
    /// Short option, of `vzctl set` only.
    pub short: Option<char>,
    /// Type of the value.
    pub kind: Kind,
    /// Commands that accept the options.
    pub commands: Commands,
    /// When a change takes effect.
    pub applies: Applies,
    /// Where the key may stand.
    pub scope: Scope,
    /// What the option's value is called in help; none when it takes no value.
    pub argument: Option<&'static str>,
    /// What the option does, in a few words.
    pub help: &'static str,
}

/// A row for a key.
const fn key(id: ParamId, key: &'static str, kind: Kind, scope: Scope) -> Param {
    Param {
        id,
        key: Some(key),
        aliases: &[],
        options: &[],
        short: None,
        kind,
        commands: Commands::NONE,
        applies: Applies::Never,
        scope,
        argument: None,
        help: "",
    }
}

/// A row for an option that has no key of its own.
const fn option(id: ParamId, kind: Kind) -> Param {
    let mut param = key(id, "", kind, Scope::Container);
    param.key = None;
    param
}

impl Param {
    const fn options(
        mut self,
        options: &'static [&'static str],
        argument: Option<&'static str>,
        commands: Commands,
        help: &'static str,
    ) -> Self {
        self.options = options;
        self.argument = argument;
        self.commands = commands;
        self.help = help;
        self
    }

    const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn applies(mut self, applies: Applies) -> Self {
        self.applies = applies;
        self
    }

    /// Whether the option takes a value.
    #[must_use]
    pub const fn takes_value(&self) -> bool {
        self.argument.is_some()
    }
}

/// The parameter with this key or an older name of it.
#[must_use]
pub fn by_key(key: &str) -> Option<&'static Param> {
    // vzlist asks for every line of every container's file. In a place of the table stand few
    // keys, mostly one or none.
    static KEYS: LazyLock<Vec<Vec<(&str, &Param)>>> = LazyLock::new(|| {
        let mut table = vec![Vec::new(); KEY_PLACES];
        let keys = |param: &'static Param| param.key.iter().chain(param.aliases);
        for (key, param) in PARAMS.iter().flat_map(|param| keys(param).map(move |k| (*k, param))) {
            table[key_place(key)].push((key, param));
        }
        table
    });
    // Of two rows with one key the first counts.
    KEYS[key_place(key)].iter().find(|(other, _)| *other == key).map(|(_, param)| *param)
}

/// Places of the table that finds keys.
const KEY_PLACES: usize = 256;

/// Where in that table a key stands: its length and three of its bytes tell most keys apart.
fn key_place(key: &str) -> usize {
    let byte = |at: usize| key.as_bytes().get(at).copied().map_or(0, usize::from);
    let (first, third, last) = (byte(0), byte(2), byte(key.len().wrapping_sub(1)));
    (key.len() * 31 + first * 7 + third * 3 + last) % KEY_PLACES
}

/// The parameter that a command's long option, without its dashes, sets.
#[must_use]
pub fn by_option(command: Commands, option: &str) -> Option<&'static Param> {
    let accepted = |param: &&Param| param.commands.has(command);
    PARAMS.iter().filter(accepted).find(|param| param.options.contains(&option))
}

/// The parameter that a short option of `vzctl set` sets.
#[must_use]
pub fn by_short(short: char) -> Option<&'static Param> {
    PARAMS.iter().find(|param| param.short == Some(short))
}

/// The parameters with a key in the order in which they are appended to a file: first the
/// beancounters and VM_OVERCOMMIT, then the others as they stand in the table.
pub fn in_save_order() -> impl Iterator<Item = &'static Param> {
    let is_ubc = |param: &&Param| matches!(param.id, ParamId::Ubc(_));
    let is_factor = |param: &&Param| param.id == ParamId::VmOvercommit;
    let keyed = || PARAMS.iter().filter(|param| param.key.is_some());
    let rest = keyed().filter(move |param| !is_ubc(param) && !is_factor(param));
    keyed().filter(is_ubc).chain(keyed().filter(is_factor)).chain(rest)
}

mod table;
pub use table::PARAMS;

#[cfg(test)]
mod tests;
