//! Programs that are run as children.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// Has the kernel kill the program when the thread that runs it ends (`PR_SET_PDEATHSIG`,
/// prctl(2)): what works on a file must not go on beside whoever has that file next. A program with
/// set-id bits or file capabilities is not killed.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    let parent = Pid::this();
    let prepare = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Ended before that was set.
        match getppid() == parent {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made (prctl, getppid), and
    // nothing is allocated: both errors are plain numbers.
    unsafe { command.pre_exec(prepare) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails so")]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_program_ends_with_the_thread_that_runs_it() {
        let start = || die_with_parent(Command::new("sleep").arg("1000")).spawn().unwrap();
        let mut child = std::thread::spawn(start).join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert!(die_with_parent(&mut Command::new("true")).status().unwrap().success());
    }
}
