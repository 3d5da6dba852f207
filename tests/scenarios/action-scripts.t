# Action scripts: order, environment, failures; checks at start
# where: both
# needs: vz userns template:busybox
# timeout: 300

  $ C=/etc/vz/conf; vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ quiet() { grep -v '^Setting CPU\|^Warning: not enforced' | sed "s/\[$CTID\./[N./; s/$CTID/N/g"; }
  $ script() { printf '#!/bin/sh\necho "[%s] args=$# $(env | grep -v "^_=\\|^PWD=\\|^OLDPWD=\\|^SHLVL=" | sort | tr "\\n" " ")"\n' $1; }
  $ for when in premount mount umount postumount start stop; do for who in vps $CTID; do script $who.$when > $C/$who.$when; chmod 755 $C/$who.$when; done; done

The global one first on the way up, last on the way down. There is no vps.start and no vps.stop; those of
the container run inside, are no programs there and know no VEID.

  $ chmod 644 $C/$CTID.start $C/$CTID.stop
  $ vzctl start $CTID 2>&1 | quiet
  Starting container...
  [vps.premount] args=0 HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux VEID=N VE_CONFFILE=/etc/vz/conf/N.conf 
  [N.premount] args=0 HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux VEID=N VE_CONFFILE=/etc/vz/conf/N.conf 
  [vps.mount] args=0 HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux VEID=N VE_CONFFILE=/etc/vz/conf/N.conf 
  [N.mount] args=0 HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux VEID=N VE_CONFFILE=/etc/vz/conf/N.conf 
  Container is mounted
  [N.start] args=0 HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux 
  Container start in progress...
  $ vzctl stop $CTID 2>&1 | quiet | cut -d' ' -f1-3
  [N.stop] args=0 HOME=/
  Stopping container ...
  Container was stopped
  [N.umount] args=0 HOME=/
  [vps.umount] args=0 HOME=/
  Container is unmounted
  [N.postumount] args=0 HOME=/
  [vps.postumount] args=0 HOME=/
  $ rm $C/vps.*; rm $C/$CTID.*mount $C/$CTID.st*

Failures: the code is 79, and what was made is taken back.

  $ fail() { printf '#!/bin/sh\n%s\n' "$2" > $C/$1; chmod ${3:-755} $C/$1; }
  $ fail vps.premount 'exit 1'; vzctl mount $CTID; vzctl status $CTID | quiet; rm $C/vps.premount
  Error executing premount script /etc/vz/conf/vps.premount
  CTID N exist unmounted down
  $ fail $CTID.mount 'kill -9 $$'; vzctl start $CTID 2>&1 | quiet; vzctl status $CTID | quiet; vzctl mount $CTID >/dev/null 2>&1
  Starting container...
  Got signal 9
  Error executing mount script /etc/vz/conf/N.mount
  CTID N exist unmounted down
  [79]
  $ fail $CTID.mount : 644; vzctl mount $CTID 2>&1 | quiet
  Error exec /etc/vz/conf/N.mount: Permission denied
  Error executing mount script /etc/vz/conf/N.mount
  $ printf '#!/no/such/shell\n' > $C/$CTID.mount; chmod 755 $C/$CTID.mount; vzctl mount $CTID 2>&1 | quiet; rm $C/$CTID.mount
  Error exec /etc/vz/conf/N.mount: No such file or directory
  Error executing mount script /etc/vz/conf/N.mount
  $ fail $CTID.start 'exit 5'; vzctl start $CTID >out 2>&1; echo $?; quiet < out; vzctl status $CTID | quiet; rm $C/$CTID.start
  79
  Starting container...
  Container is mounted
  Container start failed (try to check kernel messages, e.g. "dmesg | tail")
  Killing container ...
  Container was stopped
  Container is unmounted
  CTID N exist unmounted down
  $ vzctl start $CTID >/dev/null 2>&1; fail $CTID.stop 'exit 1'; vzctl stop $CTID; vzctl status $CTID | quiet; rm $C/$CTID.stop
  CTID N exist mounted running
  $ fail $CTID.umount 'exit 1'; vzctl stop $CTID --fast >out 2>&1; echo $?; quiet < out; rm $C/$CTID.umount; vzctl umount $CTID
  79
  Killing container ...
  Container was stopped
  Error executing umount script /etc/vz/conf/N.umount
  Container is unmounted

A script inside cannot reach the node's file it came from, also where root is the node's root.

  $ echo 'cat /proc/self/fd/0 >/dev/null; echo changed > /proc/self/fd/0; echo still' > script; vzctl set $CTID --save --onboot no >/dev/null; echo LOCAL_UID=0 >> $C/$CTID.conf; vzctl start $CTID >/dev/null 2>&1; cp script $C/$CTID.stop; vzctl stop $CTID --fast >/dev/null 2>&1; cmp script $C/$CTID.stop; vzctl stop $CTID --fast >/dev/null 2>&1; sed -i /^LOCAL_UID=0/d $C/$CTID.conf; rm $C/$CTID.stop

runscript of a stopped container starts it for the script alone.

  $ printf 'echo "in $(id -u) $$ $0"; ps -o comm | grep -c init; exit 6\n' > rs.sh; vzctl runscript $CTID rs.sh | grep -v '^[01]$'; vzctl runscript $CTID rs.sh >/dev/null
  in 0 \d+ /bin/sh (re)
  [6]
  $ vzctl status $CTID | quiet; test ! -e /run/vz/$CTID.toml
  CTID N exist unmounted down

The admin's terminal is not handed in: what is written is carried.

  $ echo 'test -t 1; echo "out $?"; test -t 2; echo "err $?" >&2' > tty.sh; command script -qec "vzctl runscript $CTID $PWD/tty.sh" /dev/null </dev/null | tr -d '\r' | sort
  err 1
  out 1

What a configuration must say, and a dump.

  $ cp $C/$CTID.conf conf; sed -i /^SWAPPAGES/d $C/$CTID.conf; vzctl start $CTID
  Starting container...
  Error: required UB parameter swappages not set
  [28]
  $ sed -i /^PHYSPAGES/d $C/$CTID.conf; vzctl start $CTID 2>&1 | grep -c '^Error: required UB parameter'; vzctl start $CTID >/dev/null 2>&1
  20
  [28]
  $ cp conf $C/$CTID.conf; mkdir -p /var/lib/vz/dump; touch /var/lib/vz/dump/Dump.$CTID; vzctl start $CTID 2>&1 | quiet
  Dump file /var/lib/vz/dump/Dump.N exists, trying to restore from it
  Error: this version cannot restore: the container starts anew
  Starting container...
  Container is mounted
  Container start in progress...
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; ls /var/lib/vz/dump/Dump.$CTID 2>/dev/null; rm $C/$CTID.conf.destroyed
