# Snapshots of an image: made while it runs, listed, switched to, mounted, deleted; killed in the middle of these
# where: both
# needs: vz userns loop template:busybox command:strace
# timeout: 1020

  $ export P=/var/lib/vz/private/$CTID R=/var/lib/vz/root/$CTID C=/etc/vz/conf/$CTID.conf; I=$P/root.hdd; T=$PWD/target; mkdir -p $T
  $ id() { echo "{aaaaaaaa-0000-0000-0000-00000000000$1}"; }
  $ short() { sed "s/{aaaaaaaa-0000-0000-0000-00000000000\(.\)}/<\1>/g; s/\b$CTID\b/N/g; s/20..-..-.. ..:..:../DATE/; s/ *$//"; }
  $ list() { vzctl snapshot-list $CTID "$@" 2>&1 | short; }
  $ images() { for one in $I/root.hdd.* $(mountpoint -q $R || echo $I/root.hdd); do test ! -e "$one" || e2fsck -fn $one >/dev/null 2>&1 || echo "broken: $one"; done; (cd $P; find . -mindepth 1 -type f -printf '%f\n' | grep -v '^root.hdd$\|^DiskDescriptor.xml$\|^Snapshots.xml$' | sed "s/aaaaaaaa-0000-0000-0000-00000000000//" | LC_ALL=C sort | xargs); }
  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout ploop --diskspace 64M >/dev/null; echo 'DISK_QUOTA="no"' >> $C
  $ list; vzctl snapshot-delete $CTID --id $(id 1) 2>&1 | short; vzctl snapshot-mount $CTID --id $(id 1) --target $T 2>&1 | short; vzctl snapshot-switch $CTID --id $(id 1) >/dev/null 2>&1
  PARENT_UUID                            C UUID                                   DATE                NAME
  Unable to find snapshot by uuid <1>
  Snapshot description file /var/lib/vz/private/N/Snapshots.xml not found
  [159]

Of one that is stopped, and of one that runs and writes: what is in it is what was there at that moment.

  $ vzctl snapshot $CTID --id $(id 1) --name 'the <first>' --description 'a & b ]]> c' | short
  Creating snapshot <1>
  Storing /var/lib/vz/private/N/Snapshots.xml.tmp
  Snapshot <1> has been successfully created
  $ vzctl start $CTID >/dev/null 2>&1; vzctl set $CTID --description second --save >/dev/null
  $ vzctl exec $CTID 'mkdir /w; (n=0; while :; do n=$((n+1)); echo $n > /w/$n; mv /w/$n /w/last; done) >/dev/null 2>&1 & dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null; md5sum /big > /big.md5; sync'
  $ vzctl snapshot $CTID --id $(id 2) --name second 2>&1 | short
  Creating snapshot <2>
  Warning: the memory of processes is not saved by this version (use --skip-suspend)
  Storing /var/lib/vz/private/N/Snapshots.xml.tmp
  Snapshot <2> has been successfully created
  $ a=$(vzctl exec $CTID cat /w/last); while test "$(vzctl exec $CTID cat /w/last)" = "$a"; do sleep 0.1; done; vzctl exec $CTID 'echo lost > /lost; rm /big'
  $ vzctl snapshot $CTID --id $(id 2) --skip-suspend 2>&1 | short; vzctl snapshot $CTID --id 5fbaabe3-6958-40ff-92a7-860e329aab41 --skip-suspend 2>&1 | grep already
  Creating snapshot <2>
  Invalid guid <2> specified: already exists
  Failed to create snapshot
  Failed to create snapshot: The snapshot {5fbaabe3-6958-40ff-92a7-860e329aab41} already exist
  $ vzctl set $CTID --description third --save >/dev/null; vzctl snapshot $CTID --skip-suspend --skip-config --id $(id 3) >/dev/null; images; cat $P/Snapshots.xml | short
  root.hdd.{1} root.hdd.{2} root.hdd.{3} {1}.ve.conf {2}.ve.conf
  <?xml version="1.0"?>
  <ParallelsSavedStates>
    <SavedStateItem guid="">
      <Name/>
      <DateTime/>
      <Creator/>
      <ScreenShot/>
      <Description/>
      <SavedStateItem guid="<1>">
        <Name>the &lt;first&gt;</Name>
        <DateTime>DATE</DateTime>
        <Creator/>
        <ScreenShot/>
        <Description><![CDATA[a & b ]]]]><![CDATA[> c]]></Description>
        <SavedStateItem guid="<2>">
          <Name>second</Name>
          <DateTime>DATE</DateTime>
          <Creator/>
          <ScreenShot/>
          <Description><![CDATA[]]></Description>
          <SavedStateItem guid="<3>" current="yes">
            <Name/>
            <DateTime>DATE</DateTime>
            <Creator/>
            <ScreenShot/>
            <Description><![CDATA[]]></Description>
          </SavedStateItem>
        </SavedStateItem>
      </SavedStateItem>
    </SavedStateItem>
  </ParallelsSavedStates>
  $ sed -n '/<Snapshots>/,$p' $I/DiskDescriptor.xml | grep GUID | short
      <TopGUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</TopGUID>
        <GUID><1></GUID>
        <ParentGUID>{00000000-0000-0000-0000-000000000000}</ParentGUID>
        <GUID><2></GUID>
        <ParentGUID><1></ParentGUID>
        <GUID><3></GUID>
        <ParentGUID><2></ParentGUID>
        <GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID>
        <ParentGUID><3></ParentGUID>
  $ list -o uuid,current,name,desc; list -H -o uuid --id $(id 2); list --id $(id 9); list -o nothing
  UUID                                   C NAME                             DESC
  <1>   the <first>                      a & b ]]> c
  <2>   second
  <3> *
  <2>
  <1>
  Can't find snapshot by uuid <9>
  Unknown field: nothing

