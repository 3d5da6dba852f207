#!/bin/sh
# SET_DNS, inside the container: NAMESERVER and SEARCHDOMAIN, what is given of them, go into
# /etc/resolv.conf. A link to what a local resolver writes is replaced: it would write over it.

SELFNAME=set_dns
file=/etc/resolv.conf
set -f
vz_lines "$file" | {
	while IFS= read -r line; do
		case $line in
		nameserver*) [ -z "$NAMESERVER" ] || continue ;;
		search* | domain*) [ -z "$SEARCHDOMAIN" ] || continue ;;
		esac
		printf '%s\n' "$line"
	done
	[ -z "$SEARCHDOMAIN" ] || printf 'search %s\n' "$SEARCHDOMAIN"
	for server in $NAMESERVER; do
		printf 'nameserver %s\n' "$server"
	done
} | vz_replace "$file"
chmod 644 "$file"
exit 0
