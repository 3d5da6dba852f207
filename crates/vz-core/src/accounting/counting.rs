//! A container's beancounters, read as the table in [`crate::limits::table`] says.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use vz_conf::ubc::{PAGE, Resource, UNLIMITED, UbcSet, Unit};
use vz_sys::cgroup::{Cgroup, value_of};
use vz_sys::cgroup_peaks::Peaks;
use vz_sys::{beneath, proc, pty};

use super::imitation::status_field;
use super::{Beancounters, Counter};
use crate::limits::table::{Counted, Enforced, OfProcesses, Row};
use crate::sockets;

/// What is read of one container, each file once.
pub struct Counting<'c> {
    /// The group with the limits.
    top: &'c Cgroup,
    /// The group that its processes are in.
    inner: &'c Cgroup,
    in_force: UbcSet,
    init: Option<i32>,
    files: RefCell<HashMap<&'static str, Option<String>>>,
    processes: OnceCell<Vec<Pid>>,
    peaks: OnceCell<Peaks>,
    sockets: OnceCell<Option<sockets::Counters>>,
    usage: Option<sockets::Usage>,
    rules: Option<u64>,
}

impl<'c> Counting<'c> {
    /// Of the container with these groups; `init` is its init.
    pub fn new(
        top: &'c Cgroup,
        inner: &'c Cgroup,
        in_force: UbcSet,
        init: Option<i32>,
    ) -> Counting<'c> {
        Counting {
            top,
            inner,
            in_force,
            init,
            files: RefCell::default(),
            processes: OnceCell::new(),
            peaks: OnceCell::new(),
            sockets: OnceCell::new(),
            usage: None,
            rules: None,
        }
    }

    /// With what sock_diag says of its network namespace.
    #[must_use]
    pub fn with_sockets(self, usage: Option<sockets::Usage>) -> Counting<'c> {
        Counting { usage, ..self }
    }

    /// With the number of rules in its packet filters.
    #[must_use]
    pub fn with_rules(self, rules: Option<u64>) -> Counting<'c> {
        Counting { rules, ..self }
    }

    /// Reads these beancounters.
    pub fn beancounters(&self, wanted: &[Resource], locks: &FileLocks) -> Beancounters {
        let mut counters = Beancounters::default();
        for resource in wanted {
            counters.set(*resource, self.counter(Row::of(*resource), locks));
        }
        counters
    }

    fn counter(&self, row: &Row, locks: &FileLocks) -> Counter {
        if row.held == Counted::Sockets {
            let counters =
                self.sockets.get_or_init(|| sockets::counters(self.top.as_fd()).unwrap_or(None));
            let counter =
                sockets::beancounter(row.resource, counters.as_ref(), self.usage.as_ref());
            let (barrier, limit) = self.limits(row);
            let maxheld = counter.maxheld.max(counter.held);
            return Counter { barrier, limit, maxheld, ..counter };
        }
        let unit = row.resource.unit();
        let mut held = self.count(row.held, unit, locks);
        if row.resource == Resource::Numproc {
            held = held.or_else(|| Some(self.inner.all_threads().len() as u64));
        }
        let (barrier, limit) = self.limits(row);
        Counter {
            held,
            maxheld: self
                .count(row.maxheld, unit, locks)
                .max(self.sampled(row.held, unit))
                .max(held),
            barrier,
            limit,
            failcnt: self.count(row.failed, Unit::Count, locks),
        }
    }

    /// Barrier and limit in force: what the kernel says, where it has the beancounter as such.
    fn limits(&self, row: &Row) -> (u64, u64) {
        let in_force = self.in_force.get(row.resource);
        let limit = match row.enforced {
            Enforced::Group(file) => self.top.number(file),
            Enforced::Processes => self.inner.number("pids.max"),
            _ => {
                let set = in_force.map(|value| (value.barrier, value.limit));
                return set.unwrap_or((UNLIMITED, UNLIMITED));
            }
        };
        match (in_unit(limit, row.resource.unit()), in_force) {
            (None, _) => (UNLIMITED, UNLIMITED),
            // Of a classic container it is the sum of what its beancounters allow, and none of them.
            (Some(_), None) if row.enforced == Enforced::Group("memory.max") => {
                (UNLIMITED, UNLIMITED)
            }
            (Some(limit), Some(value)) if value.limit == limit => (value.barrier, limit),
            // Changed behind our back. Of RAM and swap there is no barrier.
            (Some(limit), _) if row.resource.unit() == Unit::Pages => (0, limit),
            (Some(limit), _) => (limit, limit),
        }
    }

    fn count(&self, counted: Counted, unit: Unit, locks: &FileLocks) -> Option<u64> {
        match counted {
            Counted::Number(file) => in_unit(self.top.number(file), unit),
            Counted::InnerNumber(file) => in_unit(self.inner.number(file), unit),
            Counted::Key(file, key) => in_unit(self.key(file, key), unit),
            Counted::InnerKey(file, key) => {
                let text = self.inner.read(file).ok();
                in_unit(text.and_then(|text| value_of(&text, key)), unit)
            }
            Counted::MemoryKeys(keys) => {
                let values = keys.iter().map(|key| self.key("memory.stat", key));
                in_unit(values.sum(), unit)
            }
            Counted::Processes(what) => Some(self.of_processes(what, locks)),
            Counted::Terminals => Some(self.init.map_or(0, |init| terminals(init).unwrap_or(0))),
            Counted::PacketFilter => self.rules,
            Counted::Sockets | Counted::Nothing => None,
        }
    }

    /// The number behind a key, in a file of one key on each line.
    fn key(&self, file: &'static str, key: &str) -> Option<u64> {
        let mut files = self.files.borrow_mut();
        let text = files.entry(file).or_insert_with(|| self.top.read(file).ok()).as_deref()?;
        value_of(text, key)
    }

    /// The most that vzmon has seen.
    fn sampled(&self, held: Counted, unit: Unit) -> Option<u64> {
        let peaks = self.peaks.get_or_init(|| Peaks::load(self.top));
        match held {
            Counted::Key("memory.stat", key) => in_unit(peaks.of(&[key]), unit),
            Counted::MemoryKeys(keys) => in_unit(peaks.of(keys), unit),
            Counted::Processes(OfProcesses::OpenFiles) => peaks.open_files(),
            _ => None,
        }
    }

    fn of_processes(&self, what: OfProcesses, locks: &FileLocks) -> u64 {
        let processes = self.processes.get_or_init(|| self.inner.all_processes());
        match what {
            OfProcesses::OpenFiles => {
                processes.iter().filter_map(|pid| proc::open_files(*pid)).sum()
            }
            OfProcesses::FileLocks => processes.iter().map(|pid| locks.of(*pid)).sum(),
            OfProcesses::PendingSignals => pending_signals(processes),
        }
    }
}

