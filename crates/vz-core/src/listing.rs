//! The containers of a node, with what is known of each: what vzlist shows.
//!
//! One pass, no process and no lock for each container; what costs a look at the kernel is only
//! looked at when it is asked for.

mod places;

use std::fs::{self, File};
use std::io::{self, Read};
use std::iter;
use std::mem;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use vz_conf::config::Config;
use vz_conf::context::Context;
use vz_conf::ctid::Ctid;
use vz_conf::layout::Layout;
use vz_conf::param::Scope;
use vz_conf::ubc::{BarrierLimit, Resource, UNLIMITED};

use self::places::{Look, Places};
use crate::accounting::{
    Activity, Beancounters, Counter, CpuShare, DiskCounter, DiskPlace, DiskUsage, Source,
    SourceError,
};
use crate::container::or_reported;
use crate::error::OsText;
use crate::names;
use crate::node::Node;
use crate::report::{Kept, Report};

/// Which containers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that run.
    Running,
    /// All that have a configuration or run.
    All,
    /// All but those that run.
    Stopped,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which containers.
    pub which: Which,
    /// Only these, whether they run or not; empty for no restriction.
    pub ids: Vec<Ctid>,
    /// Tell mounted and suspended containers from stopped ones.
    pub status: bool,
    /// Look whether a container's name is its own.
    pub names: bool,
    /// Read the beancounters of running containers.
    pub beancounters: bool,
    /// Read CPU limits and weights of running containers.
    pub cpu_shares: bool,
    /// Read the number of CPUs of running containers.
    pub cpus: bool,
    /// Read load and uptime of running containers.
    pub activity: bool,
    /// Measure disk usage.
    pub disk: bool,
    /// Keep the configurations: without it [`Listed::config`] is empty.
    pub configurations: bool,
}

/// How far a container is, in the order vzlist sorts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Its init is alive.
    Running,
    /// None of the others, or nobody asked which.
    Stopped,
    /// Its root area is mounted.
    Mounted,
    /// A dump of it is kept.
    Suspended,
}

impl Status {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Stopped => "stopped",
            Status::Mounted => "mounted",
            Status::Suspended => "suspended",
        }
    }
}

/// One container of the list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: Ctid,
    /// How far it is.
    pub status: Status,
    /// Its configuration, without vz.conf's values.
    pub config: Own,
    /// Its private area, by its configuration or else by vz.conf.
    pub private: Option<String>,
    /// Its root area, likewise.
    pub root: Option<String>,
    /// Its configured host name.
    pub hostname: Option<String>,
    /// Its name, if that leads to it.
    pub name: Option<String>,
    /// Its addresses: those it has while it runs, those it is configured with (with their
    /// prefix length) else.
    pub addresses: Vec<String>,
    /// Its CPU limit and weight: those in force, or else those configured.
    pub cpu_share: Option<CpuShare>,
    /// The number of CPUs: the one in force, or else the one configured.
    pub cpus: Option<u64>,
    /// Load and uptime, while it runs.
    pub activity: Option<Activity>,
    /// Disk usage and limits: those in force, or else the limits configured.
    pub disk: Option<DiskUsage>,
    beancounters: Option<Beancounters>,
    /// Its private area is there.
    is_there: bool,
}

/// A container's own configuration, empty until it is read. It is large: it is made by the thread
/// that reads it, and not moved about with the rest.
#[derive(Debug, Clone, Default)]
pub struct Own(Option<Box<Config>>);

impl Deref for Own {
    type Target = Config;