To be looked at: by root of the node, who can do no harm with it, and cannot be harmed.

  $ vzctl snapshot-mount $CTID --id $(id 2) --target $T | short | sed "s,$T,TARGET,"; (cd $T && sed s,/,, big.md5 | md5sum -c); ls $T/w | grep -c 'last'; touch $T/x 2>&1 | sed 's/.*: //'; findmnt -no OPTIONS $T | grep -c 'ro,nosuid,nodev'
  Mounting snapshot <2> to TARGET
  big: OK
  1
  Read-only file system
  1
  $ list -H -o uuid,target,device | sed "s,$T *,TARGET ,; s/loop.*/loop/"
  <1>
  <2> TARGET /dev/loop
  <3>
  $ vzctl snapshot-mount $CTID --id $(id 2) --target $T 2>&1 | sed 's/.*Image.*already/already/; s/loop.*/loop/' | tail -n 1; vzctl snapshot-delete $CTID --id $(id 2) 2>&1 | short | sed 's/loop.*/loop/'
  already used by device /dev/loop
  Deleting snapshot <2>
  Failed to delete snapshot: Snapshot <2> is busy by device(s): /dev/loop
  Failed to delete snapshot <2>
  $ vzctl snapshot-umount $CTID --id $(id 2) | short; vzctl snapshot-umount $CTID --id $(id 2) 2>&1 | short | sed 's/Image.*is/is/'
  Umounting snapshot <2>
  Umounting snapshot <2>
  Failed to umount snapshot <2>: is not mounted

What cannot be switched to does no harm to what runs; what fails later on has it run again.

  $ runs() { vzctl exec $CTID cat /lost; vzctl exec $CTID echo "$@"; }
  $ broken() { cp --sparse=always "$I/root.hdd.$(id 3)" kept; "$@"; vzctl snapshot-switch $CTID --id $(id 3) 2>&1 | short | grep -v '^Sto'; cp --sparse=always kept "$I/root.hdd.$(id 3)"; rm kept; runs on; }
  $ vzctl exec $CTID 'touch /dev/shm/memory'; broken dd if=/dev/zero of="$I/root.hdd.$(id 3)" bs=1k seek=1 count=1 conv=notrunc status=none
  Switching to snapshot <3>
  Failed to switch to snapshot: The image /var/lib/vz/private/N/root.hdd/root.hdd.<3> cannot be used: no ext4 file system
  Failed to switch to snapshot <3>
  lost
  on
  $ broken truncate -s 30M "$I/root.hdd.$(id 3)" | grep image; broken dd if=/dev/zero of="$I/root.hdd.$(id 3)" bs=4k seek=1 count=8000 conv=notrunc status=none | grep mended; vzctl exec $CTID 'ls /dev/shm'
  Failed to switch to snapshot: The image /var/lib/vz/private/N/root.hdd/root.hdd.<3> cannot be used: its end is missing
  Failed to switch to snapshot: The file system in /var/lib/vz/private/N/root.hdd/root.hdd.<3> cannot be mended by itself .* (re)
  memory
  $ printf '#!/bin/sh\nexit 3\n' > /etc/vz/conf/$CTID.umount; chmod 755 /etc/vz/conf/$CTID.umount; vzctl snapshot-switch $CTID --id $(id 3) >/dev/null 2>&1; echo $?; rm /etc/vz/conf/$CTID.umount; runs again; images
  159
  lost
  again
  root.hdd.{1} root.hdd.{2} root.hdd.{3} {1}.ve.conf {2}.ve.conf

