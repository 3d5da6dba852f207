# kill -9 at any system call: the next command finishes or cleans
# where: both
# needs: vz userns template:busybox command:strace
# timeout: 1500

One shot at each of some places spread over the whole course of each command (fewer on an emulated
machine), then what an admin would type next. `die N COMMAND...` kills the command at the Nth system call of the
course that `trace` has: by its name and how often that came before, as strace counts each name
by itself.

  $ shots=120; if grep -q TCG /proc/cpuinfo; then shots=4; fi
  $ state() { vzctl status $CTID | cut -d' ' -f3-; }
  $ die() { local n=$1 name nth; shift; name=$(sed -n "${n}s/^\([a-z0-9_]*\)(.*/\1/p" trace); test -n "$name" || return 0
  >   nth=$(head -n $n trace | grep -c "^$name("); bash -c 'which=$1; shift; strace -qq -o /dev/null -e inject=$which "$@"; :' die "$name:signal=KILL:when=$nth" "$@" >/dev/null 2>&1; }
  $ settle() { for i in $(seq 100); do pgrep -f "vzevent $CTID" >/dev/null || break; sleep 0.1; done; }
  $ clean() { test ! -e /run/vz/$CTID.toml && ! grep -q "/$CTID " /proc/mounts && test ! -e /var/lib/vz/lock/$CTID.lck; }

create: the next create of the same number works.

  $ total=$(strace -qq -o trace vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null 2>&1; wc -l < trace); vzctl destroy $CTID >/dev/null
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   die $n vzctl create $CTID --ostemplate busybox-x86_64 --hostname h
  >   vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null 2>&1 || { test $? = 44 || echo "at $n: create"; }
  >   vzctl start $CTID >/dev/null 2>&1 || echo "at $n: start $?"
  >   vzctl stop $CTID --fast >/dev/null 2>&1; vzctl destroy $CTID >/dev/null 2>&1 || echo "at $n: destroy $?"
  >   clean || echo "at $n: not clean"
  > done

start: it can be started again, or is running.

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ total=$(strace -qq -o trace vzctl start $CTID >/dev/null 2>&1; wc -l < trace); vzctl stop $CTID --fast >/dev/null
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   die $n vzctl start $CTID; settle
  >   vzctl start $CTID >/dev/null 2>&1; code=$?; test $code = 0 -o $code = 32 || echo "at $n: start again $code"
  >   test "$(vzctl exec $CTID echo alive 2>&1)" = alive || echo "at $n: not alive"
  >   vzctl stop $CTID --fast >/dev/null 2>&1 || echo "at $n: stop $?"
  >   clean || echo "at $n: not clean"
  > done

stop: a second stop finishes it.

  $ vzctl start $CTID >/dev/null 2>&1
  $ total=$(strace -qq -o trace vzctl stop $CTID --fast >/dev/null 2>&1; wc -l < trace)
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   vzctl start $CTID >/dev/null 2>&1 || echo "at $n: start $?"
  >   die $n vzctl stop $CTID --fast; settle
  >   vzctl stop $CTID --fast >/dev/null 2>&1 || echo "at $n: stop $?"
  >   test "$(state | sed 's/.* //')" = down || echo "at $n: still $(state)"
  >   vzctl umount $CTID >/dev/null 2>&1; clean || echo "at $n: not clean"
  > done

set: the configuration is the old one or the new one, whole.

  $ vzctl set $CTID --description old --save >/dev/null; cp /etc/vz/conf/$CTID.conf old.conf
  $ total=$(strace -qq -o trace vzctl set $CTID --description new --save >/dev/null 2>&1; wc -l < trace); cp /etc/vz/conf/$CTID.conf new.conf
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   cp old.conf /etc/vz/conf/$CTID.conf; die $n vzctl set $CTID --description new --save
  >   cmp -s old.conf /etc/vz/conf/$CTID.conf || cmp -s new.conf /etc/vz/conf/$CTID.conf || echo "at $n: torn"
  > done; vzctl set $CTID --onboot no --save >/dev/null
  $ ls /etc/vz/conf | grep "$CTID" | sed "s/$CTID/N/"
  N.conf

vzquota: the quota file is the old one or the new one, whole; a killed init leaves none, or all of it.

  $ mkdir tree; q="$CTID -c $PWD/quota"; init() { vzquota init $q -p $PWD/tree -b 100 -B 200 -i 30 -I 40 -e 0 -n 0; }; init 2>/dev/null
  $ cp quota old; total=$(strace -qq -o trace vzquota setlimit $q -B 900 2>/dev/null; wc -l < trace); cp quota new
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   cp old quota; die $n vzquota setlimit $q -B 900
  >   cmp -s old quota || cmp -s new quota || echo "at $n: torn"
  > done
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   rm -f quota; die $n vzquota init $q -p $PWD/tree -b 100 -B 200 -i 30 -I 40 -e 0 -n 0
  >   test ! -e quota || cmp -s old quota || echo "at $n: torn"
  > done; rm -f quota; init; cmp old quota; vzquota drop $q; ls -A | grep quota
  [1]

destroy: a second destroy finishes it.

  $ total=$(strace -qq -o trace vzctl destroy $CTID >/dev/null 2>&1; wc -l < trace)
  $ for n in $(seq 5 $((total / shots + 1)) $total); do
  >   vzctl create $CTID --ostemplate busybox-x86_64 >out 2>&1 || { echo "at $n: create $?"; cat out; }
  >   die $n vzctl destroy $CTID
  >   vzctl destroy $CTID >/dev/null 2>&1; code=$?; test $code = 0 -o $code = 14 || echo "at $n: destroy $code"
  >   test ! -e /var/lib/vz/private/$CTID -a ! -e /etc/vz/conf/$CTID.conf || echo "at $n: not gone"
  >   clean || echo "at $n: not clean"
  > done
  $ rm -f /etc/vz/conf/$CTID.conf.destroyed
