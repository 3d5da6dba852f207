# A full disk of the node: containers see errors, the tools work, nothing that was on disk is lost
# where: both
# needs: vz userns loop template:busybox
# timeout: 600

  $ export A=$CTID B=$((CTID + 1)) D=/var/lib/vz/full-$CTID C=/etc/vz/conf S=full-$CTID
  $ truncate -s 160M image; mkfs.ext4 -q -m 0 image; mkdir $D; mount -o loop image $D
  $ sed '/^DISK/d' $C/ve-basic.conf-sample > $C/ve-$S.conf-sample; printf 'DISK_QUOTA="no"\nDISKSPACE="65536:65536"\n' >> $C/ve-$S.conf-sample
  $ make() { vzctl create $1 --ostemplate busybox-x86_64 --config $S --layout $2 --private $D/private/$1 --root $D/root/$1; }
  $ fill() { for nth in 1 2 3; do cat /dev/zero > $D/fill$nth; sync -f $D; done; } 2>/dev/null
  $ areas() { (cd $D/private; { ls -A; find . -path '*root.hdd/*' -printf '%P\n'; } | sed "s/\b$A\b/A/g; s/\b$B\b/B/g" | LC_ALL=C sort | xargs); }
  $ for id in $A $B; do make $id $(test $id = $A && echo ploop || echo simfs) >/dev/null; vzctl start $id >/dev/null 2>&1; done
  $ for id in $A $B; do vzctl exec $id 'dd if=/dev/urandom of=/kept bs=64k count=64 2>/dev/null; md5sum /kept > /kept.md5; sync'; done; fill; areas
  A A/root.hdd/DiskDescriptor.xml A/root.hdd/root.hdd B

Who writes inside is told.

  $ for id in $A $B; do vzctl exec $id 'dd if=/dev/urandom of=/more bs=1M count=40 conv=fsync 2>/dev/null || echo told'; done
  told
  told

The tools work; what needs room says that there is none, and leaves nothing.

  $ vzlist -Ho status $A $B; for id in $A $B; do vzctl status $id | cut -d' ' -f3-; vzctl exec $id echo alive; done
  running
  running
  exist mounted running
  alive
  exist mounted running
  alive
  $ vzctl set $B --hostname full --save 2>&1 | grep -o "Can't change.*\|CT configuration saved"; vzctl exec $B 'hostname; grep -q localhost /etc/hosts && echo whole; ls /etc | grep "\.[0-9]*$" || :'
  Can't change file /etc/hosts
  Can't change file /etc/hostname
  CT configuration saved
  full
  whole
  $ vzctl snapshot $A --skip-suspend >/dev/null 2>&1 || echo refused; for id in $A $B; do vzctl stop $id --fast | tail -n 1; done; vzctl snapshot $A >/dev/null 2>&1 || echo refused; vzctl convert $A --layout simfs >/dev/null 2>&1 || echo refused; vzctl convert $B --layout ploop >/dev/null 2>&1 || echo refused; areas
  refused
  Container is unmounted
  Container is unmounted
  refused
  refused
  refused
  A A/root.hdd/DiskDescriptor.xml A/root.hdd/root.hdd B
  $ for layout in ploop simfs; do make $((CTID + 2)) $layout >/dev/null 2>&1 || echo refused; done; areas; losetup -n -O BACK-FILE | grep $D; ls $C/$((CTID + 2)).conf* 2>/dev/null
  refused
  refused
  A A/root.hdd/DiskDescriptor.xml A/root.hdd/root.hdd B
  [2]
  $ for id in $A $B; do vzctl start $id >/dev/null 2>&1; vzctl exec $id echo started; vzctl stop $id --fast | tail -n 1; vzctl mount $id; vzctl umount $id; done
  started
  Container is unmounted
  Container is mounted
  Container is unmounted
  started
  Container is unmounted
  Container is mounted
  Container is unmounted

A configuration that cannot be written is the old one.

  $ mkdir conf; mount -t tmpfs -o size=64k tmpfs conf; cp $C/$A.conf conf; mount --bind conf $C; cat /dev/zero > conf/fill 2>/dev/null; cp conf/$A.conf before
  $ vzctl set $A --description 'more than there was' --save 2>&1 | sed "s/$A/N/; s/ (os.*//"; cmp $C/$A.conf before; ls $C | sed "s/$A/N/"; umount $C conf
  Unable to create configuration file /etc/vz/conf/N.conf: No space left on device
  N.conf
  fill

With room again all is there that was on the disk; on a full one containers can be destroyed.

  $ rm $D/fill*; for id in $A $B; do vzctl start $id >/dev/null 2>&1; vzctl exec $id 'md5sum -c /kept.md5; echo more > /more && cat /more'; vzctl stop $id --fast >/dev/null; done; e2fsck -fn $D/private/$A/root.hdd/root.hdd >/dev/null 2>&1; echo $?
  /kept: OK
  more
  /kept: OK
  more
  0
  $ fill; for id in $A $B; do vzctl destroy $id 2>/dev/null | tail -n 1; done; areas
  Container private area was destroyed
  Container private area was destroyed
  
  $ for try in $(seq 100); do umount $D 2>/dev/null && break; sleep 0.1; done; rmdir $D && rm -f $C/ve-$S.conf-sample $C/$A.conf.destroyed $C/$B.conf.destroyed
