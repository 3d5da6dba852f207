# Limits of any directory by vzquota, its file, and the private area of a container
# needs: vz userns quota template:busybox
# timeout: 600

Root of the node passes limits (CAP_SYS_RESOURCE), so the writing is done without that capability.

  $ D=/var/lib/vz/vzquota-$CTID; Q=$((CTID + 7000000)); F=/var/vzquota/quota.$Q; mkdir -p $D/below; echo text > $D/below/file
  $ limited() { setpriv --bounding-set -sys_resource --inh-caps -sys_resource "$@"; }
  $ held() { vzquota -b stat $Q | awk -v row=$1 'NR == row {print $1}'; }

  $ vzquota init $Q -p $D -b 1000 -B 2000 -i 20 -I 30 -e 0 -n 7D; stat -c %a $F; vzquota show $Q
  600
     resource          usage       softlimit      hardlimit    grace
    1k-blocks             12            1000           2000         
       inodes              3              20             30         
  $ vzquota stat $Q
  vzquota : (error) Quota accounting is off, try vzquota show id
  
  [6]
  $ vzquota on $Q; vzquota on $Q 2>&1 | sed "s/ $Q / N /"; vzquota stat $Q
  vzquota : (warning) Quota is running for id N already
     resource          usage       softlimit      hardlimit    grace
    1k-blocks             12            1000           2000         
       inodes              3              20             30         
  $ lsattr -p $D/below/file | awk '{print $1}' | sed "s/^$Q$/N/"
  N

Space: the soft limit holds at once, its grace time being 0; with a longer one the hard limit does.

  $ limited dd if=/dev/zero of=$D/big bs=64k count=20 status=none
  dd: error writing '.*/big': Disk quota exceeded (re)
  [1]
  $ stat -c %s $D/big | awk '{print ($1 < 1100000)}'; rm $D/big; vzquota setlimit $Q -e 7D; limited dd if=/dev/zero of=$D/big bs=64k count=64 status=none
  1
  dd: error writing '.*/big': Disk quota exceeded (re)
  [1]
  $ stat -c %s $D/big; vzquota stat $Q
  2035712
     resource          usage       softlimit      hardlimit    grace
    1k-blocks           2000\*           1000           2000    7days (re)
       inodes              4              20             30         
  $ rm $D/big; vzquota setlimit $Q -B 500
  vzquota : (error) block_hard_limit [500] < block_soft_limit [1000]
  
  [2]
  $ vzquota setlimit $Q -b 0 -B 0; limited dd if=/dev/zero of=$D/big bs=64k count=64 status=none && vzquota setlimit $Q -b 100 -B 200
  vzquota : (warning) block_hard_limit [200] < block_current_usage [4108]
  $ rm $D/big; vzquota setlimit $Q -b 1000 -B 2000

Inodes, of every kind.

  $ limited sh -c 'i=0; while mkfifo $0/p$i; do i=$((i + 1)); done; echo $i' $D 2>&1 | tail -n 1; vzquota stat $Q | tail -n 1
  27
       inodes             30\*             20             30    7days (re)
  $ rm $D/p*

Without a limit of its own left, it is still on, and counts.

  $ vzquota setlimit $Q -b 0 -B 0 -i 0 -I 0; held 2; vzquota setlimit $Q -b 1000 -B 2000 -i 20 -I 30
  3

Users and groups are counted, and their limits kept.

  $ vzquota stat $Q -t >/dev/null; echo $?; vzquota off $Q; vzquota on $Q -s 1 -u 10 2>/dev/null; chown 5:6 $D/below/file
  9
  $ vzquota setlimit2 $Q -u 5 10 20 30 40; vzquota stat $Q -t | grep -E '^(5|6) '
  vzquota : .warning. limits of users and groups are kept and counted, and not enforced: .* (re)
  5            user 1k-blocks           4          10          20          loaded
  5            user    inodes           1          30          40          loaded
  6           group 1k-blocks           4           0           0          loaded
  6           group    inodes           1           0           0          loaded
  $ vzdqdump $Q -U -F | grep -v '^#' > dump; vzdqload $Q -U -F < dump; vzdqdump $Q -U -F | grep -v '^#' | cmp - dump; grep ^ugid:.5 dump
  ugid:	5	0	10	20	30	40

Where the directory is a whole file system, its own quota counts and limits them.

  $ truncate -s 20M image; mkfs.ext4 -q -O quota,project -E quotatype=usrquota:grpquota:prjquota image; mkdir whole; W=$PWD/whole
  $ mount -o loop,usrquota,grpquota,prjquota image whole && chmod 777 whole; vzquota init 7 -p $W -c $W.q -b 9000 -B 9000 -i 99 -I 99 -e 0 -n 0 -s 1 -u 9
  $ vzquota on 7 -c $W.q; vzquota setlimit2 7 -c $W.q -u 5 100 200 3 3; setpriv --reuid 5 --clear-groups touch whole/1 whole/2 whole/3 whole/4
  touch: cannot touch 'whole/4': Disk quota exceeded
  [1]
  $ vzquota stat 7 -c $W.q -t | grep '^5'; vzquota off 7 -c $W.q; setpriv --reuid 5 --clear-groups touch whole/4; vzquota show 7 -c $W.q -t | grep '^5.*inodes'
  5            user 1k-blocks           0         100         200          loaded
  5            user    inodes           3           3           3          loaded
  5            user    inodes           3           3           3                
  $ vzquota on 7 -c $W.q; setpriv --reuid 5 --clear-groups touch whole/5; vzquota off 7 -c $W.q; umount whole
  touch: cannot touch 'whole/5': Disk quota exceeded

