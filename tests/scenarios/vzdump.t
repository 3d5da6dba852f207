# Backups of running and stopped containers, in each layout, and containers made of them
# where: both
# needs: vz userns loop overlay template:busybox command:strace
# timeout: 1260

  $ C=/etc/vz/conf P=/var/lib/vz/private R=/var/lib/vz/root D=/var/lib/vz/dump-$CTID B=$((CTID + 1)); mkdir -p $D
  $ T=busybox-d$CTID; S=/var/lib/vz/template/$T; cache=/var/lib/vz/template/cache; mkdir srv; touch srv/acl; perl -e 'my ($f, $n, $v) = ("srv/acl", "system.posix_acl_access", pack("V(vvV)5", 2, 1,6,~0, 2,4,4321, 4,4,~0, 16,4,~0, 32,4,~0)); syscall(188, $f, $n, $v, length $v, 0) == 0 or die $!'; gzip -dc $cache/busybox-x86_64.tar.gz > $T.tar; tar --acls --numeric-owner --format=pax -cf acl.tar ./srv/acl; tar -Af $T.tar acl.tar; gzip -1c $T.tar > $cache/$T.tar.gz; rm -r srv acl.tar $T.tar
  $ { cat $C/ve-basic.conf-sample; echo 'DISK_QUOTA="no"'; } > $C/ve-$T.conf-sample
  $ sum() { vzctl exec $1 'cd /; find bin home root srv usr ! -type d -type f -o -type l -o -type p | sort | xargs stat -c "%n %F %a %u:%g %h %Y"; find etc root srv usr -type f | grep -v etc/vzdump | sort | xargs md5sum' | md5sum; }
  $ fill='mkdir -p /srv/a; echo text > /srv/a/x; ln /srv/a/x /srv/y; ln -s /etc/shadow /srv/link; mkfifo /srv/fifo; mknod /srv/null c 1 3; chown 33:44 /srv/y; chmod 4711 /srv/y; dd if=/dev/zero of=/srv/hole bs=1 seek=20M count=1 2>/dev/null; mkdir /etc/vzdump; echo planted > /etc/vzdump/vps.mount; mkdir /srv/m; mount -t tmpfs none /srv/m; touch /srv/m/not'
  $ archive() { ls $D/vzdump-openvz-$CTID-*.$1; }
  $ quiet() { "$@" > out 2>&1; code=$?; test $code = 0 || cat out; return $code; }
  $ gone() { quiet vzctl stop $B --fast; quiet vzctl destroy $B; }

