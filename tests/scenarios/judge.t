# The tools that judge a node: what two containers are promised, and what they hold
# where: both
# needs: vz userns template:busybox
# timeout: 120

A node of 4 GB in a directory of its own: a container of beancounters, which runs, and one of VSwap.

  $ export VZ_SYSROOT=$PWD/node VZ_PROC=$PWD/node/proc; C=$VZ_SYSROOT/etc/vz/conf; S=/etc/vz/conf
  $ mkdir -p $C $VZ_PROC/vz $VZ_PROC/sys/kernel $VZ_SYSROOT/var/lib/vz/private
  $ cp /etc/vz/vz.conf $C/..; cp $S/ve-basic.conf-sample $C/101.conf; cp $S/ve-vswap-1g.conf-sample $C/102.conf
  $ printf 'MemTotal: 4194304 kB\nSwapTotal: 2097152 kB\n' > $VZ_PROC/meminfo; echo 30000 > $VZ_PROC/sys/kernel/threads-max
  $ printf 'bogomips : 4000.00\n' > $VZ_PROC/cpuinfo; touch $VZ_PROC/vz/vswap; echo '101 0 40' > $VZ_PROC/vz/veinfo
  $ printf 'Version: 2.6 debug\n veid id parent weight rate\n 0 2147483647 0 500 0\n 0 101 0 5 0\n' > $VZ_PROC/fairsched
  $ cat > $VZ_PROC/user_beancounters <<'END'
  > Version: 2.5
  >      uid  resource     held  maxheld  barrier  limit  failcnt
  >      101: kmemsize  8388608 9000000 14372700 14790164 0
  >           privvmpages 30000 40000 65536 69632 2
  >           numproc 40 60 240 240 0
  >           physpages 20000 25000 0 9223372036854775807 0
  >           vmguarpages 0 0 33792 9223372036854775807 0
  >           oomguarpages 20000 25000 26112 9223372036854775807 0
  >           tcpsndbuf 0 0 1720320 2703360 0
  >           tcprcvbuf 0 0 1720320 2703360 0
  >           othersockbuf 0 0 1126080 2097152 0
  >           dgramrcvbuf 0 0 262144 262144 0
  > END
  $ vzcpucheck -v
  VEID		CPUUNITS
  -------------------------
  0		1000
  101		100000
  Current CPU utilization: 101000
  Power of the node: 100000
  Warning: hardware node is overcommitted
  $ vzmemcheck -v
  Output values in %
  CTID        LowMem  LowMem     RAM MemSwap MemSwap   Alloc   Alloc   Alloc
                util  commit    util    util  commit    util  commit   limit
  101           0.49    1.31    2.10    1.40    2.01    2.04    2.50    4.78
  --------------------------------------------------------------------------
  Summary:      0.49    1.31    2.10    1.40    2.01    2.04    2.50    4.78
  $ vzcalc 101
  Resource     Current(%)  Promised(%)  Max(%)
  Memory           2.10       2.50       4.78
  $ vzoversell | grep -E '^ +101|^RAM '
         101 78.1M 97.7M  136M    -      -     -     -     -   RSf
  RAM        available:    4G  allocated:  136M  oversell: 3%

What is wrong with a configuration is told, and repaired on demand; half of one is a sample.

  $ vzcfgvalidate $S/101.conf; sed -i 's/^NUMPROC=.*/NUMPROC="240:200"/; s/^NUMFILE=.*/NUMFILE="100"/' $C/101.conf; vzcfgvalidate $S/101.conf
  Validation completed: success
  Error: barrier should be equal to limit for numproc (currently, 240:200)
  Warning: numfile should be > 5760 (currently, 100)
  [2]
  $ echo n | vzcfgvalidate -i $S/101.conf 2>/dev/null; vzcfgvalidate -r $S/101.conf 2>/dev/null; grep -E '^NUM(PROC|FILE)' $C/101.conf
  set to 240:240
  set to 5760:5760
  set to 240:240
  set to 5760:5760
  CT configuration saved to /etc/vz/conf/101.conf
  NUMPROC="240"
  NUMFILE="5760"
  $ vzcfgscale -a 0.5 -r -o $S/ve-half.conf-sample $S/101.conf; grep -E '^NUM(PROC|FILE)' $C/ve-half.conf-sample
  Scale completed: success
  NUMPROC="120"
  NUMFILE="2880"
  $ sed -i 's/^PHYSPAGES=.*/PHYSPAGES="0:8G"/' $C/102.conf; vzcfgvalidate $S/102.conf; vzcfgvalidate -r $S/102.conf 2>/dev/null | tail -n 1; grep ^PHYSPAGES $C/102.conf
  Warning: physpages.lim should be <= 1048576 (currently, 2097152)
  CT configuration saved to /etc/vz/conf/102.conf
  PHYSPAGES="0:1048576"
  $ vzsplit -n 10 -f tenth 2>&1 | tail -n 1; grep PAGES= $C/ve-tenth.conf-sample | head -n 2; vzcfgvalidate $S/ve-tenth.conf-sample
  Config /etc/vz/conf/ve-tenth.conf-sample was created
  PHYSPAGES="0:114063"
  SWAPPAGES="0:228126"
  Validation completed: success
  $ unset VZ_SYSROOT VZ_PROC

A container of this node, which is promised no more than there is.

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null; vzctl set $CTID --ram 64M --swap 0 --save >/dev/null; vzctl start $CTID >/dev/null 2>&1
  $ vzmemcheck -v | awk -v id=$CTID '$1 == id { for (i = 2; i <= 9; i++) if ($i < 0 || $i > 250) bad = 1; print NF, bad + 0 }'
  9 0
  $ vzcpucheck -v | awk -v id=$CTID '$1 == id { print $2 }'; vzoversell | grep -c "^ *$CTID "
  1000
  1
  $ vzcptcheck caps $CTID $(vzcptcheck caps); vzcptcheck caps $CTID 0
  Insufficient CPU capabilities: can't migrate
  [2]
  $ vzctl stop $CTID --fast >/dev/null; vzcptcheck caps $CTID 0 2>&1 | sed "s/$CTID/N/"; vzctl destroy $CTID >/dev/null; rm -f /etc/vz/conf/$CTID.*
  Container N is not running