    fn deref(&self) -> &Config {
        static EMPTY: LazyLock<Config> = LazyLock::new(Config::default);
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There is no such container, or none at all.
    #[error("Container(s) not found")]
    NotFound,
    /// What running containers hold cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Listed {
    fn new(id: Ctid) -> Listed {
        Listed {
            id,
            status: Status::Stopped,
            config: Own::default(),
            private: None,
            root: None,
            hostname: None,
            name: None,
            addresses: Vec::new(),
            cpu_share: None,
            cpus: None,
            activity: None,
            disk: None,
            beancounters: None,
            is_there: false,
        }
    }

    /// Says whether it runs.
    pub fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// A beancounter: the one in force, or else the limits configured, 0 where none are.
    pub fn counter(&self, resource: Resource) -> Counter {
        if let Some(counters) = &self.beancounters {
            return counters.get(resource);
        }
        let BarrierLimit { barrier, limit } =
            self.config.ubc.get(resource).unwrap_or(BarrierLimit::both(0));
        Counter { barrier, limit, ..Counter::UNCOUNTED }
    }

    /// Says whether its RAM has a limit. One that sets none at all counts as if it had, as it
    /// always did.
    pub fn is_vswap(&self) -> bool {
        ![UNLIMITED, i32::MAX as u64].contains(&self.counter(Resource::Physpages).limit)
    }

    /// The layout of its files: its configuration alone decides it.
    pub fn layout(&self) -> Layout {
        self.config.ve_layout.unwrap_or(Layout::Simfs)
    }
}

/// Lists containers, by id. Files that cannot be read, and odd lines in them, are reported.
///
/// # Errors
/// [`ListError::NotFound`] when not one was found (rather than hidden: a container without a
/// private area is, unless it runs); [`ListError::Source`] when `source` cannot tell what it
/// was asked for.
pub fn collect(
    node: &Node,
    source: &dyn Source,
    request: &Request,
    report: &mut dyn Report,
) -> Result<Vec<Listed>, ListError> {
    let mut found = configured(node, request, report);
    add_running(&mut found, source, request, report);
    if found.is_empty() {
        return Err(ListError::NotFound);
    }
    found.retain(|listed| !listed.id.is_node());
    let mut list = found;
    add_accounting(&mut list, source, request)?;
    look_into(&mut list, node, request, report);
    list.retain(|listed| listed.is_running() || listed.is_there);
    if request.disk {
        add_disk_usage(&mut list, node, source);
    }
    if request.which == Which::Stopped {
        list.retain(|listed| !listed.is_running());
    }
    Ok(list)
}

/// The containers that have a configuration, if they are asked for, by id.
fn configured(node: &Node, request: &Request, report: &mut dyn Report) -> Vec<Listed> {
    let mut ids: Vec<Ctid> = if !request.ids.is_empty() {
        request.ids.iter().copied().filter(|id| node.conf_path(*id).exists()).collect()
    } else if request.which == Which::Running {
        Vec::new()
    } else {
        scan(node, report)
    };
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(Listed::new).collect()
}

/// The ids that configuration files are named after, in no order.
pub fn scan(node: &Node, report: &mut dyn Report) -> Vec<Ctid> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(node.conf_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_suffix(".conf")) else {
            continue;
        };
        let digits = number.strip_prefix('-').unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        match number.parse().ok().and_then(Ctid::new) {
            Some(id) => ids.push(id),
            None => report.error(&format!(
                "Warning: invalid CTID in config file name: {number}.conf, skipping"
            )),
        }
    }
    ids
}

/// Marks those that run, and adds the ones that have no configuration.
fn add_running(
    found: &mut Vec<Listed>,
    source: &dyn Source,
    request: &Request,
    report: &mut dyn Report,
) {
    let running = source.running().unwrap_or_else(|error| {
        report.error(&error.to_string());
        Vec::new()
    });
    for running in running {
        if !request.ids.is_empty() && !request.ids.contains(&running.id) {
            continue;
        }
        let place = found.binary_search_by_key(&running.id, |listed| listed.id);
        let place = place.unwrap_or_else(|place| {
            found.insert(place, Listed::new(running.id));
            place
        });
        let listed = &mut found[place];
        listed.status = Status::Running;
        listed.addresses = running.addresses.iter().flatten().map(IpAddr::to_string).collect();
    }
}

/// Adds what running containers hold. Nobody looks at those when only stopped ones are shown.
fn add_accounting(
    list: &mut [Listed],
    source: &dyn Source,
    request: &Request,
) -> Result<(), SourceError> {
    if request.which == Which::Stopped {
        return Ok(());
    }
    let ids: Vec<Ctid> = list.iter().filter(|one| one.is_running()).map(|one| one.id).collect();
    let mut running = list.iter_mut().filter(|one| one.is_running()).collect::<Vec<_>>();
    if request.beancounters {
        let mut found = source.beancounters(&ids)?;
        running.iter_mut().for_each(|one| one.beancounters = found.remove(&one.id));
    }
    if request.cpu_shares {
        let found = source.cpu_shares(&ids)?;
        running.iter_mut().for_each(|one| one.cpu_share = found.get(&one.id).copied());
    }
    if request.cpus {
        let found = source.cpus(&ids);
        running.iter_mut().for_each(|one| one.cpus = found.get(&one.id).copied());
    }
    if request.activity {
        let found = source.activity(&ids);
        running.iter_mut().for_each(|one| one.activity = found.get(&one.id).copied());
    }
    Ok(())
}

