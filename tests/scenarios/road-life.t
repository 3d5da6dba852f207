# The main road: a container is created, started, used, stopped and destroyed
# where: both
# needs: vz userns template:busybox command:strace
# timeout: 120

Each step says what it does, in the words scripts have matched for fifteen years.

  $ vzctl create $CTID --ostemplate busybox-x86_64 --hostname life.example.com
  Creating container private area (busybox-x86_64)
  Performing postcreate actions
  CT configuration saved to /etc/vz/conf/\d+.conf (re)
  Container private area was created
  $ grep -E '^(HOSTNAME|VE_ROOT|VE_PRIVATE|OSTEMPLATE|ORIGIN_SAMPLE)=' /etc/vz/conf/$CTID.conf
  HOSTNAME="life.example.com"
  VE_ROOT="/var/lib/vz/root/$VEID"
  VE_PRIVATE="/var/lib/vz/private/$VEID"
  OSTEMPLATE="busybox-x86_64"
  ORIGIN_SAMPLE="vswap-256m"
  $ vzctl status $CTID 2>&1 | sed "s/$CTID/N/"
  CTID N exist unmounted down

  $ vzctl start $CTID 2>/dev/null | grep -v '^Setting CPU'
  Starting container...
  Container is mounted
  Container start in progress...
  $ vzctl status $CTID 2>&1 | sed "s/$CTID/N/"
  CTID N exist mounted running
  $ vzctl start $CTID
  Container is already running
  [32]
  $ vzctl exec $CTID 'hostname; id -u; cat /etc/hostname'
  life.example.com
  0
  life.example.com
  $ vzlist -H -o ctid,status $CTID | sed "s/$CTID/N/"
  \s+N running (re)

A list looks at no process: since Linux 6.9 a descriptor of one has a number that no other gets.

  $ strace -f -qq -o trace -e trace=%file vzlist >/dev/null; grep -c "run/vz/$CTID.toml" trace
  1
  $ case $(uname -r) in [0-5].*|6.[0-8].*) echo 0 ;; *) grep -c '"/proc/[0-9]' trace ;; esac; :
  0

  $ vzctl destroy $CTID
  Container is currently running. Stop it first.
  [32]
  $ vzctl stop $CTID
  Stopping container ...
  Container was stopped
  Container is unmounted
  $ vzctl stop $CTID
  Unable to stop: container is not running
  $ vzctl start $CTID >/dev/null 2>&1 && vzctl stop $CTID --fast
  Killing container ...
  Container was stopped
  Container is unmounted

Restarting does both, and starts what did not run.

  $ vzctl restart $CTID 2>/dev/null | grep -v '^Setting CPU'
  Restarting container
  Starting container...
  Container is mounted
  Container start in progress...
  $ vzctl restart $CTID --fast 2>/dev/null | grep -v '^Setting CPU'
  Restarting container
  Killing container ...
  Container was stopped
  Container is unmounted
  Starting container...
  Container is mounted
  Container start in progress...
  $ vzctl stop $CTID --fast >/dev/null

Mounting by itself, and what it says of a mounted container.

  $ vzctl mount $CTID
  Container is mounted
  $ vzctl mount $CTID
  Container is already mounted
  $ vzctl status $CTID 2>&1 | sed "s/$CTID/N/"
  CTID N exist mounted down
  $ vzctl destroy $CTID
  Container is currently mounted (umount first)
  [41]
  $ vzctl umount $CTID
  Container is unmounted
  $ vzctl umount $CTID
  CT is not mounted
  [40]

  $ vzctl destroy $CTID | sed "s/$CTID/N/"
  Destroying container private area: /var/lib/vz/private/N
  Container private area was destroyed
  $ vzctl status $CTID 2>&1 | sed "s/$CTID/N/"
  stat(/var/lib/vz/root/N): No such file or directory
  CTID N deleted unmounted down
  $ ls -d /var/lib/vz/private/$CTID /var/lib/vz/root/$CTID /etc/vz/conf/$CTID.conf 2>/dev/null
  [2]
  $ rm /etc/vz/conf/$CTID.conf.destroyed
  $ vzctl destroy $CTID
  Container config file does not exist
  [14]
