//! A configuration as typed values: vz.conf, a container's file, or one over the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use crate::capability::Capabilities;
use crate::context::Context;
use crate::cpumask::{CpuMask, IndexSet};
use crate::ctid::{Ctid, parse_name};
use crate::device::{DeviceList, DeviceRule, Devnode, PciList};
use crate::error::ParseError;
use crate::feature::Features;
use crate::file::{self, ConfFile};
use crate::ipaddr::AddressList;
use crate::layout::Layout;
use crate::list::{WordList, first_word, parse_netdevs};
use crate::meminfo::Meminfo;
use crate::netfilter::{IptablesModules, Netfilter};
use crate::netif::NetifList;
use crate::param::{self, Kind, Param, ParamId, Scope};
use crate::size::{IolimitUnit, SoftHard, parse_iolimit, parse_ioprio, parse_natural};
use crate::ubc::{BarrierLimit, UbcSet};
use crate::warning::{Warning, WarningKind};
use crate::yesno::YesNo;
use crate::{cpu, number, quote};

macro_rules! config {
    ($($key:literal $field:ident: $type:ty;)*) => {
        /// The values of one configuration. A field is `None` when its key is not set.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Config {
            /// The beancounters.
            pub ubc: UbcSet,
            /// Keys that only scripts read, such as VE_STOP_MODE.
            pub script_values: BTreeMap<String, String>,
            $(#[doc = concat!("`", $key, "`.")] pub $field: Option<$type>,)*
        }

        impl Config {
            /// Everything set here, and what is set in `below` where nothing is here.
            fn over(&self, below: &Self) -> Self {
                let mut script_values = below.script_values.clone();
                script_values.extend(self.script_values.clone());
                Self {
                    ubc: below.ubc.merged_with(&self.ubc),
                    script_values,
                    $($field: self.$field.clone().or_else(|| below.$field.clone()),)*
                }
            }
        }
    };
}

config! {
    "LOCKDIR" lockdir: String;
    "DUMPDIR" dumpdir: String;
    "LOGGING" logging: YesNo;
    "LOG_LEVEL" log_level: i32;
    "LOGFILE" logfile: String;
    "VERBOSE" verbose: i32;
    "IPTABLES" iptables: IptablesModules;
    "NETFILTER" netfilter: Netfilter;
    "CAPABILITY" capability: Capabilities;
    "IP_ADDRESS" ip_address: AddressList;
    "NETDEV" netdev: WordList;
    "HOSTNAME" hostname: String;
    "DESCRIPTION" description: String;
    "NAMESERVER" nameserver: WordList;
    "IPV6" ipv6: YesNo;
    "SEARCHDOMAIN" searchdomain: WordList;
    "DEVICES" devices: DeviceList<DeviceRule>;
    "DEVNODES" devnodes: DeviceList<Devnode>;
    "PCI" pci: PciList;
    "VE_ROOT" ve_root: String;
    "VE_PRIVATE" ve_private: String;
    "TEMPLATE" template: String;
    "MOUNT_OPTS" mount_opts: String;
    "VE_LAYOUT" ve_layout: Layout;
    "OSTEMPLATE" ostemplate: String;
    "OVERLAY_TEMPLATE" overlay_template: String;
    "DEF_OSTEMPLATE" def_ostemplate: String;
    "CPUUNITS" cpuunits: u64;
    "CPUUWEIGHT" cpuweight: u64;
    "CPULIMIT" cpulimit: u64;
    "CPUS" cpus: u64;
    "CPUMASK" cpumask: CpuMask;
    "NODEMASK" nodemask: IndexSet;
    "ONBOOT" onboot: YesNo;
    "CONFIGFILE" configfile: String;
    "ORIGIN_SAMPLE" origin_sample: String;
    "DISABLED" disabled: YesNo;
    "LOCAL_UID" local_uid: u64;
    "LOCAL_GID" local_gid: u64;
    "DISK_QUOTA" disk_quota: YesNo;
    "DISKSPACE" diskspace: SoftHard;
    "DISKINODES" diskinodes: SoftHard;
    "QUOTATIME" quotatime: u64;
    "QUOTAUGIDLIMIT" quotaugidlimit: u64;
    "MEMINFO" meminfo: Meminfo;
    "NETIF" netif: NetifList;
    "VEID" veid: i32;
    "NAME" name: String;
    "FEATURES" features: Features;
    "IOPRIO" ioprio: u8;
    "IOLIMIT" iolimit: u32;
    "IOPSLIMIT" iopslimit: u32;
    "BOOTORDER" bootorder: u64;
    "STOP_TIMEOUT" stop_timeout: u32;
    "VM_OVERCOMMIT" vm_overcommit: f32;
}

