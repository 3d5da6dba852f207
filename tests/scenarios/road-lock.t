# One command at a time on a container
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ lock=/var/lib/vz/lock/$CTID.lck

The lock of a live process holds; a file that names a dead one does not.

  $ sleep 100 & until grep -q sleep /proc/$!/comm; do :; done; printf '%s\n\n' $! > $lock; vzctl mount $CTID 2>&1 | sed 's/pid [0-9]*/pid N/'
  Locked by: pid N, cmdline sleep 100
  Container already locked
  $ vzctl mount $CTID 2>/dev/null
  [9]
  $ vzctl --skiplock mount $CTID && vzctl --skiplock umount $CTID; test -e $lock && echo kept
  Container is mounted
  Container is unmounted
  kept
  $ kill %1; wait 2>/dev/null; vzctl mount $CTID | sed "s/$CTID/N/"; vzctl umount $CTID; ls $lock 2>/dev/null
  Removing stale lock file /var/lib/vz/lock/N.lck
  Container is mounted
  Container is unmounted
  [2]
  $ echo rubbish > $lock; vzctl mount $CTID; vzctl umount $CTID
  Container is mounted
  Container is unmounted

Two at once: one works, the other is told.

  $ for i in 1 2 3 4 5 6 7 8; do (vzctl start $CTID >/dev/null 2>&1; echo $?) & done > codes; wait
  $ sort codes | uniq -c | awk '$2 == 0 && $1 == 1 {one = 1} $2 != 0 && $2 != 9 && $2 != 32 {bad = $2} END {print one, bad + 0}'
  1 0
  $ vzctl exec $CTID echo works; ls /var/lib/vz/lock
  works
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
