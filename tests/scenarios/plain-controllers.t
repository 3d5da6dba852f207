# The node without systemd hands every controller down
# needs: plain
# timeout: 30

  $ cmp /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/cgroup.subtree_control
  $ grep -ow -e cpuset -e cpu -e io -e memory -e hugetlb -e pids -e rdma -e misc /sys/fs/cgroup/cgroup.subtree_control
  cpuset
  cpu
  io
  memory
  hugetlb
  pids
  rdma
  misc
  $ cat /proc/1/comm
  init