/// Bytes as pages, where a beancounter counts those.
fn in_unit(value: Option<u64>, unit: Unit) -> Option<u64> {
    value.map(|value| if unit == Unit::Pages { value.div_ceil(PAGE) } else { value })
}

/// The signals that wait for a user's processes, all users together: `SigQ` of proc_pid_status(5)
/// is the same for all processes of one.
fn pending_signals(processes: &[Pid]) -> u64 {
    let mut users: HashMap<String, u64> = HashMap::new();
    for pid in processes {
        let Ok(status) = fs::read(format!("/proc/{pid}/status")) else { continue };
        let user = status_field(&status, "Uid").unwrap_or_default();
        let user = user.split_whitespace().next().unwrap_or_default().to_owned();
        let queued = status_field(&status, "SigQ");
        let queued = queued.and_then(|text| text.split_once('/')?.0.trim().parse().ok());
        let most = users.entry(user).or_default();
        *most = queued.unwrap_or(0).max(*most);
    }
    users.values().sum()
}

/// The terminals in use of the devpts at the container's `/dev/pts`; `None` where it has none.
fn terminals(init: i32) -> Option<u64> {
    let place = pty::devpts_of(Pid::from_raw(init)).ok()??;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let directory =
        beneath::open_beneath_same_mount(place.as_fd(), ".".as_ref(), flags, Mode::empty()).ok()?;
    let is_terminal = |name: &[u8]| name.iter().all(u8::is_ascii_digit);
    let entries = Dir::from_fd(directory).ok()?;
    let entries = entries.into_iter().flatten();
    Some(entries.filter(|entry| is_terminal(entry.file_name().to_bytes())).count() as u64)
}

