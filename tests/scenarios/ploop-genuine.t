# Images that ploop itself has made are turned into plain ones, with their snapshots; killed in the middle of it
# where: host
# needs: vz userns loop template:busybox command:strace
# timeout: 900

  $ export P=/var/lib/vz/private/$CTID R=/var/lib/vz/root/$CTID C=/etc/vz/conf/$CTID.conf; I=$P/root.hdd K=/var/lib/vz/kept.$CTID
  $ TOP={5fbaabe3-6958-40ff-92a7-860e329aab41} S={11111111-2222-3333-4444-aaaaaaaaaaaa} NONE={00000000-0000-0000-0000-000000000000}
  $ sum() { (cd $1 && { find . -path ./.balloon -prune -o -printf '%P %y %m %U:%G %l\n' | LC_ALL=C sort; find . -path ./.balloon -prune -o -type f -exec md5sum {} + | LC_ALL=C sort; } | md5sum); }
  $ files() { vzctl mount $CTID >/dev/null && sum $R; vzctl umount $CTID >/dev/null; }
  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout ploop --diskspace 40M >/dev/null; echo 'DISK_QUOTA="no"' >> $C

Fixtures by the format's description: a disk with one partition, which begins after the first cluster; and what of it
differs from another, in ploop's own format.

  $ le() { local n=$1 left=$2 text= byte; while test $left -gt 0; do printf -v byte '\\x%02x' $((n & 255)); text=$text$byte n=$((n >> 8)) left=$((left - 1)); done; printf "$text"; }
  $ zeroes() { head -c $1 /dev/zero; }
  $ crc() { gzip -1 | tail -c 8 | head -c 4; }
  $ header() { printf 'EFI PART'; le 65536 4; le 92 4; cat $1; le 0 4; le 1 8; le $2 8; le 34 8; le $(($2 - 33)) 8; printf 'disk-identifier.'; le 2 8; le 128 4; le 128 4; crc < entries; }
  $ disk() { truncate -s 0 $2; truncate -s $(($(stat -c %s $1) + (2 << 20))) $2; dd if=$1 of=$2 bs=1M seek=1 conv=notrunc,sparse status=none; last=$(($(stat -c %s $2) / 512 - 1))
  >   { printf 'type-identifier.part-identifier.'; le 2048 8; le $((last - 2048)) 8; zeroes 16336; } > entries
  >   zeroes 4 > sum; header sum $last | crc > real; { header real $last; zeroes 420; cat entries; } | dd of=$2 bs=512 seek=1 conv=notrunc status=none; }
  $ delta() { old=$1 new=$2 image=$3 version=$4; count=$(($(stat -c %s $new) >> 20)) unit=1 signature=WithouFreSpacExt; if test $version = 1; then unit=2048 signature=WithoutFreeSpace; fi
  >   { printf $signature; le 2 4; le 16 4; le $count 4; le 2048 4; le $count 4; le $((count * 2048)) 8; le ${5:-0} 4; le 2048 4; le 0 12; } > $image; at=1; : > pieces
  >   for k in $(seq 0 $((count - 1))); do
  >     if cmp -s -n 1048576 -i $((k << 20)) $old $new; then le 0 4; else le $((at * unit)) 4; echo $k $at >> pieces; at=$((at + 1)); fi
  >   done >> $image
  >   while read -r k at; do dd if=$new of=$image bs=1M skip=$k seek=$at count=1 conv=notrunc status=none; done < pieces; }
  $ describe() { { printf '<?xml version="1.0"?>\n<Parallels_disk_image><Disk_Parameters><Disk_size>86016</Disk_size></Disk_Parameters><StorageData><Storage><Blocksize>2048</Blocksize>'
  >   for x in "$@"; do set -- $x; printf '<Image><GUID>%s</GUID><Type>%s</Type><File>%s</File></Image>' $1 $2 $3; done
  >   printf '</Storage></StorageData><Snapshots><TopGUID>%s</TopGUID>' $1; printf '%s' "$shots"; printf '</Snapshots></Parallels_disk_image>'; } > $K/DiskDescriptor.xml; }
  $ shot() { echo "<Shot><GUID>$1</GUID><ParentGUID>$2</ParentGUID></Shot>"; }
  $ put() { rm -rf $I; cp -a --sparse=always $K $I; }

