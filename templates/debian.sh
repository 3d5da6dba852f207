# The Debian templates: a tree by mmdebstrap, then what a container does differently.
# Sourced by the recipes, after lib.sh.

# A server an admin can log in to and build upon; no kernel, no udev, no firmware, no time
# daemon: those belong to the node.
DEBIAN_COMMON=ca-certificates,dbus,ifupdown,iproute2,iputils-ping,less,netbase,openssh-server,procps,vim-tiny

# debian_tree ROOT SUITE INIT PACKAGES: INIT is systemd, sysvinit or openrc; PACKAGES are those
# that make it so, joined by commas.
debian_tree() {
    local root=$1 suite=$2 init=$3 packages=$4
    ((EUID == 0)) || die "Debian templates are built by root (mmdebstrap makes their owners and devices)"
    debian_bootstrap "$root" "$suite" "$DEBIAN_COMMON,$packages"
    debian_forget_builder "$root"
    debian_network "$root"
    "debian_$init" "$root"
}

# Documentation is left out, licences are not; English manual pages stay. These options work at
# the build only: in a container, dpkg installs whole packages.
debian_bootstrap() {
    local root=$1 suite=$2 packages=$3 sources
    sources=$(host_sources "$suite")
    debian_mmdebstrap "$root" "$suite" "$packages" ${sources:+-} <<<"$sources" ||
        die "mmdebstrap could not build $suite (its messages are above)"
    rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/apt/apt.conf.d/99mmdebstrap"
}

debian_mmdebstrap() {
    local root=$1 suite=$2 packages=$3
    shift 3
    mmdebstrap --quiet --mode=root --variant=minbase --components=main \
        --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-include=/usr/share/locale/locale.alias' \
        --dpkgopt='path-exclude=/usr/share/man/??/*' \
        --dpkgopt='path-exclude=/usr/share/man/??_*/*' \
        "$suite" "$root" "$@"
}

# The package sources for SUITE: the node's own, with the suite's name in place of its own, so
# that a node with a mirror of its own gives that mirror to its containers. Prints nothing, and
# mmdebstrap's default (Debian's public one) stands, where the node is not Debian or has no
# downloaded package lists.
host_sources() {
    local suite=$1 host
    host=$(. /etc/os-release && [[ ${ID:-} = debian ]] && printf '%s' "${VERSION_CODENAME:-}") || return 0
    [[ -n $host ]] || return 0
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        awk -v host="$host" -v suite="$suite" '
            $1 == "Debian" && $2 == "main" && !seen[$3 $4]++ {
                if ($3 == host) release = suite
                else if ($3 == host "-updates") release = suite "-updates"
                else if ($3 == host "-security") release = suite "-security"
                else next
                print "deb", $4, release, "main"
            }'
}