/// What there is to say about a value that was taken, or passed over.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The parameter was set before, and that counts.
    pub duplicate: bool,
    /// The number was cut to the largest possible one.
    pub truncated: bool,
    /// Items of a list that were left out.
    pub left_out: Vec<ParseError>,
}

impl Taken {
    const PLAIN: Self = Self { duplicate: false, truncated: false, left_out: Vec::new() };
}

type Outcome = Result<Taken, ParseError>;

/// Fills a field that keeps its first value.
fn first<T>(field: &mut Option<T>, parse: impl FnOnce() -> Result<T, ParseError>) -> Outcome {
    if field.is_some() {
        return Ok(Taken { duplicate: true, ..Taken::PLAIN });
    }
    *field = Some(parse()?);
    Ok(Taken::PLAIN)
}

/// Fills a field that keeps its last value.
fn last<T>(field: &mut Option<T>, value: T) -> Outcome {
    *field = Some(value);
    Ok(Taken::PLAIN)
}

/// Adds to a list; a list that gets nothing stays unset.
fn gather<T: Default + PartialEq>(
    field: &mut Option<T>,
    add: impl FnOnce(&mut T) -> Result<(), ParseError>,
) -> Outcome {
    let mut list = field.take().unwrap_or_default();
    let added = add(&mut list);
    *field = (list != T::default()).then_some(list);
    added.map(|()| Taken::PLAIN)
}

/// As [`gather`], for lists whose unknown items are left out.
fn gather_known<T: Default + PartialEq>(
    field: &mut Option<T>,
    add: impl FnOnce(&mut T) -> Vec<ParseError>,
) -> Outcome {
    let mut left_out = Vec::new();
    gather(field, |list| {
        left_out = add(list);
        Ok(())
    })?;
    Ok(Taken { left_out, ..Taken::PLAIN })
}

/// Reads a value of a type that has one spelling.
fn read<T: FromStr<Err = ParseError>>(text: &str) -> impl FnOnce() -> Result<T, ParseError> {
    move || text.parse()
}

impl Config {
    /// Reads a file's values, and what there is to say about its lines. `path` is only named.
    ///
    /// Of two lines for a scalar the first counts, of two for a beancounter the last; lists
    /// grow. A line that cannot be read is passed over.
    #[must_use]
    pub fn read(
        file: &ConfFile,
        path: &Path,
        scope: Scope,
        context: &Context,
    ) -> (Self, Vec<Warning>) {
        let mut config = Self::default();
        let warnings = config.read_lines(file.lines(), path, scope, context);
        (config, warnings)
    }

    /// As [`Config::read`], of a file's bytes, into values of which none is set yet: for whoever
    /// reads thousands of files and edits none.
    #[must_use]
    pub fn read_bytes(
        &mut self,
        bytes: &[u8],
        path: &Path,
        scope: Scope,
        context: &Context,
    ) -> Vec<Warning> {
        match std::str::from_utf8(bytes) {
            Ok(text) if file::is_plain(bytes) => self.read_plain(text, path, scope, context),
            _ => {
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                self.read_lines(lines, path, scope, context)
            }
        }
    }

