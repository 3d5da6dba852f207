//! Running commands against the clock: the two sides by turns, so that whatever else the machine
//! does meets both.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use vz_sys::pidfd;

/// No command measured here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pairs that are run first and not counted.
const WARM_UP: usize = 2;

/// Runs a command with nothing to read and nowhere to write, and says how long it took from
/// before its birth until it was reaped.
///
/// # Errors
/// When it cannot be run, fails, or takes two minutes.
pub fn run(mut command: Command) -> Result<Duration> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("Cannot run {shown}"))?;
    let descriptor = pidfd::open(Pid::from_raw(child.id() as i32))?;
    if !pidfd::wait_end(std::os::fd::AsFd::as_fd(&descriptor), Some(PATIENCE))? {
        let _ = child.kill();
        bail!("{shown} has not ended in {} s", PATIENCE.as_secs());
    }
    let status = child.wait()?;
    let taken = start.elapsed();
    if !status.success() {
        bail!("{shown}: {status}{}", repeat(command));
    }
    Ok(taken)
}

/// What a failed command says when it is run once more with its output kept.
fn repeat(mut command: Command) -> String {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    output.map_or(String::new(), |output| {
        let all = [output.stdout, output.stderr].concat();
        format!("; run again, it says: {}", String::from_utf8_lossy(&all).trim_end())
    })
}

/// A command of these words.
pub fn command<W: Into<OsString>>(program: &Path, words: impl IntoIterator<Item = W>) -> Command {
    let mut command = Command::new(program);
    command.args(words.into_iter().map(Into::into));
    command
}

/// What was measured of one side, in the order in which it was.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The median in milliseconds; not a number when there are no samples.
    pub fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().map(milliseconds).collect();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len() / 2, sorted.len() % 2) {
            (0, 0) => f64::NAN,
            (middle, 0) => (sorted[middle - 1] + sorted[middle]) / 2.0,
            (middle, _) => sorted[middle],
        }
    }

    /// The least in milliseconds; infinite when there are no samples.
    pub fn least(&self) -> f64 {
        self.0.iter().map(milliseconds).fold(f64::INFINITY, f64::min)
    }
}

fn milliseconds(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Both sides of a comparison.
#[derive(Debug, Default)]
pub struct Pairs {
    /// The tools of this project.
    pub ours: Samples,
    /// What they are compared with.
    pub peer: Samples,
}

/// Runs both sides `runs` times by turns, each first in every other pair.
///
/// # Errors
/// The first error of either side.
pub fn alternate(
    runs: usize,
    mut ours: impl FnMut() -> Result<Duration>,
    mut peer: impl FnMut() -> Result<Duration>,
) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for run in 0..runs + WARM_UP {
        let (our_time, peer_time) = if run % 2 == 0 {
            (ours()?, peer()?)
        } else {
            let peer_time = peer()?;
            (ours()?, peer_time)
        };
        if run >= WARM_UP {
            pairs.ours.push(our_time);
            pairs.peer.push(peer_time);
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(milliseconds: &[u64]) -> Samples {
        Samples(milliseconds.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn medians() {
        assert_eq!(samples(&[3, 1, 2]).median(), 2.0);
        assert_eq!(samples(&[4, 1, 2, 3]).median(), 2.5);
        assert_eq!(samples(&[4, 1, 2]).least(), 1.0);
        assert!(samples(&[]).median().is_nan());
    }

    #[test]
    fn by_turns_and_without_the_warm_up() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            order.borrow_mut().push(name);
            Ok(Duration::from_millis(order.borrow().len() as u64))
        };
        let pairs = alternate(2, || side('o'), || side('p')).unwrap();
        assert_eq!(*order.borrow(), "oppooppo");
        assert_eq!((pairs.ours.0, pairs.peer.0), (samples(&[5, 8]).0, samples(&[6, 7]).0));
    }

    #[test]
    fn failures_are_told() {
        let failed = run(command(Path::new("/bin/sh"), ["-c", "echo why; exit 3"]));
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("exit status: 3") && text.ends_with("why"), "{text}");
        run(command(Path::new("/bin/true"), [""; 0])).unwrap();
    }
}
