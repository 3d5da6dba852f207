# Security: LOCAL_UID=0, root of the container is root of the node
# where: both
# needs: vz userns template:busybox command:perl
# timeout: 240

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; printf 'LOCAL_UID="0"\nLOCAL_GID="0"\n' >> /etc/vz/conf/$CTID.conf; vzctl mount $CTID >/dev/null; R=/var/lib/vz/root/$CTID
  $ for f in $(ldd /usr/bin/perl | grep -o '/[^ ]*') /usr/bin/perl; do mkdir -p $R${f%/*}; cp -L $f $R$f; done; vzctl umount $CTID >/dev/null
  $ vzctl start $CTID --wait 2>&1 | grep '^WARNING'
  WARNING: LOCAL_UID is 0: root of this container is root of the node; it is kept in by capabilities and filters alone
  $ vzctl exec2 $CTID 'awk "{ print \$2 }" /proc/self/uid_map; sed -n "s/^CapBnd:\t//p" /proc/1/status'
  0
  00000000bcc4fffb

No new mount shows what is masked or read-only, and no user namespace gives the right to make one.

  $ cat > ways <<'E'
  > mkdir -p /m; for what in proc sysfs tmpfs cgroup2 debugfs; do mount -t $what none /m 2>/dev/null && echo "mounted $what"; done
  > mount -t cgroup -o pids none /m 2>/dev/null && echo mounted cgroup; mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; umount /proc/sys 2>/dev/null && echo umounted
  > (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo core_pattern; (echo x > /sys/kernel/uevent_helper) 2>/dev/null && echo uevent_helper; (echo h > /proc/sysrq-trigger) 2>/dev/null && echo sysrq
  > unshare -Ur true 2>/dev/null && echo user namespace; unshare -m true 2>/dev/null && echo mount namespace
  > mknod /root/sda b 8 0; mknod /root/vda b 254 0; mknod /root/mem c 1 1; for d in sda vda mem; do (: < /root/$d) 2>/dev/null && echo "opened $d"; done; :
  > E
  $ vzctl exec2 $CTID - < ways
  $ cat > more <<'E'
  > open my $dir, "<", "/"; my $handle = pack "IiQ", 8, 1, 2;
  > print "clone: ", syscall(56, 0x10000011, 0, 0, 0, 0), " ", $! + 0, "\n"; print "clone3: ", syscall(435, 0, 0), " ", $! + 0, "\n";
  > print "handle: ", syscall(304, fileno($dir), $handle, 0), " ", $! + 0, "\n"; print "setns: ", syscall(308, fileno($dir), 0x10000000), "\n";
  > print "setxattr: ", syscall(16, fileno($dir), 0x401c5820, my $x = "\0" x 28), " ", $! + 0, "\n";
  > E
  $ vzctl exec2 $CTID 'perl -' < more
  clone: -1 1
  clone3: -1 38
  handle: -1 1
  setns: -1
  setxattr: -1 1

(What is traced counts while it has more capabilities than the container; what is written is the byte that is there.)
Who enters cannot be traced or looked into (CVE-2016-9962), and its program cannot be written (CVE-2019-5736), nor that of a restart.

  $ sum=$(cat $(command -v vzctl) /usr/libexec/vzctl/vzevent 2>/dev/null | sha256sum); export HOST_SECRET=of-the-node
  $ cat > spy <<'E'
  > sub caught { my $pid = shift; syscall(101, 0x4206, $pid, 0, 0) == 0 or return 0; syscall(101, 0x4207, $pid, 0, 0); waitpid $pid, 0x40000000;
  >   open my $in, "<", "/proc/$pid/status"; my $text = join "", <$in>; syscall(101, 17, $pid, 0, 0); return $text =~ /^VmSize/m && $text !~ /^CapBnd:\t00000000bcc4fffb$/m; }
  > my ($end, $seen, %told) = (time + 280, 0); while (time < $end && !-e "/root/enough") { opendir my $proc, "/proc";
  >   for my $pid (grep /^\d+$/ && $_ > 1 && $_ != $$, readdir $proc) { my $exe = readlink "/proc/$pid/exe";
  >     if (!defined $exe && -e "/proc/$pid") { $seen++; $told{"TRACED"}++ if caught($pid); $told{"ROOT"}++ if -e "/proc/$pid/root/etc/vz/vz.conf"; }
  >     next if !defined $exe || $exe =~ m{^/(bin|sbin|usr/bin)/}; open my $held, "<", "/proc/$pid/exe" or next; my $fd = fileno $held;
  >     for (1 .. 20000) { if (sysopen my $out, "/proc/self/fd/$fd", 1) { $told{"WROTE TO $exe"}++ if syswrite $out, "\x7f"; last; } last if $! != 26; } } }
  > print "$_\n" for sort keys %told; print "end\n";
  > E
  $ cp spy $R/root/spy; printf '#!/proc/self/exe\n' > $R/bin/bash; chmod 755 $R/bin/bash; vzctl exec3 $CTID /bin/sh -c 'perl /root/spy > /root/found 2>&1 &'
  $ n=0; end=$((SECONDS + 20)); while [ $n -lt 10 ] || [ $SECONDS -lt $end ]; do n=$((n + 1)); timeout 20 vzctl exec2 $CTID true; done >/dev/null 2>&1; true
  $ touch $R/root/enough; for i in $(seq 300); do grep -q ^end $R/root/found && break; sleep 0.2; done; cat $R/root/found
  end
  $ test "$sum" = "$(cat $(command -v vzctl) /usr/libexec/vzctl/vzevent 2>/dev/null | sha256sum)"; rm $R/bin/bash

Asked for, SYS_ADMIN is given, and said.

  $ vzctl stop $CTID --fast >/dev/null; vzctl set $CTID --capability sys_admin:on --save >/dev/null; vzctl start $CTID 2>&1 | grep -c '^WARNING'
  2
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
