# Security: values, names and places on the command line
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; conf=/etc/vz/conf/$CTID.conf
  $ try() { vzctl set $CTID "$@" --save >/dev/null 2>&1; echo $?; }
  $ sourced() { env -i sh -c ". $conf" >/dev/null 2>&1; ls /tmp/p-$CTID 2>/dev/null; grep -vcE '^(#.*|[A-Z_0-9]+="[^"]*")?$' $conf; }

27: nothing that is saved runs when a script reads the configuration.

  $ for text in "a\$(touch /tmp/p-$CTID)" "\`touch /tmp/p-$CTID\`" "\"; touch /tmp/p-$CTID; \"" "1.1.1.1\"; touch /tmp/p-$CTID; \"" "\\\";touch /tmp/p-$CTID" "a
  > touch /tmp/p-$CTID" "\${IFS}" "'"; do
  >   for option in hostname nameserver searchdomain description name ostemplate ipadd netif_add; do try --$option "$text" >> codes; done; done; sourced
  0
  [1]
  $ sort -u codes | tr '\n' ' '; echo
  0 21 

Names do not leave their directory, and take nothing that is another's.

  $ for name in ../../x a/b . .. '' "$CTID" 0 -x 'a b' $'a\nb' $'\e[31m'; do vzctl set $CTID --name "$name" --save 2>&1 | head -n 1 | sed "s/$CTID/N/"; done
  Bad parameter for --name: ../../x
  Bad parameter for --name: a/b
  Bad parameter for --name: .
  Bad parameter for --name: ..
  Name  assigned
  Name N assigned
  Name 0 assigned
  Name -x assigned
  Name a b assigned
  Bad parameter for --name: a
  Bad parameter for --name: \x1b[31m (esc)
  $ ls -A /etc/vz/names 2>/dev/null
  a b
  $ ls /etc/vz/x /etc/x 2>/dev/null
  [2]
  $ for name in ../conf/$CTID.conf ../../../etc/vz/conf/$CTID . .. ''; do vzctl status "$name" 2>&1 | sed "s/$CTID/N/"; done
  Bad CT ID ../conf/N.conf
  Bad CT ID ../../../etc/vz/conf/N
  Bad CT ID .
  Bad CT ID ..
  Only set actions are allowed for CT0
  $ mkdir -p /etc/vz/names; ln -s /etc/passwd /etc/vz/names/planted; ln -s ../../../../tmp/$CTID.conf /etc/vz/names/planted2; ln -s /etc/vz/conf/$CTID.conf.bak /etc/vz/names/planted3
  $ for name in planted planted3; do vzctl status $name; done
  Bad CT ID planted
  Bad CT ID planted3
  [21]
  $ rm /etc/vz/names/planted*

A template's name that leads elsewhere finds nothing that is not an archive, and a sample's no other file.

  $ vzctl create $((CTID + 1)) --ostemplate ../../../../../../etc/passwd 2>&1 | head -n 2
  vztmpl-dl ERROR: template ../../../../../../etc/passwd not found!
  Cached OS template /var/lib/vz/template/cache/../../../../../../etc/passwd.tar[.gz|.bz2|.xz|.zst] not found
  $ vzctl create $((CTID + 1)) --ostemplate busybox-x86_64 --config ../../../etc/shadow 2>&1 | head -n 1
  Sample config /etc/vz/conf/ve-../../../etc/shadow.conf-sample not found: No such file or directory
  $ vzctl status $((CTID + 1)) 2>&1 | sed "s/$((CTID + 1))/N/"
  stat(/var/lib/vz/root/N): No such file or directory
  CTID N deleted unmounted down
  $ vzctl destroy $CTID >/dev/null; rm -f $conf.destroyed
