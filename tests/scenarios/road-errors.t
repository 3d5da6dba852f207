# Wrong words and wrong numbers: the original's codes, one clear line, nothing left behind
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl 2>&1 | head -n 1
  vzctl version 4.11.1
  $ vzctl >/dev/null 2>&1
  [20]
  $ vzctl --help | head -n 1
  vzctl version 4.11.1
  $ vzctl --version
  vzctl version 4.11.1
  $ vzctl frobnicate 101
  Bad command: frobnicate
  [20]
  $ vzctl start
  CT ID missing
  [21]
  $ vzctl start nosuchname
  Bad CT ID nosuchname
  [21]
  $ vzctl start -1
  Bad CT ID -1
  [21]
  $ vzctl start 2147483645
  Bad CT ID 2147483645
  [21]
  $ vzctl start 99999999999999999999
  Bad CT ID 99999999999999999999
  [21]
  $ vzctl start 0
  Only set actions are allowed for CT0
  [21]
  $ vzctl start $CTID
  Container config file does not exist
  [14]
  $ vzctl status $CTID 2>&1 | sed "s/$CTID/N/"
  stat(/var/lib/vz/root/N): No such file or directory
  CTID N deleted unmounted down
  $ vzctl start $CTID --fast
  Option --fast is not applicable to start command
  [20]
  $ vzctl start $CTID --bogus
  vzctl: unrecognized option '--bogus'
  [20]
  $ vzctl destroy $CTID --force
  Invalid options: --force 
  [20]
  $ vzctl set $CTID --host x --save
  vzctl: option '--host' is ambiguous; possibilities: '--hostname' '--host_mac' '--host_ifname'
  [21]
  $ vzctl set $CTID foo bar --save
  Invalid extra arguments: foo bar 
  [20]
  $ vzctl set $CTID --cpuunits 12x --save
  Bad parameter for --cpuunits: 12x
  [21]
  $ ls /etc/vz/conf/$CTID.conf 2>/dev/null
  [2]

A template that is missing, broken, or no template.

  $ conf=/etc/vz/download.conf; test ! -e $conf || mv $conf $conf.kept; echo 'TEMPLATE_REPOS=http://127.0.0.1:9' > $conf
  $ vzctl create $CTID --ostemplate nosuch; code=$?; rm $conf; test ! -e $conf.kept || mv $conf.kept $conf; (exit $code)
  vztmpl-dl WARNING: Cannot get http://127.0.0.1:9/nosuch.tar.gz: .* (re)
  vztmpl-dl ERROR: template nosuch not found!
  Cached OS template /var/lib/vz/template/cache/nosuch.tar[.gz|.bz2|.xz|.zst] not found
  Creation of container private area failed
  [91]
  $ echo rubbish > /var/lib/vz/template/cache/test-rubbish.tar.gz
  $ vzctl create $CTID --ostemplate test-rubbish 2>&1 | tail -n 1
  Creation of container private area failed
  $ vzctl create $CTID --ostemplate test-rubbish >/dev/null 2>&1
  [48]
  $ rm /var/lib/vz/template/cache/test-rubbish.tar.gz
  $ vzctl create $CTID --config nosuch
  Sample config /etc/vz/conf/ve-nosuch.conf-sample not found: No such file or directory
  Creation of container private area failed
  [82]
  $ ls -d /var/lib/vz/private/$CTID* /etc/vz/conf/$CTID.* 2>/dev/null
  [2]

A private area that is there already is not touched.

  $ mkdir /var/lib/vz/private/$CTID; echo mine > /var/lib/vz/private/$CTID/file
  $ vzctl create $CTID --ostemplate busybox-x86_64 2>&1 | sed "s/$CTID/N/"
  Private area already exists in /var/lib/vz/private/N
  Creation of container private area failed
  $ cat /var/lib/vz/private/$CTID/file; rm -r /var/lib/vz/private/$CTID
  mine
  $ ls /etc/vz/conf/$CTID.conf 2>/dev/null
  [2]

A template without an init.

  $ mkdir -p empty/etc; tar -C empty -czf /var/lib/vz/template/cache/test-noinit.tar.gz .
  $ vzctl create $CTID --ostemplate test-noinit >/dev/null
  Warning: configuration file for distribution test-noinit not found, using defaults from /etc/vz/dists/default
  $ vzctl start $CTID 2>&1 >/dev/null | grep -v '^Warning: not enforced'
  Warning: configuration file for distribution test-noinit not found, using defaults from /etc/vz/dists/default
  Unable to execute /bin/bash: not found in the container
  Unable to start init, probably incorrect template
  Container start failed
  $ vzctl start $CTID >/dev/null 2>&1
  [47]
  $ vzctl status $CTID 2>&1 | sed "s/$CTID/N/"
  CTID N exist unmounted down
  $ rm /var/lib/vz/template/cache/test-noinit.tar.gz

Disabled, and without its private area.

  $ vzctl set $CTID --disabled yes --save >/dev/null; vzctl start $CTID
  Container start disabled
  [105]
  $ vzctl set $CTID --disabled no --save >/dev/null
  $ mv /var/lib/vz/private/$CTID away; vzctl start $CTID 2>&1 | sed "s/$CTID/N/"; vzctl start $CTID 2>/dev/null
  Container private area /var/lib/vz/private/N does not exist
  [43]
  $ mv away /var/lib/vz/private/$CTID; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed

vz.conf that is missing.

  $ mv /etc/vz/vz.conf vz.conf; vzctl start $CTID; code=$?; mv vz.conf /etc/vz/vz.conf; (exit $code)
  Unable to open /etc/vz/vz.conf: No such file or directory
  [10]
