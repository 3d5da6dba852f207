# Security: the node's users and a container's root do not reach each other
# where: both
# needs: vz userns template:busybox command:perl
# timeout: 180

  $ A=$CTID; B=$((CTID + 1))
  $ for id in $A $B; do vzctl create $id --ostemplate busybox-x86_64 >/dev/null && vzctl start $id --wait >/dev/null 2>&1; done
  $ init() { sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$1.toml; }
  $ echo secret > /root/canary-$CTID; chmod 600 /root/canary-$CTID

9: a set-id program that a container makes is out of reach of the node's users (CVE-2016-1582, CVE-2025-64507).

  $ vzctl exec2 $A 'cp /bin/busybox /root/x; chmod 4755 /root/x; chmod 755 /root; stat -c %a /root/x'
  4755
  $ nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "$1"; }
  $ for path in root private; do nobody "/var/lib/vz/$path/$A/root/x id -u" 2>&1 | sed "s,^.*/x: ,,"; done
  Permission denied
  Permission denied
  $ stat -c '%a %u %n' /var/lib/vz/root /var/lib/vz/private
  700 0 /var/lib/vz/root
  700 0 /var/lib/vz/private
  $ nobody "ls /proc/$(init $A)/root/" 2>&1 | grep -c 'Permission denied'
  1

35: ranges are disjoint, and root of one is nobody to the other and to the node.

  $ for id in $A $B; do for map in uid gid; do awk -v id=$id '{ print $1, $2 - id * 65536, $3 }' /proc/$(init $id)/${map}_map; done; done
  0 0 65536
  0 0 65536
  0 0 65536
  0 0 65536
  $ vzctl exec2 $A "kill -9 $$" 2>&1 | sed "s/'.*'/N/;s/PID [0-9]*/N/"
  sh: can't kill pid \d+: No such process (re)
  $ vzctl exec2 $A 'ls /proc | grep -c "^[0-9]*$"' | awk '{ print ($1 < 20) }'
  1
  $ vzctl exec2 $A 'echo "0 0 1" > /proc/self/uid_map' 2>/dev/null
  [1]

A range that another container has recorded is given to nobody else.

  $ printf 'LOCAL_UID="%s"\nLOCAL_GID="%s"\n' $(((CTID + 2) * 65536)) $(((CTID + 2) * 65536)) >> /etc/vz/conf/$B.conf
  $ vzctl create $((CTID + 2)) --ostemplate busybox-x86_64 >/dev/null
  $ grep -c '^LOCAL_UID=' /etc/vz/conf/$((CTID + 2)).conf; grep -c "\"$(((CTID + 2) * 65536))\"" /etc/vz/conf/$((CTID + 2)).conf
  1
  0
  [1]
  $ vzctl stop $B --fast >/dev/null; sed -i "s/^LOCAL_GID=.*/LOCAL_GID=\"$((A * 65536))\"/" /etc/vz/conf/$B.conf
  $ vzctl start $B 2>&1 | grep -c "are those of container"
  1
  $ sed -i '/^LOCAL_/d' /etc/vz/conf/$B.conf
  $ printf 'LOCAL_UID="%s"\nLOCAL_GID="0"\n' $((B * 65536)) >> /etc/vz/conf/$B.conf; vzctl start $B 2>&1 | grep LOCAL_GID
  LOCAL_GID 0 is only for LOCAL_UID 0

23: a command begins in the container's /, wherever it was typed; and has the standard streams alone.

  $ (cd /root && vzctl exec2 $A "pwd; readlink /proc/self/cwd; cat ../../canary-$CTID ../../../../root/canary-$CTID") 2>&1
  /
  /
  cat: can't open '../../canary-\d+': No such file or directory (re)
  cat: can't open '../../../../root/canary-\d+': No such file or directory (re)
  [1]
  $ (mkdir gone; cd gone; rmdir ../gone; vzctl exec2 $A 'readlink /proc/self/cwd; ls ..' | head -n 2)
  /
  bin
  $ (exec 7< /root 8< /root/canary-$CTID 9>> /root/canary-$CTID; vzctl exec2 $A 'ls /proc/self/fd' 2>/dev/null; echo 'ls /proc/self/fd' > script; vzctl runscript $A script)
  0
  1
  2
  3
  0
  1
  2
  3
  $ (SECRET=x vzctl exec2 $A env; SECRET=x vzctl exec3 $A env) | grep -v '^PWD=/$\|^SHLVL=1$' | sort | uniq -c
        2 HOME=/
        2 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        2 TERM=linux
  $ vzctl exec2 $A 'PWD= SHLVL= env; tr "\0" "\n" < /proc/1/environ' | grep -c SECRET
  0
  [1]
  $ vzctl exec2 $A 'ls /proc/1/fd' | tr '\n' ' '; echo
  0 1 2 
  $ for id in $A $B $((CTID + 2)); do vzctl stop $id --fast >/dev/null 2>&1; vzctl destroy $id >/dev/null; rm -f /etc/vz/conf/$id.conf.destroyed; done; rm /root/canary-$CTID
