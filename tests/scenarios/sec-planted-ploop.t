# Security: a container cannot make another layout of its private area (CVE-2015-6927)
# where: both
# needs: vz userns template:busybox quota
# timeout: 120

  $ A=$CTID; B=$((CTID + 1)); export P=/var/lib/vz/private
  $ for id in $A $B; do vzctl create $id --ostemplate busybox-x86_64 --layout simfs >/dev/null || echo 'DISK_QUOTA="no"' >> /etc/vz/conf/$id.conf; done
  $ mkdir $P/$B/root.hdd; echo untouched > $P/$B/root.hdd/DiskDescriptor.xml; cp $P/$B/root.hdd/DiskDescriptor.xml $P/$B/root.hdd/root.hdd
  $ vzctl start $A --wait >/dev/null 2>&1
  $ vzctl exec2 $A "mkdir /root.hdd; ln -s ../../$B/root.hdd/DiskDescriptor.xml /root.hdd/DiskDescriptor.xml; ln -s $P/$B/root.hdd/root.hdd /root.hdd/root.hdd; ls /root.hdd"
  DiskDescriptor.xml
  root.hdd
  $ vzctl stop $A --fast >/dev/null
  $ vzctl set $A --hostname planted.example.com --diskspace 1G --save | sed "s/$A/N/"
  CT configuration saved to /etc/vz/conf/N.conf
  $ vzctl start $A --wait >/dev/null 2>&1; findmnt -no FSTYPE,SOURCE /var/lib/vz/root/$A | grep -c loop
  0
  [1]
  $ vzctl exec2 $A 'cat /root.hdd/DiskDescriptor.xml' 2>&1
  cat: can't open '/root.hdd/DiskDescriptor.xml': No such file or directory
  [1]
  $ grep -o '^VE_LAYOUT=.*' /etc/vz/conf/$A.conf
  VE_LAYOUT="simfs"
  $ vzctl stop $A --fast >/dev/null; vzctl destroy $A >/dev/null; rm /etc/vz/conf/$A.conf.destroyed
  $ cat $P/$B/root.hdd/*
  untouched
  untouched
  $ vzctl destroy $B >/dev/null; rm /etc/vz/conf/$B.conf.destroyed