/// Reads the configurations, and finds out how far those are that do not run; without a private
/// area there is no container.
fn look_into(list: &mut [Listed], node: &Node, request: &Request, report: &mut dyn Report) {
    let places = Places::of(list.len(), node);
    on_all_cpus(list, report, |part, [about_configurations, about_files]| {
        places.list_likely();
        read_configurations(part, node, request, about_configurations);
        let mut look = Look::new(&places);
        for listed in part.iter_mut().filter(|listed| !listed.is_running()) {
            look_at(listed, node, request, &mut look, about_files);
        }
    });
}

/// Reads the configurations.
fn read_configurations(
    list: &mut [Listed],
    node: &Node,
    request: &Request,
    report: &mut dyn Report,
) {
    let mut reader = Reader::new(node);
    // The same place for all that are not kept: it stays in the CPU's cache.
    let mut config = Box::<Config>::default();
    for listed in list {
        reader.read_config(listed.id, &mut config, report);
        add_configured(listed, &config, node, request);
        match request.configurations || request.disk {
            true => listed.config = Own(Some(mem::take(&mut config))),
            false => *config = Config::default(),
        }
    }
}

/// Does the work for parts of the list, on each CPU one, when there is much of it. What there is to
/// report about the first comes before what there is about the second, each in the list's order.
fn on_all_cpus(
    list: &mut [Listed],
    report: &mut dyn Report,
    work: impl Fn(&mut [Listed], &mut [Kept; 2]) + Sync,
) {
    /// To start a thread takes as long as to look at some ten containers.
    const SMALLEST_PART: usize = 100;
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let part = list.len().div_ceil(cpus).max(SMALLEST_PART);
    let (first, others) = list.split_at_mut(part.min(list.len()));
    let kept = |part| {
        let mut kept = Default::default();
        work(part, &mut kept);
        kept
    };
    let kept = &kept;
    let parts: Vec<[Kept; 2]> = thread::scope(|scope| {
        let others: Vec<_> =
            others.chunks_mut(part).map(|part| scope.spawn(move || kept(part))).collect();
        let first = kept(first);
        iter::once(first).chain(others.into_iter().filter_map(|other| other.join().ok())).collect()
    });
    for about in 0..2 {
        let lines = parts.iter().flat_map(|part| &part[about].0);
        lines.for_each(|(level, line)| report.log(*level, line));
    }
}

/// Reads configurations one after the other. What is the same for all is found out once, and
/// each takes three system calls: there may be thousands.
struct Reader<'n> {
    node: &'n Node,
    directory: PathBuf,
    opened: Option<File>,
    context: Context,
    bytes: Vec<u8>,
}

impl<'n> Reader<'n> {
    fn new(node: &'n Node) -> Reader<'n> {
        let directory = node.conf_dir();
        Reader {
            node,
            opened: File::open(&directory).ok(),
            directory,
            context: node.text_context(Ctid::NODE),
            bytes: Vec::new(),
        }
    }

    fn read_config(&mut self, id: Ctid, config: &mut Config, report: &mut dyn Report) {
        let name = format!("{id}.conf");
        let length = self.read_file(&name);
        let shown = || self.node.shown(&self.directory.join(&name));
        let length = match length {
            Ok(length) => length,
            Err(error) => {
                let shown = shown();
                report.error(&format!("Unable to open {}: {}", shown.display(), OsText(error)));
                return;
            }
        };
        let context = Context { ctid: id, ..self.context };
        // The path is only named in warnings, and few files have any.
        let bytes = &self.bytes[..length];
        let warnings = config.read_bytes(bytes, Path::new(&name), Scope::Container, &context);
        for mut warning in warnings {
            warning.file = shown();
            report.log(warning.level().into(), &warning.to_string());
        }
    }

    /// Reads a whole file and says how long it is, without asking for its size first.
    fn read_file(&mut self, name: &str) -> io::Result<usize> {
        const STEP: usize = 16 * 1024;
        let directory = self.opened.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(directory, name, flags, Mode::empty())?);
        let mut length = 0;
        loop {
            if self.bytes.len() < length + STEP {
                self.bytes.resize(length + STEP, 0);
            }
            let room = self.bytes.len() - length;
            let more = file.read(&mut self.bytes[length..])?;
            length += more;
            // A regular file gives less than was asked for only at its end.
            if more < room {
                return Ok(length);
            }
        }
    }
}

