# --userpasswd: by the container's own programs, whether it runs or not, and seen by nobody
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ R=/var/lib/vz/root/$CTID; D=/etc/vz/dists; hash_of() { vzctl mount $CTID >/dev/null; grep "^$1:" $R/etc/shadow | cut -d: -f2 | cut -c1-3; vzctl umount $CTID >/dev/null; }

A stopped container.

  $ vzctl set $CTID --userpasswd root:secret1
  Starting container...
  Container is mounted
  Container start in progress...
  Killing container ...
  Container was stopped
  Container is unmounted
  $ hash_of root | grep -q '^\$\|^..' && echo set
  set
  $ test ! -e /run/vz/$CTID.toml && ! grep -q "/$CTID " /proc/mounts && vzctl status $CTID | cut -d' ' -f3-
  exist unmounted down

A running one; a password with a colon and a blank, two at a time.

  $ vzctl start $CTID >/dev/null 2>&1; before=$(vzctl exec $CTID grep ^root: /etc/shadow)
  $ vzctl set $CTID --userpasswd root:secret2 --userpasswd 'nobody:a:b c' | grep -v '^WARNING\|^UB limits'; :
  $ vzctl exec $CTID 'grep -c "^nobody:[^*]" /etc/shadow'; test "$before" != "$(vzctl exec $CTID grep ^root: /etc/shadow)" && echo changed
  1
  changed

A user that is not there is added, where there is a program for it; what is no user, and a script that fails.

  $ vzctl set $CTID --userpasswd joe:x
  set_userpass ERROR: neither useradd nor adduser is there to add user joe
  Password change failed
  [74]
  $ vzctl set $CTID --userpasswd nonsense
  set_userpass ERROR: USER:PASSWORD expected
  Password change failed
  [74]
  $ vzctl set $CTID --userpasswd 'ro$ot:x'
  set_userpass ERROR: not a user name: ro$ot
  Password change failed
  [74]
  $ vzctl set $CTID --userpasswd '-f:x' >/dev/null
  [74]

While a slow script has it, no process of the node's shows it among its words, nor does the log.

  $ cp $D/busybox.conf busybox.conf; printf 'sleep 3\nexit 0\n' > $D/scripts/slow.sh; echo SET_USERPASS=slow.sh > $D/busybox.conf
  $ vzctl set $CTID --userpasswd=root:Geheim42 & pid=$!; for i in $(seq 50); do grep -q xxxxxxx /proc/$pid/cmdline && break; sleep 0.1; done; sleep 0.5
  $ cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -c 'Gehei[m]42'; tr '\0' ' ' < /proc/$pid/cmdline | sed "s/$CTID/N/; s/^[^ ]*vzctl/vzctl/"; echo
  0
  vzctl set N --userpasswd=xxxxxxxxxxxxx 
  $ vzctl exec $CTID 'cat /proc/[0-9]*/cmdline | tr "\0" " "' | grep -c 'Gehei[m]42'; :
  0
  $ wait $pid; echo $?; grep -c 'Geheim42\|secret' /var/log/vzctl.log; :
  UB limits were set successfully
  0
  0

A script that cannot be run: no shell.

  $ vzctl exec $CTID 'echo > /etc/no; mkdir /b; cp -a /bin/busybox /b; rm -f /bin/sh' ; vzctl set $CTID --userpasswd root:x
  Unable to execute /bin/bash: not found in the container
  Password change failed
  [74]
  $ vzctl stop $CTID --fast >/dev/null; cp busybox.conf $D/busybox.conf; rm $D/scripts/slow.sh; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
