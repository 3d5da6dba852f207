# Real load: what is held reads back, each limit holds, and a neighbour does not notice
# alone: yes
# needs: vz userns cgroup2-controllers template:busybox template:debian-13-x86_64 command:perl
# timeout: 780

  $ eventually() { for _ in $(seq 600); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ CTID2=$((CTID + 1)); inside() { vzctl exec $CTID "$@"; }
  $ field() { vzlist -H -o $1 $CTID | tr -d ' '; }
  $ about() { v=$(field $1); test $v -ge $(($2 * 95 / 100)) -a $v -le $(($2 * 105 / 100 + ${3:-0})) || echo "$1 is $v, not $2"; }
  $ group() { echo /sys/fs/cgroup$(sed -n 's,^0::\(.*\)/init.scope.*,\1,p' /proc/$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$1.toml)/cgroup | sed 's,/init.scope$,,'); }
  $ vzctl --quiet create $CTID --ostemplate debian-13-x86_64; vzctl --quiet create $CTID2 --ostemplate busybox-x86_64
  $ init=/var/lib/vz/private/$CTID/usr/sbin/init; rm $init; printf '#!/bin/sh\nwhile :; do sleep 1000; done\n' > $init; chmod 755 $init
  $ vzctl --quiet set $CTID --ram 256M --swap 0 --numfile 4000 --lockedpages 4096 --shmpages 4096 --numpty 5 --cpuunits 2000 --save > /dev/null
  $ vzctl --quiet set $CTID2 --cpuunits 1000 --save > /dev/null
  $ vzctl --quiet start $CTID > /dev/null; vzctl --quiet start $CTID2 > /dev/null

Thousands of sockets, and their buffers.

  $ vzctl exec $CTID 'perl -MSocket -e '\''for (1..2000) { socket($s[$_], AF_INET, SOCK_DGRAM, 0) or die $! } $| = 1; print "x" x 4096; sleep 1000'\' > /dev/null 2>&1 < /dev/null &
  $ eventually 'test $(field numothersock) -ge 2000'; about numothersock 2000; about numfile 2000 250
  $ inside 'pkill perl'; eventually 'test $(field numothersock) -lt 200'; test $(field numothersock.m) -ge 2000
  $ vzctl exec $CTID 'perl -MSocket -e '\''socketpair($a, $b, AF_UNIX, SOCK_DGRAM, 0); $b->blocking(0); use IO::Handle; $a->blocking(0); for (1..20) { syswrite $a, "x" x 4000 } sleep 1000'\' > /dev/null 2>&1 < /dev/null &
  $ eventually 'test $(field othersockbuf) -ge 40000'; test $(field othersockbuf) -le 500000; inside 'pkill perl'

Locked memory: 8 MB are, 32 are not.

  $ vzctl exec $CTID 'perl -e '\''$x = "x" x (8 << 20); syscall(149, $x, 8 << 20) == 0 or die; sleep 1000'\' > /dev/null 2>&1 < /dev/null &
  $ eventually 'test $(field lockedpages) -ge 2000'; about lockedpages 2048 40; inside 'pkill perl'
  $ inside 'perl -e '\''$x = "x" x (32 << 20); print syscall(149, $x, 32 << 20), " $!\n"'\'
  -1 Cannot allocate memory

Shared memory: 8 MB are, 32 are not.

  $ before=$(field shmpages); inside 'perl -e '\''$i = shmget(7, 8 << 20, 01600) // die $!; shmwrite($i, "x" x (8 << 20), 0, 8 << 20) or die $!'\'; held=$(($(field shmpages) - before)); test $held -ge 1946 -a $held -le 2150 || echo $held
  $ inside 'perl -e '\''shmget(8, 32 << 20, 01600) // print "$!\n"'\'
  No space left on device
  $ inside 'ipcrm -M 7'

Terminals: as many as there may be.

  $ held=$(field numpty); vzctl exec $CTID 'perl -e '\''while (open($p[$n++], "+<", "/dev/ptmx")) {} sleep 1000'\' > /dev/null 2>&1 < /dev/null &
  $ eventually 'test $(field numpty) = 5'; inside 'pkill perl'; eventually "test \$(vzlist -H -o numpty $CTID) -le 3"

