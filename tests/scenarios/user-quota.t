# Second-level quota: the guest's own tools, and the limits of its users
# where: node
# needs: vz userns quota loop template:busybox command:setquota
# timeout: 420

The node's tools and their libraries are copied into the guest.

  $ R=/var/lib/vz/root/$CTID; C=/etc/vz/conf/$CTID.conf
  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout ploop --diskspace 200M >/dev/null; vzctl set $CTID --quotaugidlimit 10 --save
  CT configuration saved to /etc/vz/conf/.*.conf (re)
  $ vzctl mount $CTID >/dev/null; for tool in setquota repquota quota quotaon quotaoff; do
  >   path=$(command -v $tool); mkdir -p $R$(dirname $path); cp $path $R$path
  >   for library in $(ldd $path | grep -o '/[^ ]*'); do mkdir -p $R$(dirname $library); cp -L $library $R$library; done
  > done; printf 'joe:x:1000:1000::/tmp:/bin/sh\n' >> $R/etc/passwd; vzctl umount $CTID >/dev/null
  $ vzctl start $CTID >/dev/null 2>&1; as_joe() { vzctl exec $CTID "su joe -c '$1' 2>&1"; }
  $ vzctl exec $CTID 'quotaon -p / | sed "s/(.*)/()/"'
  group quota on / () is on
  user quota on / () is on
  project quota on / () is off

What is set inside is shown inside, enforced, and shown on the node.

  $ vzctl exec $CTID 'setquota -u 1000 1000 2000 10 20 /; setquota -g 1000 0 9000 0 0 /; chmod 1777 /tmp'
  $ as_joe 'dd if=/dev/zero of=/tmp/f bs=1k count=3000' | head -n 1
  dd: error writing '/tmp/f': Disk quota exceeded
  $ as_joe 'for i in $(seq 30); do touch /tmp/$i; done' | head -n 1 | sed 's/.*: //'
  Disk quota exceeded
  $ vzctl exec $CTID 'repquota -u -n / | grep 1000; repquota -g -n / | grep 1000' | awk '{print $2, ($3 > 1000), $4, $5}'
  ++ 1 1000 2000
  -- 1 0 9000
  $ as_joe 'quota -u joe | tail -n 1' | awk '{print $3, $4}'
  1000 2000

Root's things are not for others, nor for root of a namespace made inside.

  $ as_joe 'quota -u root; setquota -u 1000 0 0 0 0 /' | grep -o 'Permission denied\|not permitted' | sort -u
  Permission denied
  not permitted
  $ vzctl exec $CTID 'unshare -Ur setquota -u 1000 0 0 0 0 / 2>&1' | grep -o 'not permitted' | sort -u
  not permitted
  $ vzctl exec $CTID 'quotaoff / && quotaon / && quotaon -p / | grep -c "is on"'
  2

The server killed, it costs no more than these calls; the next start has it again, and it ends with the
container, and what it held with it.

  $ server() { pgrep -f "vzviews quota $CTID "; }; kill -9 $(server); vzctl exec $CTID 'repquota -u -n / >/dev/null 2>&1 || echo alive'; vzctl stop $CTID --fast >/dev/null; server; ls /run/vz | grep $CTID
  alive
  [1]
  $ vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'repquota -u -n / | grep -c 1000'; test $(server | wc -l) = 1 && vzctl stop $CTID --fast >/dev/null; server; ls /run/vz | grep $CTID
  1
  [1]

A directory has no such thing.

  $ vzctl set $CTID --quotaugidlimit 0 --save >/dev/null; vzctl convert $CTID --layout simfs >/dev/null; vzctl start $CTID >/dev/null 2>&1; vzctl set $CTID --quotaugidlimit 10 2>&1 | tail -n 1; vzctl set $CTID --quotaugidlimit 10 >/dev/null 2>&1
  Error: second-level disk quota needs a file system of the container's own (cure: vzctl convert, to layout ploop)
  [65]
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm -f $C.destroyed
