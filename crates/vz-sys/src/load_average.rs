//! A group's load average, as the kernel has one of the whole node (proc_loadavg(5)): the threads
//! that run, want to run or wait for a disk, averaged over 1, 5 and 15 minutes.
//!
//! Whoever watches the group takes samples, and they are kept on the group itself, as an extended
//! attribute that only the node's root sees.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::xattr;

/// The attribute: the three averages and the second after boot of the last sample, a blank between.
const ATTRIBUTE: &str = "trusted.vz.load";

/// The spans of the averages, in seconds.
const SPANS: [f64; 3] = [60.0, 300.0, 900.0];

/// A sample older than this says nothing: nobody watches the group any more.
const FRESH: Duration = Duration::from_secs(60);

/// The averages, and when they were so.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoadAverage {
    averages: [f64; 3],
    /// After the node's start.
    at: Duration,
}

impl LoadAverage {
    /// Of a group that begins to be watched at `now`, after the node's start.
    pub fn begin(now: Duration) -> LoadAverage {
        LoadAverage { at: now, ..LoadAverage::default() }
    }

    /// What is kept on a group, when it is fresh at `now`.
    pub fn load(group: &Cgroup, now: Duration) -> Option<LoadAverage> {
        let bytes = xattr::get(group.as_fd(), OsStr::new(ATTRIBUTE)).ok()?;
        let found = LoadAverage::parse(std::str::from_utf8(&bytes).ok()?)?;
        (now.saturating_sub(found.at) <= FRESH).then_some(found)
    }

    fn parse(text: &str) -> Option<LoadAverage> {
        let mut words = text.split(' ');
        let mut next = || words.next()?.parse::<f64>().ok().filter(|number| *number >= 0.0);
        let averages = [next()?, next()?, next()?];
        Some(LoadAverage { averages, at: Duration::try_from_secs_f64(next()?).ok()? })
    }

    /// Keeps it on the group.
    ///
    /// # Errors
    /// Those of setxattr(2).
    pub fn save(&self, group: &Cgroup) -> io::Result<()> {
        let [one, five, fifteen] = self.averages;
        let text = format!("{one:.4} {five:.4} {fifteen:.4} {:.1}", self.at.as_secs_f64());
        xattr::set(group.as_fd(), OsStr::new(ATTRIBUTE), text.as_bytes()).map_err(Into::into)
    }

    /// Takes in that this many threads were active since the last sample.
    pub fn advance(&mut self, active: u64, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        for (average, span) in self.averages.iter_mut().zip(SPANS) {
            let kept = (-passed / span).exp();
            *average = *average * kept + active as f64 * (1.0 - kept);
        }
        self.at = now;
    }

    /// Over 1, 5 and 15 minutes.
    pub fn averages(&self) -> [f64; 3] {
        self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_active() {
        let seconds = Duration::from_secs;
        let mut load = LoadAverage::begin(seconds(100));
        load.advance(2, seconds(160));
        let [one, five, fifteen] = load.averages();
        // After its span, an average has come 1 - 1/e of the way.
        assert!((one - 2.0 * (1.0 - (-1.0_f64).exp())).abs() < 1e-9);
        assert!(one > five && five > fifteen && fifteen > 0.0);
        // In small steps as in a large one.
        let mut small = LoadAverage::begin(seconds(100));
        (1..=6).for_each(|step| small.advance(2, seconds(100 + step * 10)));
        assert!((small.averages()[0] - one).abs() < 1e-9);
        load.advance(0, seconds(2000));
        assert!(load.averages()[0] < 1e-9);
        // A clock that has gone back changes nothing.
        load.advance(7, seconds(1));
        assert!(load.averages()[0] < 1e-9);
    }

    #[test]
    fn only_what_we_wrote_is_read() {
        let load = LoadAverage::parse("0.5000 0.2500 0.1000 17.3").unwrap();
        assert_eq!(load.averages(), [0.5, 0.25, 0.1]);
        for text in ["", "1 2 3", "1 2 x 4", "-1 2 3 4", "1 2 3 -4", "1 2 3 NaN", "1 2 3 1e300"] {
            assert_eq!(LoadAverage::parse(text), None, "{text}");
        }
    }
}
