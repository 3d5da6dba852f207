# Images: their size live and offline, compact, mount options, convert; killed in the middle of these
# where: both
# needs: vz userns loop template:busybox command:strace
# timeout: 1500

  $ export P=/var/lib/vz/private/$CTID R=/var/lib/vz/root/$CTID C=/etc/vz/conf/$CTID.conf; I=$P/root.hdd
  $ put() { vzctl set $CTID "$@" --save >out 2>err; code=$?; cat err; return $code; }
  $ mib() { echo $(($(stat -c %s $I/root.hdd) >> 20)); }
  $ fill() { vzctl exec $CTID 'dd if=/dev/zero of=/big bs=1M 2>/dev/null; stat -c %s /big; rm /big'; }
  $ same() { local apart=$(($1 - $2)); test ${apart#-} -le 1048576 && echo same || echo "$1 is not $2"; }
  $ within() { test $1 -le $(($3 << 20)) -a $1 -ge $(($2 << 20)) || echo "$1 is not within $2 and $3 MiB"; }
  $ detached() { for i in $(seq 50); do losetup -n -O BACK-FILE | grep -q /$CTID/ || return 0; sleep 0.1; done; echo attached; }
  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout ploop --diskspace 100M >/dev/null; echo 'DISK_QUOTA="no"' >> $C
  $ ls $I; grep -c '<Disk_size>204800</Disk_size>\|<Type>Plain</Type>\|<File>root.hdd</File>' $I/DiskDescriptor.xml
  DiskDescriptor.xml
  root.hdd
  3
  $ vzctl start $CTID >/dev/null 2>&1; first=$(fill); within $first 60 100

A running container shrinks: what it has lost cannot be had back from inside. It grows again.

  $ put --diskspace 60M; mib; shrunk=$(fill); within $shrunk 20 60
  100
  $ vzctl exec $CTID 'rm -rf /.balloon; mv /.balloon /x; echo > /.balloon/blocks; chmod 777 /.balloon; chown 0 /.balloon; ls /.balloon; rm /.balloon/blocks; mount -o remount,resuid=0 /; mknod /l b 7 0 && cat /l' >/dev/null 2>&1; same $(fill) $shrunk
  same
  $ vzctl exec $CTID 'dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null'; put --diskspace 30M
  Failed to resize image: the container does not have that much free space
  Error: failed to apply some parameters, not saving configuration file!
  [154]
  $ vzctl exec $CTID rm /big; same $(fill) $shrunk; grep ^DISKSPACE $C
  same
  DISKSPACE="61440:61440"
  $ put --diskspace 100M; same $(fill) $first; vzctl exec2 $CTID ls -d /.balloon 2>&1
  same
  ls: /.balloon: No such file or directory
  [1]
  $ vzctl exec $CTID 'mkdir /.balloon; touch /.balloon/mine'; put --diskspace 60M 2>&1 | head -n 1; vzctl exec $CTID 'rm -r /.balloon'
  Failed to resize image: the container has files of its own in /.balloon

Above the image's size it takes CAP_SYS_RESOURCE of the node.

  $ can=$(((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24) & 1)); put --diskspace 200M >/dev/null; test $can = 1 -a $? = 0 -o $can = 0 -a $? = 154 || cat err
  $ now=$(fill); if test $can = 1; then within $now 150 200; else test $now = $first || echo "$now"; fi
  $ put --diskspace 100M --offline-resize
  Option --offline-resize can't be used on a running container
  Error: failed to apply some parameters, not saving configuration file!
  [21]

Blocks that are not used any more go back to the node, running and stopped.

  $ used() { sync; stat -c %b $I/root.hdd; }
  $ vzctl compact $CTID; before=$(used); vzctl exec $CTID 'dd if=/dev/urandom of=/big bs=1M count=40 2>/dev/null; sync'; test $(used) -gt $((before + 80000)); vzctl exec $CTID rm /big; vzctl compact $CTID; test $(used) -lt $((before + 8000)) || echo "$before, $(used)"
  $ vzctl exec $CTID 'dd if=/dev/urandom of=/big bs=1M count=40 2>/dev/null; rm /big'; vzctl stop $CTID --fast >/dev/null; vzctl compact $CTID; test $(used) -lt $((before + 8000)) || echo "$before, $(used)"

Stopped: it grows as well, shrinks by a balloon, and offline for good.

  $ sum() { (cd $1 && { find . -path ./.balloon -prune -o -printf '%P %y %m %U:%G %l\n' | LC_ALL=C sort; find . -path ./.balloon -prune -o -type f -exec md5sum {} + | LC_ALL=C sort; } | md5sum); }
  $ files() { vzctl mount $CTID >/dev/null && sum $R; vzctl umount $CTID >/dev/null; }
  $ balloon() { vzctl mount $CTID >/dev/null; echo $(($(stat -c %s $R/.balloon/blocks 2>/dev/null || echo 0) >> 20)); vzctl umount $CTID >/dev/null; }
  $ put --diskspace 200M; echo $(mib) $(balloon); put --diskspace 80M; echo $(mib) $(balloon); put --diskspace 80M --offline-resize; echo $(mib) $(balloon)
  200 0
  200 120
  80 0
  $ grep -c '<Disk_size>163840<' $I/DiskDescriptor.xml; put --diskspace 1M
  1
  DISKSPACE 1024 KB is too little for an image: 16384 at least
  Error: failed to apply some parameters, not saving configuration file!
  [21]
  $ vzctl mount $CTID >/dev/null; head -c 40M /dev/urandom > $R/big; put --diskspace 100M --offline-resize; vzctl umount $CTID
  Option --offline-resize can't be used on a mounted container
  Error: failed to apply some parameters, not saving configuration file!
  Container is unmounted
  $ put --diskspace 30M --offline-resize | sed 's/image: .*/image/'; ls $I; echo $(mib) $(balloon); vzctl mount $CTID >/dev/null; rm $R/big; vzctl umount $CTID >/dev/null
  Failed to resize image
  Error: failed to apply some parameters, not saving configuration file!
  DiskDescriptor.xml
  root.hdd
  80 0

What the mount is told; what could harm the node it is not told.

  $ put --mount_opts noatime,commit=33; vzctl mount $CTID >/dev/null; findmnt -no OPTIONS $R | grep -c 'noatime.*commit=33'; vzctl umount $CTID >/dev/null
  1
  $ put --mount_opts errors=panic; detached; vzctl mount $CTID
  MOUNT_OPTS: option 'errors=panic' is unknown or not allowed
  [152]
  $ sed -i '/^MOUNT_OPTS/d' $C; sed -i.kept 's/Plain/Compressed/' $I/DiskDescriptor.xml; vzctl mount $CTID; mv $I/DiskDescriptor.xml.kept $I/DiskDescriptor.xml
  /var/lib/vz/private/.*/root.hdd/DiskDescriptor.xml: the image is in ploop's own format, which cannot be mounted here: 'vzctl convert' of this container turns it into what can (re)

Into other layouts and back.

  $ before=$(files); put --diskspace 70M; vzctl convert $CTID --layout simfs; test "$(files)" = "$before" && ls -A $P | grep -c 'root.hdd\|balloon'
  Converting container files from ploop to simfs
  Container is on simfs now
  0
  [1]
  $ head -c 30M /dev/urandom > $P/big; put --diskspace 20M; vzctl convert $CTID 2>&1 | tail -n 1 | sed 's/cannot.*: //'; vzctl convert $CTID >/dev/null 2>&1
  Conversion failed: No space left on device
  [155]
  $ ls -d $P* | sed "s/$CTID/N/"; rm $P/big; sed -i '/^DISKSPACE/d' $C; vzctl convert $CTID
  /var/lib/vz/private/N
  Error: diskspace not set
  [63]
  $ put --diskspace 100M; vzctl convert $CTID >/dev/null; test "$(files)" = "$before" && echo $(mib) $(grep ^VE_LAYOUT $C)
  100 VE_LAYOUT="ploop"

Killed at any system call: the old size or the new one, the one layout or the other, all files.

  $ ends() { if grep -q TCG /proc/cpuinfo; then echo $(($1 - 20)); else seq $(($1 - 60)) 8 $1; fi; }
  $ points() { if grep -q TCG /proc/cpuinfo; then echo $((60 + ($1 - 60) * $2 / 3)); else seq 60 $((($1 - 60) / 8 + 1)) $1; fi; }
  $ die() { n=$1; shift; name=$(sed -n "${n}s/^\([a-z0-9_]*\)(.*/\1/p" trace); test -n "$name" || return 0
  >   nth=$(head -n $n trace | grep -c "^$name("); bash -c 'which=$1; shift; strace -qq -o killed -e inject=$which "$@"; :' die "$name:signal=KILL:when=$nth" "$@" >/dev/null 2>&1
  >   echo >> tries; grep -q 'killed by SIGKILL' killed || echo >> missed; }
  $ check() { test "$(files)" = "$before" || echo "at $1: not the same files"
  >   rest=$(balloon); size=$(stat -c %s $I/root.hdd); told=$(sed -n 's/^DISKSPACE=".*:\(.*\)"/\1/p' $C)
  >   test $(((size >> 20) - rest)) = $((told >> 10)) || echo "at $1: told $told, image $size, held back $rest"
  >   test "$(ls $I | xargs)" = "DiskDescriptor.xml root.hdd" || echo "at $1: left: $(ls $I)"
  >   e2fsck -fn $I/root.hdd >/dev/null 2>&1 || echo "at $1: broken"; }
  $ for way in '100M 200M' '200M 100M' '100M 200M --offline-resize' '200M 100M --offline-resize'; do
  >   read -r from to offline <<< "$way"
  >   put --diskspace $from --offline-resize; total=$(strace -qq -o trace vzctl set $CTID --diskspace $to $offline --save >/dev/null 2>&1; wc -l < trace)
  >   for n in $(points $total 2); do
  >     put --diskspace $from --offline-resize; die $n vzctl set $CTID --diskspace $to $offline --save; check "$n of $total, $way"
  >   done; put --diskspace $to --offline-resize
  > done
  $ for way in 'ploop simfs' 'simfs ploop'; do
  >   read -r from to <<< "$way"
  >   total=$(strace -qq -o trace vzctl convert $CTID --layout $to >/dev/null 2>&1; wc -l < trace); vzctl convert $CTID --layout $from >/dev/null
  >   for n in $(points $total 1) $(ends $total); do
  >     die $n vzctl convert $CTID --layout $to; test "$(files)" = "$before" || echo "at $n of $total, $way: not the same files"
  >     vzctl convert $CTID --layout $to >/dev/null || echo "at $n of $total, $way: $?"
  >     test "$(ls -d $P*)" = $P || echo "at $n of $total, $way: $(ls -d $P*)"
  >     vzctl convert $CTID --layout $from >/dev/null || echo "at $n of $total, $way, back: $?"
  >   done; vzctl convert $CTID --layout $to >/dev/null
  > done
  $ test "$(files)" = "$before" && vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID echo alive; vzctl stop $CTID --fast >/dev/null; detached
  alive

Some calls come less often than the time before: by what loop devices the machine has.

  $ touch missed; test $(wc -l < missed) -le $(($(wc -l < tries) / 4)) || echo "not killed: $(wc -l < missed) of $(wc -l < tries)"
  $ vzctl destroy $CTID | tail -n 1; rm -f $C.destroyed trace killed tries missed out err
  Container private area was destroyed
