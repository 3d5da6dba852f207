# Each resource parameter is enforced: at start, live, and nobody else notices
# alone: yes
# needs: vz userns cgroup2-controllers template:busybox command:perl
# timeout: 540

  $ eventually() { for _ in $(seq 600); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ inside() { vzctl exec $CTID "$@"; }
  $ field() { vzlist -H -o $1 $CTID | tr -d ' '; }
  $ vzctl --quiet create $CTID --ostemplate busybox-x86_64 --config vswap-256m
  $ vzctl --quiet set $CTID --ram 48M --swap 0 --numproc 60 --numfile 150 --numpty 3 --shmpages 100 --lockedpages 64 --save
  $ vzctl set $CTID --cpulimit 50 --cpus 1 --cpumask 0 --iolimit 1M --iopslimit 200 --save
  CT configuration saved to * (glob)
  $ vzctl start $CTID
  Starting container...
  Container is mounted
  Setting CPU limit: 50
  Setting CPU units: 1000
  Setting CPUs: 1
  Setting CPU mask: 0
  Setting iolimit: 1048576 bytes/sec
  Setting iopslimit: 200 iops
  Container start in progress...

Memory: what is over the limit loses a process of its own, and the neighbours keep theirs.

  $ inside 'sleep 1000 > /dev/null 2>&1 < /dev/null & dd if=/dev/zero of=/dev/null bs=100M count=1 2> /dev/null; echo $?'
  137
  $ inside 'pidof sleep | wc -w'; field oomguarpages.f
  1
  1
  $ inside 'dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2> /dev/null'
  $ held=$(field physpages); test $held -ge 5120 && test $held -le 8000 || echo $held; shared=$(field shmpages); test $shared -ge 5120 && test $shared -le 5130 || echo $shared
  $ test $(field physpages.m) -ge 12000 || field physpages.m

The kernel keeps no maximum of shared memory: vzmon looks every 10 seconds.

  $ sleep 15; inside rm /dev/shm/x; test $(field shmpages) -lt 100 && test $(field shmpages.m) -ge 5120 || field shmpages.m
  $ vzctl set $CTID --ram 256M; inside 'dd if=/dev/zero of=/dev/null bs=100M count=1 2> /dev/null; echo $?'
  UB limits were set successfully
  WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)
  0

Processes, files, terminals, shared and locked memory.

  $ inside 'for i in $(seq 100); do sleep 100 & done 2> /dev/null' > /dev/null 2>&1; held=$(field numproc)
  $ test $held -ge 58 && test $held -le 60 || echo $held; test $(field numproc.f) -ge 1
  $ inside killall sleep; eventually 'test $(field numproc) -le 8'; inside 'ulimit -Hn; cat /proc/sys/kernel/shmall; ulimit -l; grep -o "max=[0-9]*" /proc/mounts'
  150
  100
  256
  max=3
  $ vzctl exec $CTID 'exec 3< /dev/null 4< /dev/null 5< /dev/null; sleep 1000' > /dev/null 2>&1 & eventually "test \$(vzlist -H -o numfile $CTID) -ge 12"
  $ vzctl --quiet set $CTID --numfile 200 --numpty 4 --shmpages 120 --lockedpages 128 --numproc 70 > /dev/null
  $ inside 'ulimit -Hn; cat /proc/sys/kernel/shmall; ulimit -l; grep -o "max=[0-9]*" /proc/mounts'
  200
  120
  512
  max=4
  $ vzlist -H -o numfile.l,numpty.l,shmpages.l,lockedpages.l,numproc.l $CTID | tr -s ' '
   200 4 120 128 70

