# Distribution actions: which scripts run, in which order, with which environment
# where: both
# needs: vz userns template:busybox
# timeout: 300

Scripts that tell what they see. `put_param` is one of the functions put before some of them.

  $ D=/etc/vz/dists; for key in ADD_IP DEL_IP SET_HOSTNAME SET_DNS SET_USERPASS SET_UGID_QUOTA POST_CREATE PRE_START SET_CONSOLE; do
  >   printf '#!/bin/sh\necho "[%s] $0 args=$# pwd=$(pwd) functions=$(type put_param >/dev/null 2>\&1 && echo yes || echo no) node=$([ -d /etc/vz ] && echo yes || echo no)"\nenv | grep -v "^_=\\|^PWD=\\|^SHLVL=\\|^OLDPWD=" | sort | sed "s/^/  /"\nexit $(cat /code-%s 2>/dev/null || echo 0)\n' $key $key > $D/scripts/dump-$key.sh
  >   chmod 755 $D/scripts/dump-$key.sh; echo "$key=dump-$key.sh"; done > $D/dump.conf
  $ for f in /var/lib/vz/template/cache/busybox-x86_64.tar.*; do ln -s $f /var/lib/vz/template/cache/dump-1-x86_64.tar.${f##*.tar.}; done
  $ quiet() { grep -v '^Setting CPU\|^Warning: not enforced\|^Warning: not set up' | sed "s/$CTID/N/g"; }

create

  $ (cd /; vzctl create $CTID --ostemplate dump-1-x86_64 --hostname h1.example.com --ipadd 10.99.0.101/24 --ipadd 2001:db8::101 2>&1) | quiet
  Creating container private area (dump-1-x86_64)
  Performing postcreate actions
  [POST_CREATE] /etc/vz/dists/scripts/dump-POST_CREATE.sh args=0 pwd=/ functions=no node=yes
    HOME=/
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    TERM=linux
    VE_ROOT=/var/lib/vz/root/N
  CT configuration saved to /etc/vz/conf/N.conf
  Container private area was created
  $ vzctl status $CTID | sed "s/$CTID/N/"
  CTID N exist unmounted down

start

  $ vzctl set $CTID --nameserver 8.8.8.8 --nameserver 1.1.1.1 --searchdomain "a.com b.com" --save | sed "s/$CTID/N/"
  CT configuration saved to /etc/vz/conf/N.conf
  $ vzctl start $CTID --wait 2>&1 | quiet
  Starting container...
  Container is mounted
  Adding IP address(es): 10.99.0.101/24 2001:db8::101
  [ADD_IP] /bin/sh args=0 pwd=/ functions=yes node=no
    IPV6=yes
    IP_ADDR=10.99.0.101/24 2001:db8::101
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    VE_STATE=starting
  [SET_CONSOLE] /bin/sh args=0 pwd=/ functions=no node=no
    HOME=/
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    TERM=linux
  [SET_HOSTNAME] /bin/sh args=0 pwd=/ functions=yes node=no
    HOSTNM=h1.example.com
    IP_ADDR=10.99.0.101
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    VE_STATE=starting
  [SET_DNS] /bin/sh args=0 pwd=/ functions=yes node=no
    NAMESERVER=8.8.8.8 1.1.1.1
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    SEARCHDOMAIN=a.com b.com
  [PRE_START] /bin/sh args=0 pwd=/ functions=no node=no
    PATH=/sbin:/usr/sbin:/bin:/usr/bin
    USERNS=yes
    VZ_KERNEL=no
  Container start in progress, waiting ...
  Container started successfully

(The PATH of PRE_START is busybox sh's own: it is given none.)

set of a running container

  $ vzctl set $CTID --hostname h2.example.com --nameserver 9.9.9.9 --save 2>&1 | grep -v '^UB limits' | quiet
  [SET_HOSTNAME] /bin/sh args=0 pwd=/ functions=yes node=no
    HOSTNM=h2.example.com
    IP_ADDR=10.99.0.101
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    VE_STATE=running
  [SET_DNS] /bin/sh args=0 pwd=/ functions=yes node=no
    NAMESERVER=9.9.9.9
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  CT configuration saved to /etc/vz/conf/N.conf
  $ vzctl exec $CTID hostname
  h2.example.com

What is set is data: nothing in it is read by a shell.

  $ vzctl set $CTID --searchdomain '$(touch$IFS/pwned);`id`' 2>&1 | grep SEARCH
    SEARCHDOMAIN=$(touch$IFS/pwned);`id`
  $ vzctl exec2 $CTID test -e /pwned
  [1]

A failing SET_HOSTNAME does not fail the start, but ends these actions; a failing PRE_START fails it.

  $ vzctl exec $CTID 'echo 5 > /code-SET_HOSTNAME'; vzctl stop $CTID --fast >/dev/null
  $ vzctl start $CTID 2>&1 | quiet | grep '^\[\|^Container'
  Container is mounted
  [ADD_IP] /bin/sh args=0 pwd=/ functions=yes node=no
  [SET_CONSOLE] /bin/sh args=0 pwd=/ functions=no node=no
  [SET_HOSTNAME] /bin/sh args=0 pwd=/ functions=yes node=no
  [PRE_START] /bin/sh args=0 pwd=/ functions=no node=no
  Container start in progress...
  $ vzctl exec $CTID 'echo 5 > /code-PRE_START'; vzctl stop $CTID --fast >/dev/null
  $ vzctl start $CTID >out 2>&1; echo $?; tail -n 2 out
  79
  Container was stopped
  Container is unmounted
  $ vzctl start $CTID --skip_ve_setup 2>&1 | quiet; vzctl stop $CTID --fast >/dev/null
  Starting container...
  Container is mounted
  Container start in progress...

A missing script, a missing configuration.

  $ mount_dump() { vzctl mount $CTID >/dev/null; rm -f /var/lib/vz/root/$CTID/code-*; vzctl umount $CTID >/dev/null; }; mount_dump
  $ printf 'SET_DNS=nope.sh\njunk\n' > $D/dump-1.conf; vzctl start $CTID 2>&1 | quiet; vzctl stop $CTID --fast >/dev/null
  Starting container...
  Action script /etc/vz/dists/scripts/nope.sh not found
  Warning: can't parse /etc/vz/dists/dump-1.conf:2 ('=' not found), skipping
  Container is mounted
  Adding IP address(es): 10.99.0.101/24 2001:db8::101
  Warning: add_ip action script is not specified
  Warning: set_hostname action script is not specified
  Warning: set_dns action script is not specified
  Container start in progress...
  $ rm $D/dump*.conf; mv $D/default default; vzctl start $CTID 2>&1 | quiet
  Starting container...
  Warning: configuration file for distribution dump-1-x86_64 not found, using defaults from /etc/vz/dists/default
  Distribution configuration file /etc/vz/dists/default not found
  $ vzctl start $CTID >/dev/null 2>&1
  [107]
  $ vzctl set $CTID --hostname x --save >/dev/null 2>&1
  [107]

The default ones write what this distribution reads.

  $ mv default $D/default; vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'cat /etc/hostname /etc/resolv.conf; tail -n 2 /etc/hosts; ls /etc | grep "\.[0-9][0-9]*$"; :'
  h2.example.com
  search a.com b.com
  nameserver 9.9.9.9
  # Auto-generated hostname. Please do not remove this comment.
  10.99.0.101 h2.example.com h2
  $ vzctl set $CTID --hostname h3 --save >/dev/null 2>&1; vzctl exec $CTID 'hostname; cat /etc/hostname; grep -c Auto /etc/hosts; tail -n 1 /etc/hosts'
  h3
  h3
  1
  10.99.0.101 h3

Ctrl-C in an action whose failure does not matter calls off the start, or the change, all the same.

  $ vzctl stop $CTID --fast >/dev/null; cp $D/scripts/set_hostname.sh kept; echo 'sleep 100' > $D/scripts/set_hostname.sh
  $ cancelled() { vzctl "$@" >/dev/null 2>err & sleep 2; kill -INT $!; wait $!; echo "code $?"; grep -v '^Warning' err; }
  $ cancelled start $CTID; vzctl status $CTID | cut -d' ' -f3-
  code 3
  
  Cancelling...
  Container start failed (try to check kernel messages, e.g. "dmesg | tail")
  exist unmounted down
  $ cp kept $D/scripts/set_hostname.sh; vzctl start $CTID >/dev/null 2>&1; echo 'sleep 100' > $D/scripts/set_hostname.sh
  $ cancelled set $CTID --hostname h4 --nameserver 9.9.9.8 --save; grep -c h4 /etc/vz/conf/$CTID.conf; vzctl exec $CTID 'grep -c 9.9.9.8 /etc/resolv.conf'
  code 3
  
  Cancelling...
  Error: failed to apply some parameters, not saving configuration file!
  0
  0
  [8]
  $ cp kept $D/scripts/set_hostname.sh
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm -f /etc/vz/conf/$CTID.conf.destroyed $D/scripts/dump-* /var/lib/vz/template/cache/dump-*
