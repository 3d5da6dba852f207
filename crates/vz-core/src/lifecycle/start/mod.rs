//! `vzctl start`.
//!
//! Three processes take part. vzctl prepares all that can be prepared on the node and says what is
//! going on. The monitor-to-be, its child, makes the container's first process and then becomes
//! vzmon, so that a parent is left to see how init ends. The first process sets its namespaces up
//! from within (see [`inside`]) and becomes the container's init.
//!
//! Whatever goes wrong, and wherever vzctl is killed, [`teardown`](super::teardown) clears away
//! what there is: it looks at the node, not at how far the start had come.

mod check;
mod devices;
mod hostname;
mod inside;
mod message;
mod monitor;
mod mounts;
pub mod offline;
mod prepare;
mod ready;
mod setup;
pub(crate) mod trees;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::Pid;
use vz_conf::exit::Exit;
use vz_conf::yesno::YesNo;
use vz_sys::channel::{self, Channel};
use vz_sys::{bpf, namespace, pidfd};

use crate::cancel;
use crate::container::Container;
use crate::description::{DEVICE_PROGRAM, Description};
use crate::dist::Distribution;
use crate::error::{Context, Error, Result};
use crate::guest::Guest;
use crate::layout::View;
use crate::lifecycle::{mounting, teardown};
use crate::limits::{self, InForce, Missing, Target};
use crate::report::Report;
use crate::state::{Phase, ProcessId, State};
use crate::user_quota;
use message::Message;
use ready::Readiness;

/// How many ids a container has.
pub const IDS: u32 = 65_536;

/// How a container is to be started.
#[derive(Debug, Default, Clone, Copy)]
pub struct Options {
    /// Although its configuration says DISABLED.
    pub force: bool,
    /// Wait until the guest's boot has finished.
    pub wait: bool,
    /// Do not check the file system of an image first.
    pub skip_fsck: bool,
    /// Leave VE_ROOT mounted if it is.
    pub skip_remount: bool,
    /// Do not run distribution scripts and the CTID.start script.
    pub skip_setup: bool,
    /// How often in a row the container has restarted itself soon after its start.
    pub restarts: u32,
}

/// Starts the container. The lock is held by the caller.
///
/// # Errors
/// One of the refusals of ORIGINAL's start, or the step that failed; nothing is left behind.
pub fn start(container: &Container<'_>, options: Options, report: &mut dyn Report) -> Result<()> {
    if container.config.disabled == Some(YesNo::Yes) && !options.force {
        return Err(Error::StartDisabled);
    }
    container.require_private()?;
    if container.is_running()? {
        return Err(Error::AlreadyRunning);
    }
    teardown::cancel_restart(container)?;
    tell_of_dump(container, report);
    report.info("Starting container...");
    check::beancounters(&container.config, report)?;
    let distribution = match options.skip_setup {
        true => None,
        false => Some(Distribution::of(container, report)?),
    };
    let mounted = container.is_mounted();
    if mounted && !(options.skip_remount && mounting::suits_start(container)?) {
        mounting::unmount_with_scripts(container, report)?;
    }
    if !container.is_mounted() {
        mounting::mount_with_scripts(container, View::Container, options.skip_fsck, report)?;
    }
    let started = run(container, distribution.as_ref(), options, report);
    if let Err(error) = started {
        return Err(give_up(container, error, report));
    }
    Ok(())
}

/// A container that was suspended would go on where it was.
fn tell_of_dump(container: &Container<'_>, report: &mut dyn Report) {
    if container.is_suspended() {
        let dump = container.node.shown(&container.node.dump_path(container.id));
        report.info(&format!("Dump file {} exists, trying to restore from it", dump.display()));
        report.error("Error: this version cannot restore: the container starts anew");
    }
}

/// Says what went wrong and clears the half-started container away.
fn give_up(container: &Container<'_>, error: Error, report: &mut dyn Report) -> Error {
    if matches!(error, Error::Reported(Exit::WaitFailed)) {
        return error;
    }
    if let Some(line) = error.line() {
        report.error(&line);
    }
    report.error(if matches!(error, Error::NoInit) {
        "Container start failed"
    } else {
        "Container start failed (try to check kernel messages, e.g. \"dmesg | tail\")"
    });
    let killed = kill(container, report);
    if let Err(second) = teardown::after_killing(container, killed, report) {
        report.error(&second.to_string());
    }
    Error::Reported(error.exit())
}

