# The simfs layout, a directory with a project quota that its root cannot pass, change or leave
# needs: vz userns quota template:busybox
# timeout: 300

  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout simfs --diskspace 20M:22M --diskinodes 2000:2100 >/dev/null
  $ lsattr -pd /var/lib/vz/private/$CTID | awk '{print $1, $2}' | sed "s/^$CTID /N /"
  N [-a-zA-Z]*P[-a-zA-Z]* (re)
  $ vzctl start $CTID >/dev/null; vzctl exec $CTID 'df -k / | tail -n 1' | awk '{print $2}'
  20480
  $ vzctl exec $CTID 'head -c 40000000 /dev/zero > /root/big' 2>&1 | tail -n 1
  head: .* (re)
  $ vzctl exec $CTID 'stat -c %s /root/big' | awk '{print ($1 > 15000000 && $1 < 23000000)}'
  1
  $ vzctl exec $CTID 'rm /root/big; i=0; while mkdir /root/d$i; do i=$((i+1)); done' 2>&1 | tail -n 1
  .*Disk quota exceeded (re)
  $ vzctl exec $CTID 'rm -r /root/d*'

Files made by the node's root in it are root's inside, and an old tree gets its project when it is
mounted.

  $ vzctl stop $CTID --fast >/dev/null; setquota -P $CTID 0 0 0 0 /var/lib/vz; chattr -p 0 /var/lib/vz/private/$CTID
  $ vzctl start $CTID >/dev/null; lsattr -pd /var/lib/vz/private/$CTID/etc/passwd | awk '{print $1}' | sed "s/^$CTID$/N/"
  N
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
  $ sleep 1; repquota -P /var/lib/vz 2>/dev/null | grep -c "^#$CTID "
  0
  [1]
