# A container that cannot live does not spin the node
# where: both
# needs: vz userns cgroup2 loop template:busybox
# timeout: 600

  $ log=/var/log/vzctl.log
  $ template=$(basename "$(ls "$TEMPLATES"/busybox*.tar* | head -n 1)")
  $ vzctl --quiet create $CTID --ostemplate "${template%%.tar*}" --layout ploop

What the state file says of a process, and waiting for something to become true.

  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ eventually() { for _ in $(seq 1200); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ is_running() { vzctl status $CTID | grep -qw running; }
  $ is_clean() { ! is_running && ! test -e /run/vz/$CTID.toml && vzctl status $CTID | grep -qw unmounted; }

Its init restarts at once.

  $ vzctl --quiet mount $CTID
  $ root=/var/lib/vz/root/$CTID; mv $root/sbin/init $root/sbin/init.real
  $ printf '#!/bin/sh\nexec /bin/busybox reboot -f\n' > $root/sbin/init; chmod 755 $root/sbin/init
  $ vzctl --quiet start $CTID 2> /dev/null
  $ eventually 'grep -q "CT $CTID : The container restarts too often: the next start is in 4 s" "$log"'
  $ grep -o "the next start is in .*" "$log" | head -n 3
  the next start is in 1 s
  the next start is in 2 s
  the next start is in 4 s

In a pause it is down, its vzevent sleeps, and it is free for other commands.

  $ eventually 'grep -qs restarting /run/vz/$CTID.toml && is_in_pause=1'
  $ vzctl set $CTID --name storm-$CTID --save > /dev/null
  $ vzctl status $CTID
  CTID * exist unmounted down (glob)
  $ pgrep -fc "vzevent $CTID reboot"
  1

A stop calls the restart off at once, and leaves nothing.

  $ vzctl stop $CTID
  Container was stopped before it restarted
  $ pgrep -f "vzevent $CTID reboot"
  [1]
  $ is_clean

A start goes before the put-off restart. A vzevent killed in its pause leaves a container that is
down, which the next command clears away.

  $ vzctl --quiet start $CTID 2> /dev/null
  $ eventually 'grep -qs restarting /run/vz/$CTID.toml && pkill -9 -f "vzevent $CTID reboot"'
  $ vzctl --quiet mount $CTID; root=/var/lib/vz/root/$CTID; mv $root/sbin/init.real $root/sbin/init
  $ vzctl --quiet start $CTID 2> /dev/null; is_running
  $ grep restarts /run/vz/$CTID.toml
  restarts = 0
  $ vzctl --quiet stop $CTID --fast
  $ is_clean

  $ vzctl --quiet destroy $CTID
  $ rm -f /etc/vz/conf/$CTID.*.destroyed /etc/vz/conf/$CTID.conf.destroyed