/// Kills what there is of a container whose setting up has failed; says so once it had a process.
fn kill(container: &Container<'_>, report: &mut dyn Report) -> Result<()> {
    let state = container.state().ok().flatten();
    if state.is_none_or(|state| state.init.is_none()) {
        return teardown::kill_everything(container);
    }
    report.info("Killing container ...");
    teardown::kill_everything(container)?;
    report.info("Container was stopped");
    Ok(())
}

fn run(
    container: &Container<'_>,
    distribution: Option<&Distribution>,
    options: Options,
    report: &mut dyn Report,
) -> Result<()> {
    let description = Description::of(container)?;
    description.warn(report);
    let made = make(container, &description, options, report)?;
    setup::run(container, &description, distribution, &made, report)?;
    let Made { line, init, readiness, mut state, .. } = made;
    state.phase = Phase::Running;
    state.since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    container.save_state(&state)?;
    message::send(&line, &Message::Go, &[])
        .context(Exit::SystemError, || "Cannot let init go".into())?;
    expect_end(&line)?;
    if !options.wait {
        report.info("Container start in progress...");
        return Ok(());
    }
    let waited = wait_until_booted(readiness.as_ref(), init.as_fd(), report);
    if let Some(readiness) = &readiness
        && readiness.uncover(init.as_fd(), description.user_namespace).is_err()
    {
        report.log(1, "The inittab shown for the boot could not be taken away");
    }
    waited
}

/// All of a container but its init: the first process waits to be let go.
struct Made {
    line: Channel,
    /// A pidfd of the first process.
    init: OwnedFd,
    readiness: Option<Readiness>,
    state: State,
    /// What this node could not limit.
    missing: Missing,
}

fn make(
    container: &Container<'_>,
    description: &Description,
    options: Options,
    report: &mut dyn Report,
) -> Result<Made> {
    let guest = Guest::look_at(&container.root)?;
    let mut state = State { restarts: options.restarts, ..description.initial_state() };
    container.save_state(&state)?;

    let (line, other) =
        channel::pair().context(Exit::ResourceError, || "Cannot make a line".into())?;
    let prepared = prepare::prepare(container, description, &guest, other, options.wait, report)?;
    let prepare::Prepared { inside, console, views, user_quota, readiness } = prepared;
    let monitor = monitor::spawn(container, description, inside, console, views, line.as_fd())?;
    let mut missing = make_groups(container, description, monitor.pid)?;
    if let Some(first) = user_quota {
        user_quota::start(container, &description.place.path(), first.as_fd())
            .context(Exit::SetUserQuotaFailed, || {
                "Cannot start the server of second-level disk quota".into()
            })?;
    }
    message::send(&line, &Message::Begin, &[])
        .context(Exit::SystemError, || "Cannot tell the monitor to begin".into())?;
    let init = wait_for_birth(&line)?;
    state.monitor = ProcessId::of(monitor.pid).ok();
    state.init = ProcessId::of(init).ok();
    container.save_state(&state)?;
    // Taken while the number can mean no other process: nobody reaps init before vzmon is there.
    let init_pidfd = pidfd::open(init)
        .context(Exit::SystemError, || "The container's first process is gone".into())?;

    hand_over_root(container, description, init, &line, report)?;
    expect(&line, &Message::Ready)?;
    missing.extend(limit_inside(container, description, init, init_pidfd.as_fd(), &missing)?);
    Ok(Made { line, init: init_pidfd, readiness, state, missing })
}

/// Makes the cgroups, and sets all that is enforced there before anything runs in them.
fn make_groups(
    container: &Container<'_>,
    description: &Description,
    monitor: Pid,
) -> Result<Missing> {
    let place = &description.place;
    let path = place.path();
    let groups = place.make(container.id, monitor).at(
        Exit::ResourceError,
        "Cannot make the cgroup",
        &path,
    )?;
    groups.init.delegate(description.uid_base, description.gid_base).at(
        Exit::ResourceError,
        "Cannot delegate the cgroup",
        &path,
    )?;
    let missing = limits::apply(&groups.top, &place.hierarchy, &description.limits)?;
    let number = limits::sum_up_containers(place);
    // The first since the node was booted: nobody has set the node's own part yet.
    let own = container.node.config.script_value("VE0CPUUNITS");
    if let (1, Some(units)) = (number, own.and_then(|units| units.parse().ok())) {
        let _ = limits::weigh_node(place, units);
    }
    bpf::DeviceProgram::load(DEVICE_PROGRAM, &description.devices)
        // Not of the group above: vzmon and what it starts are the node's.
        .and_then(|filter| filter.attach(groups.init.as_fd()))
        .map_err(|error| Error::Refused(Exit::SetDevicesFailed, error.to_string()))?;
    Ok(missing)
}

