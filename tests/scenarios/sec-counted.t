# Security: what the kernel counts by user, one container cannot use up for another
# where: both
# needs: vz userns template:busybox command:perl
# timeout: 200

  $ A=$CTID; B=$((CTID + 1)); R=/var/lib/vz/root
  $ for id in $A $B; do vzctl create $id --ostemplate busybox-x86_64 >/dev/null; vzctl mount $id >/dev/null; for f in $(ldd /usr/bin/perl | grep -o '/[^ ]*') /usr/bin/perl; do mkdir -p $R/$id${f%/*}; cp -L $f $R/$id$f; done; vzctl umount $id >/dev/null; vzctl start $id --wait >/dev/null 2>&1; done

Instances of inotify, of each user in the container as many as there are.

  $ cat > all <<'E'
  > for my $uid (0 .. 9) { if (!fork) { $< = $> = $uid; $n++ while ($n < 20000 && syscall(253) >= 0); sleep 100; } } sleep 2; print "taken\n";
  > E
  $ vzctl exec2 $A 'perl - ' < all; vzctl exec2 $B 'perl -e "print syscall(253) >= 0 ? 1 : \$!, qq(\n)"'
  taken
  1
  $ awk -v first=$((A * 65536)) '$2 == first { print $1 }' /proc/$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$A.toml)/uid_map
  0
  $ for id in $A $B; do vzctl stop $id --fast >/dev/null; vzctl destroy $id >/dev/null; rm /etc/vz/conf/$id.conf.destroyed; done
