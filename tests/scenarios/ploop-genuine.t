# Images that ploop itself has made are turned into plain ones, with their snapshots; killed in the middle of it
# where: both
# needs: vz userns loop template:busybox command:strace
# timeout: 900

  $ export P=/var/lib/vz/private/$CTID R=/var/lib/vz/root/$CTID C=/etc/vz/conf/$CTID.conf; I=$P/root.hdd K=/var/lib/vz/kept.$CTID
  $ TOP={5fbaabe3-6958-40ff-92a7-860e329aab41} S={11111111-2222-3333-4444-aaaaaaaaaaaa} NONE={00000000-0000-0000-0000-000000000000}
  $ sum() { (cd $1 && { find . -path ./.balloon -prune -o -printf '%P %y %m %U:%G %l\n' | LC_ALL=C sort; find . -path ./.balloon -prune -o -type f -exec md5sum {} + | LC_ALL=C sort; } | md5sum); }
  $ files() { vzctl mount $CTID >/dev/null && sum $R; vzctl umount $CTID >/dev/null; }
  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout ploop --diskspace 40M >/dev/null; echo 'DISK_QUOTA="no"' >> $C

Fixtures by the format's description: a disk with one partition, which begins after the first cluster; and what of it
differs from another, in ploop's own format.

  $ le() { n=$1; for i in $(seq $2); do printf "\\$(printf %o $((n & 255)))"; n=$((n >> 8)); done; }
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

  $ mkdir $K; vzctl mount $CTID >/dev/null; head -c 3M /dev/urandom > $R/old; cp $R/old $R/changed; touch $R/.balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8; fallocate -l 4M $R/.balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8; vzctl umount $CTID >/dev/null
  $ disk $I/root.hdd before; vzctl mount $CTID >/dev/null; rm $R/old; head -c 5M /dev/urandom > $R/new; echo x | dd of=$R/changed conv=notrunc bs=1 seek=1000000 status=none; vzctl umount $CTID >/dev/null; disk $I/root.hdd after
  $ vzctl mount $CTID >/dev/null; rm $R/.balloon-*; vzctl umount $CTID >/dev/null; now=$(files); truncate -s $(stat -c %s after) nothing
  $ delta nothing before $K/root.hdd 2; delta before after "$K/root.hdd.$S" 1 $((0x746f6e59)); echo mine > $K/notes; : > $K/DiskDescriptor.xml.lck
  $ shots=$(shot $S $NONE)$(shot $TOP $S); describe "$S Compressed root.hdd" "$TOP Compressed root.hdd.$S"; put; ls $K | sed 's/{.*/X/'; od -A d -c -N 64 $I/root.hdd | head -n 1

What it says, and what the command makes of it.

  $ vzctl start $CTID 2>&1 | tail -n 1
  $ vzctl convert $CTID; ls $I | sed 's/{.*/X/'; cat $I/notes; ls -A $P
  $ test "$(files)" = "$now" && echo same; vzctl convert $CTID
