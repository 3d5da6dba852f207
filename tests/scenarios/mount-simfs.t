# mount -t simfs: a mount script shows a directory of the node to a container
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ C=/etc/vz/conf; S=/var/lib/vz/simfs-$CTID; R=/var/lib/vz/root/$CTID; vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ mkdir -p $S; chown 0:0 $S; echo shared > $S/file
  $ cat > $C/$CTID.mount <<'END'
  > #!/bin/bash
  > . /etc/vz/vz.conf
  > . ${VE_CONFFILE}
  > SRC=/var/lib/vz/simfs-$VEID
  > DST=/mnt
  > mkdir -p ${VE_ROOT}${DST}
  > mount -n -t simfs ${SRC} ${VE_ROOT}${DST} -o ${SRC}${EXTRA}
  > END
  $ chmod 755 $C/$CTID.mount

What it mounts is inside, with the container's own owners, and can be written to.

  $ vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'cat /mnt/file; stat -c %u:%g /mnt /mnt/file; grep -c " /mnt " /proc/mounts; echo from inside > /mnt/new'
  shared
  0:0
  0:0
  1
  $ cat $S/new; stat -c %u $S/new; vzctl stop $CTID --fast | tail -n 1; grep -c "$R" /proc/mounts; :
  from inside
  0
  Container is unmounted
  0
  $ ls $S
  file
  new

Read-only, as other options say.

  $ echo 'EXTRA=,ro,nosuid' >> $C/$CTID.conf; vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'echo x > /mnt/file' 2>&1; vzctl exec $CTID 'grep " /mnt " /proc/mounts' | grep -o 'ro,nosuid'; vzctl stop $CTID --fast >/dev/null
  /bin/sh: can't create /mnt/file: Read-only file system
  ro,nosuid
  $ echo 'EXTRA=,frob' > extra; sed -i 's/^EXTRA=.*/EXTRA=,frob=1/' $C/$CTID.conf; vzctl mount $CTID 2>&1 | sed "s/$CTID/N/g"; sed -i /^EXTRA/d $C/$CTID.conf
  \s*mount.* (re)
  \s*.* (re)

A link that the container has put in the place's way leads nowhere on the node.

  $ mkdir /tmp/target-$CTID; vzctl mount $CTID >/dev/null; umount $R/mnt; rmdir $R/mnt; ln -s /tmp/target-$CTID $R/mnt; vzctl umount $CTID >/dev/null
  $ vzctl start $CTID 2>&1 | grep -o 'is not below VE_ROOT\|Error executing mount script'; grep -c " /tmp/target-$CTID " /proc/mounts; vzctl status $CTID | cut -d' ' -f3-
  is not below VE_ROOT
  Error executing mount script
  0
  exist unmounted down

By hand, outside of a script, it is a bind mount; wrong words are told.

  $ mount -t simfs $S /tmp/target-$CTID -o $S,ro; cat /tmp/target-$CTID/file; umount /tmp/target-$CTID
  shared
  $ mount.simfs /nonexistent /tmp/target-$CTID
  mount.simfs: Cannot clone /nonexistent: No such file or directory
  [32]
  $ mount.simfs a
  mount.simfs: Usage: mount.simfs SOURCE TARGET [-fnsv] [-o OPTIONS]
  [1]
  $ rm -r $S /tmp/target-$CTID; rm $C/$CTID.mount; vzctl destroy $CTID >/dev/null; rm $C/$CTID.*.destroyed
