# vzctl set, saved, applied, refused
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null
  $ vzctl set $CTID --onboot yes --hostname a.example.com --save | sed "s/$CTID/N/"
  CT configuration saved to /etc/vz/conf/N.conf
  $ grep -E '^(ONBOOT|HOSTNAME)' /etc/vz/conf/$CTID.conf
  HOSTNAME="a.example.com"
  ONBOOT="yes"

A name is another way to say the number.

  $ vzctl set $CTID --name "web-$CTID" --save | sed "s/$CTID/N/"
  Name web-N assigned
  CT configuration saved to /etc/vz/conf/N.conf
  $ vzctl status web-$CTID | sed "s/$CTID/N/"
  CTID N exist unmounted down
  $ vzctl set $CTID --name '../../x' --save 2>&1 | head -n 1
  Bad parameter for --name: ../../x
  $ vzctl set $CTID --name x
  Error: unable to use --name option without --save
  [131]

Values that would be commands to a shell that sources the file are none.

  $ vzctl set $CTID --description 'a$(touch /tmp/pwned)"; touch /tmp/pwned; "' --save >/dev/null
  $ bash -c ". /etc/vz/conf/$CTID.conf; echo \"\$DESCRIPTION\""; ls /tmp/pwned 2>/dev/null
  a$(touch /tmp/pwned)"; touch /tmp/pwned; "
  [2]
  $ vzctl set $CTID --description "$(printf 'a\nONBOOT=no')" --save 2>/dev/null
  [21]
  $ vzctl set $CTID --onboot maybe --save
  Bad parameter for --onboot: maybe
  [21]

On a stopped container nothing can be set but for good; on a running one both.

  $ vzctl set $CTID --cpuunits 500
  Unable to apply UBC parameters: container is not running
  [31]
  $ vzctl start $CTID --wait >/dev/null 2>&1
  $ vzctl set $CTID --hostname b.example.com
  UB limits were set successfully
  WARNING: Settings were not saved to config and will be lost after CT restart (use --save flag)
  $ vzctl exec $CTID hostname; grep ^HOSTNAME /etc/vz/conf/$CTID.conf
  b.example.com
  HOSTNAME="a.example.com"
  $ vzctl set $CTID --private /elsewhere --save
  Unable to change VE_PRIVATE on a running container
  Error: failed to apply some parameters, not saving configuration file!
  [32]

What is in the file stays in the file: comments, order, other programs' lines.

  $ printf '#UUID: 1234\n# a comment\nPANEL_KEY=xyz\n' >> /etc/vz/conf/$CTID.conf
  $ cp /etc/vz/conf/$CTID.conf before; vzctl set $CTID --onboot no --save >/dev/null
  $ diff before /etc/vz/conf/$CTID.conf | sed -n 's/^[<>]/|/p'
  | ONBOOT="yes"
  | ONBOOT="no"
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
  $ ls /etc/vz/names/web-$CTID 2>/dev/null
  [2]
