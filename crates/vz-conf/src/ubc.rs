//! User beancounters (UBC): barriers and limits, and the resources they are for.

use std::fmt;

use crate::error::ParseError;
use crate::number;

/// A memory page, in bytes: the unit of `*pages` and of the suffix `P`.
pub const PAGE: u64 = 4096;

/// The value that means "no limit".
pub const UNLIMITED: u64 = number::LONG_MAX;

/// What a beancounter's plain numbers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Bytes; suffixes are allowed.
    Bytes,
    /// Pages of 4096 bytes; a suffix makes it bytes, cut down to whole pages.
    Pages,
    /// Things; no suffix is allowed.
    Count,
}

impl Unit {
    /// What the bytes of a suffix are divided by.
    fn divisor(self) -> Option<u64> {
        match self {
            Self::Bytes => Some(1),
            Self::Pages => Some(PAGE),
            Self::Count => None,
        }
    }
}

macro_rules! resources {
    ($($name:ident $key:literal $unit:ident $doc:literal;)*) => {
        /// The resources with a barrier and a limit, in the order they are stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Resource {
            $(#[doc = $doc] $name,)*
        }

        impl Resource {
            /// Every resource, in the order they are stored.
            pub const ALL: [Self; 22] = [$(Self::$name,)*];

            /// The key in a configuration file.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// What plain numbers count.
            #[must_use]
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }
        }
    };
}

resources! {
    Kmemsize "KMEMSIZE" Bytes "Kernel memory.";
    Lockedpages "LOCKEDPAGES" Pages "Memory locked by mlock(2).";
    Privvmpages "PRIVVMPAGES" Pages "Private virtual memory.";
    Shmpages "SHMPAGES" Pages "Shared memory.";
    Numproc "NUMPROC" Count "Processes and threads.";
    Physpages "PHYSPAGES" Pages "RAM in use.";
    Vmguarpages "VMGUARPAGES" Pages "Memory guaranteed to be allocatable.";
    Oomguarpages "OOMGUARPAGES" Pages "Memory up to which nothing is killed.";
    Numtcpsock "NUMTCPSOCK" Count "TCP sockets.";
    Numflock "NUMFLOCK" Count "File locks.";
    Numpty "NUMPTY" Count "Pseudo-terminals.";
    Numsiginfo "NUMSIGINFO" Count "Queued signals.";
    Tcpsndbuf "TCPSNDBUF" Bytes "TCP send buffers.";
    Tcprcvbuf "TCPRCVBUF" Bytes "TCP receive buffers.";
    Othersockbuf "OTHERSOCKBUF" Bytes "Buffers of other sockets.";
    Dgramrcvbuf "DGRAMRCVBUF" Bytes "Datagram receive buffers.";
    Numothersock "NUMOTHERSOCK" Count "Sockets other than TCP.";
    Numfile "NUMFILE" Count "Open files.";
    Dcachesize "DCACHESIZE" Bytes "Directory entry cache.";
    Numiptent "NUMIPTENT" Count "Packet filter rules.";
    Avnumproc "AVNUMPROC" Count "Average number of processes.";
    Swappages "SWAPPAGES" Pages "Swap.";
}

/// A barrier and a limit, in the resource's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierLimit {
    /// Where the resource starts to be short.
    pub barrier: u64,
    /// What is never exceeded.
    pub limit: u64,
}

impl BarrierLimit {
    /// No barrier and no limit.
    pub const UNLIMITED: Self = Self { barrier: UNLIMITED, limit: UNLIMITED };

    /// The same number for both.
    #[must_use]
    pub const fn both(value: u64) -> Self {
        Self { barrier: value, limit: value }
    }

    /// Reads `barrier[:limit]`, each `N[.F][suffix]` or `unlimited`; a missing limit is the
    /// barrier.
    ///
    /// # Errors
    /// [`ParseError::TooLarge`] above LONG_MAX, another for a text of another form.
    pub fn parse(text: &str, unit: Unit) -> Result<Self, ParseError> {
        match Self::parse_truncating(text, unit)? {
            (_, true) => Err(ParseError::TooLarge),
            (value, false) => Ok(value),
        }
    }

