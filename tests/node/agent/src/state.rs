//! What a machine looks like, as far as a container could have changed it: one line a thing,
//! "kind, space, thing", so that two pictures can be compared line by line.
//!
//! Only files are read (no process is started), so a picture of a whole node takes milliseconds
//! and does not show itself. Formats: proc(5), `Documentation/admin-guide/cgroup-v2.rst`.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// Directories whose entries are part of the picture, and how deep they are read.
const DIRECTORIES: &[(&str, usize)] = &[
    ("run/vz", usize::MAX),
    ("run/netns", 1),
    ("etc/vz/conf", 1),
    ("etc/vz/names", 1),
    ("var/lib/vz/private", 1),
    ("var/lib/vz/root", 1),
    ("var/lib/vz/lock", 1),
    ("var/lib/vz/dump", 1),
    ("var/lib/vz/template/cache", 1),
    ("var/lib/vzctl/veip", 1),
    ("var/lib/vzctl/vepid", 1),
    ("var/vzquota", 1),
];

/// Files whose content is part of the picture.
const FILES: &[&str] = &["etc/vz/vz.conf"];

/// Groups that hold those of containers, and stay when the last one goes.
const SHARED_GROUPS: &[&str] = &["vz", "vz.slice"];

/// Mount points that systemd makes and removes as it pleases.
const FLEETING_MOUNTS: &[&str] = &["/proc/sys/fs/binfmt_misc", "/run/credentials", "/run/user"];

/// Beginnings of the names of processes that come and go by themselves on a node.
const FLEETING_PROCESSES: &[&str] =
    &["systemd", "(", "modprobe", "kmod", "agetty", "vz-node-agent"];

/// `PF_KTHREAD` of `include/linux/sched.h`: the task is a kernel thread.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Draws the picture of the machine whose file system begins at `root`. What cannot be read is
/// not there: a directory that does not exist, a process that ended meanwhile.
pub fn collect(root: &Path) -> Vec<String> {
    let mountinfo = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let mut lines = Vec::new();
    lines.extend(mounts(&mountinfo));
    lines.extend(cgroups(root, &mountinfo));
    lines.extend(links(root));
    lines.extend(routes(root));
    lines.extend(loop_devices(root));
    lines.extend(processes(root));
    lines.extend(DIRECTORIES.iter().flat_map(|(path, depth)| entries(root, path, *depth)));
    lines.extend(FILES.iter().filter_map(|path| content(root, path)));
    lines.sort();
    lines
}

/// What is mounted: mount point, type, source and the root within it.
fn mounts(mountinfo: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in mountinfo.lines() {
        let Some((fields, tail)) = line.split_once(" - ") else { continue };
        let fields: Vec<_> = fields.split(' ').collect();
        let tail: Vec<_> = tail.split(' ').collect();
        let ([_, _, _, root, point, ..], [fs_type, source, ..]) = (&*fields, &*tail) else {
            continue;
        };
        if !FLEETING_MOUNTS.iter().any(|fleeting| point.starts_with(fleeting)) {
            lines.push(format!("mount {point} type {fs_type} from {source} root {root}"));
        }
    }
    lines
}

/// The groups of containers, in every hierarchy.
fn cgroups(root: &Path, mountinfo: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in mountinfo.lines() {
        let Some((fields, tail)) = line.split_once(" - ") else { continue };
        let Some(point) = fields.split(' ').nth(4) else { continue };
        if !tail.starts_with("cgroup") {
            continue;
        }
        for top in directories(&root.join(point.trim_start_matches('/'))) {
            let name = file_name(&top);
            if name.starts_with("vz") {
                if !SHARED_GROUPS.contains(&name.as_str()) {
                    lines.push(format!("cgroup {}", shown(root, &top)));
                }
                cgroups_below(root, &top, &mut lines);
            }
        }
    }
    lines
}

fn cgroups_below(root: &Path, group: &Path, lines: &mut Vec<String>) {
    for child in directories(group) {
        lines.push(format!("cgroup {}", shown(root, &child)));
        cgroups_below(root, &child, lines);
    }
}

/// Network devices of the agent's network namespace: a sysfs mount shows those of the namespace
/// it was mounted in, procfs the reader's.
fn links(root: &Path) -> Vec<String> {
    let table = fs::read_to_string(root.join("proc/self/net/dev")).unwrap_or_default();
    let names = table.lines().skip(2).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| format!("link {}", name.trim())).collect()
}

fn routes(root: &Path) -> Vec<String> {
    let table = fs::read_to_string(root.join("proc/self/net/route")).unwrap_or_default();
    let mut lines = Vec::new();
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        if let [link, to, gateway, _, _, _, _, mask, ..] = &*fields {
            let [to, mask, via] = [to, mask, gateway].map(|hex| address(hex));
            lines.push(format!("route {to} mask {mask} via {via} dev {link}"));
        }
    }
    lines
}

/// An IPv4 address as /proc/net/route writes it: the word in the machine's byte order.
fn address(hex: &str) -> String {
    let word = u32::from_str_radix(hex, 16).unwrap_or_default();
    std::net::Ipv4Addr::from(word.to_ne_bytes()).to_string()
}

