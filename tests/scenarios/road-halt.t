# Halt and reboot from inside, and a death of init
# where: both
# needs: vz userns template:busybox
# timeout: 180

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null && vzctl start $CTID >/dev/null 2>&1
  $ until_status() { for i in $(seq 200); do vzctl status $CTID | grep -q "$1" && return; sleep 0.1; done; vzctl status $CTID; false; }
  $ init() { sed -n '/^\[init\]/,/^pid/s/^pid = //p' /run/vz/$CTID.toml; }

A halt takes the container down as a stop would.

  $ vzctl exec $CTID halt >/dev/null 2>&1 || :
  $ until_status 'unmounted down'; ls /run/vz/$CTID.toml 2>/dev/null
  [2]

A reboot starts it again, with another init.

  $ vzctl start $CTID >/dev/null 2>&1; before=$(init)
  $ vzctl stop $CTID >/dev/null; vzctl start $CTID >/dev/null 2>&1; before=$(init); sleep 0.3; vzctl exec $CTID reboot >/dev/null 2>&1 || :
  $ for i in $(seq 200); do now=$(init 2>/dev/null); test -n "$now" && test "$now" != "$before" && break; sleep 0.1; done
  $ until_status 'mounted running'; vzctl exec $CTID echo again
  again

init killed from the node.

  $ kill -9 $(init); until_status 'unmounted down'
  $ vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID echo alive
  alive
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
