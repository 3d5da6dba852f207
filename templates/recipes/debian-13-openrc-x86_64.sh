# Debian 13 (trixie) with openrc as its init: a guest for the tests, which proves that nothing
# in a container's start and stop relies on systemd.
. "$here/debian.sh"

PACKAGES="mmdebstrap"
FILES="debian.sh"

recipe_inputs() { package_version mmdebstrap; host_sources trixie; }

# The standalone package is the one thing of systemd's that dbus needs: without it, all of
# systemd would come along.
recipe_tree() { debian_tree "$1" trixie openrc sysvinit-core,openrc,systemd-standalone-sysusers; }
