# vzevent and the commands of an admin at the same time
# where: both
# needs: vz userns cgroup2 loop template:busybox
# timeout: 1500

  $ log=/var/log/vzctl.log
  $ template=$(basename "$(ls "$TEMPLATES"/busybox*.tar* | head -n 1)")
  $ vzctl --quiet create $CTID --ostemplate "${template%%.tar*}" --layout ploop

What the state file says of a process, and waiting for something to become true.

  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ eventually() { for _ in $(seq 1200); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ is_running() { vzctl status $CTID | grep -qw running; }
  $ is_clean() { ! is_running && ! test -e /run/vz/$CTID.toml && vzctl status $CTID | grep -qw unmounted; }

A stop while the container halts, or restarts, by itself.

  $ for what in halt reboot 'reboot -f' 'halt -f'; do
  >   vzctl --quiet start $CTID 2> /dev/null
  >   vzctl exec $CTID "$what" > /dev/null 2>&1 &
  >   sleep 0.$(( RANDOM % 3 )); eventually 'vzctl --quiet stop $CTID > /dev/null 2>&1'
  >   wait; eventually '! pgrep -f "vzevent $CTID" > /dev/null'
  >   is_running && vzctl --quiet stop $CTID
  >   is_clean || echo "$what leaves something"
  > done

Nobody is told that the container is locked by what clears away after it.

  $ for _ in 1 2 3 4; do
  >   vzctl --quiet start $CTID 2> /dev/null; init=$(number init)
  >   vzctl exec $CTID 'halt -f' > /dev/null 2>&1
  >   eventually '! kill -0 $init 2> /dev/null'; vzctl stop $CTID > out 2>&1 || cat out
  >   vzctl --quiet start $CTID > out 2>&1 || cat out; vzctl --quiet stop $CTID --fast
  > done
  $ is_clean

A start while vzevent clears away or starts: one of them does it, once.

  $ for what in 'halt -f' 'reboot -f' 'halt -f' 'reboot -f'; do
  >   vzctl --quiet start $CTID > /dev/null 2>&1; init=$(number init)
  >   vzctl exec $CTID "$what" > /dev/null 2>&1
  >   eventually '! kill -0 $init 2> /dev/null'
  >   eventually 'vzctl --quiet start $CTID > /dev/null 2>&1; is_running'
  >   eventually '! pgrep -f "vzevent $CTID" > /dev/null'
  >   is_running || echo "$what: not running"
  >   pgrep -fc "^vzmon $CTID "
  > done
  1
  1
  1
  1

Two of vzevent at once, by hand: the container runs, so there is nothing for them to do.

  $ vzevent=/usr/libexec/vzctl/vzevent; init=$(number init)
  $ "$vzevent" $CTID stop & "$vzevent" $CTID reboot & wait
  $ is_running && test "$(number init)" = $init

Init is dead, and nobody has seen it: two at once clear it away and start it once.

  $ kill -9 $(number monitor); kill -9 $init; eventually '! kill -0 $init 2> /dev/null'
  $ "$vzevent" $CTID reboot & "$vzevent" $CTID reboot & wait
  $ is_running && pgrep -fc "^vzmon $CTID "
  1

vzctl, and vzevent, killed somewhere on the way: the next command finishes it.

  $ { for step in 1 2 3 4 5 6 7 8; do
  >   vzctl --quiet start $CTID > /dev/null 2>&1; init=$(number init)
  >   timeout -s KILL 0.0$step vzctl --quiet stop $CTID --fast > /dev/null 2>&1
  >   timeout -s KILL 0.0$step vzctl --quiet start $CTID > /dev/null 2>&1
  >   eventually 'vzctl --quiet start $CTID > /dev/null 2>&1; is_running'
  >   init=$(number init); kill -9 $init; sleep 0.0$step; pkill -9 -f "vzevent $CTID"
  > done; } 2> /dev/null
  > :
  $ eventually 'vzctl --quiet start $CTID > /dev/null 2>&1; is_running'
  $ vzctl --quiet stop $CTID --fast; eventually '! pgrep -f "vzevent $CTID" > /dev/null'
  $ is_clean

  $ vzctl --quiet destroy $CTID
  $ rm -f /etc/vz/conf/$CTID.*.destroyed /etc/vz/conf/$CTID.conf.destroyed
