#!/bin/sh
# SET_HOSTNAME, inside the container: HOSTNM and perhaps IP_ADDR, its first address. Written wherever
# this distribution keeps it.

SELFNAME=set_hostname
[ -n "$HOSTNM" ] || exit 0
case $HOSTNM in
*[!A-Za-z0-9._-]*) error "not a host name: $HOSTNM" $VZ_INVALID_PARAMETER_SYNTAX ;;
esac

change_hostname /etc/hosts "$HOSTNM" "$IP_ADDR"

# Debian, Alpine, Arch, and all with systemd (hostname(5)).
if [ "$(vz_lines /etc/hostname)" != "$HOSTNM" ]; then
	echo "$HOSTNM" | vz_replace /etc/hostname
fi
# SUSE and Slackware.
if [ -f /etc/HOSTNAME ] && [ ! -L /etc/HOSTNAME ]; then
	echo "$HOSTNM" | vz_replace /etc/HOSTNAME
fi
# Red Hat's before systemd.
if [ -f /etc/sysconfig/network ]; then
	put_param /etc/sysconfig/network HOSTNAME "$HOSTNM"
fi
# Gentoo.
if [ -f /etc/conf.d/hostname ]; then
	put_param /etc/conf.d/hostname hostname "$HOSTNM"
fi

# Init has not read any of these yet, or has long done so.
if [ "$(cat /proc/sys/kernel/hostname)" != "$HOSTNM" ]; then
	hostname "$HOSTNM" || exit 1
fi
exit 0
