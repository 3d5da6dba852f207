# Controllers of cgroup v2 on the node
# needs: cgroup2-controllers
# timeout: 60

A group limits memory and the number of processes.

  $ cd /sys/fs/cgroup
  $ mkdir vz-test
  $ echo 16M > vz-test/memory.max
  $ echo 0 > vz-test/memory.swap.max
  $ sh -c 'echo $$ > vz-test/cgroup.procs && exec tail -c 64M /dev/zero'
  sh: line *: * Killed * (glob)
  [137]
  $ grep '^oom_kill ' vz-test/memory.events
  oom_kill 1
  $ echo 2 > vz-test/pids.max
  $ sh -c 'echo $$ > vz-test/cgroup.procs; (sleep 1 & sleep 1 & wait) 2>&1 | grep -c fork'
  [2]
  $ rmdir vz-test
