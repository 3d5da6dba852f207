//! Seccomp filters (seccomp(2)): which system calls a container may not make, as classic BPF.
//!
//! Assembled here and not by a library: a library in common use kills every foreign
//! architecture, and 32-bit guests on a 64-bit kernel must run. One program therefore holds one
//! section for x86-64 and one for i386, each with its own numbers; x32 (a second numbering of
//! the 64-bit calls, which no distribution runs) answers ENOSYS like a kernel without it.
//!
//! The search is linear on purpose. Since Linux 5.11 the kernel runs the filter once per number
//! at install and keeps a bitmap of those that are allowed whatever their arguments, so the
//! length of the program does not matter to them (a test measures it). Only
//! a call that is tested by argument (ioctl) is run each time: those stand first.
//!
//! A filter denies what the kernel would otherwise do; io_uring reaches none of the calls that
//! are denied here.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use libc::sock_filter;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386` of linux/audit.h.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
pub(crate) const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// The bit that marks an x32 number (asm/unistd.h `__X32_SYSCALL_BIT`).
const X32_BIT: u32 = 0x4000_0000;
/// The number a tracer leaves to skip a call; the kernel answers it, not the filter.
const SKIPPED_BY_TRACER: u32 = u32::MAX;

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` of linux/seccomp.h.
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

/// The longest program the kernel takes (`BPF_MAXINSNS`, linux/bpf_common.h).
const LONGEST: usize = 4096;
/// Error numbers above this are cut by the kernel (`MAX_ERRNO`).
const LARGEST_ERRNO: i32 = 4095;

/// Each name with its number on x86-64 and on i386 (arch/x86/entry/syscalls/*.tbl).
macro_rules! syscalls {
    ($($name:ident $text:literal $x86_64:expr, $i386:expr;)*) => {
        /// A system call a rule can name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Syscall { $(#[doc = concat!("`", $text, "(2)`")] $name,)* }

        impl Syscall {
            /// The name as in its manual page.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The number on x86-64, where the call exists there.
            pub fn x86_64(self) -> Option<u32> {
                match self { $(Self::$name => $x86_64,)* }
            }

            /// The number on i386, where the call exists there.
            pub fn i386(self) -> Option<u32> {
                match self { $(Self::$name => $i386,)* }
            }
        }
    };
}

syscalls! {
    Acct "acct" Some(163), Some(51);
    AddKey "add_key" Some(248), Some(286);
    Bpf "bpf" Some(321), Some(357);
    ClockSettime "clock_settime" Some(227), Some(264);
    ClockSettime64 "clock_settime64" None, Some(404);
    Clone "clone" Some(56), Some(120);
    Clone3 "clone3" Some(435), Some(435);
    CreateModule "create_module" Some(174), Some(127);
    DeleteModule "delete_module" Some(176), Some(129);
    FileSetattr "file_setattr" Some(469), Some(469);
    FinitModule "finit_module" Some(313), Some(350);
    Getppid "getppid" Some(110), Some(64);
    InitModule "init_module" Some(175), Some(128);
    Ioctl "ioctl" Some(16), Some(54);
    Ioperm "ioperm" Some(173), Some(101);
    Iopl "iopl" Some(172), Some(110);
    KexecFileLoad "kexec_file_load" Some(320), None;
    KexecLoad "kexec_load" Some(246), Some(283);
    Keyctl "keyctl" Some(250), Some(288);
    LookupDcookie "lookup_dcookie" Some(212), Some(253);
    Nfsservctl "nfsservctl" Some(180), Some(169);
    OpenByHandleAt "open_by_handle_at" Some(304), Some(342);
    PerfEventOpen "perf_event_open" Some(298), Some(336);
    Quotactl "quotactl" Some(179), Some(131);
    QuotactlFd "quotactl_fd" Some(443), Some(443);
    RequestKey "request_key" Some(249), Some(287);
    Settimeofday "settimeofday" Some(164), Some(79);
    Stime "stime" None, Some(25);
    Swapoff "swapoff" Some(168), Some(115);
    Swapon "swapon" Some(167), Some(87);
    Syslog "syslog" Some(103), Some(103);
    Unshare "unshare" Some(272), Some(310);
    Userfaultfd "userfaultfd" Some(323), Some(374);
    Vm86 "vm86" None, Some(166);
    Vm86old "vm86old" None, Some(113);
}

/// What happens to a call that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call is not made and fails with this error number (1…4095).
    Errno(i32),
    /// The call waits for the holder of the listener ([`Program::install_with_listener`]).
    Notify,
}

/// A test of one argument of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Which one, 0…5.
    pub index: u8,
    /// What of it is compared.
    pub test: Test,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `(low 32 bits & mask) == value`. For arguments the kernel takes as an `int`, such as an
    /// ioctl's command: the high half is ignored by the kernel, so a test that looked at it
    /// could be passed by setting a bit there (CVE-2019-7303).
    Low {
        /// The bits that count.
        mask: u32,
        /// What they must be.
        value: u32,
    },
    /// `(all 64 bits & mask) == value`. The high half of a 32-bit caller's argument is 0.
    Whole {
        /// The bits that count.
        mask: u64,
        /// What they must be.
        value: u64,
    },
}

/// One line of a filter: this call, when the argument is so, gets this action. The rules of one
/// call are tried in their order; a call that none matches is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The call; a rule has no effect on an architecture that lacks it.
    pub syscall: Syscall,
    /// What the caller gets.
    pub action: Action,
    /// Only when this holds; always when `None`.
    pub when: Option<Argument>,
}

impl Rule {
    /// `syscall` always fails with `errno`.
    pub const fn errno(syscall: Syscall, errno: i32) -> Self {
        Self { syscall, action: Action::Errno(errno), when: None }
    }

    /// An ioctl(2) of this command always fails with EPERM.
    pub const fn deny_ioctl(command: u32) -> Self {
        let test = Test::Low { mask: u32::MAX, value: command };
        let when = Some(Argument { index: 1, test });
        Self { syscall: Syscall::Ioctl, action: Action::Errno(libc::EPERM), when }
    }
}

/// What no container may call.
///
/// EPERM says "not allowed" where software expects the call to exist; ENOSYS says "not in this
/// kernel" where software then goes another way. Most are refused by the kernel in a user
/// namespace as well: the filter is the second wall, takes a large surface of the kernel away,
/// and is the only wall of a container without a user namespace.
///
/// Left to the kernel: `adjtimex` and `clock_adjtime` (reading is harmless, setting needs
/// CAP_SYS_TIME of the node), `name_to_handle_at` (systemd compares mounts with it), the mount
/// API (limited to the container's own mount namespace), `modify_ldt` (Wine), `fanotify_*`.
pub const CONTAINER_DENY: &[Rule] = &[
    // One kernel for all: its code is the node's. As lxc, docker, nspawn.
    Rule::errno(Syscall::InitModule, libc::EPERM),
    Rule::errno(Syscall::FinitModule, libc::EPERM),
    Rule::errno(Syscall::DeleteModule, libc::EPERM),
    Rule::errno(Syscall::CreateModule, libc::ENOSYS), // gone since 2.6
    // Replaces the node's kernel. As lxc, docker, nspawn.
    Rule::errno(Syscall::KexecLoad, libc::EPERM),
    Rule::errno(Syscall::KexecFileLoad, libc::EPERM),
    // Swap is the node's. As docker, nspawn.
    Rule::errno(Syscall::Swapon, libc::EPERM),
    Rule::errno(Syscall::Swapoff, libc::EPERM),
    // The verifier is the largest source of kernel holes; and programs held by a systemd
    // inside make its container impossible to checkpoint. As docker, nspawn.
    Rule::errno(Syscall::Bpf, libc::EPERM),
    // Samples other containers and the kernel. As docker, nspawn.
    Rule::errno(Syscall::PerfEventOpen, libc::EPERM),
    // A handle names any file of the file system, whatever the root (CVE-2014-3519).
    // As lxc, docker, nspawn.
    Rule::errno(Syscall::OpenByHandleAt, libc::EPERM),
    // Stops the kernel in the middle of a copy, which makes races exploitable. As docker.
    Rule::errno(Syscall::Userfaultfd, libc::EPERM),
    // Ports of the machine. As docker, nspawn without CAP_SYS_RAWIO.
    Rule::errno(Syscall::Iopl, libc::EPERM),
    Rule::errno(Syscall::Ioperm, libc::EPERM),
    // The node's kernel log: readable by anyone where dmesg_restrict is 0. As docker, nspawn.
    Rule::errno(Syscall::Syslog, libc::EPERM),
    // The node's quotas. A container with a file system of its own gets `Action::Notify` in
    // place of these two. As docker, nspawn.
    Rule::errno(Syscall::Quotactl, libc::EPERM),
    Rule::errno(Syscall::QuotactlFd, libc::EPERM),
    // Writes a log from inside the kernel, with the kernel's rights. As docker, nspawn.
    Rule::errno(Syscall::Acct, libc::EPERM),
    // Keyrings are known by the node's user ids and a frequent source of kernel holes. ENOSYS:
    // systemd, runc and sssd go on without, and runc does not on EPERM. As Proxmox.
    Rule::errno(Syscall::AddKey, libc::ENOSYS),
    Rule::errno(Syscall::RequestKey, libc::ENOSYS),
    Rule::errno(Syscall::Keyctl, libc::ENOSYS),
    // What newer kernels have dropped, or can be built without. As docker, nspawn.
    Rule::errno(Syscall::LookupDcookie, libc::ENOSYS),
    Rule::errno(Syscall::Nfsservctl, libc::ENOSYS),
    Rule::errno(Syscall::Vm86, libc::ENOSYS),
    Rule::errno(Syscall::Vm86old, libc::ENOSYS),
];

/// Setting the node's clock. Apart from [`CONTAINER_DENY`] because an admin may grant it
/// (`--capability sys_time:on`) to a container without a user namespace; as docker and nspawn,
/// which tie it to CAP_SYS_TIME.
pub const CLOCK_DENY: &[Rule] = &[
    Rule::errno(Syscall::Settimeofday, libc::EPERM),
    Rule::errno(Syscall::Stime, libc::EPERM),
    Rule::errno(Syscall::ClockSettime, libc::EPERM),
    Rule::errno(Syscall::ClockSettime64, libc::EPERM),
];

/// Commands that change a file's attributes (linux/fs.h): `_IOW('X', 32, struct fsxattr)`,
/// `_IOW('f', 2, long)` and the same as a 32-bit caller spells it.
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC32_SETFLAGS: u32 = 0x4004_6602;

/// `CLONE_NEWUSER` of linux/sched.h.
const CLONE_NEWUSER: u32 = 0x1000_0000;

/// The first argument of clone(2) (as x86 has it) and of unshare(2) asks for a user namespace.
const WITH_USER_NAMESPACE: Option<Argument> =
    Some(Argument { index: 0, test: Test::Low { mask: CLONE_NEWUSER, value: CLONE_NEWUSER } });

/// For a container without a user namespace, besides [`CONTAINER_DENY`]: there any owner of a
/// file may change its project id, or clear its directory's inherit flag, and so leave the
/// container's disk quota. In a user namespace the kernel refuses both.
///
/// Nor may its root make user namespaces: there it would have CAP_SYS_ADMIN again, over files that
/// belong to the node's root, and a cgroup v1 hierarchy of the node is one mount away. clone3 hides
/// its flags in memory: ENOSYS, and libc takes clone. As docker.
pub const UNMAPPED_DENY: &[Rule] = &[
    Rule::deny_ioctl(FS_IOC_FSSETXATTR),
    Rule::deny_ioctl(FS_IOC_SETFLAGS),
    Rule::deny_ioctl(FS_IOC32_SETFLAGS),
    Rule::errno(Syscall::FileSetattr, libc::EPERM),
    Rule { syscall: Syscall::Clone, action: Action::Errno(libc::EPERM), when: WITH_USER_NAMESPACE },
    Rule {
        syscall: Syscall::Unshare,
        action: Action::Errno(libc::EPERM),
        when: WITH_USER_NAMESPACE,
    },
    Rule::errno(Syscall::Clone3, libc::ENOSYS),
];

/// Why a filter could not be built or installed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Error {
    /// A rule names an argument that no system call has.
    #[error("build seccomp rule for {syscall}: argument {index} does not exist (0 to 5)")]
    Argument { syscall: &'static str, index: u8 },
    /// A rule's error number is none.
    #[error("build seccomp rule for {syscall}: error number {errno} is not within 1 to 4095")]
    Errno { syscall: &'static str, errno: i32 },
    /// A test can never hold: the value has bits the mask clears.
    #[error("build seccomp rule for {syscall}: value {value:#x} has bits outside mask {mask:#x}")]
    Value { syscall: &'static str, value: u64, mask: u64 },
    /// The rules of one call, or of all, need more instructions than the kernel takes.
    #[error("build seccomp filter: {length} instructions are more than {most}")]
    TooLong { length: usize, most: usize },
    /// The kernel refused the filter.
    #[error("install seccomp filter of {length} instructions: {source}")]
    Install { length: usize, source: io::Error },
}

/// A filter, ready to be installed.
#[derive(Clone, Debug)]
pub struct Program {
    instructions: Vec<sock_filter>,
}

impl Program {
    /// Assembles the rules. Calls that no rule names are allowed.
    pub fn build(rules: &[Rule]) -> Result<Self, Error> {
        rules.iter().try_for_each(check)?;
        let x86_64 = section(rules, Syscall::x86_64)?;
        let i386 = section(rules, Syscall::i386)?;
        let mut code = vec![load(OFFSET_ARCH)];
        // Ahead: the jump over the i386 section, which can be longer than a conditional jump.
        code.push(jump_if_equal(AUDIT_ARCH_I386, 1, 0));
        code.push(jump(1 + i386.len() as u32));
        code.push(load(OFFSET_NUMBER));
        code.extend(i386);
        code.push(jump_if_equal(AUDIT_ARCH_X86_64, 1, 0));
        code.push(give(errno_value(libc::ENOSYS)));
        code.push(load(OFFSET_NUMBER));
        code.push(jump_if_equal(SKIPPED_BY_TRACER, 0, 1));
        code.push(give(libc::SECCOMP_RET_ALLOW));
        code.push(jump_if_at_least(X32_BIT, 0, 1));
        code.push(give(errno_value(libc::ENOSYS)));
        code.extend(x86_64);
        if code.len() > LONGEST {
            return Err(Error::TooLong { length: code.len(), most: LONGEST });
        }
        Ok(Self { instructions: code })
    }

    /// Puts the calling thread, and what it will fork or exec, under the filter for good. Needs
    /// CAP_SYS_ADMIN in the thread's user namespace, or no_new_privs. Allocates nothing, so it
    /// may be called between clone and exec.
    pub fn install(&self) -> Result<(), Error> {
        self.set_mode(0).map(drop)
    }

    /// Like [`Program::install`], and returns the listener on which calls with
    /// [`Action::Notify`] arrive (close-on-exec). The kernel takes one listener per process.
    pub fn install_with_listener(&self) -> Result<OwnedFd, Error> {
        // A call that is being answered is not broken off by a signal that is not the caller's end:
        // what is written to its memory comes before it goes on. Since Linux 5.19.
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let fd = match self.set_mode(flags | WAIT_KILLABLE_RECV) {
            Err(Error::Install { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => {
                self.set_mode(flags)?
            }
            other => other?,
        };
        // SAFETY: with NEW_LISTENER a success returns a descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn set_mode(&self, flags: libc::c_ulong) -> Result<libc::c_int, Error> {
        let length = self.instructions.len();
        let program = libc::sock_fprog {
            len: length as u16, // at most 4096, by `build`
            filter: self.instructions.as_ptr().cast_mut(),
        };
        // SPEC_ALLOW: kernels before 5.16 else switch speculation off for the whole container,
        // which costs far more than the filter. As runc.
        let flags = flags | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // SAFETY: `program` points at `length` instructions that live over the call; the kernel
        // only reads them.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        if result < 0 {
            return Err(Error::Install { length, source: io::Error::last_os_error() });
        }
        Ok(result as libc::c_int)
    }

    /// The instructions as the kernel takes them: code, jump if true, jump if false, value.
    pub fn instructions(&self) -> impl Iterator<Item = (u16, u8, u8, u32)> + '_ {
        self.instructions.iter().map(|i| (i.code, i.jt, i.jf, i.k))
    }
}

fn check(rule: &Rule) -> Result<(), Error> {
    let syscall = rule.syscall.name();
    if let Action::Errno(errno) = rule.action
        && !(1..=LARGEST_ERRNO).contains(&errno)
    {
        return Err(Error::Errno { syscall, errno });
    }
    let Some(Argument { index, test }) = rule.when else { return Ok(()) };
    if index > 5 {
        return Err(Error::Argument { syscall, index });
    }
    let (mask, value) = match test {
        Test::Low { mask, value } => (mask.into(), value.into()),
        Test::Whole { mask, value } => (mask, value),
    };
    if value & !mask != 0 {
        return Err(Error::Value { syscall, value, mask });
    }
    Ok(())
}

/// One architecture's rules. Entered with the call's number loaded; ends in a return.
fn section(
    rules: &[Rule],
    number: impl Fn(Syscall) -> Option<u32>,
) -> Result<Vec<sock_filter>, Error> {
    let mut code = Vec::new();
    let mut seen = Vec::new();
    // Calls with a test by argument first: they alone are run at every call.
    let (tested, plain): (Vec<&Rule>, Vec<&Rule>) = rules
        .iter()
        .partition(|r| rules.iter().any(|o| o.syscall == r.syscall && o.when.is_some()));
    for rule in tested.into_iter().chain(plain) {
        let Some(nr) = number(rule.syscall) else { continue };
        if seen.contains(&nr) {
            continue;
        }
        seen.push(nr);
        let body = rules_of_call(rules, rule.syscall);
        let skip = u8::try_from(body.len())
            .map_err(|_| Error::TooLong { length: body.len(), most: u8::MAX.into() })?;
        code.push(jump_if_equal(nr, 0, skip));
        code.extend(body);
    }
    code.push(give(libc::SECCOMP_RET_ALLOW));
    Ok(code)
}

/// What is run once the number is known: each test in its order. Ends in a return.
fn rules_of_call(rules: &[Rule], syscall: Syscall) -> Vec<sock_filter> {
    let mut code = Vec::new();
    for rule in rules.iter().filter(|r| r.syscall == syscall) {
        let verdict = give(match rule.action {
            Action::Errno(errno) => errno_value(errno),
            Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
        });
        let Some(Argument { index, test }) = rule.when else {
            code.push(verdict);
            return code;
        };
        let low = OFFSET_ARGUMENTS + 8 * u32::from(index);
        match test {
            Test::Low { mask, value } => code.extend(unless_word(low, mask, value, 1)),
            Test::Whole { mask, value } => {
                let high = unless_word(low + 4, (mask >> 32) as u32, (value >> 32) as u32, 1);
                code.extend(unless_word(low, mask as u32, value as u32, 1 + high.len() as u8));
                code.extend(high);
            }
        }
        code.push(verdict);
    }
    code.push(give(libc::SECCOMP_RET_ALLOW));
    code
}

/// Skips `skip` instructions unless `word & mask == value`.
fn unless_word(offset: u32, mask: u32, value: u32, skip: u8) -> Vec<sock_filter> {
    let mut code = vec![load(offset)];
    if mask != u32::MAX {
        code.push(instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask));
    }
    code.push(jump_if_equal(value, 0, skip));
    code
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn jump(distance: u32) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, distance)
}

fn jump_if_equal(value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value)
}

fn jump_if_at_least(value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, yes, no, value)
}

fn give(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

fn errno_value(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
mod tests;
