# What containers are made of, on any machine
# where: both
# needs: userns
# timeout: 60

The scenario's own directory is empty, and its output and errors come in order.

  $ ls -A "$TESTTMP"
  $ echo out; echo err >&2; false
  out
  err
  [1]

All kinds of namespaces at once, root inside, nobody special outside.

  $ unshare --user --map-root-user --mount --net --uts --ipc --pid --fork --cgroup sh -c 'id -u; echo $$'
  0
  1
  $ unshare --user --map-root-user --net ip -o link | cut -d: -f2
   lo

A mount in a mount namespace goes with it.

  $ unshare --mount sh -c 'mount -t tmpfs none "$TESTTMP" && : > "$TESTTMP/file" && ls "$TESTTMP"'
  file
  $ ls -A "$TESTTMP"
