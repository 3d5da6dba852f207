# A list of many containers finds out how far each is without asking for each
# where: both
# needs: vz
# timeout: 300

A node's tree with a link, and a blank, in the path of the root areas; the private area of 1004 is
a link, that of 1005 a link that leads nowhere, 1006 has none.

  $ mkdir -p node/etc/vz/conf node/private node/dump "node/root areas"; ln -s "root areas" node/root
  $ printf '%s\n' 'VE_ROOT="/root/$VEID"' 'VE_PRIVATE="/private/$VEID"' DUMPDIR=/dump LOCKDIR=/lock > node/etc/vz/vz.conf
  $ for id in $(seq 1001 1020); do echo "HOSTNAME=h$id" > node/etc/vz/conf/$id.conf; mkdir node/private/$id node/root/$id; done
  $ cd node/private; mv 1004 there; ln -s there 1004; rmdir 1005 1006; ln -s nowhere 1005; cd ../..
  $ list() { VZ_SYSROOT=$PWD/node vzlist -aH -o ctid,status "$@" | grep -v stopped; }
  $ list
  [1]
  $ VZ_SYSROOT=$PWD/node vzlist -aH -1 | wc -l
  18

Mounted is a root area that is a mount itself: not one with a mount below it, nor a link to one.

  $ mount -t tmpfs none node/root/1001; mkdir node/root/1002/below; mount -t tmpfs none node/root/1002/below
  $ rmdir node/root/1003; ln -s 1001 node/root/1003; mount -t tmpfs none node/root/1004
  $ touch node/dump/Dump.1007 node/dump/Dump.1001
  $ list > many; cat many
        1001 mounted
        1004 mounted
        1007 suspended

A root area that was never made is told, and few are asked for one by one to the same end.

  $ rmdir node/root/1008; list 2>&1 | sed "s,$PWD,,"
  stat(/root/1008): No such file or directory
        1001 mounted
        1004 mounted
        1007 suspended
  $ list $(seq 1001 1007) | cmp - many
  $ umount node/root/1001 node/root/1002/below node/root/1004
