# Security: VE_ROOT and VE_PRIVATE that are the node's own
# where: both
# needs: vz userns template:busybox
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; conf=/etc/vz/conf/$CTID.conf

A place that is not a container's is not touched: the node's root is neither mounted over nor unmounted nor removed.

  $ before=$(findmnt -rn | sort | md5sum)
  $ for place in / /. //; do sed -i '/^VE_ROOT/d' $conf; echo "VE_ROOT=\"$place\"" >> $conf; for action in mount 'start --force' umount stop destroy; do vzctl ${action%% *} $CTID 2>&1 | sed "s/$CTID/N/" | head -n 1; done; done
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT /. is no place for a container
  VE_ROOT /. is no place for a container
  VE_ROOT /. is no place for a container
  VE_ROOT /. is no place for a container
  VE_ROOT /. is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  VE_ROOT / is no place for a container
  $ test "$before" = "$(findmnt -rn | sort | md5sum)" && ls -d /var/lib/vz/private/$CTID | sed "s/$CTID/N/"
  /var/lib/vz/private/N
  $ sed -i '/^VE_ROOT/d' $conf; echo 'VE_ROOT="/var/lib/vz/root/$VEID"' >> $conf
  $ sed -i '/^VE_PRIVATE/d' $conf; echo 'VE_PRIVATE="/"' >> $conf; for action in mount start destroy; do vzctl $action $CTID 2>&1 | head -n 1; done
  VE_PRIVATE / is no place for a container
  VE_PRIVATE / is no place for a container
  VE_PRIVATE / is no place for a container
  $ sed -i '/^VE_PRIVATE/d' $conf; echo 'VE_PRIVATE="/var/lib/vz/private/$VEID"' >> $conf
  $ vzctl create $((CTID + 1)) --ostemplate busybox-x86_64 --private / 2>&1 | sed "s/$((CTID + 1))/N/"
  VE_PRIVATE / is no place for a container
  Creation of container private area failed
  $ vzctl create $((CTID + 1)) --ostemplate busybox-x86_64 --private /var/lib/vz/private/$CTID 2>&1 | sed "s/$CTID/N/"
  Private area already exists in /var/lib/vz/private/N
  Creation of container private area failed

  $ vzctl destroy $CTID >/dev/null; rm -f $conf.destroyed
