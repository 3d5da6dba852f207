# Security: what a container plants where the next start mounts, reads or writes
# where: both
# needs: vz userns template:busybox
# timeout: 540

  $ R=/var/lib/vz/root/$CTID
  $ vzctl create $CTID --ostemplate busybox-x86_64 --hostname trap.example.com >/dev/null
  $ plant() { vzctl mount $CTID >/dev/null && (cd $R && eval "$1"); timeout 20 vzctl start $CTID --wait 2>&1 | grep -v '^Warning: not enforced\|^Setting CPU\|Container is\|^Starting\|in progress'
  >   vzctl exec2 $CTID "${2:-:}"; vzctl stop $CTID --fast >/dev/null 2>&1; vzctl umount $CTID >/dev/null 2>&1; vzctl mount $CTID >/dev/null; (cd $R && eval "$3"); vzctl umount $CTID >/dev/null; }
  $ mkdir /tmp/out-$CTID && chmod 1777 /tmp/out-$CTID

11: /proc, /sys, /dev as links (CVE-2019-19921). Refused, and what they lead to is untouched.

  $ for name in proc sys dev; do plant "rmdir $name 2>/dev/null || mv $name $name.old; ln -s /tmp/out-$CTID $name" : "rm $name; mkdir $name" 2>&1; done | grep ^Cannot
  Cannot use /proc: Too many levels of symbolic links
  Cannot use /sys: Too many levels of symbolic links
  Cannot use /dev: Too many levels of symbolic links
  $ ls -A /tmp/out-$CTID

13: masks do not come from the container's /dev/null (CVE-2025-31133).

  $ plant "rm -rf dev; mkdir dev; ln -s /proc/sys/kernel/core_pattern dev/null; ln -s /proc/sys/kernel/core_pattern dev/console; ln -s /proc dev/pts" 'ls -l /dev/null /dev/console | cut -c1; test -s /proc/keys; echo $?; echo x > /proc/sys/kernel/core_pattern'
  Container started successfully
  c
  c
  1
  /bin/sh: can't create /proc/sys/kernel/core_pattern: Read-only file system

A host name to be written where a FIFO holds whoever opens it, a device never ends, a link leads on.

  $ plant "rm -f etc/hostname; mkfifo etc/hostname" 'cat /etc/hostname; hostname' 'rm etc/hostname'
  Container started successfully
  trap.example.com
  trap.example.com
  $ plant "ln -s /dev/zero etc/hostname" 'cat /etc/hostname' 'rm etc/hostname'
  Container started successfully
  trap.example.com
  $ plant "mkdir etc/hostname" : 'rmdir etc/hostname' 2>&1 | grep hostname
  Cannot write /etc/hostname: Is a directory

/etc as a link through what the starting process has open of the node (as CVE-2024-21626).

  $ vzctl mount $CTID >/dev/null; mv $R/etc $R/etc.old
  $ for fd in $(seq 3 24); do ln -sfn /proc/self/fd/$fd/../../../../../../../tmp/out-$CTID $R/etc
  >   vzctl start $CTID >/dev/null 2>&1; vzctl stop $CTID --fast >/dev/null 2>&1; vzctl mount $CTID >/dev/null 2>&1; done
  $ ls -A /tmp/out-$CTID
  $ rm $R/etc; mv $R/etc.old $R/etc; vzctl umount $CTID >/dev/null

An inittab that is a FIFO, or leads out.

  $ plant "mv etc/inittab inittab.old; mkfifo etc/inittab" : 'rm etc/inittab'  2>&1 | tail -n 1
  Container wait failed - this guest does not tell when it is up
  $ plant "ln -s /proc/1/root/root/x etc/inittab" : 'rm -f etc/inittab; mv inittab.old etc/inittab' 2>&1 | tail -n 1
  Container wait failed - this guest does not tell when it is up

init, and every shell, as what it should not be.

  $ plant "mv sbin/init sbin/init.old; mkfifo sbin/init" : 'rm -f sbin/init; mv sbin/init.old sbin/init' 2>&1 | grep -v 'not running'
  Unable to start init, probably incorrect template
  Container start failed
  Killing container ...
  Container was stopped
  $ plant "mkfifo bin/bash; chmod 755 bin/bash" 'echo sh it is' 'rm bin/bash'
  Container started successfully
  sh it is
  $ vzctl status $CTID | sed "s/$CTID/N/"
  CTID N exist unmounted down
  $ vzctl destroy $CTID >/dev/null; rm -r /etc/vz/conf/$CTID.conf.destroyed /tmp/out-$CTID