    /// As [`BarrierLimit::parse`] for a configuration file: too large a number is cut to
    /// [`UNLIMITED`], and the second value says so.
    ///
    /// # Errors
    /// [`ParseError`] for a text of another form.
    pub fn parse_truncating(text: &str, unit: Unit) -> Result<(Self, bool), ParseError> {
        let (barrier, limit, truncated) = number::pair(text, unit.divisor(), true)?;
        Ok((Self { barrier, limit }, truncated))
    }

    /// Reads the value of `--ram` or `--swap`: bytes, rounded up to pages, as `0:pages`.
    ///
    /// # Errors
    /// [`ParseError`] for a text that is not one number.
    pub fn parse_vswap(text: &str) -> Result<Self, ParseError> {
        let amount = number::amount(text, Some(1), true)?;
        if !amount.rest.is_empty() {
            return Err(ParseError::Syntax);
        }
        if amount.truncated {
            return Err(ParseError::TooLarge);
        }
        Ok(Self { barrier: 0, limit: amount.value.div_ceil(PAGE) })
    }
}

/// One number, or the word for none.
fn write_value(f: &mut fmt::Formatter<'_>, value: u64) -> fmt::Result {
    if value == UNLIMITED { f.write_str("unlimited") } else { write!(f, "{value}") }
}

impl fmt::Display for BarrierLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, self.barrier)?;
        if self.barrier != self.limit {
            f.write_str(":")?;
            write_value(f, self.limit)?;
        }
        Ok(())
    }
}

/// The beancounters of a configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UbcSet([Option<BarrierLimit>; Resource::ALL.len()]);

impl UbcSet {
    /// What is set for a resource.
    #[must_use]
    pub fn get(&self, resource: Resource) -> Option<BarrierLimit> {
        self.0[resource as usize]
    }

    /// Sets or unsets a resource.
    pub fn set(&mut self, resource: Resource, value: Option<BarrierLimit>) {
        self.0[resource as usize] = value;
    }