fn add_configured(listed: &mut Listed, config: &Config, node: &Node, request: &Request) {
    let id = listed.id;
    listed.hostname.clone_from(&config.hostname);
    listed.private = config.private_of(id).or_else(|| node.config.private_of(id));
    listed.root = config.root_of(id).or_else(|| node.config.root_of(id));
    if request.names {
        let name = config.name.clone().filter(|name| !name.is_empty());
        listed.name = name.filter(|name| names::find(node, name) == Some(id));
    }
    if listed.addresses.is_empty() {
        let addresses = config.ip_address.iter().flat_map(|list| list.as_slice());
        listed.addresses = match listed.status {
            Status::Running => addresses.map(|address| address.ip.to_string()).collect(),
            _ => addresses.map(ToString::to_string).collect(),
        };
    }
    if config.cpulimit.is_some() || config.cpuunits.is_some() {
        let (limit, units) = (config.cpulimit.unwrap_or(0), config.cpuunits.unwrap_or(0));
        listed.cpu_share = listed.cpu_share.or(Some(CpuShare { limit, units }));
    }
    listed.cpus = listed.cpus.or(config.cpus);
    if config.diskspace.is_some() || config.diskinodes.is_some() {
        let limits = |soft_and_hard: Option<(u64, u64)>| {
            let (soft, hard) = soft_and_hard.unwrap_or_default();
            DiskCounter { usage: 0, soft, hard }
        };
        let space = limits(config.diskspace.map(|space| (space.soft, space.hard)));
        let inodes = limits(config.diskinodes.map(|inodes| (inodes.soft, inodes.hard)));
        listed.disk = Some(DiskUsage { space, inodes });
    }
}

/// Finds out how far one is that does not run.
fn look_at(
    listed: &mut Listed,
    node: &Node,
    request: &Request,
    look: &mut Look<'_>,
    report: &mut dyn Report,
) {
    let Some(private) = &listed.private else { return };
    listed.is_there = look.has_private(&node.path(private));
    if !listed.is_there || !request.status {
        return;
    }
    let root = listed.root.as_ref().map(|root| node.path(root));
    let is_mounted = |root: PathBuf| or_reported(look.is_mounted(&root), node, &root, report);
    if root.filter(|root| !root.as_os_str().is_empty()).is_some_and(is_mounted) {
        listed.status = Status::Mounted;
    } else if look.has_dump(listed.id) {
        listed.status = Status::Suspended;
    }
}

fn add_disk_usage(list: &mut [Listed], node: &Node, source: &dyn Source) {
    let path = |path: &Option<String>| path.as_ref().map(|path| node.path(path));
    let paths: Vec<_> = list.iter().map(|one| (path(&one.private), path(&one.root))).collect();
    let places: Vec<_> = list
        .iter()
        .zip(&paths)
        .filter_map(|(one, (private, root))| {
            let (private, root) = (private.as_deref()?, root.as_deref()?);
            Some(DiskPlace { id: one.id, layout: one.layout(), private, root })
        })
        .collect();
    let found = source.disk_usage(&places);
    for listed in list {
        listed.disk = match (found.get(&listed.id).copied(), listed.disk) {
            (Some(found), Some(configured)) => Some(with_limits(found, configured)),
            (found, configured) => found.or(configured),
        };
    }
}

/// A quota that is off limits nothing: what is configured counts, once it is on.
fn with_limits(found: DiskUsage, configured: DiskUsage) -> DiskUsage {
    let no_limits = |counter: DiskCounter| counter.soft == 0 && counter.hard == 0;
    if !no_limits(found.space) || !no_limits(found.inodes) {
        return found;
    }
    let with = |usage: u64, limits: DiskCounter| DiskCounter { usage, ..limits };
    DiskUsage {
        space: with(found.space.usage, configured.space),
        inodes: with(found.inodes.usage, configured.inodes),
    }
}

#[cfg(test)]
mod tests;
