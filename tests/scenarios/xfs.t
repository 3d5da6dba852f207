# Layouts on XFS: its project quotas, and snapshots that share their blocks
# where: node
# needs: vz userns loop quota template:busybox command:mkfs.xfs
# timeout: 400

  $ X=/xfs-$CTID; truncate -s 700M disk; mkfs.xfs -q disk; mkdir $X; mount -o loop,prjquota disk $X; mkdir $X/private; P=$X/private/$CTID; C=/etc/vz/conf/$CTID.conf
  $ used() { sync -f $X; df -k --output=used $X | tail -n 1; }
  $ gone() { vzctl stop $CTID --fast >/dev/null 2>&1; vzctl destroy $CTID >/dev/null; rm -f $C.destroyed; }

A directory under a quota: what `df` shows, where writing ends, changed while it runs.

  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout simfs --private $P --diskspace 20M:22M --diskinodes 2000:2100 >/dev/null; vzctl start $CTID >/dev/null 2>&1
  $ vzctl exec $CTID 'df -k / | tail -n 1; df -i / | tail -n 1' | awk '{print $2}'
  20480
  2000
  $ vzctl exec $CTID 'head -c 40000000 /dev/zero > /root/big' 2>&1 | tail -n 1; vzctl exec $CTID 'stat -c %s /root/big' | awk '{print ($1 > 15000000 && $1 < 23100000)}'
  head: .* (re)
  1
  $ vzctl exec $CTID 'rm /root/big; i=0; while mkdir /root/d$i; do i=$((i+1)); done' 2>&1 | tail -n 1; vzctl exec $CTID 'rm -r /root/d*'
  .*(Disk quota exceeded|No space left on device) (re)
  $ vzctl set $CTID --diskspace 60M:66M --save >/dev/null; vzctl exec $CTID 'df -k / | tail -n 1' | awk '{print $2}'; vzctl exec $CTID 'head -c 40000000 /dev/zero > /root/big && echo whole'
  61440
  whole
  $ vzquota stat $CTID | awk '$1 == "1k-blocks" { print ($2 > 39000 && $2 < 50000), $3, $4 }'; vzlist -H -o diskspace.s,diskspace.h $CTID | xargs
  1 61440 67584
  61440 67584
  $ vzctl exec $CTID 'chattr -p 0 /root/big 2>&1 || chattr -P /root 2>&1' | grep -c .
  [1-9].* (re)

Into an overlay and back: the quota goes along. (XFS gives removed files back some time later, and until then they count.)

  $ vzctl stop $CTID --fast >/dev/null; vzctl exec $CTID true 2>/dev/null; for layout in overlay simfs; do vzctl convert $CTID --layout $layout >/dev/null; for i in $(seq 50); do vzctl start $CTID >/dev/null 2>&1 && break; sleep 0.2; done; vzctl exec $CTID 'stat -c %s /root/big; df -k / | tail -n 1' | awk '{print $NF == "/" ? $2 : $1}'; vzctl stop $CTID --fast >/dev/null; done
  40000000
  61440
  40000000
  61440
  $ gone; xfs_quota -x -c 'report -p -n -N' $X | grep -c "^#$CTID "
  0
  [1]

An image: a snapshot takes no room but for what is changed afterwards.

  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout ploop --private $P --diskspace 200M >/dev/null; vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'head -c 60000000 /dev/urandom > /root/big; md5sum /root/big > /root/sum; sync'; before=$(used)
  $ vzctl snapshot $CTID --skip-suspend >/dev/null; after=$(used); test $((after - before)) -lt 20000 || echo "$before KB before, $after KB afterwards"
  $ vzctl exec $CTID 'md5sum -c /root/sum; rm /root/big; sync'; id=$(vzctl snapshot-list $CTID -H -o uuid | tail -n 1); vzctl snapshot-switch $CTID --id $id --skip-resume >/dev/null; vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'md5sum -c /root/sum'
  /root/big: OK
  /root/big: OK
  $ vzctl snapshot-delete $CTID --id $id >/dev/null; gone; umount $X; xfs_repair -n disk >/dev/null 2>&1; echo $?; rmdir $X
  0