Back to the second, with its configuration; what came later is lost. It was running: it is stopped.

  $ vzctl snapshot-switch $CTID --id $(id 2) --must-resume 2>&1 | short; vzctl snapshot-switch $CTID --id $(id 9) 2>&1 | short
  Error: no dump in snapshot, unable to resume
  Failed to switch to snapshot <2>
  Unable to find snapshot by uuid <9>
  Failed to switch to snapshot <9>
  $ echo 'NAME="another"' >> $P/dump/$(id 2).ve.conf; sed -i 's,^VE_PRIVATE=.*,VE_PRIVATE="/elsewhere",' $P/dump/$(id 2).ve.conf; cp $C before; vzctl snapshot-switch $CTID --id $(id 2) | short; grep -h '^VE_PRIVATE\|^NAME' before $C | sort -u | wc -l; rm before
  Switching to snapshot <2>
  Storing /var/lib/vz/private/N/Snapshots.xml.tmp
  Killing container ...
  Container was stopped
  Container is unmounted
  Container has been successfully switched to another snapshot
  1
  $ vzctl status $CTID | short; grep ^DESCRIPTION $C $C.old | sed 's/.*conf//'; list -H -o uuid,current; vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID 'md5sum -c /big.md5; test -e /lost || echo gone'
  CTID N exist unmounted down
  :DESCRIPTION="second"
  .old:DESCRIPTION="third"
  <1>
  <2> *
  <3>
  /big: OK
  gone
  $ vzctl stop $CTID --fast >/dev/null; vzctl snapshot $CTID --id $(id 4) >/dev/null; list -H -o parent_uuid,uuid,current
                                         <1>
  <1> <2>
  <2> <3>
  <2> <4> *

Another size, another layout, the end.

  $ vzctl set $CTID --diskspace 80M --offline-resize --save >/dev/null; stat -c '%s %n' $I/* | sed "s,$I/,," | short | grep root; grep -c '<File>' $I/DiskDescriptor.xml
  83886080 root.hdd
  67108864 root.hdd.<1>
  67108864 root.hdd.<2>
  67108864 root.hdd.<3>
  67108864 root.hdd.<4>
  5
  $ vzctl snapshot-switch $CTID --id $(id 3) >/dev/null; stat -c %s $I/root.hdd; grep ^DISKSPACE $C; vzctl mount $CTID >/dev/null; cat $R/lost; vzctl snapshot-switch $CTID --id $(id 4) | grep unm; stat -c %s $I/root.hdd; grep ^DISKSPACE $C
  83886080
  DISKSPACE="81920:81920"
  lost
  Container is unmounted
  67108864
  DISKSPACE="65536:65536"
  $ vzctl convert $CTID --layout simfs; vzctl snapshot-mount $CTID --id $(id 1) --target $T >/dev/null; vzctl destroy $CTID | short | sed "s,$T,TARGET,"; vzctl snapshot-umount $CTID --id $(id 1) >/dev/null
  CT has snapshots (delete them first)
  Snapshot <1> is currently mounted at TARGET (umount first)
  $ mkdir $P/dump/$(id 2); touch $P/dump/$(id 2)/page; vzctl snapshot-delete $CTID --id $(id 2) | short; list -H -o parent_uuid,uuid; images
  Deleting snapshot <2>
  Storing /var/lib/vz/private/N/Snapshots.xml.tmp
  Snapshot <2> has been successfully deleted
                                         <1>
  <1> <3>
  <1> <4>
  root.hdd.{1} root.hdd.{3} root.hdd.{4} {1}.ve.conf {4}.ve.conf
  $ for n in 3 1 4; do vzctl snapshot-delete $CTID --id $(id $n) >/dev/null; done; list -H; cat $P/Snapshots.xml; images; grep -c GUID $I/DiskDescriptor.xml
  <?xml version="1.0"?>
  <ParallelsSavedStates/>
  
  4

A container that somebody has frozen in the name of a killed command goes on with the next one.

  $ vzctl start $CTID >/dev/null 2>&1; echo "change $(id 5)" > $I/snapshot; fsfreeze -f $R; vzctl exec $CTID 'echo written > /x; cat /x' >thawed & list -H; wait $!; cat thawed; fsfreeze -u $R 2>&1 | sed 's/.*: //'; images
  written
  Invalid argument
  
Killed at any system call while it is made (some come less often than the time before: by what the
container has written meanwhile, and what loop devices the machine has), above all while the container is frozen: it goes on at once, without another command.

  $ die() { n=$1; shift; name=$(sed -n "${n}s/^\([a-z0-9_]*\)(.*/\1/p" trace); test -n "$name" || return 0
  >   nth=$(head -n $n trace | grep -c "^$name("); bash -c 'which=$1; shift; strace -qq -o killed -e inject=$which "$@"; :' die "$name:signal=KILL:when=$nth" "$@" >/dev/null 2>&1
  >   echo >> tries; grep -q 'killed by SIGKILL' killed || echo >> missed; }
  $ points() { if grep -q TCG /proc/cpuinfo; then echo $(($1 + ($2 - $1) * 2 / 3)); else seq $1 $((($2 - $1) / 8 + 1)) $2; fi; }
  $ begin() { grep -n '^openat.*root.hdd/snapshot"\|^flock' trace | head -n 1 | cut -d : -f 1; }
  $ whole() { if list -H -o uuid | grep -q "<$1>"; then echo "root.hdd.{$1} {$1}.ve.conf"; fi; }
  $ put() { strace -qq -o trace vzctl "$@" >/dev/null 2>&1; wc -l < trace; }
  $ total=$(put snapshot $CTID --skip-suspend --id $(id 5)); held=$(grep -n '^clone3' trace | tail -n 1 | cut -d : -f 1); test "$held" -gt 50; vzctl snapshot-delete $CTID --id $(id 5) >/dev/null
  $ for n in $(points $(begin) $held) $(points $((held + 1)) $((held + 8))) $(points $((held + 9)) $total); do
  >   die $n vzctl snapshot $CTID --skip-suspend --id $(id 5)
  >   test "$(timeout 20 vzctl exec $CTID "echo $n > /x; sync; cat /x")" = $n || echo "at $n of $total: frozen"
  >   want=$(whole 5); test "$(images)" = "$want" || echo "at $n of $total: $(images), not $want"
  >   fsfreeze -u $R 2>/dev/null && echo "at $n of $total: left frozen"
  >   test -z "$want" || vzctl snapshot-delete $CTID --id $(id 5) >/dev/null || echo "at $n of $total: not deleted"
  > done

