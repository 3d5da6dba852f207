//! The fields of a list, one table: names, headers, widths, and what they show.

use vz_conf::config::Config;
use vz_conf::ubc::Resource;
use vz_core::listing::Listed;

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Its name in `-o`, `-s` and JSON.
    pub name: &'static str,
    /// The header of its column.
    pub header: &'static str,
    /// The width of its column, in bytes; the header of a negative one stands on the left.
    pub width: i32,
    /// What it shows.
    pub what: What,
}

/// What a field shows.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// The id.
    Id,
    /// The name, or the id where there is none.
    SmartName,
    /// The name.
    Name,
    /// A text that is known of each container.
    Text(fn(&Listed) -> Option<&str>),
    /// A text of the configuration.
    Setting(fn(&Config) -> Option<&str>),
    /// The addresses.
    Addresses,
    /// The name servers.
    NameServers,
    /// The search domains.
    SearchDomains,
    /// How far the container is.
    Status,
    /// One number of a beancounter.
    Counter(Resource, CounterPart),
    /// One number of a disk resource.
    Disk(DiskResource, DiskPart),
    /// The load averages.
    LoadAverage,
    /// The time since its start.
    Uptime,
    /// The CPU limit, in percent.
    CpuLimit,
    /// The CPU weight.
    CpuUnits,
    /// The number of CPUs.
    Cpus,
    /// The I/O priority.
    IoPriority,
    /// The I/O limit, in bytes a second.
    IoLimit,
    /// The limit of I/O operations a second.
    IopsLimit,
    /// Whether it is started with the node.
    OnBoot,
    /// When it is started with the node.
    BootOrder,
    /// The layout of its files.
    Layout,
    /// Its features.
    Features,
    /// Whether its RAM has a limit.
    Vswap,
    /// Whether it must not be started.
    Disabled,
    /// How much more memory may be asked for than there is.
    VmOvercommit,
    /// How much packet filtering it may do.
    Netfilter,
    /// Its capabilities.
    Capability,
}

/// The numbers of a beancounter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterPart {
    /// Held now.
    Held,
    /// The most ever held.
    MaxHeld,
    /// The barrier.
    Barrier,
    /// The limit.
    Limit,
    /// How often something was refused.
    FailCnt,
}

/// What there is of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskResource {
    /// Space, in KiB.
    Space,
    /// Inodes.
    Inodes,
}

/// The numbers of a disk resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskPart {
    /// Held now.
    Usage,
    /// The soft limit.
    Soft,
    /// The hard limit.
    Hard,
}

impl What {
    /// Shows the name.
    pub fn is_name(&self) -> bool {
        matches!(self, What::SmartName | What::Name)
    }

    /// Needs nothing of the configuration but what is known of each container.
    pub fn is_known(&self) -> bool {
        match self {
            What::Id
            | What::SmartName
            | What::Name
            | What::Text(_)
            | What::Addresses
            | What::Status
            | What::LoadAverage
            | What::Uptime
            | What::CpuLimit
            | What::CpuUnits
            | What::Cpus => true,
            What::Counter(_, part) => !matches!(part, CounterPart::Barrier | CounterPart::Limit),
            _ => false,
        }
    }

    /// The beancounter it needs.
    pub fn beancounter(&self) -> Option<Resource> {
        match self {
            What::Counter(resource, _) => Some(*resource),
            What::Vswap => Some(Resource::Physpages),
            _ => None,
        }
    }
}

impl Field {
    /// One number of a field that JSON shows as a whole.
    pub fn is_part(&self) -> bool {
        match self.what {
            What::Counter(_, part) => part != CounterPart::Held,
            What::Disk(_, part) => part != DiskPart::Usage,
            _ => false,
        }
    }
}

const fn field(name: &'static str, header: &'static str, width: i32, what: What) -> Field {
    Field { name, header, width, what }
}

/// The five fields of each beancounter.
macro_rules! counters {
    ($($name:literal $header:literal $resource:ident,)*) => {
        &[$(
            counter($name, $header, Resource::$resource, CounterPart::Held),
            counter(
                concat!($name, ".m"),
                concat!($header, ".M"),
                Resource::$resource,
                CounterPart::MaxHeld,
            ),
            counter(
                concat!($name, ".b"),
                concat!($header, ".B"),
                Resource::$resource,
                CounterPart::Barrier,
            ),
            counter(
                concat!($name, ".l"),
                concat!($header, ".L"),
                Resource::$resource,
                CounterPart::Limit,
            ),
            counter(
                concat!($name, ".f"),
                concat!($header, ".F"),
                Resource::$resource,
                CounterPart::FailCnt,
            ),
        )*]
    };
}

const fn counter(
    name: &'static str,
    header: &'static str,
    resource: Resource,
    part: CounterPart,
) -> Field {
    field(name, header, 10, What::Counter(resource, part))
}

/// The id under its three names. Sorting by it is the default.
static IDS: &[Field] = &[
    field("ctid", "CTID", 10, What::Id),
    field("veid", "CTID", 10, What::Id),
    field("vpsid", "CTID", 10, What::Id),
];

