# The overlay layout under a disk quota: only what is the container's own counts, and root inside cannot pass it
# needs: vz userns quota overlay template:busybox
# timeout: 300

  $ R=/var/lib/vz; T=busybox-q$CTID; cp $R/template/cache/busybox-x86_64.tar.gz $R/template/cache/$T.tar.gz; vzctl create $CTID --ostemplate $T --layout overlay --diskspace 10M:12M --diskinodes 200:210 >/dev/null
  $ lsattr -pd $R/private/$CTID/upper $R/private/$CTID/work $R/template/$T/* | awk '{print $1}' | sed "s/^$CTID$/N/"
  N
  N
  0
  $ vzctl start $CTID >/dev/null; vzctl exec $CTID 'df -k / | tail -n 1' | awk '{print $2, ($3 < 500)}'
  10240 1
  $ vzlist -Ho diskspace,diskspace.h,diskinodes,layout $CTID | awk '{print ($1 < 500), $2, ($3 < 50), $4}'
  1 12288 1 overlay

A change of a shared file counts as much as a new one.

  $ vzctl exec $CTID 'chmod 700 /bin/busybox; head -c 40000000 /dev/zero > /root/big' 2>&1 | tail -n 1
  head: .* (re)
  $ vzctl exec $CTID 'stat -c %s /root/big' | awk '{print ($1 > 5000000 && $1 < 12700000)}'
  1
  $ vzctl exec $CTID 'rm /root/big; i=0; while mkdir /root/d$i; do i=$((i+1)); done' 2>&1 | tail -n 1
  .*Disk quota exceeded (re)
  $ vzctl exec $CTID 'rm -r /root/d*'

Limits change at once, and by hand; an area that came from elsewhere gets its project at the mount.

  $ vzctl set $CTID --diskspace 30M:33M --save >/dev/null; vzctl exec $CTID 'df -k / | tail -n 1' | awk '{print $2}'
  30720
  $ vzctl quotaoff $CTID; repquota -P $R 2>/dev/null | awk -v id="#$CTID" '$1 == id {print $5}'; vzctl quotaon $CTID; repquota -P $R 2>/dev/null | awk -v id="#$CTID" '$1 == id {print $5}'
  0
  33792
  $ vzctl stop $CTID --fast >/dev/null; chattr -p 0 $R/private/$CTID $R/private/$CTID/upper; vzctl start $CTID >/dev/null; lsattr -pd $R/private/$CTID/upper | awk '{print $1}' | sed "s/^$CTID$/N/"
  N
  $ vzctl stop $CTID --fast >/dev/null; vzctl convert $CTID --layout simfs | tail -n 1; lsattr -pd $R/private/$CTID $R/private/$CTID/etc $R/private/$CTID/etc/passwd | awk '{print $1}' | sort -u | sed "s/^$CTID$/N/"
  Container is on simfs now
  N
  $ rm $R/template/cache/$T.tar.gz; vzctl destroy $CTID >/dev/null; ls -d $R/template/$T 2>/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
