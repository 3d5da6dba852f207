# vzmon and init hold what they need and no more
# where: both
# needs: vz userns cgroup2 loop template:busybox
# timeout: 480

  $ log=/var/log/vzctl.log
  $ template=$(basename "$(ls "$TEMPLATES"/busybox*.tar* | head -n 1)")
  $ vzctl --quiet create $CTID --ostemplate "${template%%.tar*}" --layout ploop

What the state file says of a process, and waiting for something to become true.

  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ has_ended() { ! grep -q '^State:.*[^ZX] (' /proc/$1/status 2> /dev/null; }
  $ eventually() { for _ in $(seq 1200); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ is_running() { vzctl status $CTID | grep -qw running; }
  $ is_clean() { ! is_running && ! test -e /run/vz/$CTID.toml && vzctl status $CTID | grep -qw unmounted; }

An open file, and odd streams, of the shell that starts the container.

  $ exec 9< /dev/zero
  $ vzctl --quiet start $CTID > out 2>&1 < /dev/zero
  $ open_files() { for fd in /proc/$1/fd/*; do readlink $fd; done | grep -v '^/sys/fs/cgroup/\|^/dev/fuse$' | sed 's,/dev/pts/[0-9][0-9]*,terminal,;s,^pipe:.*,pipe:N,;s,^socket:.*,socket:N,' | sort; }

vzmon: the streams, its init, both ends of the console, what `vzctl console` connects to (and the
groups that it samples, and the connection of the container's /dev/vz, where there is FUSE).

  $ open_files $(number monitor)
  /dev/null
  /dev/null
  /dev/null
  /dev/pts/ptmx
  anon_inode:[pidfd]
  socket:N
  terminal

init: what it opened itself comes after the streams.

  $ readlink /proc/$(number init)/fd/0 | sed 's,[0-9]*$,N,'
  /dev/pts/N
  $ open_files $(number init) | grep -v terminal
  [1]

A vzmon that has taken over: its sentinel, and a pipe to it. The sentinel: the pipe.

  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'; vzctl exec $CTID true > out < /dev/zero
  $ open_files $(number monitor)
  /dev/null
  /dev/null
  /dev/null
  /dev/pts/ptmx
  anon_inode:[pidfd]
  anon_inode:[pidfd]
  pipe:N
  socket:N
  terminal
  $ sentinel=$(pgrep -P $(number monitor)); open_files $sentinel
  pipe:N

It is in the container's namespaces, all but the user namespace, and its root is the container's;
one system call that is not read(2) or write(2) would end it.

  $ for kind in mnt net ipc uts cgroup pid; do
  >   test $(readlink /proc/$sentinel/ns/$kind) = $(readlink /proc/$(number init)/ns/$kind) || echo $kind
  > done
  $ test $(stat -Lc %d:%i /proc/$sentinel/root) = $(stat -Lc %d:%i /proc/$(number init)/root)
  $ readlink /proc/$sentinel/cwd; grep ^Seccomp: /proc/$sentinel/status
  /
  Seccomp:	1

The container sees the sentinel and cannot touch it.

  $ vzctl exec $CTID 'for p in /proc/[0-9]*; do grep -q ^vzmon $p/comm && ls $p/fd; done 2>&1' | sed 's,[0-9][0-9]*,N,'
  ls: can't open '/proc/N/fd': Permission denied
  $ vzctl exec $CTID 'kill -9 $(pidof vzmon) 2>&1' | sed 's,pid [0-9]*,N,;s,([0-9]*),N,'
  sh: can't kill N: Operation not permitted

vzmon is small (KiB).

  $ awk '/^VmRSS/ { exit $2 > 1800 } ' /proc/$(number monitor)/status
  $ awk '/^RssAnon/ { exit $2 > 200 } ' /proc/$(number monitor)/status
  $ exec 9<&-
  $ vzctl --quiet stop $CTID --fast

  $ vzctl --quiet destroy $CTID
  $ rm -f /etc/vz/conf/$CTID.*.destroyed /etc/vz/conf/$CTID.conf.destroyed