/// The file locks of all the node's processes, read when they are first asked for
/// (proc_locks(5)). Those of an open file description belong to no process.
#[derive(Debug, Default)]
pub struct FileLocks(OnceCell<HashMap<i32, u64>>);

impl FileLocks {
    /// How many a process holds or waits for.
    fn of(&self, pid: Pid) -> u64 {
        let all = self.0.get_or_init(|| parse_locks(&fs::read("/proc/locks").unwrap_or_default()));
        all.get(&pid.as_raw()).copied().unwrap_or(0)
    }
}

fn parse_locks(text: &[u8]) -> HashMap<i32, u64> {
    let mut found = HashMap::new();
    for line in String::from_utf8_lossy(text).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // `1: POSIX  ADVISORY  WRITE 568 fd:01:131163 0 EOF`, or `1: -> POSIX ...` for one waiting.
        let pid = if words.get(1) == Some(&"->") { words.get(5) } else { words.get(4) };
        if let Some(pid) = pid.and_then(|pid| pid.parse().ok()) {
            *found.entry(pid).or_default() += 1;
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
pub(super) mod tests {
    use super::*;
    use vz_conf::ubc::BarrierLimit;
    use vz_sys::cgroup_peaks::SAMPLED;
    use vz_sys::fuse::Connection;
    use vz_sys::mount;
    use vz_sys::namespace::{self, Namespaces};

    /// A group as the kernel shows it, from pairs of file and content.
    pub(in crate::accounting) fn group(files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let directory = tempfile::tempdir().unwrap();
        for (file, content) in files {
            std::fs::write(directory.path().join(file), content).unwrap();
        }
        let group = Cgroup::open(directory.path()).unwrap();
        (directory, group)
    }

    fn all(top: &Cgroup, inner: &Cgroup, in_force: UbcSet) -> Beancounters {
        Counting::new(top, inner, in_force, None)
            .beancounters(&Resource::ALL, &FileLocks::default())
    }

    #[test]
    fn who_serves_dev_pts_makes_nobody_wait() {
        const NAME: &str = "who_serves_dev_pts_makes_nobody_wait";
        if let Some(counted) = on_a_thread(|| terminals(nix::unistd::gettid().as_raw())) {
            assert!(counted > 0 || !std::path::Path::new("/dev/pts/0").exists());
        } else {
            eprintln!("skipped: {NAME}: no devpts at /dev/pts");
            return;
        }
        let counted = on_a_thread(|| {
            let (connection, tree) = served_by_nobody().inspect_err(|error| {
                eprintln!("skipped: {NAME}: {error}");
            })?;
            let place = mount::Place::Path(std::path::Path::new("/dev/pts"));
            mount::attach(tree.as_fd(), place)?;
            let counted = terminals(nix::unistd::gettid().as_raw());
            drop(connection);
            Ok::<_, std::io::Error>(counted)
        });
        assert!(!matches!(counted, Ok(Some(_))), "{counted:?}");
    }

    /// A file system in a mount namespace of the calling thread's own.
    fn served_by_nobody() -> std::io::Result<(Connection, std::os::fd::OwnedFd)> {
        namespace::unshare(Namespaces::MOUNT)?;
        let private = mount::Change { private: true, recursive: true, ..Default::default() };
        mount::change(mount::Place::Path(std::path::Path::new("/")), &private)?;
        Connection::open("vztest", 0, 0)
    }

    /// What it returns within a time in which it is done, unless it waits for ever.
    fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(body()));
        receiver.recv_timeout(std::time::Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn counters_of_all_controllers() {
        let (_top, top) = group(&[
            ("pids.max", "248\n"),
            ("memory.current", "8192\n"),
            ("memory.peak", "16384\n"),
            ("memory.max", "40960\n"),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n"),
            ("memory.stat", "anon 8192\nkernel 5000\nkernel_stack 9\nshmem 4096\n"),
            ("memory.swap.current", "0\n"),
            ("memory.swap.max", "max\n"),
        ]);
        let (_inner, inner) = group(&[
            ("pids.max", "240\n"),
            ("pids.events", "max 3\n"),
            ("pids.current", "15\n"),
            ("pids.peak", "29\n"),
        ]);
        let mut in_force = UbcSet::default();
        in_force.set(Resource::Numproc, Some(BarrierLimit { barrier: 200, limit: 240 }));
        in_force.set(Resource::Physpages, Some(BarrierLimit { barrier: 3, limit: 11 }));
        in_force.set(Resource::Numfile, Some(BarrierLimit::both(77)));
        let found = all(&top, &inner, in_force);
        let expected = |held, maxheld, barrier, limit, failcnt| Counter {
            held,
            maxheld,
            barrier,
            limit,
            failcnt,
        };
        assert_eq!(found.get(Resource::Numproc), expected(Some(15), Some(29), 200, 240, Some(3)));
        // The kernel's limit is not the one that was set: neither is the barrier.
        assert_eq!(found.get(Resource::Physpages), expected(Some(2), Some(4), 0, 10, Some(7)));
        assert_eq!(
            found.get(Resource::Swappages),
            expected(Some(0), Some(0), UNLIMITED, UNLIMITED, None)
        );
        assert_eq!(found.get(Resource::Kmemsize).held, Some(5000));
        assert_eq!(found.get(Resource::Shmpages).held, Some(1));
        assert_eq!(found.get(Resource::Privvmpages).held, Some(3));
        assert_eq!(found.get(Resource::Oomguarpages).failcnt, Some(2));
        assert_eq!(found.get(Resource::Numfile), expected(Some(0), Some(0), 77, 77, None));
        assert_eq!(found.get(Resource::Avnumproc), Counter::UNCOUNTED);
        let classic = all(&top, &inner, UbcSet::default());
        assert_eq!(classic.get(Resource::Physpages).limit, UNLIMITED);
        assert_eq!(classic.get(Resource::Numproc).limit, 240);
    }

    #[test]
    fn threads_are_counted_without_a_controller() {
        let (directory, inner) = group(&[("cgroup.threads", "10\n11\n12\n")]);
        let deeper = directory.path().join("a/b");
        std::fs::create_dir_all(&deeper).unwrap();
        std::fs::write(deeper.join("cgroup.threads"), "20\n").unwrap();
        std::fs::write(directory.path().join("a/cgroup.threads"), "").unwrap();
        let (_top, top) = group(&[]);
        let counter = all(&top, &inner, UbcSet::default()).get(Resource::Numproc);
        assert_eq!((counter.held, counter.maxheld, counter.limit), (Some(4), Some(4), UNLIMITED));
    }

    #[test]
    fn locks() {
        let text = b"1: POSIX  ADVISORY  WRITE 568 fd:01:131163 0 EOF\n\
                     1: -> POSIX  ADVISORY  WRITE 569 fd:01:131163 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 568 fd:01:7 0 EOF\n3: x\n\xff\n";
        let found = parse_locks(text);
        assert_eq!((found.get(&568), found.get(&569), found.len()), (Some(&2), Some(&1), 2));
    }

    #[test]
    fn what_has_no_maximum_is_sampled() {
        for row in &crate::limits::table::ROWS {
            let keys: &[&str] = match &row.held {
                Counted::Key("memory.stat", key) => &[*key],
                Counted::MemoryKeys(keys) => keys,
                _ => continue,
            };
            assert!(SAMPLED.contains(&keys), "{keys:?}");
        }
    }
}
