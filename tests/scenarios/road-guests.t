# A guest with systemd boots, tells when it is up, and stops
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
  $ rm -f /etc/vz/conf/$CTID.conf.destroyed
