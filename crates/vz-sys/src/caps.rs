//! Capabilities (capabilities(7)): what a container's processes may keep.

use std::collections::HashSet;
use std::io;

use caps::CapSet;
pub use caps::Capability;

/// Gives up, for good, every capability not in `kept`: out of the bounding set first, then out of
/// all the process's sets. The inheritable and ambient sets end up empty.
///
/// # Errors
/// Those of `prctl(2)` and `capset(2)`.
pub fn keep_only(kept: &HashSet<Capability>) -> io::Result<()> {
    for capability in supported() {
        if !kept.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability).map_err(io::Error::other)?;
        }
    }
    let none = HashSet::new();
    caps::set(None, CapSet::Inheritable, &none).map_err(io::Error::other)?;
    let have = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    let left = have.intersection(kept).copied().collect();
    caps::set(None, CapSet::Effective, &left).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &left).map_err(io::Error::other)
}

/// Says whether this process has a capability in effect.
pub fn has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// Every capability that this kernel knows, of those this program knows.
pub fn supported() -> impl Iterator<Item = Capability> {
    caps::all()
        .into_iter()
        // The bounding set answers EINVAL for a number the kernel does not know.
        .filter(|capability| caps::has_cap(None, CapSet::Bounding, *capability).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bounding_set_shrinks() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: bounding_set_shrinks: needs root");
            return;
        }
        let child = crate::clone::spawn(&Default::default(), || {
            let kept = HashSet::from([Capability::CAP_CHOWN, Capability::CAP_KILL]);
            if keep_only(&kept).is_err() {
                return 1;
            }
            let left = |set| caps::read(None, set).unwrap_or_default();
            i32::from(left(CapSet::Bounding) != kept || left(CapSet::Effective) != kept) * 2
        })
        .unwrap();
        assert_eq!(crate::pidfd::reap(child.pidfd.as_fd()).unwrap(), crate::pidfd::Ended::Code(0));
    }
}
