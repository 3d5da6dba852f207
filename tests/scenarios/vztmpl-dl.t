# A template that is not there comes from a mirror or an image server when a container is created of it
# where: host
# needs: vz userns template:busybox command:busybox
# timeout: 120

  $ T=fresh$CTID-1-x86_64; W=/var/lib/vz/mirror-$CTID; cache=/var/lib/vz/template/cache C=/etc/vz/conf; url=http://127.0.0.1:$((20000 + CTID % 10000))
  $ mkdir -p $W/streams/v1; cp $cache/busybox-x86_64.tar.gz $W/$T.tar.gz; echo $T > $W/.listing
  $ { cat $C/ve-basic.conf-sample; echo 'DISK_QUOTA="no"'; } > $C/ve-$T.conf-sample; conf=/etc/vz/download.conf; test ! -e $conf || mv $conf $conf.kept; echo "TEMPLATE_REPOS=$url" > $conf
  $ busybox httpd -f -p ${url#http://} -h $W & server=$!
  $ for i in $(seq 100); do vztmpl-dl --list-remote >out 2>&1 && break; sleep 0.1; done; test "$(cat out)" = $T || cat out
  $ vzctl create $CTID --ostemplate $T --config $T --layout simfs >out 2>&1 || cat out; cmp $W/$T.tar.gz $cache/$T.tar.gz; vzctl start $CTID >/dev/null 2>&1; vzctl exec $CTID echo works; vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null
  works
  $ ls $cache | grep -c part; vztmpl-dl $T | grep -c 'is up to date'
  0
  1
  $ rm $cache/$T.tar.gz; echo "$(echo wrong | sha256sum | cut -d ' ' -f 1)  $T.tar.gz" > $W/SHA256SUMS; vzctl create $CTID --ostemplate $T --config $T --layout simfs 2>&1 | grep -c 'checksum is\|failed to download\|not found'; ls $cache | grep $T
  3
  [1]

An image server, by its index.

  $ sum=$(sha256sum < $W/$T.tar.gz | cut -d ' ' -f 1); size=$(stat -c %s $W/$T.tar.gz)
  $ echo '{"index":{"images":{"datatype":"image-downloads","path":"streams/v1/images.json"}}}' > $W/streams/v1/index.json
  $ echo '{"products":{"p":{"os":"Fresh'$CTID'","release":"1","arch":"amd64","variant":"default","versions":{"20260101":{"items":{"r":{"ftype":"root.tar.gz","path":"'$T'.tar.gz","size":'$size',"sha256":"'$sum'"}}}}}}}' > $W/streams/v1/images.json
  $ echo "TEMPLATE_REPOS=$url/streams/v1/index.json" > $conf; vztmpl-dl --quiet $T; cmp $W/$T.tar.gz $cache/$T.tar.gz; vztmpl-dl --list-remote | sed "s/$CTID/N/"
  freshN-1-x86_64
  $ kill $server; wait $server 2>/dev/null; vztmpl-dl --list-orphans 2>&1 | grep -c 'Connection refused'; rm -r $W $cache/$T.tar.gz $C/ve-$T.conf-sample $C/$CTID.conf.destroyed $conf; test ! -e $conf.kept || mv $conf.kept $conf
  1