    /// Reads lines of text in which no backslash stands: nearly all are, and nothing of them
    /// has to be copied or looked at again.
    fn read_plain(
        &mut self,
        text: &str,
        path: &Path,
        scope: Scope,
        context: &Context,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|newline| newline + 1);
        let mut start = 0;
        for (index, end) in ends.chain([text.len()]).enumerate() {
            let line = &text[start..end];
            start = end;
            let kinds = match file::fields(line.as_bytes()) {
                Ok(None) => continue,
                Ok(Some((key, value))) => {
                    self.read_entry(&line[key], &line[value], true, scope, context)
                }
                Err(kind) => vec![kind],
            };
            if !kinds.is_empty() {
                warn(&mut warnings, path, index + 1, kinds);
            }
        }
        warnings
    }

    fn read_lines<'l>(
        &mut self,
        lines: impl Iterator<Item = &'l [u8]>,
        path: &Path,
        scope: Scope,
        context: &Context,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (index, line) in lines.enumerate() {
            let line = file::unescape(line);
            let kinds = match file::fields(&line) {
                Ok(None) => continue,
                Ok(Some((key, value))) => {
                    let key = String::from_utf8_lossy(&line[key]);
                    let value = &line[value];
                    let is_text = std::str::from_utf8(value).is_ok();
                    let value = String::from_utf8_lossy(value);
                    self.read_entry(&key, &value, is_text, scope, context)
                }
                Err(kind) => vec![kind],
            };
            if !kinds.is_empty() {
                warn(&mut warnings, path, index + 1, kinds);
            }
        }
        warnings
    }

    /// Reads one line's key and value, of which bytes were replaced unless it `is_text`.
    fn read_entry(
        &mut self,
        key: &str,
        text: &str,
        is_text: bool,
        scope: Scope,
        context: &Context,
    ) -> Vec<WarningKind> {
        let Some(param) = param::by_key(key) else {
            return match key {
                // The original takes a line without a key for addresses to delete.
                "" => unnamed(text),
                _ => vec![WarningKind::Unknown(key.into(), text.into())],
            };
        };
        match param.id {
            ParamId::Veth => return vec![WarningKind::DeprecatedVeth],
            ParamId::Netfilter if scope == Scope::Node => {
                return vec![WarningKind::GlobalNetfilter];
            }
            _ => {}
        }
        let outcome = match param.kind {
            Kind::Path if !is_text => Err(ParseError::Syntax),
            _ => self.assign(param.id, text, context),
        };
        remarks(param, key, text, outcome)
    }

    /// Takes a value as it stands in a file.
    pub(crate) fn assign(&mut self, id: ParamId, text: &str, context: &Context) -> Outcome {
        let own = || Ok(text.to_owned());
        let unsigned = || cpu::parse_unsigned(text);
        match id {
            ParamId::Ubc(resource) => {
                let (value, truncated) = BarrierLimit::parse_truncating(text, resource.unit())?;
                self.ubc.set(resource, Some(value));
                Ok(Taken { truncated, ..Taken::PLAIN })
            }
            ParamId::Script(key) => {
                self.script_values.insert(key.to_owned(), text.to_owned());
                Ok(Taken::PLAIN)
            }
            ParamId::Lockdir => first(&mut self.lockdir, own),
            ParamId::Dumpdir => first(&mut self.dumpdir, own),
            ParamId::Logging => first(&mut self.logging, read(text)),
            ParamId::LogLevel => last(&mut self.log_level, number::int(text)?),
            ParamId::Logfile => first(&mut self.logfile, own),
            ParamId::Verbose => first(&mut self.verbose, || number::int(text)),
            ParamId::Iptables => gather_known(&mut self.iptables, |list| list.add(text)),
            ParamId::Netfilter => last(&mut self.netfilter, text.parse()?),
            ParamId::Capability => gather(&mut self.capability, |list| list.add(text)),
            ParamId::IpAddress => gather(&mut self.ip_address, |list| list.add(text)),
            ParamId::Netdev => {
                let new = parse_netdevs(text)?;
                gather(&mut self.netdev, |list| list.add(&new.to_string()))
            }
            ParamId::Hostname => first(&mut self.hostname, own),
            ParamId::Description => first(&mut self.description, own),
            ParamId::Nameserver => gather(&mut self.nameserver, |list| list.add(text)),
            ParamId::Ipv6 => first(&mut self.ipv6, read(text)),
            ParamId::Searchdomain => gather(&mut self.searchdomain, |list| list.add(text)),
            ParamId::Devices => gather(&mut self.devices, |list| list.add(text)),
            ParamId::Devnodes => gather(&mut self.devnodes, |list| list.add(text)),
            ParamId::Pci => gather(&mut self.pci, |list| list.add(text)),
            ParamId::VeRoot => first(&mut self.ve_root, own),
            ParamId::VePrivate => first(&mut self.ve_private, own),
            ParamId::Template => first(&mut self.template, own),
            ParamId::MountOpts => first(&mut self.mount_opts, own),
            ParamId::VeLayout => last(&mut self.ve_layout, text.parse()?),
            ParamId::Ostemplate => first(&mut self.ostemplate, own),
            ParamId::DefOstemplate => first(&mut self.def_ostemplate, own),
            ParamId::Cpuunits => first(&mut self.cpuunits, || cpu::parse_cpuunits(text)),
            ParamId::Cpuweight => first(&mut self.cpuweight, unsigned),
            ParamId::Cpulimit => {
                first(&mut self.cpulimit, || cpu::parse_cpulimit(text, context.cpus))
            }
            ParamId::Cpus => first(&mut self.cpus, unsigned),
            ParamId::Cpumask => first(&mut self.cpumask, read(text)),
            ParamId::Nodemask => first(&mut self.nodemask, read(text)),
            ParamId::Onboot => first(&mut self.onboot, read(text)),
            ParamId::Configfile => first(&mut self.configfile, own),
            ParamId::OriginSample => first(&mut self.origin_sample, own),
            ParamId::OverlayTemplate => first(&mut self.overlay_template, own),
            ParamId::Disabled => first(&mut self.disabled, read(text)),
            ParamId::LocalUid => Ok(first_readable(&mut self.local_uid, unsigned)),
            ParamId::LocalGid => Ok(first_readable(&mut self.local_gid, unsigned)),
            ParamId::DiskQuota => first(&mut self.disk_quota, read(text)),
            ParamId::Diskspace => first(&mut self.diskspace, || SoftHard::parse_space(text)),
            ParamId::Diskinodes => first(&mut self.diskinodes, || SoftHard::parse_inodes(text)),
            ParamId::Quotatime => first(&mut self.quotatime, unsigned),
            ParamId::Quotaugidlimit => first(&mut self.quotaugidlimit, unsigned),
            ParamId::Meminfo if text.is_empty() => Ok(Taken::PLAIN),
            ParamId::Meminfo => last(&mut self.meminfo, text.parse()?),
            ParamId::Netif => first(&mut self.netif, || NetifList::parse_stored(text, context)),
            ParamId::Veid => last(&mut self.veid, number::int(text)?),
            ParamId::Name => first(&mut self.name, || parse_name(text)),
            ParamId::Features => gather_known(&mut self.features, |list| list.add(text)),
            ParamId::Ioprio => last(&mut self.ioprio, parse_ioprio(text)?),
            ParamId::Iolimit => self.assign_iolimit(text, IolimitUnit::Bytes),
            ParamId::Iopslimit => last(&mut self.iopslimit, parse_natural(text)?),
            ParamId::Bootorder => first(&mut self.bootorder, unsigned),
            ParamId::StopTimeout => first(&mut self.stop_timeout, || parse_natural(text)),
            ParamId::VmOvercommit => first(&mut self.vm_overcommit, || cpu::parse_factor(text)),
            // The others are options without a key.
            _ => Err(ParseError::Syntax),
        }
    }

    /// Takes an I/O limit, whose plain numbers depend on where it stands.
    pub(crate) fn assign_iolimit(&mut self, text: &str, unit: IolimitUnit) -> Outcome {
        let (limit, truncated) = parse_iolimit(text, unit)?;
        self.iolimit = Some(limit);
        Ok(Taken { truncated, ..Taken::PLAIN })
    }

    /// A parameter's value as it is stored, if it is set and ever stored.
    #[must_use]
    pub fn stored(&self, id: ParamId) -> Option<String> {
        fn text<T: ToString>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(ToString::to_string)
        }
        match id {
            ParamId::Ubc(resource) => self.ubc.get(resource).map(|value| value.to_string()),
            ParamId::Script(key) => self.script_values.get(key).cloned(),
            ParamId::Lockdir => self.lockdir.clone(),
            ParamId::Dumpdir => self.dumpdir.clone(),
            ParamId::Logging => text(&self.logging),
            ParamId::LogLevel => text(&self.log_level),
            ParamId::Logfile => self.logfile.clone(),
            ParamId::Verbose => text(&self.verbose),
            ParamId::Iptables => text(&self.iptables),
            ParamId::Netfilter => text(&self.netfilter),
            ParamId::Capability => text(&self.capability),
            ParamId::IpAddress => text(&self.ip_address),
            ParamId::Netdev => text(&self.netdev),
            ParamId::Hostname => self.hostname.clone(),
            ParamId::Description => self.description.clone(),
            ParamId::Nameserver => text(&self.nameserver),
            ParamId::Ipv6 => text(&self.ipv6),
            ParamId::Searchdomain => text(&self.searchdomain),
            ParamId::Devices => text(&self.devices),
            ParamId::Devnodes => text(&self.devnodes),
            ParamId::Pci => text(&self.pci),
            ParamId::VeRoot => self.ve_root.clone(),
            ParamId::VePrivate => self.ve_private.clone(),
            ParamId::Template => self.template.clone(),
            ParamId::MountOpts => self.mount_opts.clone(),
            ParamId::VeLayout => self.ve_layout.map(|layout| layout.stored().to_owned()),
            ParamId::Ostemplate => self.ostemplate.clone(),
            ParamId::DefOstemplate => self.def_ostemplate.clone(),
            ParamId::Cpuunits => text(&self.cpuunits),
            ParamId::Cpuweight => text(&self.cpuweight),
            ParamId::Cpulimit => text(&self.cpulimit),
            ParamId::Cpus => text(&self.cpus),
            ParamId::Cpumask => text(&self.cpumask),
            ParamId::Nodemask => text(&self.nodemask),
            ParamId::Onboot => text(&self.onboot),
            ParamId::Configfile => self.configfile.clone(),
            ParamId::OriginSample => self.origin_sample.clone(),
            ParamId::OverlayTemplate => self.overlay_template.clone(),
            ParamId::Disabled => text(&self.disabled),
            ParamId::LocalUid => text(&self.local_uid),
            ParamId::LocalGid => text(&self.local_gid),
            ParamId::DiskQuota => text(&self.disk_quota),
            ParamId::Diskspace => text(&self.diskspace),
            ParamId::Diskinodes => text(&self.diskinodes),
            ParamId::Quotatime => text(&self.quotatime),
            ParamId::Quotaugidlimit => text(&self.quotaugidlimit),
            ParamId::Meminfo => text(&self.meminfo),
            ParamId::Netif => text(&self.netif),
            ParamId::Veid => text(&self.veid),
            ParamId::Name => self.name.clone(),
            ParamId::Features => text(&self.features),
            ParamId::Ioprio => text(&self.ioprio),
            ParamId::Iolimit => text(&self.iolimit),
            ParamId::Iopslimit => text(&self.iopslimit),
            ParamId::Bootorder => text(&self.bootorder),
            ParamId::StopTimeout => text(&self.stop_timeout),
            ParamId::VmOvercommit => self.vm_overcommit.map(cpu::format_factor),
            _ => None,
        }
    }

    /// A container's configuration over the node's: what the container sets counts, also for
    /// lists. What is the node's alone (lock directory, log, IPv6) is taken from here, and the
    /// layout is the container's alone.
    #[must_use]
    pub fn merged_with(&self, container: &Self) -> Self {
        Self {
            lockdir: self.lockdir.clone(),
            logging: self.logging,
            log_level: self.log_level,
            logfile: self.logfile.clone(),
            verbose: self.verbose,
            ipv6: self.ipv6,
            ve_layout: container.ve_layout,
            ..container.over(self)
        }
    }

    /// This configuration with everything that `values` sets.
    #[must_use]
    pub(crate) fn overlaid_with(&self, values: &Self) -> Self {
        values.over(self)
    }

    /// Whether RAM has a limit: then the container is a VSwap one.
    #[must_use]
    pub fn is_vswap(&self) -> bool {
        self.ubc.is_vswap()
    }

    /// The value of a key that only scripts read, such as VE_STOP_MODE.
    #[must_use]
    pub fn script_value(&self, key: &str) -> Option<&str> {
        self.script_values.get(key).map(String::as_str)
    }

    /// The root area of a container.
    #[must_use]
    pub fn root_of(&self, ctid: Ctid) -> Option<String> {
        self.ve_root.as_deref().map(|path| expand_veid(path, ctid))
    }

    /// The private area of a container.
    #[must_use]
    pub fn private_of(&self, ctid: Ctid) -> Option<String> {
        self.ve_private.as_deref().map(|path| expand_veid(path, ctid))
    }
}

