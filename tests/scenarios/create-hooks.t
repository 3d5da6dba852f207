# Creating: postcreate actions, vps.create; nothing left of a failure
# where: both
# needs: vz userns template:busybox
# timeout: 240

  $ C=/etc/vz/conf; D=/etc/vz/dists; P=/var/lib/vz/private/$CTID; here() { sed "s/$CTID/N/g"; }
  $ left() { ls -d $C/$CTID.* $P $P.tmp /var/lib/vz/root/$CTID /etc/vz/names/n$CTID 2>/dev/null; grep "/$CTID " /proc/mounts; :; }

vps.create comes last, with the environment of action scripts; its failure takes all back.

  $ printf '#!/bin/sh\necho "vps.create: $0 args=$#"; env | grep -v "^_=\\|^PWD=" | sort; ls $(dirname $VE_CONFFILE)/$VEID.conf\n' > $C/vps.create; chmod 755 $C/vps.create
  $ vzctl create $CTID --ostemplate busybox-x86_64 --name n$CTID | here
  Name nN assigned
  Creating container private area (busybox-x86_64)
  Performing postcreate actions
  CT configuration saved to /etc/vz/conf/N.conf
  vps.create: /etc/vz/conf/vps.create args=0
  HOME=/
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  TERM=linux
  VEID=N
  VE_CONFFILE=/etc/vz/conf/N.conf
  /etc/vz/conf/N.conf
  Container private area was created
  $ vzctl destroy $CTID >/dev/null; ls $C/$CTID.* | here
  /etc/vz/conf/N.conf.destroyed
  $ printf '#!/bin/sh\necho failing; exit 3\n' > $C/vps.create
  $ vzctl create $CTID --ostemplate busybox-x86_64 --name n$CTID 2>/dev/null | here
  Name nN assigned
  Creating container private area (busybox-x86_64)
  Performing postcreate actions
  CT configuration saved to /etc/vz/conf/N.conf
  failing
  User create script /etc/vz/conf/vps.create exited with error
  Destroying container private area: /var/lib/vz/private/N
  $ vzctl create $CTID --ostemplate busybox-x86_64 2>&1 >/dev/null
  Creation of container private area failed
  [79]
  $ left; chmod 644 $C/vps.create; vzctl create $CTID --ostemplate busybox-x86_64 2>&1 >/dev/null; echo $?; rm $C/vps.create; left
  Error exec /etc/vz/conf/vps.create: Permission denied
  Creation of container private area failed
  79

POST_CREATE: its code is create's own; VE_ROOT is mounted for it alone.

  $ echo POST_CREATE=pcf.sh > $D/busybox-x86_64.conf; printf '#!/bin/sh\nls -d $VE_ROOT/etc/passwd; exit 9\n' > $D/scripts/pcf.sh; chmod 755 $D/scripts/pcf.sh
  $ vzctl create $CTID --ostemplate busybox-x86_64 2>&1 | here
  Creating container private area (busybox-x86_64)
  Performing postcreate actions
  /var/lib/vz/root/N/etc/passwd
  Destroying container private area: /var/lib/vz/private/N
  Creation of container private area failed
  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null 2>&1
  [9]
  $ left
  $ printf '#!/bin/sh\necho made > $VE_ROOT/made\n' > $D/scripts/pcf.sh; vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; vzctl mount $CTID >/dev/null; cat /var/lib/vz/root/$CTID/made; vzctl umount $CTID >/dev/null; vzctl destroy $CTID >/dev/null; rm $C/$CTID.conf.destroyed
  made

Killed in it, the next command clears away; a create finds its place.

  $ printf '#!/bin/sh\nkill -9 $PPID\n' > $D/scripts/pcf.sh; (vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null 2>&1; :) 2>/dev/null; vzctl status $CTID | here
  CTID N deleted mounted down
  $ vzctl start $CTID 2>&1 | here; left; (vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null 2>&1; :) 2>/dev/null
  Container config file does not exist
  $ rm $D/busybox-x86_64.conf $D/scripts/pcf.sh; vzctl create $CTID --ostemplate busybox-x86_64 2>&1 | here | grep -v lock
  Warning: Temp dir /var/lib/vz/private/N.tmp already exists, deleting
  Creating container private area (busybox-x86_64)
  Performing postcreate actions
  CT configuration saved to /etc/vz/conf/N.conf
  Container private area was created
  $ vzctl destroy $CTID >/dev/null; rm $C/$CTID.conf.destroyed; left

The shipped actions lock an empty root password, and follow no link of a template's.

  $ mkdir -p t/etc/cron.d t/sbin; echo 'root::0:0:root:/root:/bin/sh' > t/etc/passwd; echo safe > node-file; chmod 600 node-file; cp node-file before; ln -s $PWD/node-file t/etc/shadow; ln -s $PWD/node-file t/etc/crontab; ln -s $PWD/node-file t/etc/hosts
  $ echo '17 3 * * * root true' > t/etc/cron.d/a; chmod 640 t/etc/passwd; tar -C t -cf /var/lib/vz/template/cache/links-$CTID.tar .
  $ vzctl create $CTID --ostemplate links-$CTID >/dev/null 2>&1; vzctl mount $CTID >/dev/null; R=/var/lib/vz/root/$CTID; cat $R/etc/passwd; stat -c %a $R/etc/passwd; cut -d' ' -f3- $R/etc/cron.d/a; cmp node-file before; ls -A $R/etc | sort | tr '\n' ' '; vzctl umount $CTID >/dev/null
  root:!!:0:0:root:/root:/bin/sh
  640
  * * * root true
  cron.d crontab hosts passwd resolv.conf shadow  (no-eol)
  $ vzctl destroy $CTID >/dev/null; rm -f $C/$CTID.conf.destroyed /var/lib/vz/template/cache/links-$CTID.tar

Templates are looked for by suffix.

  $ vzctl --verbose create $CTID --ostemplate busybox-x86_64 2>/dev/null | grep -c '^Looking for .*/busybox-x86_64.tar'; vzctl destroy $CTID >/dev/null; rm $C/$CTID.conf.destroyed
  [1-5] (re)
  $ conf=/etc/vz/download.conf; test ! -e $conf || mv $conf $conf.kept; echo 'TEMPLATE_REPOS=http://127.0.0.1:9' > $conf
  $ vzctl create $CTID --ostemplate nosuch-1 2>&1; code=$?; rm $conf; test ! -e $conf.kept || mv $conf.kept $conf; (exit $code)
  vztmpl-dl WARNING: Cannot get http://127.0.0.1:9/nosuch-1.tar.gz: .* (re)
  vztmpl-dl ERROR: template nosuch-1 not found!
  Cached OS template /var/lib/vz/template/cache/nosuch-1.tar[.gz|.bz2|.xz|.zst] not found
  Creation of container private area failed
  [91]

A link in the private area's place is a private area that exists.

  $ mkdir elsewhere; ln -s $PWD/elsewhere $P; vzctl create $CTID --ostemplate busybox-x86_64 2>&1 | here; rm $P
  Private area already exists in /var/lib/vz/private/N
  Creation of container private area failed
