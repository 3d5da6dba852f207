# vzctl console: escapes, persistence, one admin at a time
# where: both
# needs: vz userns cgroup2 loop template:busybox
# timeout: 1260

  $ template=$(basename "$(ls "$TEMPLATES"/busybox*.tar* | head -n 1)")
  $ vzctl --quiet create $CTID --ostemplate "${template%%.tar*}" --layout ploop
  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ eventually() { for _ in $(seq 600); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }

Typing KEYS, one word after the other, and leaving.

  $ console() { { for keys; do printf "$keys"; sleep 0.5; done; printf '\r\033.'; } | vzctl console $CTID; }

Its argument, before anything else.

  $ vzctl console $CTID x
  Invalid tty number: x
  [21]
  $ vzctl console $CTID -1
  Invalid tty number: -1
  [21]
  $ vzctl console $CTID 1 2
  Invalid syntax: too many parameters!
  [20]
  $ vzctl console $CTID 2
  Error in VE_CONFIGURE_OPEN_TTY: No such device
  [3]

A container that is down is waited for; the escape works, and the end of input is no escape.

  $ printf '\033.' | vzctl console $CTID 2>&1 | tr '\n' '|' | sed "s/$CTID/N/g;s/\$/\n/"
  Attached to CT N (ESC . to detach)||Detached from CT N|
  $ vzctl console $CTID < /dev/null > out 2>&1
  [3]
  $ grep -c 'stdin read error' out
  1
  $ (until test -e done; do sleep 0.1; done; printf '\033.') | vzctl console $CTID > out 2> err &
  $ sleep 0.3; vzctl --quiet start $CTID 2> /dev/null
  $ vzctl exec $CTID 'echo first words > /dev/console'
  $ eventually 'grep -q "first words" out'

Another one is sent away meanwhile.

  $ vzctl console $CTID < /dev/null
  Error in VE_CONFIGURE_OPEN_TTY: Device or resource busy
  [3]

The console stays attached when the container is stopped and started, and when vzmon is killed.

  $ vzctl --quiet restart $CTID --fast 2> /dev/null
  $ vzctl exec $CTID 'echo second words > /dev/console'
  $ eventually 'grep -q "second words" out'
  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'test "$(number monitor)" != $vzmon'
  $ eventually "vzctl exec $CTID 'echo third words > /dev/console' 2> /dev/null; grep -q 'third words' out"
  $ touch done; wait; rm done; cat err | sed "s/$CTID/N/;/^$/d"
  Attached to CT N (ESC . to detach)
  Detached from CT N

What was written while nobody was there is shown, the last of it, from a line's beginning.

  $ vzctl exec $CTID 'seq 100000 > /dev/console'
  $ console '' > out 2> /dev/null; grep -c '^100000' out
  1
  $ test $(wc -c < out) -le 9000 && head -n 1 out | grep -cE '^[0-9]{5}.?$'
  1

A window's size goes in, also from one terminal to the next.

  $ script -qec "stty rows 33 cols 99; { sleep 1; printf '\033.'; } | vzctl console $CTID < /dev/tty" /dev/null < /dev/null > /dev/null 2>&1 & sleep 0.1
  $ eventually 'vzctl exec $CTID "stty -F /dev/console size" 2>/dev/null | grep -q "33 99"'; kill %1 2> /dev/null; wait

What runs there is killed by the escape for it, and nothing else.

  $ vzctl exec $CTID 'setsid sleep 1000 < /dev/console > /dev/null 2>&1 & sleep 2000 > /dev/null 2>&1 < /dev/null & sleep 0.2'
  $ console '\033!' > out 2> /dev/null; sleep 0.5
  $ vzctl exec $CTID 'ps | grep -c "[s]leep 1000"; ps | grep -c "[s]leep 2000"'
  0
  1

vzmon is as small as ever while megabytes pass and nobody, or a stopped admin, reads them.

  $ vzctl console $CTID < /dev/zero > /dev/null 2>&1 & 
  $ sleep 0.5; kill -STOP $!; vzctl exec $CTID 'head -c 8000000 /dev/zero > /dev/console; echo $?'
  0
  $ awk '/^VmRSS/ { print ($2 <= 1229) } /^RssAnon/ { print ($2 <= 204) }' /proc/$(number monitor)/status
  1
  1
  $ kill -CONT $!; kill $!; wait

The console controls no session of init's: the guest's getty gets it, and asks who is there.

  $ eventually 'console "\\r" 2>/dev/null | grep -q "login: "'; vzctl exec $CTID 'sed "s/.*) //" /proc/1/stat | cut -d" " -f5'
  0

Nothing of it stays.

  $ stat -c %a /run/vz/$CTID.console
  600
  $ vzctl --quiet stop $CTID --fast; ls /run/vz | grep -c "^$CTID\."
  0
  [1]
  $ vzctl --quiet destroy $CTID
  $ rm -f /etc/vz/conf/$CTID.*.destroyed /etc/vz/conf/$CTID.conf.destroyed
