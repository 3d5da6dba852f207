#!/bin/sh
# POST_CREATE, on the node: the new container's files are at VE_ROOT. They came with a template from
# anywhere: no link in them is followed. Nothing of the container's runs yet, so that what has been
# looked at stays as it is.

[ -n "$VE_ROOT" ] || exit 1
etc=$VE_ROOT/etc
if [ -L "$etc" ] || [ ! -d "$etc" ]; then
	exit 0
fi

is_plain() {
	[ -f "$1" ] && [ ! -L "$1" ]
}

# replace FILE: standard input takes its place; owner and mode stay.
replace() {
	new=$(mktemp "$etc/.postcreate.XXXXXX") || exit 1
	if cat >"$new" && chown --reference="$1" "$new" && chmod --reference="$1" "$new"; then
		mv -f "$new" "$1" && return
	fi
	rm -f "$new"
	exit 1
}

# Not all containers are to do their daily work at the same minute. A file that holds the word
# VZCTL_POSTCREATE_SKIP is left alone.
spread_cron() {
	is_plain "$1" || return 0
	grep -wq VZCTL_POSTCREATE_SKIP "$1" && return 0
	seed=$(od -An -N4 -tu4 /dev/urandom)
	awk -v seed="$seed" '
		BEGIN { srand(seed) }
		/^[ \t]*#/ || NF < 7 || $1 !~ /^([0-9]+|\*\/[0-9]+)$/ { print; next }
		{
			if ($1 ~ /^[0-9]+$/) $1 = int(rand() * 60)
			if ($2 ~ /^[0-9]+$/) $2 = int(rand() * 6)
			print
		}' <"$1" | replace "$1"
}

# Root without a password is root for everybody who reaches a login.
lock_root() {
	is_plain "$1" || return 0
	grep -q '^root::' "$1" || return 0
	sed 's/^root::/root:!!:/' <"$1" | replace "$1"
}

spread_cron "$etc/crontab"
if [ -d "$etc/cron.d" ] && [ ! -L "$etc/cron.d" ]; then
	for file in "$etc"/cron.d/*; do
		spread_cron "$file"
	done
fi
lock_root "$etc/passwd"
lock_root "$etc/shadow"
if [ ! -e "$etc/hosts" ] && [ ! -L "$etc/hosts" ]; then
	printf '%s\n' '127.0.0.1 localhost.localdomain localhost' '::1 localhost.localdomain localhost' \
		>"$etc/hosts"
fi
# Boot scripts of some distributions complain when there is none.
if [ ! -e "$etc/resolv.conf" ] && [ ! -L "$etc/resolv.conf" ]; then
	: >"$etc/resolv.conf"
fi
exit 0