/// Limits what is not of the cgroup, in the first process and in what it lives in, and writes down
/// what is in force.
fn limit_inside(
    container: &Container<'_>,
    description: &Description,
    init: Pid,
    init_pidfd: BorrowedFd<'_>,
    missing: &Missing,
) -> Result<Missing> {
    let target =
        Target { init: init_pidfd, processes: &[init], gid_base: description.gid_base, score: 0 };
    let lacks = limits::apply_inside(target, &description.limits)?;
    let mut all = missing.clone();
    all.extend(lacks.clone());
    let in_force = InForce::of(&container.config, &description.limits, &all);
    in_force
        .save(container.node, container.id)
        .context(Exit::SystemError, || "Cannot write down the limits in force".into())?;
    Ok(lacks)
}

fn wait_for_birth(line: &Channel) -> Result<Pid> {
    match receive(line)? {
        Some(Message::Born(pid)) => Ok(Pid::from_raw(pid)),
        other => Err(unexpected(other)),
    }
}

/// Maps the ids of the container's user namespace, and gives it its file system.
fn hand_over_root(
    container: &Container<'_>,
    description: &Description,
    init: Pid,
    line: &Channel,
    report: &mut dyn Report,
) -> Result<()> {
    let user_namespace = match description.user_namespace {
        false => None,
        true => {
            namespace::write_id_maps(init, description.uid_base, description.gid_base, IDS)
                .context(Exit::SystemError, || "Cannot map the container's ids".into())?;
            let path = format!("/proc/{init}/ns/user");
            Some(std::fs::File::open(&path).at(Exit::SystemError, "Cannot open", path.as_ref())?)
        }
    };
    let map = user_namespace.as_ref().map(AsFd::as_fd);
    let shifted = mounting::is_shifted(container)?;
    let trees = trees::clone_all(&container.root, map, shifted).at(
        Exit::MountFailed,
        "Cannot show the container its root area (an id-mapped mount of)",
        &container.root,
    )?;
    for tree in trees.iter().filter(|tree| user_namespace.is_some() && !tree.mapped) {
        report.error(&format!(
            "Warning: the mount at /{} cannot be id-mapped: the container sees foreign owners there",
            tree.path
        ));
    }
    let mounts: Vec<BorrowedFd<'_>> = trees.iter().map(|tree| tree.mount.as_fd()).collect();
    let paths = trees.iter().map(|tree| tree.path.clone()).collect();
    message::send(line, &Message::Trees(paths), &mounts)
        .context(Exit::SystemError, || "Cannot hand over the root area".into())
}

fn receive(line: &Channel) -> Result<Option<Message>> {
    cancel::wait_readable(line.as_fd())?;
    let message = message::receive(line)
        .context(Exit::SystemError, || "Cannot hear from the container".into())?;
    match message {
        Some((Message::Failed(failure), _)) if failure.action == "init" => Err(Error::NoInit),
        Some((Message::Failed(failure), _)) => Err(Error::System {
            exit: Exit::CreateEnvironmentFailed,
            action: failure.action,
            source: std::io::Error::from_raw_os_error(failure.errno).into(),
        }),
        Some((message, _)) => Ok(Some(message)),
        None => Ok(None),
    }
}

fn expect(line: &Channel, wanted: &Message) -> Result<()> {
    match receive(line)? {
        Some(message) if message == *wanted => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// The end of the line is what an exec looks like from here.
fn expect_end(line: &Channel) -> Result<()> {
    match receive(line)? {
        None => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(message: Option<Message>) -> Error {
    let text = match message {
        None => "The container's first process has died".to_owned(),
        Some(message) => format!("The container's first process said {message:?} out of turn"),
    };
    Error::Refused(Exit::CreateEnvironmentFailed, text)
}

fn wait_until_booted(
    readiness: Option<&Readiness>,
    init: BorrowedFd<'_>,
    report: &mut dyn Report,
) -> Result<()> {
    report.info("Container start in progress, waiting ...");
    let outcome = match readiness {
        Some(readiness) => readiness.wait(init),
        None => ready::Outcome::Unknown,
    };
    let text = match outcome {
        ready::Outcome::Ready => {
            report.info("Container started successfully");
            return Ok(());
        }
        ready::Outcome::TimedOut => "Container wait failed - timeout expired",
        ready::Outcome::Ended => "Container wait failed - init has ended",
        ready::Outcome::Unknown => "Container wait failed - this guest does not tell when it is up",
        ready::Outcome::Cancelled => {
            report.error(&Error::Cancelled.to_string());
            "Container wait failed"
        }
        ready::Outcome::Error => "Container wait failed",
    };
    report.info(text);
    Err(Error::Reported(Exit::WaitFailed))
}
