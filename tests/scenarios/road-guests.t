# Guests with systemd, sysvinit and OpenRC boot, tell when they are up, and stop
# where: both
# needs: vz userns template:debian-13-x86_64
# timeout: 900

  $ vzctl create $CTID --ostemplate debian-13-x86_64 --hostname deb.example.com >/dev/null
  $ vzctl start $CTID --wait 2>/dev/null | tail -n 2
  Container start in progress, waiting ...
  Container started successfully
  $ vzctl exec $CTID 'systemctl is-system-running; systemctl --failed --no-legend; hostname; systemd-detect-virt'
  running
  deb.example.com
  container-other
  $ vzctl stop $CTID
  Stopping container ...
  Container was stopped
  Container is unmounted

A guest whose systemd is older than 230 is known by the library it lacks, and gets the v1 hierarchy
named systemd.

  $ vzctl mount $CTID >/dev/null; lib=$(find /var/lib/vz/root/$CTID/usr/lib -name 'libsystemd-shared-*.so')
  $ mv $lib /var/lib/vz/root/$CTID/usr/lib/x86_64-linux-gnu/; vzctl umount $CTID >/dev/null
  $ vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'grep " /sys/fs/cgroup/systemd " /proc/mounts | cut -d" " -f3,4'
  cgroup .*name=systemd (re)
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null

The guests that read an inittab get it back when the boot is over.

  $ for guest in sysvinit openrc; do
  >   ls /var/lib/vz/template/cache/debian-13-$guest-x86_64.tar* >/dev/null 2>&1 || { echo "ok"; continue; }
  >   vzctl create $CTID --ostemplate debian-13-$guest-x86_64 >/dev/null
  >   vzctl start $CTID --wait 2>/dev/null | tail -n 1 | sed 's/Container started successfully/ok/'
  >   vzctl exec $CTID 'grep -c inittab /proc/mounts; grep -c vzbt /etc/inittab' | grep -v '^0$'
  >   vzctl stop $CTID >/dev/null; vzctl destroy $CTID >/dev/null
  > done
  ok
  ok
  $ rm -f /etc/vz/conf/$CTID.conf.destroyed