The file system of a snapshot, and what became of it: two versions, both with ploop's balloon, which its kernel hid.

  $ mkdir $K; vzctl mount $CTID >/dev/null; head -c 3M /dev/urandom > $R/old; cp $R/old $R/changed; mark=$(md5sum < $R/old); touch $R/.balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8; fallocate -l 4M $R/.balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8; vzctl umount $CTID >/dev/null
  $ disk $I/root.hdd before; vzctl mount $CTID >/dev/null; rm $R/.balloon-*; vzctl umount $CTID >/dev/null; then=$(files); put_back() { dd if=before of=$I/root.hdd bs=1M skip=1 count=40 conv=sparse status=none; }; put_back; vzctl mount $CTID >/dev/null; rm $R/old; head -c 5M /dev/urandom > $R/new; echo x | dd of=$R/changed conv=notrunc bs=1 seek=1000000 status=none; vzctl umount $CTID >/dev/null; disk $I/root.hdd after
  $ vzctl mount $CTID >/dev/null; rm $R/.balloon-*; vzctl umount $CTID >/dev/null; now=$(files); truncate -s $(stat -c %s after) nothing
  $ delta nothing before $K/root.hdd 2; delta before after "$K/root.hdd.$S" 1 $((0x746f6e59)); echo mine > $K/notes; : > $K/DiskDescriptor.xml.lck
  $ shots=$(shot $S $NONE)$(shot $TOP $S); describe "$S Compressed root.hdd" "$TOP Compressed root.hdd.$S"; put; ls $K | sed 's/{.*/X/'; head -c 16 $I/root.hdd; echo
  DiskDescriptor.xml
  DiskDescriptor.xml.lck
  notes
  root.hdd
  root.hdd.X
  WithouFreSpacExt

What it says, and what the command makes of it.

  $ vzctl mount $CTID
  /var/lib/vz/private/.*: the disk is 2 images on each other, which cannot be mounted here: 'vzctl convert' of this container turns it into what can (re)
  [152]
  $ vzctl convert $CTID --layout simfs 2>&1 | tail -n 1; vzctl convert $CTID; ls $I | sed 's/{.*/X/'; cat $I/notes; ls -A $P; grep -c '<Type>Plain\|<ParentGUID>{1\|<Disk_size>81920<' $I/DiskDescriptor.xml
  CT has snapshots (1), which only layout ploop keeps: convert it to ploop, and delete them first
  Converting ploop images to plain ones
  Container images are plain now
  DiskDescriptor.xml
  notes
  root.hdd
  root.hdd.X
  mine
  root.hdd
  4
  $ test "$(files)" = "$now" && echo same; vzctl convert $CTID; test $(stat -c '%s %b' $I/root.hdd | awk '{ print $1 - 512 * $2 }') -gt 20000000 && echo sparse
  same
  CT is already on ploop
  sparse
  $ e2fsck -fn "$I/root.hdd.$S" >/dev/null 2>&1 && mv "$I/root.hdd.$S" $I/root.hdd; rm $I/DiskDescriptor.xml; test "$(files)" = "$then" && echo as it was
  as it was
  $ vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'ls -A / | grep balloon'; vzctl set $CTID --diskspace 30M --save >/dev/null; vzctl stop $CTID --fast >/dev/null
  $ vzctl set $CTID --diskspace 60M --save --offline-resize >/dev/null; stat -c %s $I/root.hdd; vzctl mount $CTID >/dev/null; test "$(md5sum < $R/old)" = "$mark" && echo as it was; vzctl umount $CTID >/dev/null
  62914560
  as it was
  $ sed -i '/^DISKSPACE/d' $C; echo 'DISKSPACE="40960:40960"' >> $C

One image: in its own format without a descriptor, plain with a partition table, from a node that held it to less.

  $ shots=; rm -r $K; mkdir $K; delta nothing after $K/root.hdd 1; put; vzctl convert $CTID | tail -n 1; test "$(files)" = "$now" && echo same
  Container images are plain now
  same
  $ cp --sparse=always after $K/root.hdd; describe "$TOP Plain root.hdd"; put; vzctl mount $CTID; sed -i 's/^DISKSPACE=.*/DISKSPACE="35000:35000"/' $C; vzctl convert $CTID >/dev/null; test "$(files)" = "$now" && vzctl mount $CTID >/dev/null; stat -c %s $R/.balloon/blocks; vzctl umount $CTID >/dev/null
  /var/lib/vz/private/.*: the image has a partition table, which cannot be mounted here.* (re)
  6103040
  $ put; vzctl convert $CTID --layout simfs | tail -n 1; ls -A $P | grep 'root.hdd\|balloon'; test "$(files)" = "$now" && echo same
  Container is on simfs now
  same
  $ sed -i 's/^VE_LAYOUT=.*/VE_LAYOUT="ploop"/' $C; rm -r $P; mkdir $P