# What must differ between containers, or came from the machine that built the tree.
debian_forget_builder() {
    local root=$1
    # Generated at the first boot: an empty machine-id is a promise to systemd to make one.
    rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
    put "$root" etc/machine-id 444 </dev/null
    put "$root" etc/hostname 644 <<<localhost
    put "$root" etc/resolv.conf 644 </dev/null
    put "$root" etc/hosts 644 <<'HOSTS'
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
HOSTS
    put "$root" etc/fstab 644 <<<'# A container has its root mounted by the node.'
    # The container's /dev is made at its start.
    find "$root/dev" "$root/run" "$root/tmp" -mindepth 1 -delete
    find "$root/var/lib/apt/lists" "$root/var/cache/apt" "$root/var/log" -type f -delete
    rm -f "$root/var/cache/ldconfig/aux-cache" "$root"/var/cache/debconf/*-old \
        "$root"/var/lib/dpkg/*-old "$root"/etc/{passwd,group,shadow,gshadow,subuid,subgid}-
}

debian_network() {
    put "$1" etc/network/interfaces 644 <<'INTERFACES'
# Addresses that vzctl sets are written here at each start.
auto lo
iface lo inet loopback
INTERFACES
}

# Units that cannot do their work in a container, each for its reason: these file systems
# belong to the kernel and so to the node, devices and modules are the node's, and there is no
# virtual terminal. Left alone they fail, and the whole system reports itself degraded.
# tmp.mount works, but would take its size from the node's memory and its pages from the
# container's: /tmp stays on the container's disk.
DEBIAN_MASKED="
    dev-hugepages.mount sys-fs-fuse-connections.mount
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
    systemd-modules-load.service modprobe@.service tmp.mount
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket
    systemd-udev-trigger.service systemd-udev-settle.service
    getty@tty1.service getty-static.service"

debian_systemd() {
    local root=$1 unit units=$1/etc/systemd/system
    for unit in $DEBIAN_MASKED; do
        ln -s /dev/null "$units/$unit"
    done
    mkdir -p "$units/getty.target.wants"
    ln -sf /usr/lib/systemd/system/console-getty.service "$units/getty.target.wants/console-getty.service"
    debian_systemd_host_keys "$root"
    debian_systemd_updated "$root"
    # A service in a UTS namespace of its own cannot be checkpointed: CRIU dumps one a container.
    put "$root" etc/systemd/system/service.d/10-checkpoint.conf 644 <<'UNIT'
[Service]
ProtectHostname=no
UNIT
}

# Tells systemd that /etc and /var belong to this /usr: without it the first boot would build
# the linker's cache, the journal's catalogue and the system users again, as they are.
debian_systemd_updated() {
    local root=$1 directory
    for directory in etc var; do
        put "$root" $directory/.updated 644 <<<"TIMESTAMP_NSEC=${SOURCE_DATE_EPOCH}000000000"
    done
}

# Keys are made once, before the first ssh server, and the boot does not wait for them.
debian_systemd_host_keys() {
    local root=$1
    put "$root" etc/systemd/system/ssh-host-keys.service 644 <<'UNIT'
[Unit]
Description=Make the SSH host keys of this container
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
UNIT
    put "$root" etc/systemd/system/ssh.service.d/10-host-keys.conf 644 <<'UNIT'
[Unit]
Wants=ssh-host-keys.service
After=ssh-host-keys.service
UNIT
}

# /etc/inittab: one getty, on the console that `vzctl console` opens; the virtual terminals'
# are left out. ROOT, then what runs a runlevel's scripts ("rc" of the init in use).
debian_inittab() {
    put "$1" etc/inittab 644 <<'INITTAB'
# A container has one terminal, the console, and no virtual terminals.
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
~~:S:wait:/sbin/sulogin --force
l0:0:wait:/etc/init.d/rc 0
l1:1:wait:/etc/init.d/rc 1
l2:2:wait:/etc/init.d/rc 2
l3:3:wait:/etc/init.d/rc 3
l4:4:wait:/etc/init.d/rc 4
l5:5:wait:/etc/init.d/rc 5
l6:6:wait:/etc/init.d/rc 6
ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now
pf::powerfail:/sbin/shutdown -t1 -h now
1:2345:respawn:/sbin/agetty --noclear --keep-baud console 115200,38400,9600 linux
INITTAB
}

# Where init is not systemd, a boot script makes the keys before ssh's own starts.
debian_sysv_host_keys() {
    local root=$1
    put "$root" etc/init.d/ssh-host-keys 755 <<'SCRIPT'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          ssh-host-keys
# Required-Start:    $local_fs
# Required-Stop:
# X-Start-Before:    ssh
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: Make the SSH host keys of this container
### END INIT INFO
case "$1" in
    start | restart | force-reload) [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A ;;
    stop | status) ;;
    *) echo "Usage: $0 {start|stop|restart|force-reload|status}" >&2; exit 2 ;;
esac
SCRIPT
    in_chroot "$root" update-rc.d ssh-host-keys defaults
}

# Boot scripts of Debian's initscripts that only complain in a container, for the reasons of
# DEBIAN_MASKED: devices, modules, clock and file systems are the node's.
DEBIAN_SCRIPTS_OFF="udev kmod mount-configfs brightness hwclock.sh checkfs.sh bootlogs"

# in_chroot ROOT COMMAND...: shows what the command prints only if it fails, as insserv warns of
# every script that is switched off.
in_chroot() {
    local output
    output=$(chroot "$@" 2>&1) || die "$2 failed in the new tree: $output"
}

debian_sysv() {
    local root=$1
    debian_inittab "$root"
    debian_sysv_host_keys "$root"
    ln -sf ../proc/self/mounts "$root/etc/mtab"
}

debian_sysvinit() {
    local root=$1 script
    debian_sysv "$root"
    for script in $DEBIAN_SCRIPTS_OFF; do
        in_chroot "$root" update-rc.d "$script" disable
    done
}

debian_openrc() {
    local root=$1 script
    debian_sysv "$root"
    for script in $DEBIAN_SCRIPTS_OFF; do
        rm -f "$root"/etc/runlevels/*/"$script"
    done
    # OpenRC then leaves out what a service's keywords say cannot work in a container.
    sed -i 's/^#\?rc_sys=.*/rc_sys="openvz"/' "$root/etc/rc.conf"
}
