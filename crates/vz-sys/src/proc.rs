//! What `/proc` tells of a process (proc_pid_stat(5), proc_pid_status(5)): only the fields used on
//! hot paths, read with one open and one read.

use std::io::{self, Read};

use nix::unistd::Pid;

/// When a process started, in clock ticks after boot (field 22 of `/proc/PID/stat`): with the pid
/// it names one process for good, whatever becomes of the number later.
///
/// # Errors
/// `ENOENT` or `ESRCH` when there is no such process; `InvalidData` for a line not understood.
pub fn start_time(pid: Pid) -> io::Result<u64> {
    let mut text = [0; 1024];
    let length = std::fs::File::open(format!("/proc/{pid}/stat"))?.read(&mut text)?;
    parse_start_time(&text[..length])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "start time not found"))
}

fn parse_start_time(stat: &[u8]) -> Option<u64> {
    parse_field(stat, 22)
}

/// A field after the name, which is number 2. The name in parentheses may hold anything,
/// parentheses and blanks too: count from its end.
fn parse_field(stat: &[u8], number: usize) -> Option<u64> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// Says whether the process `pid` that started at `start` still runs (a zombie does not).
pub fn is_running(pid: Pid, start: u64) -> bool {
    let mut text = [0; 1024];
    let Ok(mut file) = std::fs::File::open(format!("/proc/{pid}/stat")) else { return false };
    let Ok(length) = file.read(&mut text) else { return false };
    parse_start_time(&text[..length]) == Some(start) && !is_zombie(&text[..length])
}

/// Says whether the first thread of a process has begun to end: `PF_EXITING` in the flags (field 9)
/// of `/proc/PID/stat`.
///
/// # Errors
/// `ENOENT` or `ESRCH` when there is no such process; `InvalidData` for a line not understood.
pub fn is_exiting(pid: Pid) -> io::Result<bool> {
    /// Of linux/sched.h.
    const PF_EXITING: u64 = 4;
    let mut text = [0; 1024];
    let length = std::fs::File::open(format!("/proc/{pid}/stat"))?.read(&mut text)?;
    parse_field(&text[..length], 9)
        .map(|flags| flags & PF_EXITING != 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "flags not found"))
}

fn is_zombie(stat: &[u8]) -> bool {
    state(stat).is_some_and(|state| matches!(state, b'Z' | b'X'))
}

/// The letter after the name.
fn state(stat: &[u8]) -> Option<u8> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end_of_name + 2).copied()
}

/// Says whether a thread counts for a load average: it runs or wants to, or waits for a disk.
pub fn is_active(thread: Pid) -> bool {
    let mut text = [0; 1024];
    let Ok(mut file) = std::fs::File::open(format!("/proc/{thread}/stat")) else { return false };
    let Ok(length) = file.read(&mut text) else { return false };
    state(&text[..length]).is_some_and(|state| matches!(state, b'R' | b'D'))
}

/// The descriptors a process has open. A file that several share counts for each.
pub fn open_files(pid: Pid) -> Option<u64> {
    let directory = format!("/proc/{pid}/fd");
    // Since Linux 6.2 the directory's size is their number.
    match std::fs::metadata(&directory).ok()?.len() {
        0 => Some(std::fs::read_dir(&directory).ok()?.count() as u64),
        number => Some(number),
    }
}

/// The seconds since the epoch at which clock tick 0 was: what [`start_time`] counts from.
///
/// # Errors
/// When `/proc/stat` cannot be read or has no `btime` line.
pub fn boot_time() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    text.lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no btime in /proc/stat"))
}

/// Clock ticks in a second (sysconf(3) `_SC_CLK_TCK`).
pub fn ticks_per_second() -> u64 {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK) {
        Ok(Some(ticks)) if ticks > 0 => ticks as u64,
        // Every architecture of today's Linux shows 100 to user space.
        _ => 100,
    }
}

/// The command line of a process, its words joined by blanks; empty for a kernel thread.
///
/// # Errors
/// When `/proc/PID/cmdline` cannot be read.
pub fn command_line(pid: Pid) -> io::Result<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>();
    Ok(words.join(" ").trim_end().to_owned())
}

/// A process's ids in its pid namespaces, the reader's first, the innermost last (`NSpid`).
///
/// # Errors
/// When `/proc/PID/status` cannot be read.
pub fn namespace_pids(pid: Pid) -> io::Result<Vec<i32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(text
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .map(|ids| ids.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect())
        .unwrap_or_default())
}

/// The score of a process that the kernel kills for no lack of memory.
pub const NEVER_KILLED: i64 = -1000;

/// A limit on how the kernel counts a process when it has to kill one: its `oom_score_adj`
/// (proc_pid_oom_score_adj(5)), in thousandths of all memory.
///
/// # Errors
/// When the process is gone.
pub fn out_of_memory_score(pid: Pid) -> io::Result<i64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))?;
    text.trim().parse().map_err(io::Error::other)
}

/// Sets it; a child inherits it. `None` is the calling process, in whatever pid namespace it is.
///
/// # Errors
/// When the process is gone; `PermissionDenied` when it is lowered without CAP_SYS_RESOURCE.
pub fn set_out_of_memory_score(pid: Option<Pid>, score: i64) -> io::Result<()> {
    let who = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let path = format!("/proc/{who}/oom_score_adj");
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, score.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_name() {
        let line = b"7 (a) R 1 (b)) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(parse_start_time(line), Some(4242));
        assert!(!is_zombie(line));
        assert!(is_zombie(b"7 (a)) Z 1"));
        assert_eq!(parse_start_time(b"7 (a"), None);
    }

    #[test]
    fn ourselves() {
        let pid = Pid::this();
        let start = start_time(pid).unwrap();
        assert!(start > 0 && is_running(pid, start) && !is_running(pid, start + 1));
        assert_eq!(namespace_pids(pid).unwrap()[0], pid.as_raw());
        assert!(boot_time().unwrap() > 0);
        assert!(!is_exiting(pid).unwrap());
    }

    #[test]
    fn own_files() {
        let before = open_files(Pid::this()).unwrap();
        let _file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(open_files(Pid::this()), Some(before + 1));
        assert_eq!(open_files(Pid::from_raw(i32::MAX)), None);
    }

    #[test]
    fn who_is_active() {
        // The thread that asks runs.
        assert!(is_active(nix::unistd::gettid()));
        assert!(!is_active(Pid::from_raw(i32::MAX)));
        assert_eq!(state(b"7 (a) b) D 1"), Some(b'D'));
        assert_eq!(state(b"7 (a"), None);
    }
}