fn loop_devices(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for device in directories(&root.join("sys/block")) {
        if let Ok(file) = fs::read_to_string(device.join("loop/backing_file")) {
            lines.push(format!("loop {} on {}", file_name(&device), file.trim_end()));
        }
    }
    lines
}

/// Processes of user space, but for this one.
fn processes(root: &Path) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut lines = Vec::new();
    for process in directories(&root.join("proc")) {
        let id = file_name(&process);
        if id == own || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        lines.extend(process_line(&process));
    }
    lines
}

fn process_line(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name may hold anything, parentheses too; the last one closes it (proc_pid_stat(5)).
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split(' ');
    let state = fields.next()?;
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    if flags & KERNEL_THREAD != 0 || FLEETING_PROCESSES.iter().any(|known| name.starts_with(known))
    {
        return None;
    }
    if state == "Z" {
        return Some(format!("process {name} (zombie)"));
    }
    let command = fs::read(process.join("cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(format!("process {name}: {}", command.trim_end().escape_default()))
}

fn entries(root: &Path, path: &str, depth: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(directory) = fs::read_dir(root.join(path)) else { return lines };
    for entry in directory.flatten() {
        let below = format!("{path}/{}", entry.file_name().to_string_lossy());
        lines.push(format!("file /{below}"));
        if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            lines.extend(entries(root, &below, depth - 1));
        }
    }
    lines
}

fn content(root: &Path, path: &str) -> Option<String> {
    let bytes = fs::read(root.join(path)).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(format!("file /{path} with content {:016x}", hasher.finish()))
}

/// Sub-directories, links to directories too (sysfs is made of those).
fn directories(path: &Path) -> Vec<PathBuf> {
    let Ok(directory) = fs::read_dir(path) else { return Vec::new() };
    directory.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn shown(root: &Path, path: &Path) -> String {
    format!("/{}", path.strip_prefix(root).unwrap_or(path).display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::DirBuilder::new().recursive(true).create(path.parent().unwrap()).unwrap();
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn node() -> tempfile::TempDir {
        let node = tempfile::tempdir().unwrap();
        put(
            node.path(),
            "proc/self/mountinfo",
            "22 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw\n\
             23 22 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
             24 22 0:23 / /run/user/0 rw - tmpfs tmpfs rw\n\
             torn line\n",
        );
        put(node.path(), "proc/self/net/dev", "head\nhead\n    lo: 0 0\nvenet0: 0\n");
        put(
            node.path(),
            "proc/self/net/route",
            "Iface\nvenet0 0A00000A 00000000 0001 0 0 0 FFFFFFFF 0 0 0\n",
        );
        put(node.path(), "proc/70/stat", "70 (kworker) I 2 0 0 0 -1 2129984 0");
        put(node.path(), "proc/71/stat", "71 (a) b) S 1 71 71 0 -1 4194560 0");
        put(node.path(), "proc/71/cmdline", "sleep\x005\n\0");
        put(node.path(), "proc/72/stat", "72 (gone) Z 1 71 71 0 -1 4194560 0");
        put(node.path(), "proc/73/stat", "torn");
        put(node.path(), "sys/fs/cgroup/vz.slice/vz-101.scope/init.scope/cgroup.procs", "");
        put(node.path(), "sys/fs/cgroup/vz-test/cgroup.procs", "");
        put(node.path(), "sys/fs/cgroup/system.slice/ssh.service/cgroup.procs", "");
        put(node.path(), "sys/block/loop0/size", "0");
        put(node.path(), "sys/block/loop1/loop/backing_file", "/var/lib/vz/root.hdd\n");
        put(node.path(), "var/lib/vz/private/101/etc/passwd", "");
        put(node.path(), "run/vz/101/state", "");
        node
    }

    #[test]
    fn a_picture_names_what_a_container_may_leave() {
        assert_eq!(
            collect(node().path()),
            [
                "cgroup /sys/fs/cgroup/vz-test",
                "cgroup /sys/fs/cgroup/vz.slice/vz-101.scope",
                "cgroup /sys/fs/cgroup/vz.slice/vz-101.scope/init.scope",
                "file /run/vz/101",
                "file /run/vz/101/state",
                "file /var/lib/vz/private/101",
                "link lo",
                "link venet0",
                "loop loop1 on /var/lib/vz/root.hdd",
                "mount / type ext4 from /dev/vda root /",
                "mount /sys/fs/cgroup type cgroup2 from cgroup2 root /",
                "process a) b: sleep 5",
                "process gone (zombie)",
                "route 10.0.0.10 mask 255.255.255.255 via 0.0.0.0 dev venet0",
            ]
        );
    }

    #[test]
    fn a_changed_configuration_shows() {
        let node = node();
        put(node.path(), "etc/vz/vz.conf", "VIRTUOZZO=yes\n");
        let before = collect(node.path());
        put(node.path(), "etc/vz/vz.conf", "VIRTUOZZO=no\n");
        assert_ne!(before, collect(node.path()));
    }
}