Another number does not get the directory while it is on; switched off, nothing is limited; dropped, it is
counted anew.

  $ vzquota init $((Q + 1)) -p $D -b 1 -B 2 -i 3 -I 4 -e 0 -n 0 2>/dev/null; vzquota on $((Q + 1)) 2>&1 | sed 's/.*: //'; vzquota drop $((Q + 1))
  (warning) block_hard_limit [2] < block_current_usage [12]
  switch that off first
  $ vzquota drop $Q 2>/dev/null; echo $?; vzquota off $Q; limited dd if=/dev/zero of=$D/big bs=64k count=64 status=none
  5
  $ vzquota drop $Q; vzquota show $Q 2>/dev/null; echo $?; vzquota init $Q -p $D -b 10000 -B 20000 -i 20 -I 30 -e 0 -n 0; vzquota on $Q; held 1
  11
  4108
  $ cp $F old; vzquota off $Q -f; printf x >> $F; vzquota on $Q 2>/dev/null; echo $?; cp old $F; vzquota on $Q 2>&1 | sed "s/ $Q,/ N,/"; held 2
  4
  vzquota : (warning) Incorrect quota shutdown for id N, recalculating disk usage
  4
  $ vzquota off $Q; vzquota drop $Q; rm -r $D; ls -A /var/vzquota

A container's is on while it is mounted; dropped and counted anew it is as before.

  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout simfs --diskspace 20M:22M --diskinodes 2000:2100 >/dev/null; vzctl start $CTID >/dev/null
  $ vzquota stat $CTID | awk '{print $1, $3, $4}'; chattr -p 0 /var/lib/vz/private/$CTID; vzctl set $CTID --diskspace 30M:33M >/dev/null; vzquota stat $CTID | awk 'NR == 2 {print $3, $4}'
  resource softlimit hardlimit
  1k-blocks 20480 22528
  inodes 2000 2100
  30720 33792
  $ lsattr -pd /var/lib/vz/private/$CTID | awk '{print $1}' | sed "s/^$CTID$/N/"
  N
  $ for time in 5000 5000 259200; do vzctl set $CTID --diskspace 30M:33M --quotatime $time 2>&1 | grep QUOTATIME; done; vzquota -b stat $CTID | awk 'NR == 2 {print $5}'
  Warning: QUOTATIME is from now on that of all containers on this file system
  Warning: QUOTATIME is from now on that of all containers on this file system
  259200
  $ vzctl exec $CTID 'head -c 50000000 /dev/zero > /big' 2>/dev/null; vzquota stat $CTID | awk 'NR == 2 {print ($2+0 > 28000 && $2+0 <= 33792)}'
  1
  $ vzquota drop $CTID 2>/dev/null; echo $?; vzctl stop $CTID --fast >/dev/null; vzquota stat $CTID 2>/dev/null; echo $?; vzquota show $CTID | awk 'NR == 2 {print ($2+0 > 28000)}'
  5
  6
  1
  $ vzlist -aHo diskspace.h,diskinodes.h $CTID | tr -s ' '
   22528 2100
  $ rm /var/lib/vz/private/$CTID/big; vzquota drop $CTID; vzctl quotainit $CTID; vzquota stat $CTID 2>/dev/null; echo $?; vzctl start $CTID >/dev/null; vzquota stat $CTID | awk 'NR == 2 {print $3, $4}'
  6
  20480 22528

Without limits it is on as well while it is mounted.

  $ vzctl stop $CTID --fast >/dev/null; sed -i '/^DISKSPACE=/d; /^DISKINODES=/d' /etc/vz/conf/$CTID.conf; vzctl start $CTID >/dev/null; vzquota stat $CTID | awk '{print $1, $3, $4}'; vzlist -Ho diskinodes.h $CTID | awk '{print ($1 < 1000000)}'
  resource softlimit hardlimit
  1k-blocks 0 0
  inodes 0 0
  1
  $ vzctl stop $CTID --fast >/dev/null; vzquota stat $CTID 2>/dev/null; echo $?; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed; ls -A /var/vzquota
  6

One that was never mounted leaves no limits.

  $ vzctl create $CTID --ostemplate busybox-x86_64 --layout simfs --diskspace 20M:22M >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
  $ repquota -P /var/lib/vz 2>/dev/null | awk -v id="#$CTID" '$1 == id && $5 != 0'
