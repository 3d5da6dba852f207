# Debian 13 (trixie) with systemd.
. "$here/debian.sh"

PACKAGES="mmdebstrap"
FILES="debian.sh"

recipe_inputs() { package_version mmdebstrap; host_sources trixie; }

recipe_tree() { debian_tree "$1" trixie systemd systemd-sysv; }