Sockets: TCP ones, and others; released, none is left over.

  $ vzctl set $CTID --numtcpsock 10 --numothersock 12 --numproc 200
  UB limits were set successfully
  WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)
  $ inside 'for i in $(seq 1 20); do nc -l -p $((2000 + i)) > /dev/null 2>&1 < /dev/null & done; for i in $(seq 1 20); do tftp -g -l /dev/null -r x 127.0.0.1 > /dev/null 2>&1 & done'
  $ eventually 'test $(field numtcpsock.f) -ge 10 && test $(field numothersock.f) -ge 8'
  $ vzlist -H -o numtcpsock,numtcpsock.l,numothersock,numothersock.l $CTID | tr -s ' '
   10 10 12 12
  $ inside killall nc tftp; eventually 'test $(field numtcpsock) = 0'; field numtcpsock.m; field numothersock
  10
  0
  $ vzctl --quiet set $CTID --numtcpsock unlimited --numothersock unlimited > /dev/null
  $ inside 'nc -l -p 2000 > /dev/null 2>&1 < /dev/null & sleep 1; for i in $(seq 50); do echo x | nc 127.0.0.1 2000; done > /dev/null 2>&1; sleep 1; killall nc 2> /dev/null; :'
  $ eventually 'test $(field numtcpsock) = 0'

CPU: half of one; none of the other.

  $ inside nproc
  1
  $ used() { sed -n 's/usage_usec //p' /sys/fs/cgroup$(sed -n 's,^0::\(.*\)/init.scope.*,\1,p' /proc/$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$CTID.toml)/cgroup)/cpu.stat; }
  $ first=$(used); vzctl exec $CTID 'while :; do :; done' > /dev/null 2>&1 & eventually 'test $(($(used) - first)) -gt 500000'; before=$(used); start=$(date +%s%N); sleep 3; percent=$(( ($(used) - before) / (($(date +%s%N) - start) / 100000) ))
  $ inside killall sh > /dev/null 2>&1; test $percent -ge 40 && test $percent -le 60 || echo "$percent percent"

I/O: a megabyte a second, written through.

  $ start=$(date +%s%N); inside 'dd if=/dev/zero of=/x bs=64k count=48 oflag=direct 2> /dev/null || dd if=/dev/zero of=/x bs=64k count=48 conv=fsync 2> /dev/null'
  $ seconds=$(( ($(date +%s%N) - start) / 1000000000 )); test $seconds -ge 2 && test $seconds -le 30 || echo "$seconds s"
  $ vzctl set $CTID --iolimit 0 --iopslimit 0 --cpulimit 0 --cpus 0 --cpumask all
  UB limits were set successfully
  Setting CPU limit: 0
  Setting CPUs: 0
  Setting CPU mask: all
  Setting iolimit: 0 (unlimited)
  Setting iopslimit: 0 (unlimited)
  WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)

What the kernel has no limit for is said when it is set, and never shown as limited.

  $ vzctl set $CTID --numflock 100 --save
  UB limits were set successfully
  Warning: not enforced, this kernel has no limit for: NUMFLOCK
  CT configuration saved to * (glob)
  $ field numflock.l
  9223372036854775807

A restart begins to count anew; what was not saved is gone.

  $ vzctl --quiet restart $CTID > /dev/null 2>&1; field numproc.f; field oomguarpages.f; vzlist -H -o numproc.l,physpages.l $CTID | tr -s ' '
  0
  0
   60 12288
  $ vzctl --quiet stop $CTID --fast; ls /run/vz | grep -c "^$CTID\."
  0
  [1]

A configuration of the classic kind: barriers slow down, the sum of the limits is the end.

  $ vzctl --quiet set $CTID --applyconfig basic --save
  $ vzctl --quiet start $CTID; cd /sys/fs/cgroup$(sed -n 's,^0::\(.*\)/init.scope.*,\1,p' /proc/$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$CTID.toml)/cgroup)
  $ cat memory.high memory.max init.scope/pids.max
  \d+ (re)
  \d+ (re)
  240
  $ test $(cat memory.high) -lt $(cat memory.max); cat memory.low init.scope/memory.low; test $(cat ../memory.low) -ge 138412032 && cd /
  138412032
  138412032
  $ vzlist -H -o privvmpages.b,privvmpages.l,kmemsize.l,physpages.l $CTID | tr -s ' '
   65536 69632 14790164 9223372036854775807
  $ vzctl --quiet stop $CTID --fast; vzctl --quiet destroy $CTID; rm -f /etc/vz/conf/$CTID.conf.destroyed
