# Debian 12 (bookworm) with systemd.
. "$here/debian.sh"

PACKAGES="mmdebstrap"
FILES="debian.sh"

recipe_inputs() { package_version mmdebstrap; host_sources bookworm; }

recipe_tree() { debian_tree "$1" bookworm systemd systemd-sysv; }
