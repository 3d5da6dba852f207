# A conversion of files from simfs to overlay and back, also one that is killed
# where: both
# needs: vz userns overlay template:busybox command:strace
# timeout: 900

  $ T=busybox-c$CTID C=/etc/vz/conf; S=/var/lib/vz/template/$T; P=/var/lib/vz/private; cache=/var/lib/vz/template/cache
  $ cp $cache/busybox-x86_64.tar.gz $cache/$T.tar.gz; { cat $C/ve-basic.conf-sample; echo 'DISK_QUOTA="no"'; } > $C/ve-$T.conf-sample
  $ sum() { (cd $1 && { find . -type d -printf '%P %m %U:%G\n' -o -printf '%P %y %m %U:%G %s %T@ %n %l\n' | LC_ALL=C sort; find . -type f -exec md5sum {} + | LC_ALL=C sort; } | md5sum); }
  $ files() { vzctl mount $CTID >/dev/null && sum /var/lib/vz/root/$CTID; vzctl umount $CTID >/dev/null; }
  $ vzctl create $CTID --ostemplate $T --config $T --layout simfs >/dev/null; vzctl start $CTID >/dev/null 2>&1
  $ vzctl exec $CTID 'rm -r /home; echo "# more" >> /etc/profile; chmod 600 /etc/group; mkdir -p /srv/new; echo x > /srv/new/x; ln /srv/new/x /srv/y; ln -s x /srv/new/l; mkfifo /srv/f; chown 5:6 /srv/y; mkdir -p /srv/t; touch -r /srv/f /srv/t'
  $ vzctl convert $CTID --layout overlay
  CT is running (stop it first)
  [32]
  $ vzctl stop $CTID --fast >/dev/null; before=$(files); vzctl convert $CTID --layout simfs
  CT is already on simfs

What is the template's is shared again, what is not stays the container's own, and nothing looks otherwise.

  $ vzctl convert $CTID --layout overlay | sed "s/$T/T/"
  Converting container files from simfs to overlay
  Container is on overlay now
  $ test "$(files)" = "$before" && echo same; grep -c "^VE_LAYOUT=\"overlay\"\|^OVERLAY_TEMPLATE=\"$T/$(ls $S)\"" $C/$CTID.conf; ls -d $P/$CTID* | sed "s,$P/$CTID,N,"
  same
  2
  N
  $ echo $(ls -A $P/$CTID/upper); stat -c '%F %t:%T' $P/$CTID/upper/home; test -e $P/$CTID/upper/bin || echo shared
  .*etc home .*srv.* (re)
  character special file 0:0
  shared
  $ vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'cat /srv/y; stat -c %h /srv/y; ls -d /home' 2>&1; vzctl stop $CTID --fast >/dev/null
  x
  2
  ls: /home: No such file or directory
  $ before=$(files); vzctl convert $CTID --layout simfs; test "$(files)" = "$before" && echo same; grep -c OVERLAY_TEMPLATE $C/$CTID.conf; ls -d $P/$CTID* | sed "s,$P/$CTID,N,"
  Converting container files from overlay to simfs
  Container is on simfs now
  same
  0
  N

Killed anywhere, it is on the one layout or the other, whole; the next one goes through.

  $ shots=6; if grep -q TCG /proc/cpuinfo; then shots=1; fi
  $ die() { local n=$1 name nth; shift; name=$(sed -n "${n}s/^\([a-z0-9_]*\)(.*/\1/p" trace); test -n "$name" || return 0
  >   nth=$(head -n $n trace | grep -c "^$name("); bash -c 'which=$1; shift; strace -qq -o /dev/null -e inject=$which "$@"; :' die "$name:signal=KILL:when=$nth" "$@" >/dev/null 2>&1; }
  $ for to in overlay simfs; do
  >   from=$(sed -n 's/^VE_LAYOUT="\(.*\)"/\1/p' $C/$CTID.conf)
  >   total=$(strace -qq -o trace vzctl convert $CTID --layout $to >/dev/null 2>&1; wc -l < trace)
  >   vzctl convert $CTID --layout $from >/dev/null || echo "back: $?"
  >   for n in $(seq 40 $((total / shots + 1)) $total) $(seq $((total - 60)) $((60 / shots + 1)) $total); do
  >     die $n vzctl convert $CTID --layout $to
  >     test "$(files)" = "$before" || echo "at $n of $total to $to: not the same"
  >     ls -d $P/$CTID* | grep -v "/$CTID\$"
  >     vzctl convert $CTID --layout $to >/dev/null || echo "at $n of $total to $to: $?"
  >     test "$(files)" = "$before" || echo "at $n of $total to $to: not the same afterwards"
  >     test "$(ls -d $P/$CTID*)" = $P/$CTID || echo "at $n of $total to $to: $(ls $P)"
  >     vzctl convert $CTID --layout $from >/dev/null || echo "at $n: back: $?"
  >   done; vzctl convert $CTID --layout $to >/dev/null
  > done

Without its archive it cannot be told what is the template's.

  $ rm $cache/$T.tar.gz; vzctl convert $CTID --layout overlay >/dev/null 2>&1
  [91]
  $ test "$(files)" = "$before" && vzctl destroy $CTID | tail -n 1; ls -d $S $P/$CTID* 2>/dev/null; rm trace $C/ve-$T.conf-sample $C/$CTID.conf.destroyed
  Container private area was destroyed
