//! Limits made larger or smaller by a factor, as `vzcfgscale` does it.

use vz_conf::size::SoftHard;
use vz_conf::ubc::{BarrierLimit, UNLIMITED, UbcSet};

/// CPUUNITS from the least to the most.
const CPUUNITS: (u64, u64) = (8, 500_000);

/// A factor: a number that is finite and not below 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Factor(f64);

impl Factor {
    /// Reads a decimal number.
    pub fn parse(text: &str) -> Option<Factor> {
        let number: f64 = text.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(Factor(number))
    }

    /// A number multiplied, cut to a whole one; what is unlimited stays so.
    pub fn of(self, value: u64) -> u64 {
        match value {
            UNLIMITED.. => UNLIMITED,
            // A float that is too large becomes the largest number.
            value => ((value as f64 * self.0) as u64).min(UNLIMITED),
        }
    }

    /// Every barrier and limit multiplied.
    pub fn of_beancounters(self, ubc: &UbcSet) -> UbcSet {
        let mut scaled = UbcSet::default();
        for (resource, value) in ubc.iter() {
            let (barrier, limit) = (self.of(value.barrier), self.of(value.limit));
            scaled.set(resource, Some(BarrierLimit { barrier, limit }));
        }
        scaled
    }

    /// A disk limit multiplied.
    pub fn of_disk(self, value: SoftHard) -> SoftHard {
        SoftHard { soft: self.of(value.soft), hard: self.of(value.hard) }
    }

    /// CPUUNITS multiplied, within what they can be.
    pub fn of_cpuunits(self, units: u64) -> u64 {
        self.of(units).clamp(CPUUNITS.0, CPUUNITS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn factors() {
        let half = Factor::parse("0.5").unwrap();
        assert_eq!((half.of(101), half.of(0), half.of(UNLIMITED)), (50, 0, UNLIMITED));
        assert_eq!(Factor::parse("2").unwrap().of(UNLIMITED - 1), UNLIMITED);
        assert_eq!((half.of_cpuunits(10), half.of_cpuunits(1000)), (8, 500));
        assert_eq!(Factor::parse("1e9").unwrap().of_cpuunits(1000), 500_000);
        for text in ["", "x", "-1", "nan", "inf", "1,5"] {
            assert_eq!(Factor::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn keeps_the_order(a in 0..=UNLIMITED, b in 0..=UNLIMITED, by in 0.0..100.0f64) {
            let factor = Factor::parse(&by.to_string()).unwrap();
            prop_assert!(factor.of(a.min(b)) <= factor.of(a.max(b)));
        }
    }
}
