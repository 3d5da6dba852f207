# Security: the moment in which a process of the node becomes one of the container
# where: both
# needs: vz userns template:busybox command:perl
# timeout: 300

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; vzctl mount $CTID >/dev/null; R=/var/lib/vz/root/$CTID
  $ for f in $(ldd /usr/bin/perl | grep -o '/[^ ]*') /usr/bin/perl; do mkdir -p $R${f%/*}; cp -L $f $R$f; done
  $ vzctl umount $CTID >/dev/null; vzctl start $CTID --wait >/dev/null 2>&1
  $ sum=$(sha256sum $(command -v vzctl)); export HOST_SECRET=of-the-node

25: each new process is traced, and looked into, before it has become the container's (CVE-2016-9962). A
finding is the node's environment, its root directory, its program, its descriptors; to stop it by ptrace(2) while it
has memory and is not yet a program of the container. (One that is just ending may be traced: it has nothing left.)

  $ cat > spy <<'E'
  > my $end = time + 280; my ($seen, %told) = (0); my $me = $$;
  > sub caught { my $pid = shift; syscall(101, 0x4206, $pid, 0, 0) == 0 or return 0; syscall(101, 0x4207, $pid, 0, 0); waitpid $pid, 0x40000000;
  >   my $exe = readlink "/proc/$pid/exe"; open my $in, "<", "/proc/$pid/status"; my $alive = grep /^VmSize/, <$in>; syscall(101, 17, $pid, 0, 0); return $alive && (!defined $exe || $exe !~ m{^/(bin|sbin|usr|root)/}); }
  > while (time < $end && !-e "/root/enough") {
  >   opendir my $proc, "/proc"; for my $pid (grep /^\d+$/ && $_ > 1 && $_ != $me, readdir $proc) {
  >     my $exe = readlink "/proc/$pid/exe"; my $hit = "";
  >     $hit .= "exe $exe " if defined $exe && $exe !~ m{^/(bin|sbin|usr|root)/} && $exe !~ /deleted/;
  >     if (!defined $exe) { $seen++; $hit .= "traced " if caught($pid); }
  >     my $root = readlink "/proc/$pid/root"; $hit .= "root $root " if defined $root && $root ne "/";
  >     $hit .= "etc " if !defined $exe && -e "/proc/$pid/root/etc/vz";
  >     if (open my $env, "<", "/proc/$pid/environ") { local $/; my $t = <$env> // ""; $hit .= "environ " if $t =~ /of-the-node/; }
  >     opendir my $fds, "/proc/$pid/fd" or next; for my $fd (readdir $fds) { my $to = readlink "/proc/$pid/fd/$fd"; $hit .= "fd $to " if defined $to && $to =~ m{lock|/etc/vz|/run/vz|cgroup}; }
  >     print "$hit\n" if $hit && !$told{$hit}++; } }
  > print "seen ", ($seen > 0 ? "some" : "none"), "\n";
  > E
  $ cp spy $R/root/spy; vzctl exec2 $CTID 'perl /root/spy > /root/found 2>&1 &'
  $ n=0; end=$((SECONDS + 25)); while [ $n -lt 50 ] || { [ $SECONDS -lt $end ] && [ $n -lt 1000 ]; }; do timeout 60 vzctl exec2 $CTID true; n=$((n + 1)); done
  $ touch $R/root/enough; for i in $(seq 300); do grep -q ^seen $R/root/found && break; sleep 0.2; done; cat $R/root/found
  seen some

21: a shell that is `#!/proc/self/exe`: the program that enters is executed inside, and cannot be written to (CVE-2019-5736).

  $ cat > writer <<'E'
  > my $end = time + 280; my %told; while (time < $end && !-e "/root/enough2") { opendir my $proc, "/proc";
  >   for my $pid (grep /^\d+$/ && $_ > 1 && $_ != $$, readdir $proc) { my $exe = readlink "/proc/$pid/exe"; next if !defined $exe || $exe =~ m{^/(bin|sbin|usr/bin|root)/};
  >     open my $held, "<", "/proc/$pid/exe" or next; my $fd = fileno $held;
  >     for (1 .. 20000) { if (sysopen my $out, "/proc/self/fd/$fd", 1) { $told{"WRITABLE"}++; last; } last if $! != 26; } } }
  > print "$_\n" for sort keys %told; print "end\n";
  > E
  $ cp writer $R/root/writer; printf '#!/proc/self/exe\n' > $R/bin/bash; chmod 755 $R/bin/bash; echo true > script
  $ vzctl exec3 $CTID /bin/sh -c 'perl /root/writer > /root/written 2>&1 &'
  $ n=0; end=$((SECONDS + 15)); while [ $n -lt 10 ] || [ $SECONDS -lt $end ]; do n=$((n + 1)); vzctl exec2 $CTID true; vzctl runscript $CTID script; vzctl enter $CTID < /dev/null; done >/dev/null 2>&1; true
  $ touch $R/root/enough2; for i in $(seq 300); do grep -q ^end $R/root/written && break; sleep 0.2; done; cat $R/root/written
  end
  $ test "$sum" = "$(sha256sum $(command -v vzctl))"
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
