# free, uptime and the like show the container's own limits, by lxcfs; and its death is survived
# needs: vz userns cgroup2-controllers systemd lxcfs fuse template:busybox
# timeout: 300

  $ eventually() { for _ in $(seq 600); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ inside() { vzctl exec $CTID "$1"; }
  $ total() { inside 'grep MemTotal: /proc/meminfo' 2>&1 | tr -s ' '; }
  $ pid() { systemctl show -p MainPID --value "$1"; }
  $ vzctl --quiet create $CTID --ostemplate busybox-x86_64
  $ vzctl set $CTID --ram 64M --swap 32M --cpulimit 100 --save >/dev/null; vzctl --quiet start $CTID >/dev/null
  $ total
  MemTotal: 65536 kB
  $ inside 'grep -c ^processor /proc/cpuinfo; cut -d . -f 1 /proc/uptime' | sed '2s/^[0-9]\{1,2\}$/seconds/'
  1
  seconds
  $ inside 'grep -c " fuse.lxcfs ro,nosuid,nodev,noexec" /proc/mounts'
  9

A live change shows at once.

  $ vzctl set $CTID --ram 96M >/dev/null 2>&1; total
  MemTotal: 98304 kB

lxcfs is killed: systemd brings another, and its files are in place again in the container that runs.

  $ systemctl restart lxcfs; eventually 'test "$(total)" = "MemTotal: 98304 kB"'
  $ old=$(pid lxcfs); kill -9 $old
  $ eventually 'test "$(pid lxcfs)" != $old && test "$(total)" = "MemTotal: 98304 kB"'
  $ inside 'grep -c fuse.lxcfs /proc/mounts'
  9

Stopped for good: the kernel's own files are seen, and nothing is dead. A container starts without.

  $ systemctl stop lxcfs; inside 'grep -c fuse.lxcfs /proc/mounts'
  0
  [8]
  $ test "$(total)" = "$(grep MemTotal: /proc/meminfo | tr -s ' ')"
  $ vzctl --quiet restart $CTID --fast >/dev/null && inside 'grep -c fuse.lxcfs /proc/mounts'
  0
  [8]
  $ systemctl start lxcfs; inside 'grep -c fuse.lxcfs /proc/mounts'
  9

The node's own tables, by their unit: killed, they come back.

  $ systemctl start vz-views; eventually 'test -e /dev/vz/bc/$CTID/resources'
  $ old=$(pid vz-views); kill -9 $old
  $ eventually 'test "$(pid vz-views)" != $old && grep -qs "$CTID:" /dev/vz/bc/resources'
  $ systemctl stop vz-views; eventually '! mountpoint -q /dev/vz'; rmdir /dev/vz; rm -f /run/vz/views.lck
  $ vzctl --quiet stop $CTID --fast >/dev/null; vzctl --quiet destroy $CTID; rm -f /etc/vz/conf/$CTID.conf.destroyed