static TEXTS: &[Field] = &[
    field("private", "PRIVATE", -32, What::Text(|one| one.private.as_deref())),
    field("root", "ROOT", -32, What::Text(|one| one.root.as_deref())),
    field("mount_opts", "MOUNT_OPTS", -16, What::Setting(|config| config.mount_opts.as_deref())),
    // Its header stands on the right, its values do not: so it always was.
    field(
        "origin_sample",
        "ORIGIN_SAMPLE",
        32,
        What::Setting(|config| config.origin_sample.as_deref()),
    ),
    field("hostname", "HOSTNAME", -32, What::Text(|one| one.hostname.as_deref())),
    field("name", "NAME", -32, What::Name),
    field("smart_name", "SMARTNAME", 10, What::SmartName),
    field("description", "DESCRIPTION", -32, What::Setting(|config| config.description.as_deref())),
    field("ostemplate", "OSTEMPLATE", -32, What::Setting(|config| config.ostemplate.as_deref())),
    field("ip", "IP_ADDR", -15, What::Addresses),
    field("nameserver", "NAMESERVER", -15, What::NameServers),
    field("searchdomain", "SEARCHDOMAIN", -15, What::SearchDomains),
    field("status", "STATUS", -9, What::Status),
];

#[rustfmt::skip]
static COUNTERS: &[Field] = counters! {
    "kmemsize" "KMEMSIZE" Kmemsize,
    "lockedpages" "LOCKEDP" Lockedpages,
    "privvmpages" "PRIVVMP" Privvmpages,
    "shmpages" "SHMP" Shmpages,
    "numproc" "NPROC" Numproc,
    "physpages" "PHYSP" Physpages,
    "vmguarpages" "VMGUARP" Vmguarpages,
    "oomguarpages" "OOMGUARP" Oomguarpages,
    "numtcpsock" "NTCPSOCK" Numtcpsock,
    "numflock" "NFLOCK" Numflock,
    "numpty" "NPTY" Numpty,
    "numsiginfo" "NSIGINFO" Numsiginfo,
    "tcpsndbuf" "TCPSNDB" Tcpsndbuf,
    "tcprcvbuf" "TCPRCVB" Tcprcvbuf,
    "othersockbuf" "OTHSOCKB" Othersockbuf,
    "dgramrcvbuf" "DGRAMRB" Dgramrcvbuf,
    "numothersock" "NOTHSOCK" Numothersock,
    "dcachesize" "DCACHESZ" Dcachesize,
    "numfile" "NFILE" Numfile,
    "numiptent" "NIPTENT" Numiptent,
    "swappages" "SWAPP" Swappages,
};

static OTHERS: &[Field] = &[
    field("diskspace", "DSPACE", 10, What::Disk(DiskResource::Space, DiskPart::Usage)),
    field("diskspace.s", "DSPACE.S", 10, What::Disk(DiskResource::Space, DiskPart::Soft)),
    field("diskspace.h", "DSPACE.H", 10, What::Disk(DiskResource::Space, DiskPart::Hard)),
    field("diskinodes", "DINODES", 10, What::Disk(DiskResource::Inodes, DiskPart::Usage)),
    field("diskinodes.s", "DINODES.S", 10, What::Disk(DiskResource::Inodes, DiskPart::Soft)),
    field("diskinodes.h", "DINODES.H", 10, What::Disk(DiskResource::Inodes, DiskPart::Hard)),
    field("laverage", "LAVERAGE", 14, What::LoadAverage),
    field("uptime", "UPTIME", 15, What::Uptime),
    field("cpulimit", "CPULIM", 7, What::CpuLimit),
    field("cpuunits", "CPUUNI", 7, What::CpuUnits),
    field("cpus", "CPUS", 5, What::Cpus),
    field("ioprio", "IOP", 3, What::IoPriority),
    field("iolimit", "IOLIMIT", 10, What::IoLimit),
    field("iopslimit", "IOPS", 4, What::IopsLimit),
    field("onboot", "ONBOOT", 6, What::OnBoot),
    field("bootorder", "BOOTORDER", 10, What::BootOrder),
    field("layout", "LAYOUT", 6, What::Layout),
    field("features", "FEATURES", -15, What::Features),
    field("vswap", "VSWAP", 5, What::Vswap),
    field("disabled", "DISABL", 6, What::Disabled),
    field("vm_overcommit", "VM_OVC", 6, What::VmOvercommit),
    field("netfilter", "NETFILTER", -9, What::Netfilter),
    field("capability", "CAPABILITY", -15, What::Capability),
];

/// Every field, in the order of `-L`.
pub fn all() -> impl Iterator<Item = &'static Field> {
    [IDS, TEXTS, COUNTERS, OTHERS].into_iter().flatten()
}

/// The fields of JSON for which nothing was said: all but the parts of others.
pub fn whole() -> impl Iterator<Item = &'static Field> {
    all().filter(|field| !field.is_part())
}

/// The field with this name.
pub fn find(name: &str) -> Option<&'static Field> {
    all().find(|field| field.name == name)
}

/// The id, by which a list is sorted when nothing was said.
pub fn id() -> &'static Field {
    &IDS[0]
}

/// The list of all fields: name and header.
pub fn names() -> String {
    all().map(|field| format!("{:<15} {:<15}\n", field.name, field.header)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let mut names: Vec<_> = all().map(|field| field.name).collect();
        let count = names.len();
        assert!(names.iter().all(|name| name.len() <= 30 && !name.contains([',', ' '])));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(count, 3 + 13 + 21 * 5 + 23);
    }

    #[test]
    fn headers_fit_their_columns() {
        for field in all() {
            assert!(field.header.len() <= field.width.unsigned_abs() as usize, "{}", field.name);
        }
    }

    #[test]
    fn beancounters_are_named_after_their_resources() {
        for field in all() {
            if let What::Counter(resource, _) = field.what {
                let name = field.name.split('.').next().unwrap_or_default();
                assert_eq!(name.to_uppercase(), resource.key());
            }
        }
    }
}
