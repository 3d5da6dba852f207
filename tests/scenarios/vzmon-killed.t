# vzmon may be killed at any time
# where: both
# needs: vz userns cgroup2 loop template:busybox
# timeout: 600

  $ log=/var/log/vzctl.log; : > "$log"
  $ template=$(basename "$(ls "$TEMPLATES"/busybox*.tar* | head -n 1)")
  $ vzctl --quiet create $CTID --ostemplate "${template%%.tar*}" --layout ploop

What the state file says of a process, and waiting for something to become true.

  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ another() { is_running && new=$(number init 2>/dev/null) && test -n "$new" && test "$new" != $init; }
  $ has_ended() { ! grep -q '^State:.*[^ZX] (' /proc/$1/status 2> /dev/null; }
  $ eventually() { for _ in $(seq 1200); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ is_running() { vzctl status $CTID | grep -qw running; }
  $ is_clean() { ! is_running && ! test -e /run/vz/$CTID.toml && vzctl status $CTID | grep -qw unmounted; }

vzmon is there, with the container's number in its title, and the container lives without it.

  $ vzctl --quiet start $CTID 2> /dev/null
  $ vzmon=$(number monitor); init=$(number init)
  $ tr '\0' ' ' < /proc/$vzmon/cmdline; echo
  vzmon * */usr/libexec/vzctl/vzevent * * *  (glob)
  $ kill -9 $vzmon
  $ eventually 'has_ended $vzmon'
  $ vzctl exec $CTID echo lives
  lives

The exec has started another, in vzmon's own group, and it stays the only one.

  $ second=$(number monitor); test "$second" != "$vzmon" && kill -0 "$second"
  $ grep -o '/mon$' /proc/$second/cgroup
  /mon
  $ vzctl exec $CTID true; test "$(number monitor)" = "$second"

Killed again: a command that takes the lock says so.

  $ kill -9 $second; eventually 'has_ended $second'
  $ vzctl set $CTID --name killed-$CTID --save
  Warning: vzmon of the container has been killed, starting another
  Name killed-* assigned (glob)
  UB limits were set successfully
  CT configuration saved to * (glob)
  $ test "$(number init)" = $init && is_running

Two commands at once start one.

  $ third=$(number monitor); kill -9 $third; eventually 'has_ended $third'
  $ for _ in 1 2 3 4 5 6; do vzctl exec $CTID true & done; wait
  $ eventually 'test "$(number monitor)" != $third'
  $ pgrep -f "^vzmon $CTID " | while read -r pid; do ps -o ppid= -p $pid; done | grep -cvw "$(number monitor)"
  1

A reboot from inside is told from a halt, though the third vzmon is not init's parent.

  $ vzctl exec $CTID reboot >/dev/null 2>&1 || :
  $ eventually another
  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'; vzctl exec $CTID true
  $ vzctl exec $CTID halt >/dev/null 2>&1 || :
  $ eventually is_clean
  $ grep -c "vzevent : CT $CTID : The container restarts" "$log"
  1
  $ grep -c "vzevent : CT $CTID : The container has halted" "$log"
  1

The sentinel killed alone is no end of the container.

  $ vzctl --quiet start $CTID 2> /dev/null
  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'; vzctl exec $CTID true
  $ init=$(number init); sentinel=$(pgrep -P $(number monitor)); sleep 0.2; kill -9 $sentinel
  $ eventually 'pgrep -P $(number monitor) | grep -qvx $sentinel'
  $ vzctl exec $CTID reboot >/dev/null 2>&1 || :
  $ eventually another

An end that nobody saw: the next command clears it away.

  $ init=$(number init); kill -9 $(number monitor); kill -9 $init
  $ eventually 'has_ended $init'
  $ vzctl --quiet start $CTID 2> /dev/null
  $ another

vzmon stopped and killed, the container is stopped all the same.

  $ kill -9 $(number monitor); vzctl --quiet stop $CTID --fast 2> /dev/null
  $ is_clean

  $ vzctl --quiet destroy $CTID
  $ rm -f /etc/vz/conf/$CTID.*.destroyed /etc/vz/conf/$CTID.conf.destroyed
