# Security: what of the kernel a container's root can change
# where: both
# needs: vz userns template:busybox command:perl
# timeout: 180

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; vzctl mount $CTID >/dev/null; R=/var/lib/vz/root/$CTID
  $ for f in $(ldd /usr/bin/perl | grep -o '/[^ ]*') /usr/bin/perl; do mkdir -p $R${f%/*}; cp -L $f $R$f; done
  $ vzctl umount $CTID >/dev/null; vzctl start $CTID --wait >/dev/null 2>&1

31: the bounding set is the documented one, of init and of what is executed.

  $ vzctl exec2 $CTID 'sed -n "s/^Cap\(Bnd\|Amb\|Inh\):\t//p" /proc/1/status /proc/self/status' | tr '\n' ' '; echo
  0000000000000000 00000000bdecffff 0000000000000000 0000000000000000 00000000bdecffff 0000000000000000 

Calls that are the node's alone. Numbers of x86-64; what is answered is EPERM (1), ENOSYS (38) for keyrings.

  $ cat > calls <<'E'
  > my %calls = (init_module => [175, 0, 0, 0], finit_module => [313, 0, 0, 0], delete_module => [176, 0, 0],
  >   kexec_load => [246, 0, 0, 0, 0], kexec_file_load => [320, 0, 0, 0, 0, 0], settimeofday => [164, my $t = "\0" x 16, 0],
  >   clock_settime => [227, 0, my $u = "\0" x 16], bpf => [321, 0, my $v = "\0" x 128, 128],
  >   perf_event_open => [298, my $w = "\0" x 128, 0, -1, -1, 0], swapon => [167, my $x = "/x\0", 0], swapoff => [168, my $y = "/x\0"],
  >   quotactl => [179, 0x80000200, 0, 0, 0], acct => [163, 0], iopl => [172, 3], ioperm => [173, 0, 1, 1],
  >   syslog => [103, 3, my $z = "\0" x 16, 16], add_key => [248, 0, 0, 0, 0, 0], request_key => [249, 0, 0, 0, 0],
  >   keyctl => [250, 21, 1, 0, 0, 0], userfaultfd => [323, 0], open_by_handle_at => [304, -100, 0, 0],
  >   personality_kept => [135, 0xffffffff], sethostname_kept => [170, my $h = "inside", 6]);
  > for (sort keys %calls) { $! = 0; my $got = syscall(shift @{$calls{$_}}, @{$calls{$_}}); print "$_ ", ($got == -1 ? $! + 0 : "done"), "\n"; }
  > E
  $ vzctl exec2 $CTID 'perl - ' < calls
  acct 1
  add_key 38
  bpf 1
  clock_settime 1
  delete_module 1
  finit_module 1
  init_module 1
  ioperm 1
  iopl 1
  kexec_file_load 1
  kexec_load 1
  keyctl 38
  open_by_handle_at 1
  perf_event_open 1
  personality_kept done
  quotactl 1
  request_key 38
  sethostname_kept done
  settimeofday 1
  swapoff 1
  swapon 1
  syslog 1
  userfaultfd 1

17: a handle of the node's root directory, guessed as shocker did (CVE-2014-3519), also by a 32-bit number and in a namespace of its own.

  $ cat > shocker <<'E'
  > open my $dir, "<", "/" or die; my $handle = pack "IiQ", 8, 1, 2;
  > for my $number (304) { my $got = syscall($number, fileno($dir), $handle, 0); print $got == -1 ? "errno " . ($! + 0) : "OPEN", "\n"; }
  > syscall(272, 0x10020000) == 0 or print "unshare: $!\n"; my $got = syscall(304, fileno($dir), $handle, 0);
  > print $got == -1 ? "errno " . ($! + 0) : "OPEN", "\n";
  > E
  $ vzctl exec2 $CTID 'perl -' < shocker
  errno 1
  errno 1

29: the kernel's settings.

  $ before=$(cat /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom /proc/sys/kernel/sysrq /proc/sys/fs/file-max 2>/dev/null | md5sum)
  $ cat > writes <<'E'
  > for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/vm/panic_on_oom /proc/sys/vm/drop_caches /proc/sys/kernel/sysrq /proc/sys/fs/binfmt_misc/register /sys/kernel/uevent_helper /sys/power/state /sys/kernel/mm/ksm/run /sys/module/printk/parameters/time /proc/irq/default_smp_affinity /proc/bus/pci /proc/mtrr /proc/acpi/wakeup /sys/kernel/profiling /proc/kmsg; do
  >   (echo 1 > $f) 2>/dev/null && echo "wrote $f"; done
  > for type in debugfs tracefs securityfs configfs efivarfs pstore bpf fusectl hugetlbfs selinuxfs; do
  >   mkdir -p /m && mount -t $type none /m 2>/dev/null && { echo "mounted $type"; (echo x > /m/register) 2>/dev/null && echo wrote; umount /m; }; done; :
  > E
  $ vzctl exec2 $CTID - < writes
  $ cat > loosen <<'E'
  > umount /proc/sys /proc/sysrq-trigger /proc/keys /sys/firmware; mount -o remount,rw /proc/sys; mount -o remount,rw,bind /proc/sys; mount -o remount,rw /sys; mount -o remount,rw,bind /sys
  > mkdir -p /m /n; mount -t proc proc /m; mount -t sysfs sysfs /n
  > for f in /m/sysrq-trigger /m/sys/kernel/core_pattern /m/sys/kernel/modprobe /m/sys/vm/panic_on_oom /n/kernel/uevent_helper /n/power/state /proc/sysrq-trigger /proc/sys/kernel/core_pattern /sys/kernel/uevent_helper /sys/power/state; do (echo 1 > $f) && echo "WROTE $f"; done
  > E
  $ vzctl exec2 $CTID 'sh - 2>/dev/null' < loosen
  [1]
  $ test "$before" = "$(cat /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom /proc/sys/kernel/sysrq /proc/sys/fs/file-max 2>/dev/null | md5sum)"

33: a cgroup hierarchy of the node, by way of one more user and cgroup namespace (CVE-2022-0492).

  $ cat > agent <<'E'
  > for what in rdma misc memory pids name=x name=systemd; do mkdir -p /c; mount -t cgroup -o $what none /c 2>/dev/null && { (echo /x > /c/release_agent) 2>/dev/null && echo "WROTE release_agent of $what"; (echo 1 > /c/tasks) 2>/dev/null; umount /c; }; done
  > mount -t cgroup2 none /c 2>/dev/null && { (echo 1 > /c/pids.max) 2>/dev/null && echo "WROTE pids.max"; (echo max > /c/memory.max) 2>/dev/null && echo "WROTE memory.max"; ls -d /c/../mon /c/vz /c/vz.slice /c/mon 2>/dev/null; umount /c; }; :
  > E
  $ vzctl exec2 $CTID - < agent
  $ cat > nested <<'E'
  > syscall(272, 0x12020000) == 0 or die "unshare: $!"; for (["setgroups", "deny"], ["uid_map", "0 0 1"], ["gid_map", "0 0 1"]) {
  >   open my $out, ">", "/proc/self/$_->[0]" or die; print $out $_->[1]; close $out or die "$_->[0]: $!"; } exec "sh", "/root/agent";
  > E
  $ cp agent nested $R/root/; vzctl exec2 $CTID 'perl /root/nested'
  $ find /sys/fs/cgroup /run/vz -name release_agent -exec cat {} + 2>/dev/null | tr -d '\n'

Devices: none can be made, none of the node's can be opened.

  $ vzctl exec2 $CTID 'mkdir -p /t; mount -t tmpfs none /t; for d in "b 8 0" "b 254 0" "b 7 0" "c 1 1" "c 1 2" "c 10 237" "c 10 229" "c 5 1"; do for at in /t /root /dev /dev/shm; do mknod $at/x $d 2>/dev/null && echo "made $at $d"; done; done; umount /t'

Killing all it can, rebooting as the node would: the container alone ends, and starts again.

  $ vzctl exec2 $CTID 'kill -9 -1' ; sleep 1; vzctl status $CTID | sed "s/$CTID/N/"
  CTID N exist mounted running
  $ up=$(cut -d. -f1 /proc/uptime); vzctl exec2 $CTID 'perl -e "syscall(169, 0xfee1dead, 672274793, 0x1234567, 0)"'; sleep 3; test $(cut -d. -f1 /proc/uptime) -ge $up && vzctl status $CTID | sed "s/$CTID/N/"
  CTID N exist mounted running
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
