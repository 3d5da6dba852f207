# Security: a container cannot keep itself from being stopped, nor hold a command for good
# where: both
# needs: vz userns template:busybox
# timeout: 780

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; vzctl set $CTID --stop-timeout 3 --save >/dev/null
  $ stop() { s=$SECONDS; timeout 60 vzctl stop $CTID 2>&1; test $((SECONDS - s)) -lt 15; vzctl status $CTID | sed "s/$CTID/N/"; }

A halt that never ends, one that is stopped, one that is no program, none.

  $ for halt in 'sleep 1000' 'kill -STOP $$; sleep 1000' 'trap "" TERM INT HUP; while :; do :; done' 'exit 7'; do vzctl start $CTID --wait >/dev/null 2>&1
  >   vzctl exec2 $CTID "rm -f /sbin/halt; printf '#!/bin/sh\n%s\n' '$halt' > /sbin/halt; chmod +x /sbin/halt"; stop; done
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down
  $ vzctl start $CTID --wait >/dev/null 2>&1; vzctl exec2 $CTID 'rm /sbin/halt; mkfifo /sbin/halt'; stop
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down

Groups nested as deep as they go.

  $ vzctl start $CTID --wait >/dev/null 2>&1; vzctl exec2 $CTID 'cd /sys/fs/cgroup; i=0; while [ $i -lt 1500 ] && mkdir g 2>/dev/null && cd g; do i=$((i + 1)); done; test $i -ge 1000'
  $ stop
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down

A group that no process can be made in: init's own, of threads only.

  $ vzctl start $CTID --wait >/dev/null 2>&1; vzctl exec2 $CTID 'mkdir /sys/fs/cgroup/t; echo threaded > /sys/fs/cgroup/t/cgroup.type; mkdir /sys/fs/cgroup/f && echo 1 > /sys/fs/cgroup/f/cgroup.procs; echo 1 > /sys/fs/cgroup/f/cgroup.freeze'
  sh: write error: Operation not supported
  $ stop
  Stopping container ...
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down

A shell that never ends holds neither a command with a terminal nor its end: what the container's processes still write is not waited for.

  $ vzctl start $CTID --wait >/dev/null 2>&1
  $ timeout 20 script -qfec "vzctl exec2 $CTID 'setsid yes & exit 5'" /dev/null < /dev/null | head -c 1000 >/dev/null; echo ${PIPESTATUS[0]}
  5
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
