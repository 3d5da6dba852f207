# A root of one static program: boots in milliseconds and needs a few megabytes. For tests, for
# the demonstration, and for a container that runs a single static daemon.

PACKAGES="busybox-static"
FILES="busybox"
# Nothing in it belongs to anyone but root, so that it can be built without being root.
PACK_OPTIONS="--owner=root:0 --group=root:0"

recipe_inputs() { package_version busybox-static; }

recipe_tree() {
    local root=$1
    busybox_directories "$root"
    busybox_program "$root"
    cp -R "$here/busybox/." "$root/"
    busybox_modes "$root"
}

busybox_directories() {
    (cd "$1" && mkdir -p bin sbin usr/bin usr/sbin \
        etc/init.d etc/network/if-{pre-up,up,down,post-down}.d dev proc sys run tmp root \
        home mnt var/log var/lib var/spool/cron/crontabs var/tmp)
    ln -s ../run "$1/var/run"
    ln -s ../run/lock "$1/var/lock"
    ln -s ../proc/self/mounts "$1/etc/mtab"
}

# Every applet where its package says it lies, as a relative link: the tree works from outside too.
# halt, poweroff and reboot are scripts (busybox/sbin/halt says why).
busybox_program() {
    local root=$1 program applet
    program=$(dpkg-query -L busybox-static | grep -m1 '/bin/busybox$')
    install -m 755 "$program" "$root/bin/busybox"
    while read -r applet; do
        case $applet in
            bin/busybox | linuxrc | sbin/halt | sbin/poweroff | sbin/reboot) ;;
            usr/*) ln -s ../../bin/busybox "$root/$applet" ;;
            bin/*) ln -s busybox "$root/$applet" ;;
            *) ln -s ../bin/busybox "$root/$applet" ;;
        esac
    done < <("$program" --list-full)
}

busybox_modes() {
    local root=$1
    chmod 1777 "$root/tmp" "$root/var/tmp"
    chmod 700 "$root/root" "$root/var/spool/cron/crontabs"
    chmod 600 "$root/etc/shadow"
    chmod 755 "$root/etc/init.d/"* "$root/sbin/halt"
    ln -s halt "$root/sbin/poweroff"
    ln -s halt "$root/sbin/reboot"
}
