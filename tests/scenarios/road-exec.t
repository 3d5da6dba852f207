# exec, exec2, exec3, runscript: streams, words and exit codes
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null && vzctl start $CTID >/dev/null 2>&1

exec tells only whether it worked; exec2 passes the command's own code on.

  $ vzctl exec $CTID true
  $ vzctl exec $CTID 'exit 5'
  [8]
  $ vzctl exec2 $CTID 'exit 5'
  [5]
  $ vzctl exec2 $CTID 'kill -9 $$'
  Got signal 9
  [3]
  $ vzctl exec2 $CTID nosuchcommand 2>/dev/null
  [127]
  $ vzctl exec3 $CTID sh -c 'exit 6'
  [6]
  $ vzctl exec3 $CTID nosuchcommand
  Unable to execute nosuchcommand: not found in the container
  [4]

Words are joined by blanks and taken apart by the container's shell; exec3 passes them as they are.

  $ vzctl exec $CTID echo '"a' 'b"' '$HOME' "'x y'"
  a b / x y
  $ vzctl exec $CTID printf '[%s]' a '' b; echo
  [a][][b]
  $ vzctl exec3 $CTID printf '[%s]' '$HOME' 'a  b' ''; echo
  [$HOME][a  b][]
  $ vzctl exec $CTID ls -d /etc
  /etc

The streams stay apart, and every byte passes.

  $ vzctl exec $CTID 'echo out; echo err >&2' 2>/dev/null
  out
  $ vzctl exec $CTID 'echo out; echo err >&2' 2>&1 >/dev/null
  err
  $ head -c 3000000 /dev/urandom > data; vzctl exec $CTID cat < data | cmp - data
  $ vzctl exec $CTID 'cat > /root/data' < data; vzctl exec $CTID 'md5sum < /root/data' > inside
  $ md5sum < data | cmp - inside
  $ echo 'echo from stdin; exit 3' | vzctl exec2 $CTID -
  from stdin
  [3]
  $ vzctl exec $CTID 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done' | wc -l
  20000
  $ vzctl exec $CTID yes | head -n 1
  y

Its environment is the original's, its directory is the root, and nothing of ours is open there.

  $ FOO=bar vzctl exec3 $CTID env | sort
  HOME=/
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  TERM=linux
  $ cd /root; vzctl exec $CTID pwd; cd - >/dev/null
  /
  $ vzctl exec3 $CTID ls /proc/self/fd | tr '\n' ' '; echo
  0 1 2 3 
  $ vzctl exec $CTID 'umask; ulimit -n' > limits; umask 077; vzctl exec $CTID 'umask; ulimit -n' | cmp - limits
  $ umask 022

A script is fed to the container's shell.

  $ printf 'echo "script in $(hostname)" $0\nexit 9\n' > script
  $ vzctl runscript $CTID script
  script in localhost /bin/sh
  [9]
  $ vzctl runscript $CTID nosuchfile
  Script not found: nosuchfile
  [11]
  $ vzctl runscript $CTID
  Script not specified
  [20]
  $ vzctl exec $CTID
  No command line given for exec
  [20]

A command is in the container's cgroup, and ends with it.

  $ vzctl exec $CTID 'sleep 1000 & sleep 1000' & for _ in $(seq 300); do [ $(pgrep -xc sleep) = 2 ] && break; sleep 0.1; done
  $ vzctl stop $CTID --fast >/dev/null; wait; pgrep -x sleep
  Got signal 9
  [1]

  $ vzctl exec $CTID true
  Container is not running
  [8]
  $ vzctl exec2 $CTID true
  Container is not running
  [31]
  $ vzctl enter $CTID
  Container is not running
  [31]
  $ vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
