# Security: an OS template that reaches out of the private area is refused, and nothing is left
# where: both
# needs: vz userns command:perl
# timeout: 180

Archives are written byte by byte: no tar makes such ones. An entry is NAME TYPE LINK TEXT.

  $ cat > mktar <<'E'
  > sub entry { my ($name, $type, $link, $text, $size) = @_;
  >   $size //= length $text;
  >   my $head = pack "a100a8a8a8a12a12a8aa100a6a2a32a32a8a8a155x12", $name, "0000755", "0000000",
  >     "0000000", sprintf("%011o", $size), "00000000000", " " x 8, $type, $link, "ustar", "00", "", "", "", "", "";
  >   substr($head, 148, 8) = sprintf "%06o\0 ", unpack "%32C*", $head;
  >   print $head, $text, "\0" x (-length($text) % 512); }
  > sub pax { my $all = ""; for (@_) { my $n = length($_) + 3; $n++ while length("$n $_\n") > $n;
  >   $all .= length("$n $_\n") . " $_\n"; } entry("pax", "x", "", $all); }
  > eval join "", <STDIN>; die $@ if $@; print "\0" x 1024;
  > E
  $ cache=/var/lib/vz/template/cache
  $ evil() { perl mktar > $cache/evil-$CTID.tar && vzctl create $CTID --ostemplate evil-$CTID 2>&1 | sed "s/$CTID/N/g"
  >   vzctl status $CTID 2>/dev/null | sed "s/$CTID/N/"; ls -d /var/lib/vz/private/$CTID* /etc/vz/conf/$CTID.conf 2>/dev/null | sed "s/$CTID/N/"; }
  $ echo secret > /root/canary-$CTID; chmod 600 /root/canary-$CTID

1: a name that climbs out.

  $ evil <<'E'
  > entry("etc/", 5, "", ""); entry("../" x 8 . "root/pwn", 0, "", "owned");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member '../../../../../../../../root/pwn': its name has a '..'
  Creation of container private area failed
  CTID N deleted unmounted down
  $ evil <<'E'
  > entry("/root/pwn", 0, "", "owned"); entry("etc/../../../../../../root/pwn", 0, "", "owned");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'etc/../../../../../../root/pwn': its name has a '..'
  Creation of container private area failed
  CTID N deleted unmounted down
  $ ls /root/pwn 2>/dev/null
  [2]

3: a link, then a file through it; and the same by way of a directory that becomes a link.

  $ evil <<E
  > entry("etc", 2, "/etc", ""); entry("etc/canary-$CTID", 0, "", "owned");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'etc/canary-N': a directory of its name is a symbolic link
  Creation of container private area failed
  CTID N deleted unmounted down
  $ evil <<E
  > entry("a/", 5, "", ""); entry("a", 2, "/root", ""); entry("a/canary-$CTID", 0, "", "owned");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'a/canary-N': a directory of its name is a symbolic link
  Creation of container private area failed
  CTID N deleted unmounted down
  $ evil <<E
  > entry("proc", 2, "/proc/self/fd", ""); entry("proc/1", 0, "", "owned");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'proc/1': a directory of its name is a symbolic link
  Creation of container private area failed
  CTID N deleted unmounted down
  $ cat /root/canary-$CTID; ls /etc/canary-$CTID 2>/dev/null
  secret
  [2]

5: hard links to files of the node.

  $ evil <<E
  > entry("x", 1, "/root/canary-$CTID", "");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'x': it is a hard link to a file that is not unpacked
  Creation of container private area failed
  CTID N deleted unmounted down
  $ evil <<E
  > entry("y", 1, "../../../../../root/canary-$CTID", "");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'y': it is a hard link to a name with a '..'
  Creation of container private area failed
  CTID N deleted unmounted down
  $ evil <<E
  > entry("d", 2, "/root", ""); entry("z", 1, "d/canary-$CTID", "");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 'z': it is a hard link to a name below a symbolic link
  Creation of container private area failed
  CTID N deleted unmounted down
  $ stat -c %h /root/canary-$CTID
  1

7: two sizes for one member: what tar lists is what is unpacked, not what lies between.

  $ evil <<'E'
  > pax("size=512"); entry("shown", 0, "", "A" x 512, 0); entry("after", 0, "", "B");
  > E
  Creating container private area (evil-N)
  Warning: configuration file for distribution evil-N not found, using defaults from /etc/vz/dists/default
  Performing postcreate actions
  CT configuration saved to /etc/vz/conf/N.conf
  Container private area was created
  CTID N exist unmounted down
  /etc/vz/conf/N.conf
  /var/lib/vz/private/N
  $ tar tf $cache/evil-$CTID.tar
  shown
  after
  $ vzctl mount $CTID >/dev/null && find /var/lib/vz/root/$CTID -type f -printf '%P %s\n' | sort; vzctl umount $CTID >/dev/null
  after 1
  shown 512
  $ vzctl destroy $CTID >/dev/null; rm -f /etc/vz/conf/$CTID.conf.destroyed

A sparse file of four exabytes, and a size that is no number.

  $ evil <<'E'
  > pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=s", "GNU.sparse.realsize=4611686018427387904"); entry("s", 0, "", "1\n4611686018427387903\n1\n" . "\0" x 489 . "X" x 512);
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 's': its sparse map is malformed
  Creation of container private area failed
  CTID N deleted unmounted down
  $ evil <<'E'
  > pax("size=-1"); entry("s", 0, "", "x");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member 's': its size is malformed or out of range
  Creation of container private area failed
  CTID N deleted unmounted down

What a member is called does not reach the terminal as it is.

  $ evil <<'E'
  > entry("\e]0;title\a../../x", 0, "", "x");
  > E
  Creating container private area (evil-N)
  Unpack /var/lib/vz/template/cache/evil-N.tar failed: refusing the archive member '\u{1b}]0;title\u{7}../../x': its name has a '..'
  Creation of container private area failed
  CTID N deleted unmounted down
  $ rm -f $cache/evil-$CTID.tar /root/canary-$CTID
