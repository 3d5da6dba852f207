# Project quota on the node's data disk
# needs: quota
# timeout: 60

The kernel counts and limits what is below a directory with an inherited project id. Root of the
node passes limits (CAP_SYS_RESOURCE), so the writing is done without that capability.

  $ mkdir /var/lib/vz/quota-test
  $ chattr +P -p 4242 /var/lib/vz/quota-test
  $ setquota -P 4242 1024 2048 10 12 /var/lib/vz; setquota -P -t 604800 604800 /var/lib/vz
  $ limited() { setpriv --bounding-set -sys_resource --inh-caps -sys_resource "$@"; }
  $ limited dd if=/dev/zero of=/var/lib/vz/quota-test/big bs=64k count=64 status=none
  dd: error writing '/var/lib/vz/quota-test/big': Disk quota exceeded
  [1]
The directory's own block counts.

  $ stat -c %s /var/lib/vz/quota-test/big
  2093056

The directory shows its limit as the size of the file system, in kilobytes.

  $ df --output=size,iused,itotal /var/lib/vz/quota-test
  1K-blocks IUsed Inodes
       1024     2     10

Inodes are limited too, of every kind.

  $ rm /var/lib/vz/quota-test/big
  $ limited sh -c 'i=0; while mkfifo /var/lib/vz/quota-test/$i; do i=$((i + 1)); done; echo $i'
  mkfifo: cannot create fifo '/var/lib/vz/quota-test/11': Disk quota exceeded
  11

  $ rm -r /var/lib/vz/quota-test
  $ setquota -P 4242 0 0 0 0 /var/lib/vz
