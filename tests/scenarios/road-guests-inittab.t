# Guests with sysvinit and OpenRC boot, tell when they are up, and stop
# where: host
# needs: vz userns template:debian-13-sysvinit-x86_64 template:debian-13-openrc-x86_64
# timeout: 300

They read an inittab, and get it back when the boot is over.

  $ for guest in sysvinit openrc; do
  >   vzctl create $CTID --ostemplate debian-13-$guest-x86_64 >/dev/null
  >   vzctl start $CTID --wait 2>/dev/null | tail -n 1
  >   vzctl exec $CTID 'grep -c inittab /proc/mounts; grep -c vzbt /etc/inittab' | grep -v '^0$'
  >   vzctl stop $CTID; vzctl destroy $CTID >/dev/null
  > done
  Container started successfully
  Stopping container ...
  Container was stopped
  Container is unmounted
  Container started successfully
  Stopping container ...
  Container was stopped
  Container is unmounted
  $ rm -f /etc/vz/conf/$CTID.conf.destroyed
