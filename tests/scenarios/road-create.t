# create in its ways: compressions, layouts, places, a tarball of a private area, a full disk
# where: both
# needs: vz userns template:busybox command:zstd command:xz command:bzip2
# timeout: 660

Every compression, and none.

  $ cache=/var/lib/vz/template/cache; zcat $cache/busybox-x86_64.tar.gz > $cache/test-plain.tar
  $ xz -1 < $cache/test-plain.tar > $cache/test-xz.tar.xz; bzip2 < $cache/test-plain.tar > $cache/test-bz.tar.bz2
  $ zstd -q < $cache/test-plain.tar > $cache/test-zst.tar.zst
  $ for t in plain xz bz zst; do
  >   vzctl create $CTID --ostemplate test-$t | head -n 1; vzctl mount $CTID >/dev/null
  >   stat -c %F /var/lib/vz/root/$CTID/sbin/init; vzctl umount $CTID >/dev/null; vzctl destroy $CTID >/dev/null
  > done; rm $cache/test-*
  Creating container private area (test-plain)
  Warning: configuration file for distribution test-plain not found, using defaults from /etc/vz/dists/default
  symbolic link
  Creating container private area (test-xz)
  Warning: configuration file for distribution test-xz not found, using defaults from /etc/vz/dists/default
  symbolic link
  Creating container private area (test-bz)
  Warning: configuration file for distribution test-bz not found, using defaults from /etc/vz/dists/default
  symbolic link
  Creating container private area (test-zst)
  Warning: configuration file for distribution test-zst not found, using defaults from /etc/vz/dists/default
  symbolic link

What the classic backup of a private area holds comes back: links, holes, devices, owners, times.

  $ mkdir -p area/dev area/sbin; echo text > area/file; ln area/file area/hard; ln -s /etc/passwd area/soft
  $ truncate -s 100M area/hole; printf x | dd of=area/hole bs=1 seek=50M conv=notrunc status=none
  $ mknod area/dev/tty7 c 4 7; mkfifo area/fifo; chown 1000:2000 area/file; chmod 4755 area/sbin
  $ touch -d '2001-02-03 04:05:06' area/soft area/file -h; mkdir area/locked; echo x > area/locked/x; chmod 0555 area/locked
  $ tar -C area --numeric-owner -Sczf $cache/test-area.tar.gz .
  $ vzctl create $CTID --ostemplate test-area >/dev/null; vzctl mount $CTID >/dev/null; cd /var/lib/vz/root/$CTID
  Warning: configuration file for distribution test-area not found, using defaults from /etc/vz/dists/default
  $ stat -c '%n %F %h %u:%g %a %Y' file soft; stat -c '%n %t:%T' dev/tty7; stat -c '%n %F' fifo; stat -c '%n %a' sbin locked
  file regular file 2 1000:2000 644 981173106
  soft symbolic link 1 0:0 777 981173106
  dev/tty7 4:7
  fifo fifo
  sbin 4755
  locked 555
  $ test $(stat -c %b hole) -lt 1000 && cmp hole $OLDPWD/area/hole && echo sparse
  sparse
  $ cd $OLDPWD; vzctl umount $CTID >/dev/null; vzctl destroy $CTID >/dev/null; rm $cache/test-area.tar.gz

Places of one's own, written down as they were given.

  $ vzctl create $CTID --ostemplate busybox-x86_64 --private '/var/lib/vz/p/$VEID' --root '/var/lib/vz/r/$VEID' --name "my-$CTID" 2>&1 | head -n 1 | sed "s/$CTID/N/"
  Name my-N assigned
  $ ls -d /var/lib/vz/p/$CTID | sed "s/$CTID/N/"; grep -c 'VE_PRIVATE="/var/lib/vz/p/$VEID"' /etc/vz/conf/$CTID.conf
  /var/lib/vz/p/N
  1
  $ vzctl start my-$CTID >/dev/null 2>&1; vzctl exec my-$CTID echo there; vzctl stop my-$CTID --fast >/dev/null; vzctl destroy my-$CTID >/dev/null
  there
  $ rmdir /var/lib/vz/p /var/lib/vz/r; ls /etc/vz/names/my-$CTID 2>/dev/null
  [2]

A disk that is full: the code, one line, nothing left. And an archive that tries to leave.

  $ dd if=/dev/urandom of=big bs=1M count=30 status=none; tar -czf $cache/test-big.tar.gz big
  $ vzctl create $CTID --ostemplate test-big --layout ploop --diskspace 20M 2>&1 | tail -n 2
  Unpack /var/lib/vz/template/cache/test-big.tar.gz failed: cannot unpack 'big': No space left on device .* (re)
  Creation of container private area failed
  $ vzctl create $CTID --ostemplate test-big --layout ploop --diskspace 20M >/dev/null 2>&1
  [46]
  $ tar -P --transform 's,^,../../../../../../../,' -czf $cache/test-evil.tar.gz big
  $ vzctl create $CTID --ostemplate test-evil >/dev/null 2>&1
  [48]
  $ ls -d /var/lib/vz/private/$CTID* /etc/vz/conf/$CTID.conf /big 2>/dev/null
  [2]
  $ rm -f $cache/test-*.tar.gz /etc/vz/conf/$CTID.conf.destroyed