    /// The resources that are set, in the order they are stored.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, BarrierLimit)> + '_ {
        Resource::ALL.into_iter().filter_map(|resource| Some((resource, self.get(resource)?)))
    }

    /// This set with everything that `over` sets.
    #[must_use]
    pub fn merged_with(mut self, over: &Self) -> Self {
        over.iter().for_each(|(resource, value)| self.set(resource, Some(value)));
        self
    }

    /// Whether this is a VSwap configuration: RAM has a limit.
    #[must_use]
    pub fn is_vswap(&self) -> bool {
        let unlimited = [UNLIMITED, i32::MAX as u64];
        self.get(Resource::Physpages).is_some_and(|ram| !unlimited.contains(&ram.limit))
    }

    /// The set with the four values a VSwap container gets where it has none of its own:
    /// lockedpages, oomguarpages, vmguarpages and privvmpages, from its RAM and swap.
    #[must_use]
    pub fn with_vswap_defaults(mut self, vm_overcommit: Option<f32>) -> Self {
        let (Some(ram), true) = (self.get(Resource::Physpages), self.is_vswap()) else {
            return self;
        };
        let swap = self.get(Resource::Swappages).map_or(0, |swap| swap.limit);
        let memory = ram.limit.saturating_add(swap).min(UNLIMITED);
        let private = match vm_overcommit {
            // A float as large as LONG_MAX saturates, which is what "unlimited" is.
            Some(factor) if factor > 0.0 => {
                ((memory as f64 * f64::from(factor)) as u64).min(UNLIMITED)
            }
            _ => UNLIMITED,
        };
        let defaults = [
            (Resource::Lockedpages, BarrierLimit::both(ram.limit)),
            (Resource::Oomguarpages, BarrierLimit { barrier: ram.limit, limit: UNLIMITED }),
            (Resource::Vmguarpages, BarrierLimit { barrier: memory, limit: UNLIMITED }),
            (Resource::Privvmpages, BarrierLimit::both(private)),
        ];
        for (resource, value) in defaults {
            self.set(resource, self.get(resource).or(Some(value)));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stored_forms() {
        let cases = [
            (Unit::Bytes, "1K:2k", "1024:2048"),
            (Unit::Bytes, "1.5M:2.25M", "1572864:2359296"),
            (Unit::Bytes, "1.9:2.9", "1:2"),
            (Unit::Bytes, "1T", "1099511627776"),
            (Unit::Bytes, "unlimited:unlimited", "unlimited"),
            (Unit::Bytes, "1000:unlimited", "1000:unlimited"),
            (Unit::Bytes, ":", "0"),
            (Unit::Bytes, "", "0"),
            (Unit::Bytes, ":5", "0:5"),
            (Unit::Bytes, "100:", "100:0"),
            (Unit::Bytes, "9223372036854775807", "unlimited"),
            (Unit::Pages, "256M:300M", "65536:76800"),
            (Unit::Pages, "5K", "1"),
            (Unit::Pages, "8191B", "1"),
            (Unit::Pages, "100P", "100"),
            (Unit::Pages, "0.5G", "131072"),
            (Unit::Count, "1.5", "1"),
            (Unit::Count, "200:100", "200:100"),
        ];
        for (unit, text, stored) in cases {
            assert_eq!(BarrierLimit::parse(text, unit).unwrap().to_string(), stored, "{text:?}");
        }
        for text in ["unlimitedx", "-1", "1:2:3", "12q", "12MB", "0x10", " :", "99999999T"] {
            assert!(BarrierLimit::parse(text, Unit::Bytes).is_err(), "{text:?}");
        }
        assert!(BarrierLimit::parse("1K", Unit::Count).is_err());
    }

    #[test]
    fn too_large_is_cut_in_a_file() {
        let (value, truncated) =
            BarrierLimit::parse_truncating("99999999T:1", Unit::Bytes).unwrap();
        assert_eq!((value.to_string().as_str(), truncated), ("unlimited:1", true));
        assert!(BarrierLimit::parse_truncating("99999999999999999999", Unit::Bytes).is_err());
    }

    #[test]
    fn ram_is_rounded_up() {
        let stored = |text| BarrierLimit::parse_vswap(text).map(|value| value.to_string());
        assert_eq!(stored("512M").unwrap(), "0:131072");
        assert_eq!(stored("1000000").unwrap(), "0:245");
        assert_eq!(stored("1.5G").unwrap(), "0:393216");
        assert_eq!(stored("unlimited").unwrap(), "0:2251799813685248");
        assert_eq!(stored("0").unwrap(), "0");
        assert!(stored("1:2").is_err() && stored("abc").is_err() && stored("-1").is_err());
    }

    #[test]
    fn vswap_defaults() {
        let mut set = UbcSet::default();
        assert_eq!(set.with_vswap_defaults(None), set);
        set.set(Resource::Physpages, Some(BarrierLimit { barrier: 0, limit: 100 }));
        set.set(Resource::Swappages, Some(BarrierLimit { barrier: 0, limit: 200 }));
        let full = set.with_vswap_defaults(Some(1.5));
        assert_eq!(full.get(Resource::Privvmpages), Some(BarrierLimit::both(450)));
        assert_eq!(full.get(Resource::Vmguarpages).unwrap().to_string(), "300:unlimited");
        assert_eq!(full.get(Resource::Lockedpages), Some(BarrierLimit::both(100)));
    }

    proptest! {
        #[test]
        fn display_is_read_back(barrier in 0..=UNLIMITED, limit in 0..=UNLIMITED) {
            let value = BarrierLimit { barrier, limit };
            for unit in [Unit::Bytes, Unit::Pages, Unit::Count] {
                prop_assert_eq!(BarrierLimit::parse(&value.to_string(), unit), Ok(value));
            }
        }

        #[test]
        fn any_text(text in ".*") {
            let _ = BarrierLimit::parse(&text, Unit::Pages);
            let _ = BarrierLimit::parse_vswap(&text);
        }
    }
}