A switch, there and back: files, configuration and tree are of one state or of the other.

  $ for n in 1 2; do vzctl exec $CTID "echo $n > /state; sync"; vzctl set $CTID --description $n --save >/dev/null; vzctl snapshot $CTID --skip-suspend --id $(id $n) >/dev/null; done; vzctl stop $CTID --fast >/dev/null
  $ state() { vzctl mount $CTID >/dev/null 2>&1; echo $(cat $R/state) $(sed -n 's/^DESCRIPTION="\(.*\)"/\1/p' $C) $(list -H -o current,uuid | sed -n 's/^\* <\(.\)>/\1/p') $(sed -n 's/<ParentGUID>\(.*\)<.*/\1/p' $I/DiskDescriptor.xml | short | tail -n 1); vzctl umount $CTID >/dev/null; }
  $ state; total=$(put snapshot-switch $CTID --id $(id 1)); state
  2 2 2 <2>
  1 1 1 <1>
  $ for n in $(points $(begin) $((total - 80))) $(points $((total - 79)) $total); do
  >   vzctl snapshot-switch $CTID --id $(id 2) >/dev/null || echo "before $n of $total: $?"
  >   die $n vzctl snapshot-switch $CTID --id $(id 1); now=$(state)
  >   test "$now" = '1 1 1 <1>' -o "$now" = '2 2 2 <2>' || echo "at $n of $total: $now"
  >   test "$(images)" = 'root.hdd.{1} root.hdd.{2} {1}.ve.conf {2}.ve.conf' || echo "at $n of $total: $(images)"
  > done

Deleted, and mounted.

  $ total=$(put snapshot-delete $CTID --id $(id 2))
  $ for n in $(points $(begin) $total); do
  >   vzctl snapshot $CTID --id $(id 2) >/dev/null || echo "before $n of $total: $?"
  >   die $n vzctl snapshot-delete $CTID --id $(id 2); want=$(whole 2)
  >   test "$(images)" = "$(echo root.hdd.{1} $want {1}.ve.conf | tr ' ' '\n' | LC_ALL=C sort | xargs)" || echo "at $n of $total: $(images)"
  >   test -z "$want" || vzctl snapshot-delete $CTID --id $(id 2) >/dev/null
  > done
  $ total=$(put snapshot-mount $CTID --id $(id 1) --target $T); vzctl snapshot-umount $CTID --id $(id 1) >/dev/null
  $ for n in $(points $((total - 60)) $total); do
  >   die $n vzctl snapshot-mount $CTID --id $(id 1) --target $T; mountpoint -q $T && cat $T/state | grep -v 1; vzctl snapshot-umount $CTID --id $(id 1) >/dev/null 2>&1; mountpoint $T
  > done | grep -v 'is not a mountpoint'
  [1]
  $ for i in $(seq 50); do losetup -n -O BACK-FILE | grep /$CTID/ || break; sleep 0.1; done; state | cut -c 1-5
  1 1 1
  $ touch missed; test $(wc -l < missed) -le $(($(wc -l < tries) / 4)) || echo "not killed: $(wc -l < missed) of $(wc -l < tries)"
  $ vzctl destroy $CTID | tail -n 1; rm -r $T $C.destroyed $C.old trace killed thawed tries missed
  Container private area was destroyed
