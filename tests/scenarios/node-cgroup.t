# Controllers of cgroup v2 on the node
# needs: cgroup2-controllers
# timeout: 60

A group limits memory and the number of processes.

  $ cd /sys/fs/cgroup
  $ mkdir vz-test
  $ echo 16M > vz-test/memory.max
  $ echo 0 > vz-test/memory.swap.max
  $ sh -c 'echo $$ > vz-test/cgroup.procs && exec dd if=/dev/zero of=/dev/null bs=64M count=1'
  sh: line *: * Killed * (glob)
  [137]
  $ grep '^oom_kill ' vz-test/memory.events
  oom_kill 1
  $ echo 1 > vz-test/pids.max
  $ sh -c 'echo $$ > vz-test/cgroup.procs && /bin/true; echo unreachable'
  sh: 1: Cannot fork
  [2]
  $ rmdir vz-test