Many snapshots take no more descriptors than one of them lies on others.

  $ rm -r $K; mkdir $K; delta nothing before $K/root.hdd.10 2; delta nothing nothing $K/root.hdd 2; truncate -s 1M $K/root.hdd
  $ many() { shots= below=$NONE; set --; for n in $(seq 10 18); do id={11111111-2222-3333-4444-0000000000$n}; shots=$shots$(shot $id $below) below=$id; set -- "$@" "$id Compressed root.hdd.$n"; test -e $K/root.hdd.$n || cp $K/root.hdd $K/root.hdd.$n; done; shots=$shots$(shot $TOP $below); describe "$@" "$TOP Compressed root.hdd"; }
  $ many; put; (ulimit -n 40; vzctl convert $CTID | tail -n 1); ls $I | wc -l; test "$(files)" = "$then" && echo as it was; rm -r $K; mkdir $K; shots=
  Container images are plain now
  11
  as it was

What cannot be is refused, and nothing is lost.

  $ refused() { put; vzctl convert $CTID 2>&1 | sed "1d; s,/var/lib/vz/private/$CTID,P,"; diff -r $I $K; ls -A $P; }
  $ delta nothing after $K/root.hdd 2; describe "$TOP Compressed root.hdd"; le 9999 4 | dd of=$K/root.hdd bs=1 seek=64 conv=notrunc status=none; refused
  Cannot read the image P/root.hdd/root.hdd: its table is broken: cluster 0 lies beyond the end of the file (9999)
  root.hdd
  $ rm $K/root.hdd; ln -s $PWD/after $K/root.hdd; refused
  Cannot open the image P/root.hdd/root.hdd: Too many levels of symbolic links
  root.hdd
  $ rm $K/root.hdd; shots=$(shot $S $TOP)$(shot $TOP $S); describe "$S Compressed root.hdd" "$TOP Compressed root.top"; refused | sed 's/{.*}/X/'
  P/root.hdd/DiskDescriptor.xml: X lies on itself
  root.hdd

Room for all of it is looked for before anything is written.

  $ shots=; delta nothing after $K/root.hdd 2; describe "$TOP Compressed root.hdd"; truncate -s 24M small; mke2fs -q -F -t ext4 -m 0 small; mkdir -p /mnt/small.$CTID; mount -o loop small /mnt/small.$CTID
  $ mkdir /mnt/small.$CTID/p; cp -a --sparse=always $K /mnt/small.$CTID/p/root.hdd; cp $C kept.conf; sed -i "s,^VE_PRIVATE=.*,VE_PRIVATE=/mnt/small.$CTID/p," $C; head -c 64M /dev/zero > /mnt/small.$CTID/full 2>/dev/null || true
  $ vzctl convert $CTID 2>&1 | sed '1d; s/needs [0-9]* MiB/needs N MiB/; s/small.[0-9]*/small/'; ls /mnt/small.$CTID/p; diff -r $K /mnt/small.$CTID/p/root.hdd; umount /mnt/small.$CTID; rmdir /mnt/small.$CTID; rm small; mv kept.conf $C
  Conversion needs N MiB beside the old images, and /mnt/small/p has 0 MiB free
  root.hdd

Killed at any system call: the old images or the new ones, and the next command goes through.

  $ shots=$(shot $S $NONE)$(shot $TOP $S); delta nothing before $K/root.hdd 2; delta before after "$K/root.hdd.$S" 1; describe "$S Compressed root.hdd" "$TOP Compressed root.hdd.$S"; put
  $ kills=5
  $ die() { n=$1; shift; name=$(sed -n "${n}s/^\([a-z0-9_]*\)(.*/\1/p" trace); test -n "$name" || return 0
  >   nth=$(head -n $n trace | grep -c "^$name("); bash -c 'which=$1; shift; strace -qq -o killed -e inject=$which "$@"; :' die "$name:signal=KILL:when=$nth" "$@" >/dev/null 2>&1
  >   grep -q 'killed by SIGKILL' killed && deaths=$((deaths + 1)) || true; }
  $ deaths=0; total=$(strace -qq -o trace vzctl convert $CTID >/dev/null 2>&1; wc -l < trace)
  $ for n in $(seq 60 $(((total - 60) / kills + 1)) $total) $(seq $((total - 40)) $((40 / kills + 1)) $total); do
  >   put; die $n vzctl convert $CTID
  >   if cmp -s $I/DiskDescriptor.xml $K/DiskDescriptor.xml; then diff -r $I $K; fi
  >   vzctl convert $CTID >/dev/null || echo "at $n of $total: $?"; test "$(files)" = "$now" || echo "at $n of $total: not the same"
  >   test "$(ls -A $P)$(ls $I | wc -l)" = root.hdd3 || echo "at $n of $total: left: $(ls $P $I)"
  > done; test $deaths -ge $kills || echo "only $deaths died"
  $ vzctl destroy $CTID | tail -n 1; rm -rf $K $C.destroyed trace killed before after nothing entries pieces sum real
  Container private area was destroyed
