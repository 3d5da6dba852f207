//! The mounts of the caller's mount namespace (proc_pid_mountinfo(5)).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// The mount points below `root`, outer ones first. One look at the text is enough for the usual
/// case of none, however many mounts the node has.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn mounts_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let mut wanted = vec![b' '];
    wanted.extend(escape(root.as_os_str().as_bytes()));
    wanted.push(b'/');
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // Field 5 is the mount point (proc_pid_mountinfo(5)); the fields before it hold no blanks.
        let Some(field) = line.split(|byte| *byte == b' ').nth(4) else { continue };
        if field.starts_with(&wanted[1..]) {
            found.push(PathBuf::from(OsStr::from_bytes(&unescape(field))));
        }
    }
    // A mount on top of another at the same place: the upper one is what a path leads to.
    found.dedup();
    Ok(found)
}

/// How many mounts of file system type `kind` lie at `path`, one upon the other, in the mount
/// namespace of `process` (the caller's own for `None`), as its root sees it.
///
/// # Errors
/// When its `mountinfo` cannot be read.
pub fn count_of(path: &Path, kind: &str, process: Option<Pid>) -> io::Result<usize> {
    let process = process.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let text = std::fs::read(format!("/proc/{process}/mountinfo"))?;
    let wanted = escape(path.as_os_str().as_bytes());
    let is_it = |line: &&[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        // The type is the first field behind a hyphen, of which there is one (proc(5)).
        fields.nth(4) == Some(&wanted)
            && fields.any(|field| field == b"-")
            && fields.next() == Some(kind.as_bytes())
    };
    Ok(text.split(|byte| *byte == b'\n').filter(is_it).count())
}

/// The type of the file system that `file` is on, as the mount table of `process` has it; `None` when it
/// is not there. Other than fstatfs(2) this asks no file system, so none can make the caller wait.
///
/// # Errors
/// When `/proc/self/fdinfo` or the process's `mountinfo` cannot be read.
pub fn type_of(file: BorrowedFd<'_>, process: Pid) -> io::Result<Option<String>> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let mount = text.lines().find_map(|line| Some(line.strip_prefix("mnt_id:")?.trim()));
    let Some(mount) = mount else { return Ok(None) };
    let text = std::fs::read(format!("/proc/{process}/mountinfo"))?;
    let kind_of = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let is_it = fields.next()? == mount.as_bytes();
        fields.find(|field| *field == b"-")?;
        let kind = fields.next()?;
        is_it.then(|| String::from_utf8_lossy(kind).into_owned())
    };
    Ok(text.split(|byte| *byte == b'\n').find_map(kind_of))
}

/// The mount points of the file system with the device number `device`, as in its files' `st_dev`.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn mounts_of_device(device: u64) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let wanted = format!("{major}:{minor}");
    let place = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let is_it = fields.next()? == wanted.as_bytes();
        let point = fields.nth(1)?;
        is_it.then(|| PathBuf::from(OsStr::from_bytes(&unescape(point))))
    };
    Ok(text.split(|byte| *byte == b'\n').filter_map(place).collect())
}

/// Whether a whole file system is mounted at `path`, and not a directory of one. `path` leads over no
/// link.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn is_whole_file_system(path: &Path) -> io::Result<bool> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let wanted = escape(path.as_os_str().as_bytes());
    let root_of = |line: &'_ [u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = fields.nth(3)? == b"/";
        (fields.next()? == wanted).then_some(root)
    };
    // Of several mounts at one place the last one is seen.
    Ok(text.split(|byte| *byte == b'\n').filter_map(root_of).next_back().unwrap_or(false))
}

/// The mount points whose file system is of one of these types, as the mount table has them.
///
/// # Errors
/// When `/proc/self/mountinfo` cannot be read.
pub fn mounts_of(kinds: &[&str]) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let place = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        fields.find(|field| *field == b"-")?;
        let kind = fields.next()?;
        let is_one = kinds.iter().any(|wanted| wanted.as_bytes() == kind);
        is_one.then(|| PathBuf::from(OsStr::from_bytes(&unescape(point))))
    };
    Ok(text.split(|byte| *byte == b'\n').filter_map(place).collect())
}

/// mountinfo writes blank, tab, newline and backslash as `\ooo`.
fn escape(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                escaped.extend(format!("\\{byte:03o}").into_bytes());
            }
            byte => escaped.push(*byte),
        }
    }
    escaped
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match (byte, octal) {
            (b'\\', Some(value)) => {
                plain.push(value);
                rest = &tail[3..];
            }
            _ => {
                plain.push(*byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_behind_a_descriptor() {
        use std::os::fd::AsFd;
        let file = std::fs::File::open("/proc/self/ns").unwrap();
        assert_eq!(type_of(file.as_fd(), Pid::this()).unwrap().as_deref(), Some("proc"));
        let pipe = nix::unistd::pipe().unwrap().0;
        assert_eq!(type_of(pipe.as_fd(), Pid::this()).unwrap(), None);
    }

    #[test]
    fn counts_by_type() {
        assert!(count_of(Path::new("/proc"), "proc", None).unwrap() >= 1);
        assert_eq!(count_of(Path::new("/proc"), "procfs", None).unwrap(), 0);
        assert_eq!(count_of(Path::new("/pro"), "proc", Some(Pid::this())).unwrap(), 0);
    }

    #[test]
    fn finds_a_file_system_by_its_number() {
        let device = nix::sys::stat::stat("/proc").unwrap().st_dev;
        assert!(mounts_of_device(device).unwrap().contains(&PathBuf::from("/proc")));
        assert!(mounts_of_device(u64::MAX).unwrap().is_empty());
    }

    #[test]
    fn escapes_come_back() {
        for path in ["/a b", "/tab\there", "/back\\slash", "/new\nline", "/plain", "/\\04"] {
            assert_eq!(unescape(&escape(path.as_bytes())), path.as_bytes());
        }
    }

    #[test]
    fn finds_what_is_below() {
        assert!(mounts_below(Path::new("")).unwrap().contains(&PathBuf::from("/proc")));
        assert!(mounts_below(Path::new("/no/such/place")).unwrap().is_empty());
    }
}
