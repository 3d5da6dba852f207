//! What the node's processors can do, in CPUUNITS.
//!
//! The original took 25 units for each of the kernel's BogoMIPS, which on x86 are twice a
//! processor's MHz. Elsewhere that figure is of another kind (on ARM the rate of a timer, some
//! 50 a processor) or not there at all; the highest frequency of each processor, which cpufreq
//! knows, then gives the same number that an x86 of that clock would have.

use std::fs;
use std::path::Path;

use super::capacity::{CapacityError, missing, read};

/// CPUUNITS for one BogoMIPS.
const UNITS: u64 = 25;
/// BogoMIPS for one MHz.
const BOGOMIPS_OF_MHZ: u64 = 2;
/// Fewer BogoMIPS a processor, in hundredths, are the rate of a timer.
const TIMER: u64 = 500 * 100;

/// The node's power in CPUUNITS; `proc` and `cpus` are `/proc` and `/sys/devices/system/cpu`, or
/// directories of files like theirs.
///
/// # Errors
/// When /proc/cpuinfo cannot be read, or no figure is to be found.
pub fn of_node(proc: &Path, cpus: &Path) -> Result<u64, CapacityError> {
    let cpuinfo = read(proc, "cpuinfo")?;
    power(&cpuinfo, &frequencies(cpus)).ok_or_else(|| missing("cpuinfo", "bogomips"))
}

/// The same from the text of /proc/cpuinfo and the frequencies of the processors in kHz.
pub fn power(cpuinfo: &str, frequencies: &[u64]) -> Option<u64> {
    let bogomips = bogomips(cpuinfo);
    let total: u64 = bogomips.iter().copied().fold(0, u64::saturating_add);
    let is_timer = total / (bogomips.len() as u64).max(1) < TIMER;
    let khz: u64 = frequencies.iter().copied().fold(0, u64::saturating_add);
    match (is_timer, khz) {
        (true, 1..) => Some(khz.saturating_mul(BOGOMIPS_OF_MHZ * UNITS) / 1000),
        (_, _) if bogomips.is_empty() => None,
        _ => Some(total.saturating_mul(UNITS) / 100),
    }
}

/// The BogoMIPS of each processor, in hundredths: lines `bogomips : 5333.12`, with capital letters
/// on some machines.
fn bogomips(cpuinfo: &str) -> Vec<u64> {
    let value = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("bogomips").then(|| hundredths(value.trim()))?
    };
    cpuinfo.lines().filter_map(value).collect()
}

fn hundredths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction: u64 = format!("{fraction:0<2}").get(..2)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(fraction)
}

/// The highest frequency of each processor, in kHz; none where there is no cpufreq.
fn frequencies(cpus: &Path) -> Vec<u64> {
    let file = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.strip_prefix("cpu")?.parse::<u32>().ok()?;
        let file = cpus.join(format!("cpu{number}/cpufreq/cpuinfo_max_freq"));
        fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    fs::read_dir(cpus).into_iter().flatten().flatten().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_different_machines() {
        let x86 = "processor\t: 0\nbogomips\t: 5333.12\n\nprocessor\t: 1\nbogomips\t: 5333.12\n";
        assert_eq!(power(x86, &[]), Some(266_656));
        assert_eq!(power(x86, &[1_000_000]), Some(266_656));
        let arm = "processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\nBogoMIPS\t: 50.00\n";
        assert_eq!(power(arm, &[2_666_560, 2_666_560]), Some(266_656));
        assert_eq!(power(arm, &[]), Some(2500));
        assert_eq!(power("processor\t: 0\nhart\t: 1\n", &[1_000_000]), Some(50_000));
        assert_eq!(power("processor\t: 0\n", &[]), None);
        assert_eq!(power("bogomips : 7\nbogomips : 7.5x\nbogomips:\n", &[]), Some(175));
    }

    proptest! {
        #[test]
        fn any_text(text in "(bogomips *: *[0-9.]{0,30}\n|.*\n){0,4}", khz: Vec<u64>) {
            let _ = power(&text, &khz);
        }
    }
}
