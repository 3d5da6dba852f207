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

/// The attribute: the three averages in parts of [`ONE`] and the second after boot of the last sample, a
/// blank between.
const ATTRIBUTE: &str = "trusted.vz.load";

/// One active thread, of an average. Whole numbers all through, as in the kernel: what floating point
/// brings along would be a tenth of whoever samples.
const ONE: u64 = 1 << 20;

/// The whole, of what is kept of an average.
const WHOLE: u64 = 1 << 32;
/// What is kept of each after a second: `WHOLE` times e^(-1/60), e^(-1/300), e^(-1/900).
const KEPT: [u64; 3] = [4_223_977_731, 4_280_674_573, 4_290_197_760];

/// A sample older than this says nothing: nobody watches the group any more.
const FRESH: Duration = Duration::from_secs(60);

/// The averages, and when they were so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadAverage {
    averages: [u64; 3],
    /// Seconds after the node's start.
    at: u64,
}

impl LoadAverage {
    /// Of a group that begins to be watched at `now`, after the node's start.
    pub fn begin(now: Duration) -> LoadAverage {
        LoadAverage { at: now.as_secs(), ..LoadAverage::default() }
    }

    /// What is kept on a group, when it is fresh at `now`.
    pub fn load(group: &Cgroup, now: Duration) -> Option<LoadAverage> {
        let bytes = xattr::get(group.as_fd(), OsStr::new(ATTRIBUTE)).ok()?;
        let found = LoadAverage::parse(std::str::from_utf8(&bytes).ok()?)?;
        (now.as_secs().saturating_sub(found.at) <= FRESH.as_secs()).then_some(found)
    }

    fn parse(text: &str) -> Option<LoadAverage> {
        let mut words = text.split(' ');
        let mut next = || words.next()?.parse().ok();
        Some(LoadAverage { averages: [next()?, next()?, next()?], at: next()? })
    }

    /// Keeps it on the group.
    ///
    /// # Errors
    /// Those of setxattr(2).
    pub fn save(&self, group: &Cgroup) -> io::Result<()> {
        let [one, five, fifteen] = self.averages;
        let text = format!("{one} {five} {fifteen} {}", self.at);
        xattr::set(group.as_fd(), OsStr::new(ATTRIBUTE), text.as_bytes()).map_err(Into::into)
    }

    /// Takes in that this many threads were active since the last sample.
    pub fn advance(&mut self, active: u64, now: Duration) {
        let passed = now.as_secs().saturating_sub(self.at);
        let target = u128::from(active) * u128::from(ONE);
        for (average, kept) in self.averages.iter_mut().zip(KEPT) {
            let kept = u128::from(after(kept, passed));
            let whole = u128::from(WHOLE);
            let sum = u128::from(*average) * kept + target * (whole - kept);
            *average = (sum / whole) as u64;
        }
        self.at = now.as_secs().max(self.at);
    }

    /// Over 1, 5 and 15 minutes.
    pub fn averages(&self) -> [f64; 3] {
        self.averages.map(|average| average as f64 / ONE as f64)
    }
}

/// What is kept after so many seconds.
fn after(kept: u64, mut seconds: u64) -> u64 {
    let times = |one: u64, other: u64| ((u128::from(one) * u128::from(other)) >> 32) as u64;
    let (mut all, mut factor) = (WHOLE, kept);
    while seconds > 0 {
        if seconds & 1 == 1 {
            all = times(all, factor);
        }
        factor = times(factor, factor);
        seconds >>= 1;
    }
    all
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
        let near = |one: f64, other: f64| (one - other).abs() < 1e-4;
        assert!(near(one, 2.0 * (1.0 - (-1.0_f64).exp())), "{one}");
        assert!(near(five, 2.0 * (1.0 - (-0.2_f64).exp())), "{five}");
        assert!(near(fifteen, 2.0 * (1.0 - (-1.0_f64 / 15.0).exp())), "{fifteen}");
        // In small steps as in a large one.
        let mut small = LoadAverage::begin(seconds(100));
        (1..=6).for_each(|step| small.advance(2, seconds(100 + step * 10)));
        assert!(near(small.averages()[0], one));
        load.advance(0, seconds(5000));
        assert!(near(load.averages()[0], 0.0));
        // A clock that has gone back changes nothing.
        load.advance(7, seconds(1));
        assert!(near(load.averages()[0], 0.0));
        load.advance(u64::MAX >> 24, seconds(1 << 40));
        assert_eq!(load.averages()[2], (u64::MAX >> 24) as f64);
    }

    #[test]
    fn only_what_we_wrote_is_read() {
        let load = LoadAverage::parse("524288 262144 0 17").unwrap();
        assert_eq!((load.averages(), load.at), ([0.5, 0.25, 0.0], 17));
        for text in ["", "1 2 3", "1 2 x 4", "-1 2 3 4", "1 2 3 -4", "1 2 3 4.5"] {
            assert_eq!(LoadAverage::parse(text), None, "{text}");
        }
    }
}