In each layout: dumped while it runs, restored to each other, started, and all is there.

  $ for layout in simfs ploop overlay; do
  >   quiet vzctl create $CTID --ostemplate $T --config $T --layout $layout; quiet vzctl set $CTID --hostname a --save; quiet vzctl start $CTID; vzctl exec $CTID "$fill" 2>&1 | grep -v mknod
  >   quiet vzdump --dumpdir $D --compress zstd $CTID; vzctl exec $CTID 'umount /srv/m; echo alive'
  >   tar -tf $(archive tar.zst) | grep 'vzdump/\|srv/m\|srv/link$\|balloon'; tar --acls --numeric-owner -tvvf $(archive tar.zst) ./srv/acl | grep -o user:4321:...
  >   for other in simfs ploop; do
  >     quiet vzrestore --layout $other $(archive tar.zst) $B; grep -c "VE_LAYOUT=\"$other\"\|OSTEMPLATE=\"$T\"\|VE_PRIVATE=.*private" $C/$B.conf; quiet vzctl start $B
  >     test "$(sum $CTID)" = "$(sum $B)" || echo "$layout to $other: not the same"
  >     vzctl exec $B 'stat -c "%a %u:%g %h %s" /srv/y; test $(stat -c %b /srv/hole) -lt 1000 || echo no hole; ls /etc/vzdump 2>&1; ls /srv/m'; gone
  >   done; rm $D/*; quiet vzctl stop $CTID --fast; quiet vzctl destroy $CTID
  > done 2>&1
  alive
  ./etc/vzdump/vps.conf
  ./srv/link
  ./srv/m/
  user:4321:r--
  3
  4711 33:44 2 5
  ls: /etc/vzdump: No such file or directory
  3
  4711 33:44 2 5
  ls: /etc/vzdump: No such file or directory
  alive
  ./etc/vzdump/vps.conf
  ./srv/link
  ./srv/m/
  user:4321:r--
  3
  4711 33:44 2 5
  ls: /etc/vzdump: No such file or directory
  3
  4711 33:44 2 5
  ls: /etc/vzdump: No such file or directory
  alive
  ./etc/vzdump/vps.conf
  ./srv/link
  ./srv/m/
  user:4321:r--
  3
  4711 33:44 2 5
  ls: /etc/vzdump: No such file or directory
  3
  4711 33:44 2 5
  ls: /etc/vzdump: No such file or directory

A container that runs stands still while it is read, and goes on when vzdump is killed; half an archive is none.

  $ quiet vzctl create $CTID --ostemplate $T --config $T --layout simfs; quiet vzctl start $CTID; vzctl exec $CTID 'dd if=/dev/urandom of=/big bs=1M count=30 2>/dev/null'
  $ events() { cat $(find /sys/fs/cgroup -path "*/init.scope/cgroup.events" | grep "[/-]$CTID[/.]" | head -n 1); }
  $ mkfifo $D/fifo; vzdump --stdout --quiet $CTID > $D/fifo & dump=$!; exec 5< $D/fifo
  $ for i in $(seq 100); do events | grep -q 'frozen 1' && break; sleep 0.1; done; events | grep frozen; vzctl status $CTID | cut -d ' ' -f 5
  frozen 1
  running
  $ kill -9 $dump; wait $dump 2>/dev/null; exec 5<&-; for i in $(seq 100); do events | grep -q 'frozen 0' && break; sleep 0.1; done; vzctl exec $CTID echo goes on
  goes on
  $ rm $D/fifo; quiet vzdump --stop --compress --maxfiles 1 --dumpdir $D $CTID; ls $D | sed "s/$CTID/N/; s/[0-9]/./g"; vzctl exec $CTID echo started
  vzdump-openvz-N-...._.._..-.._.._...tar.gz
  started

A container that was stopped for it runs afterwards, also when the stop goes wrong or the backup is called off.

  $ mkdir bad; { echo '#!/bin/sh'; echo "PATH='$PATH' vzctl \"\$@\"; case \"\$*\" in *stop*) exit 5;; esac"; } > bad/vzctl; chmod +x bad/vzctl
  $ PATH=$PWD/bad:$PATH vzdump --stop --quiet --dumpdir $D $CTID >out 2>&1; echo $?; grep -c 'vzctl stop failed' out; vzctl exec $CTID echo runs; ls $D | wc -l
  1
  1
  runs
  1
  $ mkfifo fifo; vzdump --stop --stdout --quiet $CTID > fifo 2>out & dump=$!; exec 5< fifo; head -c 1M <&5 >/dev/null; vzctl status $CTID | cut -d ' ' -f 5; kill -TERM $dump; cat <&5 >/dev/null; wait $dump; echo $?; exec 5<&-; vzctl exec $CTID echo runs
  down
  1
  runs

