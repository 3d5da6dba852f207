# Limits that the node enforces, and that the container cannot raise
# alone: yes
# needs: vz userns cgroup2-controllers template:busybox
# timeout: 540

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ vzctl set $CTID --ram 64M --swap 0 --numproc 30 --cpulimit 50 --cpuunits 2000 --save >/dev/null
  $ vzctl start $CTID
  Starting container...
  Container is mounted
  Setting CPU limit: 50
  Setting CPU units: 2000
  Container start in progress...
  $ group=$(sed -n 's/^group = "\(.*\)"/\1/p' /run/vz/$CTID.toml); cd /sys/fs/cgroup/$group
  $ cat memory.max memory.swap.max init.scope/pids.max cpu.max cpu.weight
  67108864
  0
  30
  50000 100000
  200

More memory than its limit ends a process of its own; more processes are refused.

  $ vzctl exec2 $CTID 'head -c 200000000 /dev/zero | tail -c 190000000 | wc -c' >/dev/null 2>&1; grep -c '^oom_kill [1-9]' memory.events
  1
  $ vzctl exec $CTID 'i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i+1)); done' 2>&1 | grep -c -m 1 "can't fork"
  1
  $ vzctl exec $CTID true 2>/dev/null; test $(cat pids.current) -le 30 && echo within
  within

From inside neither the files nor the group above can be reached.

  $ vzctl stop $CTID --fast >/dev/null; vzctl start $CTID >/dev/null; cd /sys/fs/cgroup/$group
  $ vzctl exec $CTID 'cat /sys/fs/cgroup/memory.max; echo max > /sys/fs/cgroup/memory.max' 2>&1 | head -n 1
  max
  $ cat memory.max; vzctl exec $CTID 'mkdir /sys/fs/cgroup/x && echo $$ > /sys/fs/cgroup/x/cgroup.procs && cat /proc/self/cgroup' | tail -n 1
  67108864
  0::/x
  $ vzctl set $CTID --ram 128M
  UB limits were set successfully
  WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)
  $ cat memory.max
  134217728

A fork bomb is contained, and stopped in no time.

  $ (vzctl exec $CTID 'b() { b | b & }; b' >/dev/null 2>&1 &) ; sleep 3
  $ timeout 10 vzctl stop $CTID --fast | tail -n 1
  Container is unmounted
  $ cd /; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