Huge pages: of 64 MB of the node's, no more than RAM.

  $ echo 40 > /proc/sys/vm/nr_hugepages; cat /proc/sys/vm/nr_hugepages
  40
  $ vzctl set $CTID --ram 40M > /dev/null 2>&1; cat $(group $CTID)/hugetlb.2MB.rsvd.max
  41943040
  $ for size in 36 60; do inside "perl -e 'print syscall(9, 0, $size << 20, 3, 0x40022, -1, 0) == -1 ? \"\$!\\n\" : \"had\\n\"'"; done
  had
  Cannot allocate memory
  $ vzctl set $CTID --ram 256M > /dev/null 2>&1; echo 0 > /proc/sys/vm/nr_hugepages

Rules of a packet filter.

  $ nsenter -t $(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$CTID.toml) -n sh -c 'command -v nft > /dev/null || exit 0; nft add table inet t; nft add chain inet t c; for i in 1 2 3; do nft add rule inet t c counter; done'; command -v nft > /dev/null && field numiptent || echo 3
  3

CPU: two to one, both on one CPU.

  $ for id in $CTID $CTID2; do vzctl set $id --cpumask 0 > /dev/null 2>&1; vzctl exec $id 'while :; do :; done' > /dev/null 2>&1 < /dev/null & done; sleep 1
  $ used() { sed -n 's/usage_usec //p' $(group $1)/init.scope/cpu.stat; }
  $ a=$(used $CTID); b=$(used $CTID2); sleep 6; a=$(($(used $CTID) - a)); b=$(($(used $CTID2) - b)); ratio=$((a * 100 / b)); test $ratio -ge 160 -a $ratio -le 250 || echo $ratio

The load average follows, and is the container's own.

  $ eventually 'test $(field laverage | cut -d / -f 1 | tr -d .) -ge 10'; vzlist -H -o laverage $CTID2 | grep -c '^ *[0-9.]*/[0-9.]*/[0-9.]*$'
  1
  $ vzctl exec $CTID2 'killall sh' > /dev/null 2>&1; inside 'pkill -f while' > /dev/null 2>&1; vzctl set $CTID --cpumask all > /dev/null 2>&1; vzctl set $CTID2 --cpumask all > /dev/null 2>&1

Buffered writing is held to its rate when it goes to the disk.

  $ vzctl set $CTID --iolimit 2M > /dev/null 2>&1; start=$(date +%s%N); inside 'dd if=/dev/zero of=/x bs=64k count=128 conv=fsync 2> /dev/null'; seconds=$(( ($(date +%s%N) - start) / 1000000000 )); test $seconds -ge 3 -a $seconds -le 40 || echo "$seconds s"
  $ vzctl set $CTID --iolimit 0 > /dev/null 2>&1

A neighbour wakes up in time while another container does all it can: forks, loops, memory.

  $ late() { vzctl exec $CTID 'perl -e '\''sub now { $t = pack "qq", 0, 0; syscall 228, 1, $t; ($s, $n) = unpack "qq", $t; $s * 1e6 + $n / 1e3 } for (1..200) { $b = now(); select undef, undef, undef, 0.01; push @l, now() - $b - 1e4 } @l = sort { $a <=> $b } @l; printf "%d %d\n", $l[100], $l[190]'\'; }
  $ quiet=$(late); vzctl set $CTID2 --ram 64M --swap 0 --numproc 200 > /dev/null 2>&1
  $ vzctl exec $CTID2 'for i in 1 2 3 4; do (while :; do :; done) & done; (while :; do dd if=/dev/zero of=/dev/null bs=60M count=1; done) & while :; do sleep 100 & done' > /dev/null 2>&1 < /dev/null &
  $ eventually "test \$(vzlist -H -o numproc.f $CTID2) -ge 1"; loud=$(late); test ${loud% *} -le $((${quiet% *} * 3 + 20000)) || echo "$quiet $loud"
  $ test $(field oomguarpages.f) = 0; for id in $CTID $CTID2; do vzctl --quiet stop $id --fast; vzctl --quiet destroy $id; rm -f /etc/vz/conf/$id.conf.destroyed; done