A tree that somebody has packed by hand, from below other directories, with what a container could have planted.

  $ quiet vzctl stop $CTID --fast; mkdir -p $P/$CTID/etc/vzdump; printf 'DEVNODES="sda:rw"\nHOSTNAME="planted"\nLOCAL_UID="0"\nVE_ROOT="/"\nDISK_QUOTA="no"\n' > $P/$CTID/etc/vzdump/vps.conf; printf '#!/bin/sh\ntouch /planted\n' > $P/$CTID/etc/vzdump/vps.mount
  $ tar -C $P/$CTID -cf $D/plain.tar .; vzrestore --layout simfs $D/plain.tar $B
  Warning: DEVNODES of the archive is not taken over
  Warning: script mount of the archive is not taken over
  Container * was restored (glob)
  $ grep -c 'LOCAL_UID="0"\|VE_ROOT="/"' $C/$B.conf; ls $C/$B.*; gone
  0
  */??*.conf (glob)
  $ rm -r $P/$CTID/etc/vzdump; tar -C / -cf $D/below.tar ${P#/}/$CTID; quiet vzrestore --layout ploop $D/below.tar $B; echo 'DISK_QUOTA="no"' >> $C/$B.conf; quiet vzctl start $B; vzctl exec $B 'ls -d /etc/passwd'; gone
  /etc/passwd
  $ echo x > $D/x; tar -C $D -cf $D/none.tar x; head -c 1M $D/plain.tar > $D/cut.tar; for archive in none cut; do vzrestore $D/$archive.tar $B 2>&1 | sed '/^Warning/d; s/truncated.*/truncated/'; done; ls -d $P/$B* $C/$B.conf 2>/dev/null | wc -l
  Unpack */none.tar failed: no container's files are in the archive (glob)
  Unpack */cut.tar failed: the archive is truncated (glob)
  0

In the place of a container that there is, from a pipe; not when it runs, or when the archive is not whole. Scripts are on disk before they have their names.

  $ cat $D/plain.tar | quiet vzrestore --layout simfs - $B; echo $?; echo 'old' > $P/$B/old; cat $D/plain.tar | vzrestore --layout simfs --force - $B 2>&1 >/dev/null | grep -v ^Warning; ls $P/$B/old 2>&1
  0
  ls: cannot access '*/old': No such file or directory (glob)
  [2]
  $ touch $P/$B/old; vzrestore --force $D/cut.tar $B 2>&1 | sed 's/truncated.*/truncated/'; vzrestore $D/plain.tar $B; echo $?; quiet vzctl set $B --applyconfig basic --save; quiet vzctl start $B; vzrestore --force - $B < $D/plain.tar >out; echo $?; ls $P/$B/old | grep -c old; quiet vzctl stop $B --fast
  Unpack */cut.tar failed: the archive is truncated (glob)
  Container config file /etc/vz/conf/*.conf already exists (glob)
  82
  32
  1
  $ mkdir -p dump/etc/vzdump; cp $C/$B.conf dump/etc/vzdump/vps.conf; echo true > dump/etc/vzdump/vps.mount; mkdir dump/usr dump/usr/bin; tar -C dump -cf $D/script.tar ./etc ./usr
  $ strace -qq -y -e trace=fsync,linkat,rename -o trace vzrestore --force --trusted --layout simfs $D/script.tar $B >/dev/null 2>&1; grep -B 2 "rename(.*, .*/$B.mount\"" trace | sed 's/[ (].*//'; gone
  fsync
  linkat
  rename

Killed at any system call: nothing, or a container that can be destroyed.

  $ shots=4; if grep -q TCG /proc/cpuinfo; then shots=1; fi
  $ total=$(strace -qq -o trace vzrestore --layout simfs $D/plain.tar $B >/dev/null 2>&1; wc -l < trace); gone
  $ for n in $(seq 80 $(((total - 80) / shots + 1)) $total); do
  >   name=$(sed -n "${n}s/^\([a-z0-9_]*\)(.*/\1/p" trace); nth=$(head -n $n trace | grep -c "^$name(")
  >   bash -c 'which=$1; shift; strace -qq -o killed -e inject=$which "$@"; :' die "$name:signal=KILL:when=$nth" vzrestore --layout simfs $D/plain.tar $B >/dev/null 2>&1
  >   grep -q 'killed by SIGKILL' killed || echo "not killed at $n, $name $nth"
  >   test -e $C/$B.conf || quiet vzrestore --layout simfs $D/plain.tar $B; quiet vzctl destroy $B; ls -d $P/$B* $C/$B.conf 2>/dev/null
  > done; true
  $ quiet vzctl destroy $CTID; rm -rf $D $cache/$T.tar.gz $S $C/ve-$T.conf-sample $C/$CTID.* $C/$B.* trace killed out bad fifo dump
