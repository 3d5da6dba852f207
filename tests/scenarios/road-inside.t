# What a container sees: its namespaces, its ids, its devices, what is masked
# where: both
# needs: vz userns template:busybox
# timeout: 180

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null && vzctl start $CTID >/dev/null 2>&1
  $ init=$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$CTID.toml)

Every namespace is its own.

  $ for kind in pid mnt uts ipc net cgroup user; do
  >   test "$(readlink /proc/$init/ns/$kind)" = "$(readlink /proc/self/ns/$kind)" && echo "$kind is shared"; done
  [1]
  $ test "$(awk '{print $1, $2, $3}' /proc/$init/uid_map)" = "0 $((CTID * 65536)) 65536" && echo mapped
  mapped
  $ stat -c '%u' /proc/$init | sed "s/^$((CTID * 65536))$/base/"
  base
  $ tr '\0' '\n' < /proc/$init/environ | sort
  HOME=/
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  TERM=linux
  container=openvz

Nothing was chowned: root inside is root on the disk.

  $ vzctl exec $CTID 'stat -c "%u:%g" / /etc/passwd; touch /root/file; chown 1000:1000 /root/file'
  0:0
  0:0
  $ stat -c '%u:%g' /var/lib/vz/root/$CTID/root/file
  1000:1000
  $ touch /var/lib/vz/root/$CTID/root/from-node; vzctl exec $CTID 'stat -c "%u:%g" /root/from-node; rm /root/from-node'
  0:0

Its /dev is its own: what there is works, and nothing can be added.

  $ vzctl exec $CTID 'ls -l /dev | sed -n "s/^[cl].* \([a-z]*\)\( ->.*\)*$/\1/p" | sort | tr "\n" " "'; echo
  console core fd full null ptmx random stderr stdin stdout tty urandom zero 
  $ vzctl exec $CTID 'echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/full' 2>&1
  3
  3
  sh: write error: No space left on device (re)
  [8]
  $ vzctl exec $CTID 'mknod /dev/sda b 8 0' 2>/dev/null
  [8]
  $ vzctl exec $CTID 'mknod /root/mem c 1 1' 2>/dev/null
  [8]

What tells of the node is covered, and what changes it cannot be written.

  $ vzctl exec $CTID 'for f in kcore keys timer_list; do test -f /proc/$f && test -s /proc/$f && head -c 1 /proc/$f; done; ls /sys/firmware'
  $ vzctl exec $CTID 'for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom /sys/kernel/mm/ksm/run; do (echo 1 > $f) 2>/dev/null && echo wrote $f; done'
  [8]
  $ vzctl exec $CTID 'echo 1 > /proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward'
  1
  $ vzctl exec $CTID 'mount -o remount,rw /proc/sys && echo 1 > /proc/sys/kernel/core_pattern' 2>/dev/null
  [8]

Root inside can take the covers away, as they are its own mounts; what is below is the node's
root's, who it is not.

  $ vzctl exec $CTID 'umount -l /proc/sys; umount /proc/keys; umount /proc/bus; umount /sys/firmware; (echo 1 > /proc/sys/kernel/core_pattern) 2>/dev/null'
  [8]
  $ vzctl exec $CTID 'head -c 1 /proc/kcore 2>/dev/null | wc -c'
  0
  $ vzctl exec $CTID 'sed -n "s/^Seccomp:\t//p;s/^NoNewPrivs:\t//p" /proc/1/status'
  0
  2
  $ vzctl exec $CTID 'sed -n "s/^CapBnd:\t//p" /proc/1/status /proc/self/status' | sort | uniq -c | sed 's/ *//'
  2 00000000bdecffff (re)

Its cgroup is its root, and the limits above are out of reach.

  $ vzctl exec $CTID 'grep ^0:: /proc/self/cgroup; mkdir /sys/fs/cgroup/mine && rmdir /sys/fs/cgroup/mine'
  0::/
  $ vzctl exec $CTID 'ls /sys/fs/cgroup/../mon /sys/fs/cgroup/mon' 2>/dev/null
  [8]

From the node its processes are processes.

  $ vzctl exec $CTID 'sleep 4321 & exit'; pgrep -f '^sleep 4321' | wc -l
  1
  $ pkill -f '^sleep 4321'; sleep 0.2; vzctl exec $CTID "ps | grep -c '[s]leep 4321'"
  0
  [8]
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
