# Security: a fork bomb stays in its container
# needs: vz userns template:busybox cgroup2-controllers
# timeout: 400

  $ slack=1; if grep -q TCG /proc/cpuinfo; then slack=10; fi
  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; vzctl set $CTID --numproc 500 --stop-timeout 3 --save >/dev/null; vzctl start $CTID --wait >/dev/null 2>&1
  $ vzctl exec2 $CTID 'bomb() { bomb | bomb & }; bomb; sleep 1' >/dev/null 2>&1
  $ group=/sys/fs/cgroup$(sed -n 's,^0::\(.*\)/init.scope.*,\1,p' /proc/$(sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$CTID.toml)/cgroup)
  $ for i in $(seq 60); do grep -q '^max [1-9]' $group/init.scope/pids.events && break; sleep 1; done
  $ cat $group/init.scope/pids.max; test $(cat $group/init.scope/pids.current) -le 500; awk '$1 == "max" { print ($2 > 0) }' $group/init.scope/pids.events
  500
  1

The node answers; a command inside is refused or served, and ends; the container stops.

  $ s=$SECONDS; sh -c 'for i in 1 2 3 4 5; do /bin/true; done'; test $((SECONDS - s)) -le $slack
  $ timeout $((20 * slack)) vzctl exec2 $CTID true >/dev/null 2>&1; test $? -ne 124
  $ vzlist -H -o ctid,status $CTID | sed "s/$CTID/N/"
  \s+N running (re)
  $ s=$SECONDS; vzctl stop $CTID --fast | tail -n 1; test $((SECONDS - s)) -le $((10 + slack))
  Container is unmounted
  $ vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
