# What the OpenVZ kernel showed under /proc is under /dev/vz: a container's own part, and the node's
# where: both
# needs: vz userns cgroup2 fuse template:busybox
# timeout: 240

  $ vzctl --quiet create $CTID --ostemplate busybox-x86_64
  $ vzctl set $CTID --numproc 77 --save >/dev/null 2>&1; vzctl --quiet start $CTID >/dev/null 2>&1
  $ number() { sed -n "/^\[$1\]/,/^\$/s/^pid = //p" /run/vz/$CTID.toml; }
  $ eventually() { for _ in $(seq 600); do eval "$1" && return; sleep 0.1; done; echo "never: $1"; return 1; }
  $ has_ended() { ! grep -q '^State:.*[^ZX] (' /proc/$1/status 2> /dev/null; }
  $ inside() { vzctl exec $CTID "$1"; }

Nobody serves where nobody reads.

  $ pgrep -f "vzviews $CTID "
  [1]
  $ inside 'cd /dev/vz && find . | sort'
  .
  ./user_beancounters
  ./vz
  ./vz/veinfo
  ./vz/version
  ./vz/vestat
  $ pgrep -f "vzviews $CTID " | wc -l
  1

Its own rows, in the columns that programs cut out, and no others'; no `bc`, by which the node is known.

  $ inside 'head -n 3 /dev/vz/user_beancounters'
  Version: 2.5
         uid  resource                     held              maxheld              barrier                limit              failcnt
   *: kmemsize * (glob)
  $ inside 'cat /dev/vz/user_beancounters' | cut -b 13-24 | tr -d ' ' | tail -n 25 | xargs
  kmemsize lockedpages privvmpages shmpages dummy numproc physpages vmguarpages oomguarpages numtcpsock numflock numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile dummy dummy dummy numiptent swappages
  $ inside 'wc -l < /dev/vz/user_beancounters; wc -l < /dev/vz/vz/veinfo'
  27
  1
  $ inside 'test -e /dev/vz/bc' || echo no bc
  no bc

Root alone reads it, nobody writes it.

  $ inside 'grep " /dev/vz " /proc/mounts | cut -d " " -f 1-4 | cut -d , -f 1-4'
  vz /dev/vz fuse.vz ro,nosuid,nodev,noexec
  $ inside 'stat -c "%a %u:%g" /dev/vz/user_beancounters; echo x > /dev/vz/vz/version' 2>&1 | sed 's/.*Read-only/Read-only/'
  400 0:0
  Read-only file system
  $ inside 'su -s /bin/sh nobody -c "cat /dev/vz/user_beancounters"' 2>&1 | grep -c 'denied'
  1

One that serves is killed: the next read works. vzmon is killed: the next command brings another.

  $ server=$(pgrep -f "vzviews $CTID "); kill -9 $server; eventually 'has_ended $server'
  $ inside 'cat /dev/vz/user_beancounters' | wc -l
  27
  $ vzmon=$(number monitor); kill -9 $vzmon; eventually 'has_ended $vzmon'; vzctl --quiet exec $CTID true
  $ inside 'cat /dev/vz/user_beancounters' | wc -l
  27
  $ inside 'grep -c " /dev/vz " /proc/mounts'
  1

A guest that opens much and reads little, or kills its readers, does not stop it.

  $ inside 'i=0; while [ $i -lt 40 ]; do (exec 3< /dev/vz/user_beancounters; read line <&3; sleep 100) & i=$((i+1)); done' >/dev/null 2>&1
  $ inside 'for i in 1 2 3 4 5; do cat /dev/vz/vz/vestat > /dev/null & kill -9 $! 2>/dev/null; done; killall sleep; cat /dev/vz/user_beancounters' 2>/dev/null | wc -l
  27

The node's: all containers, read by the tools themselves, until it is unmounted.

  $ serve() { (/usr/libexec/vzctl/vzviews node > /dev/null 2>&1 &); eventually 'test -e /dev/vz/bc'; server=$(pgrep -f "vzviews node"); }
  $ mkdir -p /dev/vz; serve
  $ ls /dev/vz /dev/vz/bc/$CTID /dev/vz/vz | xargs | sed "s/$CTID/N/"
  /dev/vz: bc user_beancounters vz /dev/vz/bc/N: resources /dev/vz/vz: veinfo version vestat vzquota
  $ grep -c dummy /dev/vz/user_beancounters /dev/vz/bc/resources | cut -d : -f 2 | xargs | sed 's/^[0-9]* 0$/only in the first/'
  only in the first
  $ wc -l < /dev/vz/bc/$CTID/resources
  21
  $ VZ_PROC=/dev/vz vzlist -H -o ctid,status $CTID | grep -cw "$CTID running"
  1
  $ test "$(vzubc -v -f /dev/vz/bc/resources $CTID | cut -d '|' -f 1,4,5)" = "$(vzubc -v $CTID | cut -d '|' -f 1,4,5)"
  $ ls /dev/vz/bc/1 2>&1 | sed 's/.*: //'
  No such file or directory
  $ kill -9 $server; eventually 'has_ended $server'; ls /dev/vz 2>&1 | sed 's/.*: //'
  Transport endpoint is not connected
  $ serve; head -n 1 /dev/vz/bc/resources
  Version: 2.5
  $ umount /dev/vz; eventually 'has_ended $server'; rmdir /dev/vz; rm -f /run/vz/views.lck

What is gone with the container: its file system, and who served it.

  $ inside 'cat /dev/vz/vz/version' > /dev/null; server=$(pgrep -f "vzviews $CTID ")
  $ vzctl --quiet stop $CTID --fast 2> /dev/null; has_ended $server && ls /sys/fs/fuse/connections 2>/dev/null | wc -l > /dev/null
  $ vzctl --quiet destroy $CTID; rm -f /etc/vz/conf/$CTID.conf.destroyed
