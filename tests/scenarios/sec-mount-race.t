# Security: a container that swaps directories while another's mounts are made below them (CVE-2021-30465)
# needs: vz userns template:busybox command:perl
# timeout: 420

The container swaps a directory and a link to / by renameat2(2) as fast as it can; another is started and stopped,
whose mount script mounts something below that directory. A mount that would lead to the node's / is refused.

  $ A=$CTID; B=$((CTID + 1)); R=/var/lib/vz/root; shared=/var/lib/vz/shared-$CTID
  $ for id in $A $B; do vzctl create $id --ostemplate busybox-x86_64 >/dev/null; done; vzctl mount $A >/dev/null
  $ for f in $(ldd /usr/bin/perl | grep -o '/[^ ]*') /usr/bin/perl; do mkdir -p $R/$A${f%/*}; cp -L $f $R/$A$f; done; vzctl umount $A >/dev/null
  $ mkdir -p $shared/dir/inner $shared/data; chmod -R 777 $shared; ln -s / $shared/link; echo data > $shared/data/file; mkdir -p /inner-$CTID
  $ for id in $A $B; do printf '#!/bin/sh\nmkdir -p %s/%s/mnt; mount --bind %s %s/%s/mnt\n' $R $id $shared $R $id > /etc/vz/conf/$id.mount; chmod +x /etc/vz/conf/$id.mount; done
  $ printf 'cd %s/%s/mnt/dir && mount --bind %s/data inner\nexit 0\n' $R $B $shared >> /etc/vz/conf/$B.mount
  $ chown -R $((A * 65536)):$((A * 65536)) $shared
  $ vzctl start $A --wait >/dev/null 2>&1
  $ vzctl exec2 $A 'cd /mnt && perl -e "my \$end = time + 280; syscall(316, -100, \"dir\", -100, \"link\", 2) while time < \$end && ! -e \"stop\"" >/dev/null 2>&1 &'
  $ before=$(findmnt -rn -o TARGET | grep -v "$R/$B" | sort | md5sum); refused=0; started=0; end=$((SECONDS + 40))
  $ while [ $((started + refused)) -lt 12 ] || [ $SECONDS -lt $end ]; do
  >   if vzctl start $B >/dev/null 2>&1; then started=$((started + 1))
  >     vzctl exec2 $B 'test -e /mnt/dir/inner/etc/vz -o -e /mnt/dir/inner/root/canary -o -e /mnt/dir/etc/vz && echo LED TO THE NODE'
  >     init=$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$B.toml); awk '$4 == "/" && $5 ~ "^/mnt" { print "ROOT OF A FILE SYSTEM", $0 }' /proc/$init/mountinfo
  >     vzctl stop $B --fast >/dev/null 2>&1
  >   else refused=$((refused + 1)); fi; vzctl umount $B >/dev/null 2>&1; done; true
  $ test "$before" = "$(findmnt -rn -o TARGET | grep -v "$R/$B" | sort | md5sum)"
  $ touch $shared/stop; for id in $A $B; do vzctl stop $id --fast >/dev/null 2>&1; rm /etc/vz/conf/$id.mount; vzctl destroy $id >/dev/null; rm /etc/vz/conf/$id.conf.destroyed; done; rm -r $shared; rmdir /inner-$CTID
