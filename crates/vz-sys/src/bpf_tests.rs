use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::*;

const NULL: DeviceRule = DeviceRule {
    kind: Kind::Char,
    major: Some(1),
    minor: Some(3),
    read: true,
    write: true,
    mknod: true,
};
const PREFIX: [[u8; 8]; 6] = [
    [0x61, 0x12, 0, 0, 0, 0, 0, 0],
    [0x61, 0x14, 4, 0, 0, 0, 0, 0],
    [0x61, 0x15, 8, 0, 0, 0, 0, 0],
    [0xbf, 0x23, 0, 0, 0, 0, 0, 0],
    [0x77, 0x03, 0, 0, 16, 0, 0, 0],
    [0x57, 0x02, 0, 0, 0xff, 0xff, 0, 0],
];
const YES: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
const NO: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

#[test]
fn rule_becomes_bytes() {
    let read_only = DeviceRule { write: false, mknod: false, ..NULL };
    let tests = [
        [0x55, 0x02, 7, 0, 2, 0, 0, 0],
        [0xbf, 0x31, 0, 0, 0, 0, 0, 0],
        [0x57, 0x01, 0, 0, 2, 0, 0, 0],
        [0x5d, 0x31, 4, 0, 0, 0, 0, 0],
        [0x55, 0x04, 3, 0, 1, 0, 0, 0],
        [0x55, 0x05, 2, 0, 3, 0, 0, 0],
    ];
    assert_eq!(assemble(&[read_only]).unwrap(), [&PREFIX[..], &tests, &YES, &NO].concat());
    assert_eq!(assemble(&[]).unwrap(), [&PREFIX[..], &NO].concat());
}

#[test]
fn nothing_follows_a_rule_that_allows_all() {
    let all = DeviceRule { kind: Kind::All, major: None, minor: None, ..NULL };
    assert_eq!(assemble(&[all, NULL]).unwrap(), [&PREFIX[..], &YES].concat());
}

#[test]
fn impossible_values_are_refused() {
    let major = DeviceRule { major: Some(4096), ..NULL };
    assert!(matches!(assemble(&[major]), Err(Error::Number { what: "major", .. })));
    let minor = DeviceRule { minor: Some(u32::MAX), ..NULL };
    assert!(matches!(assemble(&[minor]), Err(Error::Number { what: "minor", .. })));
    for name in ["", "sixteen_letters_", "a b", "a\0"] {
        assert!(matches!(DeviceProgram::load(name, &[]), Err(Error::Name { .. })));
    }
}

/// A group of its own on the machine's cgroup2, removed at the end.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<(Self, File)> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let parent = PathBuf::from(line.split(' ').nth(4)?);
        let path = parent.join(format!("vz-sys-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let group = Self(path);
        let directory = File::open(&group.0).unwrap();
        if let Err(error) = DeviceProgram::load("vz_probe", &[]) {
            eprintln!("{error}");
            return None;
        }
        Some((group, directory))
    }

    /// The error numbers of opening null for reading and zero for writing, inside the group.
    fn opens(&self) -> (i32, i32) {
        let procs = self.0.join("cgroup.procs").into_os_string().into_encoded_bytes();
        let procs = std::ffi::CString::new(procs).unwrap();
        // SAFETY: the child makes only system calls and leaves by _exit.
        unsafe {
            let pid = libc::fork();
            assert!(pid >= 0);
            if pid == 0 {
                let fd = libc::open(procs.as_ptr(), libc::O_WRONLY);
                if libc::write(fd, c"0".as_ptr().cast(), 1) != 1 {
                    libc::_exit(255);
                }
                let denied = |path: &std::ffi::CStr, flags| {
                    libc::open(path.as_ptr(), flags) < 0 && *libc::__errno_location() == libc::EPERM
                };
                let null = i32::from(denied(c"/dev/null", libc::O_RDONLY));
                let zero = i32::from(denied(c"/dev/zero", libc::O_WRONLY));
                libc::_exit(null | zero << 1);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
            let code = libc::WEXITSTATUS(status);
            assert!(libc::WIFEXITED(status) && code < 4, "{status:#x}");
            (code & 1, code >> 1)
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn kernel_asks_the_program_and_replaces_it() {
    let Some((group, directory)) = Group::new("replace") else {
        let name = "kernel_asks_the_program_and_replaces_it";
        eprintln!("skipped: {name}: needs a writable cgroup2 and CAP_BPF");
        return;
    };
    let cgroup = directory.as_fd();
    assert_eq!(group.opens(), (0, 0));
    DeviceProgram::load("vz_devices", &[NULL]).unwrap().attach(cgroup).unwrap();
    assert_eq!(group.opens(), (0, 1));

    let zero = DeviceRule { minor: Some(5), read: false, mknod: false, ..NULL };
    DeviceProgram::load("vz_devices", &[zero]).unwrap().attach(cgroup).unwrap();
    assert_eq!(attached(cgroup).unwrap(), ["vz_devices"]);
    assert_eq!(group.opens(), (1, 0));

    // Another's program stays, and both must agree.
    DeviceProgram::load("other", &[NULL]).unwrap().attach(cgroup).unwrap();
    assert_eq!(attached(cgroup).unwrap(), ["vz_devices", "other"]);
    assert_eq!(group.opens(), (1, 1));
    assert_eq!(detach(cgroup, "vz_devices").unwrap(), 1);
    assert_eq!(attached(cgroup).unwrap(), ["other"]);
    assert_eq!(group.opens(), (0, 1));
    assert_eq!(detach(cgroup, "vz_devices").unwrap(), 0);
}

#[test]
fn verifier_says_why() {
    // A jump behind the end.
    let broken = [Instruction::unless_equal(1, 0).bytes(), YES[0], YES[1]];
    let mut broken = broken.to_vec();
    broken[0][2] = 9;
    match syscall::load("vz_broken", DEVICE, &broken) {
        Err(refused) if refused.source.raw_os_error() == Some(libc::EPERM) => {
            eprintln!("skipped: verifier_says_why: needs CAP_BPF");
        }
        Err(refused) => assert!(refused.log.contains("jump out of range"), "{}", refused.log),
        Ok(_) => panic!("a broken program was taken"),
    }
}