/// Adds what there is to say about one line.
fn warn(warnings: &mut Vec<Warning>, path: &Path, line: usize, kinds: Vec<WarningKind>) {
    warnings.extend(kinds.into_iter().map(|kind| Warning { file: path.into(), line, kind }));
}

/// LOCAL_UID and LOCAL_GID: the first readable value counts, in silence.
fn first_readable<T>(
    field: &mut Option<T>,
    parse: impl FnOnce() -> Result<T, ParseError>,
) -> Taken {
    if field.is_none() {
        *field = parse().ok();
    }
    Taken::PLAIN
}

/// A line `=value`.
fn unnamed(text: &str) -> Vec<WarningKind> {
    let separators = Kind::Addresses.separators();
    let is_address = text == "all" || AddressList::parse(text).is_ok();
    let shown = || WarningKind::Invalid(String::new(), first_word(text, separators).to_owned());
    if is_address { Vec::new() } else { vec![shown()] }
}

/// What there is to say about a line that names a parameter.
fn remarks(param: &Param, key: &str, text: &str, outcome: Outcome) -> Vec<WarningKind> {
    let separators = match param.id {
        ParamId::Netif => &[';'],
        _ => param.kind.separators(),
    };
    let shown = || (key.to_owned(), first_word(text, separators).to_owned());
    let with = |kind: fn(String, String) -> WarningKind| {
        let (key, shown) = shown();
        kind(key, shown)
    };
    match outcome {
        Err(error) => {
            // The original says nothing of its own about addresses in a file.
            let says = error.remark().is_some() && param.id != ParamId::Netif;
            let own = says.then_some(WarningKind::Remark(error));
            own.into_iter().chain([with(WarningKind::Invalid)]).collect()
        }
        Ok(taken) if taken.duplicate => vec![with(WarningKind::Duplicate)],
        Ok(taken) if taken.truncated => vec![with(WarningKind::TooLarge)],
        Ok(taken) if taken.left_out.is_empty() => Vec::new(),
        Ok(taken) => taken.left_out.into_iter().map(WarningKind::Remark).collect(),
    }
}

/// Puts a container's id in the place of the first `$VEID`, or else of the first `${VEID}`, and
/// cuts slashes off the end.
#[must_use]
pub fn expand_veid(path: &str, ctid: Ctid) -> String {
    let trimmed = path.trim_end_matches('/');
    let path = if trimmed.is_empty() && !path.is_empty() { "/" } else { trimmed };
    // Paths are short and have few dollar signs: a search made ready for a word costs more.
    let find = |word: &&str| {
        let mut dollars = path.match_indices('$');
        dollars.find_map(|(at, _)| Some((at, path[at..].strip_prefix(word)?)))
    };
    match quote::VEID.iter().find_map(find) {
        Some((at, rest)) => [&path[..at], &ctid.to_string(), rest].concat(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
