# The console never blocks and survives vzmon
# where: both
# needs: vz userns cgroup2 loop template:busybox
# timeout: 360

  $ log=/var/log/vzctl.log
  $ template=$(basename "$(ls "$TEMPLATES"/busybox*.tar* | head -n 1)")
  $ vzctl --quiet create $CTID --ostemplate "${template%%.tar*}" --layout ploop

What the state file says of a process, and waiting for something to become true.

  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ has_ended() { ! grep -q '^State:.*[^ZX] (' /proc/$1/status 2> /dev/null; }
  $ eventually() { for _ in $(seq 1200); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ is_running() { vzctl status $CTID | grep -qw running; }
  $ is_clean() { ! is_running && ! test -e /run/vz/$CTID.toml && vzctl status $CTID | grep -qw unmounted; }

Megabytes that nobody reads pass.

  $ vzctl --quiet start $CTID 2> /dev/null
  $ vzctl exec $CTID 'head -c 4000000 /dev/zero > /dev/console; echo $?'
  0

After vzmon is killed the old console is gone and a new one is in its place, the only one.

  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'
  $ vzctl exec $CTID 'head -c 4000000 /dev/zero > /dev/console; echo $?'
  0
  $ vzctl exec $CTID 'grep -c " /dev/console " /proc/mounts'
  1
  $ vzctl exec $CTID 'stat -c %F /dev/console'
  character special file

A getty on the console comes back: its streams are the new one.

  $ eventually "vzctl exec $CTID 'ls -l /proc/[0-9]*/fd/1' 2> /dev/null | grep -q '/dev/console\$'"

A guest that has taken its console away gets its vzmon all the same.

  $ vzctl exec $CTID 'umount -l /dev/console; rm -f /dev/console'
  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'
  $ vzctl set $CTID --name console-$CTID --save 2>&1 | grep Warning
  Warning: vzmon of the container has been killed, starting another
  Warning: Cannot give the container another /dev/console: No such file or directory
  $ kill -0 $(number monitor)

One that has put a link there harms nothing outside.

  $ vzctl exec $CTID 'ln -sf /etc/passwd /dev/console'
  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'
  $ vzctl set $CTID --name console-$CTID --save 2>&1 | grep -c Warning
  2
  $ kill -0 $(number monitor) && vzctl exec $CTID 'grep -c passwd /proc/mounts'
  0
  [8]
  $ vzctl --quiet stop $CTID --fast

  $ vzctl --quiet destroy $CTID
  $ rm -f /etc/vz/conf/$CTID.*.destroyed /etc/vz/conf/$CTID.conf.destroyed
