//! The group of all containers, and the node's own groups beside it (CT0: VE0CPUUNITS).
//!
//! To the original each container weighed against the node by itself, and had its guarantee against
//! all. Here they lie in one group: it weighs what all in it weigh together, and is promised what
//! they are promised, or else their promises would hold nothing (cgroup-v2.rst, memory.low).

use std::ffi::OsStr;
use std::io;

use vz_sys::cgroup::Cgroup;

use super::cpu::weight;
use crate::group::Place;

const WEIGHT: &str = "cpu.weight";
const LOW: &str = "memory.low";

/// The kernel's weights end here.
const MOST: u64 = 10_000;

/// Lets the group of all containers have what they have together. A node without the controllers has
/// nothing to add up; a group that cannot be read is left out.
///
/// Returns how many containers there are.
pub fn sum_up_containers(place: &Place) -> usize {
    let Ok(parent) = Cgroup::open(&place.hierarchy.join(place.parent())) else { return 0 };
    let children = parent.children().unwrap_or_default();
    let sum = |file: &str| {
        let value = |name: &OsStr| -> Option<u64> { parent.child(name).ok()?.number(file) };
        children.iter().filter_map(|name| value(name)).fold(0, u64::saturating_add)
    };
    if parent.has(WEIGHT) {
        let weight = sum(WEIGHT).min(MOST);
        // The last has gone: the next one sets it.
        if weight > 0 {
            let _ = parent.write(WEIGHT, &weight.to_string());
        }
    }
    if parent.has(LOW) {
        let _ = parent.write(LOW, &sum(LOW).to_string());
    }
    children.len()
}

/// Gives each of the node's own groups this many CPUUNITS. `false` when the node has no controller
/// for them.
///
/// # Errors
/// When the groups cannot be read, or the kernel refuses the weight.
pub fn weigh_node(place: &Place, cpuunits: u64) -> io::Result<bool> {
    let root = Cgroup::open(&place.hierarchy)?;
    let mut found = false;
    for name in root.children()? {
        if name == place.parent().as_os_str() {
            continue;
        }
        let group = root.child(&name)?;
        if group.has(WEIGHT) {
            group.write(WEIGHT, &weight(cpuunits).to_string())?;
            found = true;
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::limits::cpu::units;
    use vz_conf::ctid::Ctid;

    /// The CPUUNITS of the node's own groups: the most that one of them has.
    fn node_units(place: &Place) -> Option<u64> {
        let root = Cgroup::open(&place.hierarchy).ok()?;
        let children = root.children().ok()?;
        let own = children.iter().filter(|name| *name != place.parent().as_os_str());
        let weights = own.filter_map(|name| root.child(name).ok()?.number(WEIGHT));
        weights.max().map(units)
    }

    #[test]
    fn both_sides_are_weighed() {
        let root = tempfile::tempdir().unwrap();
        for (group, weight) in
            [("system.slice", "10"), ("vz", "100"), ("vz/7", "50"), ("vz/8", "75")]
        {
            std::fs::create_dir_all(root.path().join(group)).unwrap();
            std::fs::write(root.path().join(group).join(WEIGHT), weight).unwrap();
        }
        std::fs::create_dir(root.path().join("bare")).unwrap();
        let read = |group: &str| {
            let text = std::fs::read_to_string(root.path().join(group).join(WEIGHT)).unwrap();
            text.trim().to_owned()
        };
        let place = Place::of(root.path().to_owned(), false, Ctid::new(7).unwrap());
        for (group, low) in [("vz", "1"), ("vz/7", "4096"), ("vz/8", "0")] {
            std::fs::write(root.path().join(group).join(LOW), low).unwrap();
        }
        assert_eq!(sum_up_containers(&place), 2);
        assert_eq!(read("vz"), "125");
        assert_eq!(std::fs::read_to_string(root.path().join("vz").join(LOW)).unwrap(), "4096");
        assert!(weigh_node(&place, 500).unwrap());
        assert_eq!((read("system.slice").as_str(), read("vz").as_str()), ("50", "125"));
        assert_eq!(node_units(&place), Some(500));
    }
}
