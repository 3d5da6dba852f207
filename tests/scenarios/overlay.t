# The overlay layout: a template unpacked once, shared by containers that each have their own changes
# where: both
# needs: vz userns overlay template:busybox command:strace
# timeout: 300

  $ A=$CTID B=$((CTID + 1)) T=busybox-o$CTID C=/etc/vz/conf; S=/var/lib/vz/template/$T; cache=/var/lib/vz/template/cache
  $ cp $cache/busybox-x86_64.tar.gz $cache/$T.tar.gz; { cat $C/ve-basic.conf-sample; echo 'DISK_QUOTA="no"'; } > $C/ve-$T.conf-sample
  $ create() { vzctl create $1 --layout overlay --ostemplate $T --config $T | sed "s/$T/T/; s/$CTID/N/"; }
  $ sum() { find $1 -printf '%P %y %m %U:%G %s %T@ %C@\n' | LC_ALL=C sort | md5sum; }

A create that is killed while it unpacks leaves no half template: the next finds none.

  $ bash -c 'strace -f -qq -o /dev/null -e inject=symlinkat:signal=KILL:when=2 vzctl create "$@"; echo $?' die $A --layout overlay --ostemplate $T --config $T 2>/dev/null | tail -n 1
  137
  $ ls -A $S
  .lock
  .unpacking
  $ create $A 2>/dev/null | tail -n 4
  Creating container private area (T)
  Performing postcreate actions
  CT configuration saved to /etc/vz/conf/N.conf
  Container private area was created
  $ ls -A $S | sed 's/[0-9][0-9.-]*/VERSION/'; stat -c %a $S; grep -c "^OVERLAY_TEMPLATE=\"$T/$(ls $S)\"" $C/$A.conf; before=$(sum $S/*)
  .lock
  VERSION
  700
  1

Two containers have the same files, and so the same pages of them in memory, and each its own changes.

  $ create $B >/dev/null; for id in $A $B; do vzctl start $id >/dev/null 2>&1; done
  $ inode=$(stat -c %i $S/*/bin/busybox); for id in $A $B; do test "$(vzctl exec $id stat -c %i /bin/busybox)" = $inode && echo same; done
  same
  same
  $ vzctl exec $A 'id -u; stat -c %u:%g / /bin/busybox; echo own > /etc/motd; rm -r /home; mkdir /d; mv /mnt /m; ln /d/x /y 2>/dev/null; chown 7:7 /root; ls -d /home /m /mnt; :'
  0
  0:0
  0:0
  ls: /home: No such file or directory
  ls: /mnt: No such file or directory
  /m
  $ vzctl exec $B 'ls -d /home /mnt; stat -c %u /root; cat /etc/motd 2>/dev/null | grep -c own; :'
  /home
  /mnt
  0
  0
  $ test "$(sum $S/*)" = "$before" && echo untouched
  untouched

A whiteout, which would mean something to the file system, is nothing that root inside can make.

  $ vzctl exec $A 'mknod /d/w c 0 0' 2>&1 | grep -o 'Operation not permitted'
  Operation not permitted

The changes are there after a restart, and for the node's root to work in while it is stopped.

  $ vzctl stop $A --fast >/dev/null; vzctl mount $A; R=/var/lib/vz/root/$A; cat $R/etc/motd; stat -c %u $R/bin/busybox $R/root; echo new > $R/by-node
  Container is mounted
  own
  0
  7
  $ vzctl set $A --userpasswd root:secret --save >/dev/null; grep -c '^root:[$]' $R/etc/shadow; stat -c %u $R/etc/shadow; vzctl umount $A
  1
  0
  Container is unmounted
  $ vzctl start $A >/dev/null 2>&1; vzctl exec $A 'cat /by-node /etc/motd; stat -c %u /by-node'
  new
  own
  0

A mount script makes directories and mounts on them, as ever.

  $ vzctl stop $A --fast >/dev/null; mkdir -p shared/sub; echo shared > shared/file; printf '. ${VE_CONFFILE}; mkdir -p ${VE_ROOT}/data/x && mount -n --bind %s/shared ${VE_ROOT}/data/x && mount -n -t tmpfs none ${VE_ROOT}/data/x/sub' $PWD | sed '1s/^/#!\/bin\/sh\n/' > $C/$A.mount; chmod 755 $C/$A.mount
  $ vzctl start $A >/dev/null 2>&1; vzctl exec $A 'cat /data/x/file; stat -c %u /data /data/x; grep -c " /data/x" /proc/mounts'; grep -c "/root/$A overlay" /proc/mounts
  shared
  0
  0
  2
  1
  $ rm $C/$A.mount

Another archive under the same name is another version: what exists keeps its own, whatever is destroyed.

  $ mkdir more; zcat $cache/$T.tar.gz > more.tar; echo 2 > more/second; tar -rf more.tar -C more second; gzip -c more.tar > $cache/$T.tar.gz
  $ vzctl stop $B --fast >/dev/null; vzctl destroy $B >/dev/null; create $B >/dev/null; ls $S | wc -l; vzctl start $B >/dev/null 2>&1; vzctl exec $B cat /second
  2
  2
  $ vzctl stop $A --fast >/dev/null; vzctl start $A >/dev/null 2>&1; vzctl exec $A 'cat /second' 2>&1 | grep -o 'No such file.*'; vzctl stop $A --fast >/dev/null
  No such file or directory

A version goes with its last container when there is no archive for it any more, and not before.

  $ vzctl destroy $A >/dev/null; ls $S | wc -l; rm $cache/$T.tar.gz; vzctl stop $B --fast >/dev/null; vzctl start $B >/dev/null 2>&1; vzctl exec $B cat /second
  1
  2
  $ vzctl stop $B --fast | tail -n 1; vzctl destroy $B | tail -n 1; ls -d $S 2>/dev/null
  Container is unmounted
  Container private area was destroyed
  [2]
  $ rm -r more more.tar shared $C/ve-$T.conf-sample $C/$A.conf.destroyed $C/$B.conf.destroyed

A template that is gone is told, and nothing is started.

  $ printf 'VE_LAYOUT="overlay"\nDISK_QUOTA="no"\nOVERLAY_TEMPLATE="%s"\n' ../../private/1 > $C/$A.conf; mkdir -p /var/lib/vz/private/$A; vzctl mount $A
  OVERLAY_TEMPLATE "../../private/1" names no unpacked template
  [50]
  $ sed -i "s,^OVERLAY.*,OVERLAY_TEMPLATE=\"$T/1\"," $C/$A.conf; vzctl mount $A 2>&1 | sed "s/$T/T/"; vzctl destroy $A >/dev/null; rm $C/$A.conf.destroyed; rmdir /var/lib/vz/root/$A 2>/dev/null
  The unpacked template /var/lib/vz/template/T/1 is gone
  [1]
