use std::hint::black_box;
use std::time::{Duration, Instant};

use super::*;

fn all() -> Vec<Rule> {
    [CONTAINER_DENY, CLOCK_DENY, UNMAPPED_DENY].concat()
}

/// Interprets the program as the kernel does, so that every path can be tried without root.
fn run(program: &Program, arch: u32, nr: u32, arguments: [u64; 6]) -> u32 {
    let code: Vec<_> = program.instructions().collect();
    let word = |offset: u32| match offset {
        OFFSET_NUMBER => nr,
        OFFSET_ARCH => arch,
        _ => {
            let at = (offset - OFFSET_ARGUMENTS) as usize;
            (arguments[at / 8] >> (8 * (at % 8))) as u32
        }
    };
    let (mut pc, mut a) = (0, 0);
    loop {
        let (op, jt, jf, k) = code[pc];
        pc += 1;
        match u32::from(op) {
            0x20 => a = word(k),
            0x54 => a &= k,
            0x05 => pc += k as usize,
            0x15 => pc += usize::from(if a == k { jt } else { jf }),
            0x35 => pc += usize::from(if a >= k { jt } else { jf }),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

#[test]
fn smallest_program_is_as_written_by_hand() {
    let program = Program::build(&[Rule::errno(Syscall::Acct, libc::EPERM)]).unwrap();
    let code: Vec<_> = program.instructions().collect();
    assert_eq!(
        code,
        [
            (0x20, 0, 0, 4),
            (0x15, 1, 0, 0x4000_0003),
            (0x05, 0, 0, 4),
            (0x20, 0, 0, 0),
            (0x15, 0, 1, 51),
            (0x06, 0, 0, 0x0005_0001),
            (0x06, 0, 0, 0x7fff_0000),
            (0x15, 1, 0, 0xc000_003e),
            (0x06, 0, 0, 0x0005_0026),
            (0x20, 0, 0, 0),
            (0x15, 0, 1, 0xffff_ffff),
            (0x06, 0, 0, 0x7fff_0000),
            (0x35, 0, 1, 0x4000_0000),
            (0x06, 0, 0, 0x0005_0026),
            (0x15, 0, 1, 163),
            (0x06, 0, 0, 0x0005_0001),
            (0x06, 0, 0, 0x7fff_0000),
        ]
    );
}

#[test]
fn every_number_gets_its_rule_and_no_other_does() {
    let rules = all();
    let program = Program::build(&rules).unwrap();
    type Number = fn(Syscall) -> Option<u32>;
    for (arch, number) in
        [(AUDIT_ARCH_X86_64, Syscall::x86_64 as Number), (AUDIT_ARCH_I386, Syscall::i386)]
    {
        for nr in 0..600 {
            let rule = rules.iter().find(|r| number(r.syscall) == Some(nr) && r.when.is_none());
            let expected = match rule.map(|r| r.action) {
                Some(Action::Errno(errno)) => errno_value(errno),
                Some(Action::Notify) => unreachable!(),
                None => ALLOW,
            };
            assert_eq!(run(&program, arch, nr, [0; 6]), expected, "{arch:#x} {nr}");
        }
    }
}

#[test]
fn x32_and_foreign_architectures_are_unknown_calls() {
    let program = Program::build(&all()).unwrap();
    let enosys = errno_value(libc::ENOSYS);
    assert_eq!(run(&program, AUDIT_ARCH_X86_64, X32_BIT | 39, [0; 6]), enosys);
    assert_eq!(run(&program, 0xc000_00b7, 172, [0; 6]), enosys);
    assert_eq!(run(&program, AUDIT_ARCH_X86_64, u32::MAX, [0; 6]), ALLOW);
}

#[test]
fn ioctl_command_is_compared_without_its_high_half() {
    let program = Program::build(UNMAPPED_DENY).unwrap();
    let eperm = errno_value(libc::EPERM);
    for (arch, nr) in [(AUDIT_ARCH_X86_64, 16), (AUDIT_ARCH_I386, 54)] {
        let ioctl = |command: u64| run(&program, arch, nr, [3, command, 0, 0, 0, 0]);
        for command in [FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS] {
            assert_eq!(ioctl(command.into()), eperm);
            assert_eq!(ioctl(u64::from(command) | 1 << 32), eperm);
        }
        assert_eq!(ioctl(0x5401), ALLOW);
    }
}

#[test]
fn whole_argument_and_mask_are_compared_in_both_halves() {
    let flag = 0x1000_0000_u64 | 1 << 40;
    let test = Test::Whole { mask: flag, value: flag };
    let rule = Rule {
        syscall: Syscall::Clone,
        action: Action::Notify,
        when: Some(Argument { index: 0, test }),
    };
    let later = Rule::errno(Syscall::Clone, libc::EAGAIN);
    let program = Program::build(&[rule, later]).unwrap();
    let clone = |flags| run(&program, AUDIT_ARCH_X86_64, 56, [flags, 0, 0, 0, 0, 0]);
    assert_eq!(clone(flag | 17), libc::SECCOMP_RET_USER_NOTIF);
    assert_eq!(clone(1 << 40), errno_value(libc::EAGAIN));
    assert_eq!(clone(0x1000_0000), errno_value(libc::EAGAIN));
}

#[test]
fn impossible_rules_are_refused() {
    let with = |index, mask, value| Rule {
        when: Some(Argument { index, test: Test::Low { mask, value } }),
        ..Rule::errno(Syscall::Ioctl, 1)
    };
    assert!(matches!(Program::build(&[with(6, 1, 1)]), Err(Error::Argument { index: 6, .. })));
    assert!(matches!(Program::build(&[with(1, 1, 2)]), Err(Error::Value { value: 2, .. })));
    for errno in [0, -1, 4096] {
        let rule = Rule::errno(Syscall::Acct, errno);
        assert!(matches!(Program::build(&[rule]), Err(Error::Errno { .. })));
    }
    let many: Vec<_> = (0..200).map(|n| with(1, u32::MAX, n)).collect();
    assert!(matches!(Program::build(&many), Err(Error::TooLong { .. })));
}

/// Runs `body` in a child and returns its exit code; the filter cannot be taken off again.
fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child only makes system calls and leaves by _exit; it allocates nothing that
    // another thread of the test may hold the lock of.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            libc::_exit(body());
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        assert!(libc::WIFEXITED(status), "child ended with status {status:#x}");
        libc::WEXITSTATUS(status)
    }
}

/// The error number of a call whose arguments are all impossible: 0 when it succeeded.
fn call_x86_64(nr: u32) -> i32 {
    // SAFETY: no argument is a valid pointer, descriptor or flag, so the call changes nothing.
    let result = unsafe { libc::syscall(i64::from(nr), -1, -1, -1, -1, -1, -1) };
    // SAFETY: errno of this thread.
    if result == -1 { unsafe { *libc::__errno_location() } } else { 0 }
}

/// The same through the 32-bit entry of the kernel.
fn call_i386(nr: u32) -> i32 {
    let result: i32;
    // SAFETY: as above; rbx is put back, r8 to r11 are not kept by this entry.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}", "int 0x80", "xchg rbx, {first}",
            first = inout(reg) -1_i64 => _,
            inlateout("eax") nr => result,
            in("ecx") -1, in("edx") -1, in("esi") -1, in("edi") -1,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if result < 0 { -result } else { 0 }
}

fn can_install() -> bool {
    let program = Program::build(&[]).unwrap();
    in_child(|| program.install().is_err().into()) == 0
}

#[test]
fn kernel_denies_each_call_of_the_tables() {
    if !can_install() {
        eprintln!("skipped: kernel_denies_each_call_of_the_tables: needs CAP_SYS_ADMIN");
        return;
    }
    let rules = all();
    let program = Program::build(&rules).unwrap();
    let unconditional = || rules.iter().filter(|r| r.when.is_none());
    let failed = in_child(|| {
        if program.install().is_err() {
            return 255;
        }
        for (at, rule) in unconditional().enumerate() {
            let Action::Errno(errno) = rule.action else { return 254 };
            if rule.syscall.x86_64().is_some_and(|nr| call_x86_64(nr) != errno) {
                return at as i32 + 1;
            }
        }
        // Still allowed: EBADF is the kernel's own answer to fchdir(-1).
        i32::from(call_x86_64(81) != libc::EBADF || call_x86_64(110) != 0) * 253
    });
    assert_eq!(failed, 0, "{:?}", unconditional().nth((failed - 1).max(0) as usize));
}

#[test]
fn kernel_denies_each_call_of_a_32_bit_guest() {
    // uname, with the address -1: EFAULT comes from the kernel's 32-bit entry.
    if !can_install() || in_child(|| i32::from(call_i386(122) != libc::EFAULT)) != 0 {
        let name = "kernel_denies_each_call_of_a_32_bit_guest";
        eprintln!("skipped: {name}: needs CAP_SYS_ADMIN and CONFIG_IA32_EMULATION");
        return;
    }
    let rules = all();
    let program = Program::build(&rules).unwrap();
    let unconditional = || rules.iter().filter(|r| r.when.is_none());
    let failed = in_child(|| {
        if program.install().is_err() {
            return 255;
        }
        for (at, rule) in unconditional().enumerate() {
            let Action::Errno(errno) = rule.action else { return 254 };
            if rule.syscall.i386().is_some_and(|nr| call_i386(nr) != errno) {
                return at as i32 + 1;
            }
        }
        // Still allowed: fchdir(-1), and the number that acct has on x86-64.
        i32::from(call_i386(133) != libc::EBADF || call_i386(64) != 0) * 253
    });
    assert_eq!(failed, 0, "{:?}", unconditional().nth((failed - 1).max(0) as usize));
}

#[test]
fn kernel_denies_changing_a_project_id() {
    if !can_install() {
        eprintln!("skipped: kernel_denies_changing_a_project_id: needs CAP_SYS_ADMIN");
        return;
    }
    let program = Program::build(UNMAPPED_DENY).unwrap();
    let file = tempfile::tempfile().unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    let failed = in_child(|| {
        let errno = |command: u64| {
            // SAFETY: the address 8 is never mapped; the kernel reads or writes nothing of ours.
            unsafe {
                libc::syscall(libc::SYS_ioctl, fd, command, 8);
                *libc::__errno_location()
            }
        };
        if program.install().is_err() {
            return 255;
        }
        for (at, command) in [FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS].into_iter().enumerate() {
            let command = u64::from(command);
            if errno(command) != libc::EPERM || errno(command | 1 << 35) != libc::EPERM {
                return at as i32 + 1;
            }
        }
        i32::from(errno(0x801c_581f) != libc::EFAULT) * 9 // FS_IOC_FSGETXATTR reads
    });
    assert_eq!(failed, 0);
}

#[test]
fn listener_hears_a_call_and_answers_it() {
    if !can_install() {
        eprintln!("skipped: listener_hears_a_call_and_answers_it: needs CAP_SYS_ADMIN");
        return;
    }
    let notify = Rule { syscall: Syscall::Quotactl, action: Action::Notify, when: None };
    let program = Program::build(&[notify]).unwrap();
    let code = in_child(|| {
        let Ok(listener) = program.install_with_listener() else { return 255 };
        // The listener's end is closed before the call: the kernel then answers ENOSYS, which a
        // filter that had not matched would not (EFAULT).
        drop(listener);
        call_x86_64(179)
    });
    assert_eq!(code, libc::ENOSYS);
}

/// Time of one getppid(2), the least of many short rounds, so that what else runs does not count:
/// the filter adds 30 to 40 ns.
#[test]
fn filter_costs_less_than_a_tenth_of_a_microsecond_a_call() {
    if !can_install() {
        eprintln!(
            "skipped: filter_costs_less_than_a_tenth_of_a_microsecond_a_call: needs CAP_SYS_ADMIN"
        );
        return;
    }
    const CALLS: u32 = 5_000;
    let fastest = || {
        let round = || {
            let start = Instant::now();
            for _ in 0..CALLS {
                // SAFETY: takes no argument.
                black_box(unsafe { libc::syscall(libc::SYS_getppid) });
            }
            start.elapsed()
        };
        (0..400).map(|_| round()).min().unwrap_or(Duration::ZERO) / CALLS
    };
    let program = Program::build(&all()).unwrap();
    let free = fastest();
    if free > Duration::from_micros(2) {
        let name = "filter_costs_less_than_a_tenth_of_a_microsecond_a_call";
        eprintln!("skipped: {name}: an emulated processor, {free:?} for a call without filter");
        return;
    }
    let cost = in_child(|| match program.install() {
        Ok(()) => (fastest().saturating_sub(free).as_nanos() / 4).min(254) as i32,
        Err(_) => 255,
    });
    // An exit code holds one byte: quarters of it.
    let cost = cost * 4;
    println!("getppid: {} ns, the filter adds {cost} ns", free.as_nanos());
    assert!(cost < 100, "the filter adds {cost} ns to {free:?}");
}
