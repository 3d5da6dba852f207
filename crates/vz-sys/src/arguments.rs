//! The words a process was started with, as others see them in `/proc/PID/cmdline`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Covers each occurrence of `secret` in this process's command line with `x`. It lies in the
/// process's own memory, from `arg_start` to `arg_end` (proc_pid_stat(5), fields 48 and 49).
/// What [`std::env::args_os`] returns from then on is covered as well.
///
/// # Errors
/// Those of reading `/proc/self/stat`, and of reading and writing `/proc/self/mem`.
pub fn cover(secret: &[u8]) -> io::Result<()> {
    if secret.is_empty() {
        return Ok(());
    }
    let (start, end) = place()?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let mut words = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
    memory.read_exact_at(&mut words, start)?;
    let cover = vec![b'x'; secret.len()];
    for (offset, part) in words.windows(secret.len()).enumerate() {
        if part == secret {
            memory.write_all_at(&cover, start + offset as u64)?;
        }
    }
    Ok(())
}

fn place() -> io::Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // Field 2 is the name in parentheses, which may hold anything; field 3 follows it.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let mut fields = fields.split_whitespace().skip(45).map(str::parse::<u64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(start)), Some(Ok(end))) if start != 0 && start <= end => Ok((start, end)),
        _ => Err(io::Error::other("no arg_start in /proc/self/stat")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_holds_the_command_line() {
        let (start, end) = place().unwrap();
        let mut words = vec![0; (end - start) as usize];
        File::open("/proc/self/mem").unwrap().read_exact_at(&mut words, start).unwrap();
        assert_eq!(words, std::fs::read("/proc/self/cmdline").unwrap());
    }

    #[test]
    fn what_is_not_there_changes_nothing() {
        let before = std::fs::read("/proc/self/cmdline").unwrap();
        cover(b"no such words in it").unwrap();
        cover(b"").unwrap();
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), before);
    }
}
