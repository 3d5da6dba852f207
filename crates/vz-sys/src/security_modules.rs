//! Which security modules of the kernel are active (kernel doc: userspace-api/lsm.rst).

/// lsm_list_modules(2), Linux 6.8; the same number on every architecture.
const LSM_LIST_MODULES: libc::c_long = 461;
/// `LSM_ID_BPF`.
const BPF: u64 = 109;
/// More than a kernel may be built with.
const MOST: usize = 64;

/// Says whether programs may be attached to the hooks of the security modules, and are asked. On
/// a kernel that does not list its modules they are taken not to be: there they would be attached
/// and might never be asked.
pub(crate) fn has_bpf() -> bool {
    list().contains(&BPF)
}

fn list() -> Vec<u64> {
    let mut modules = vec![0_u64; MOST];
    let mut size = size_of_val(modules.as_slice()) as u32;
    // SAFETY: the list has as many bytes as said, and both live over the call.
    let count = unsafe { libc::syscall(LSM_LIST_MODULES, modules.as_mut_ptr(), &raw mut size, 0) };
    modules.truncate(usize::try_from(count).unwrap_or(0));
    modules
}
