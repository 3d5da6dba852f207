#!/bin/sh
# SET_USERPASS, inside the container: USERPW="USER:PASSWORD USER:PASSWORD...". A user that is not
# there is added. A word without a colon belongs to the password before it. Passwords go to other
# programs by pipes alone: everybody may read arguments.

SELFNAME=set_userpass

password_of() {
	case $1 in
	-* | *[!A-Za-z0-9._-]*) error "not a user name: $1" $VZ_CHANGEPASS ;;
	esac
	[ -n "$1" ] && [ -n "$2" ] || error "USER:PASSWORD expected" $VZ_CHANGEPASS
	if ! grep -q "^$1:" /etc/passwd; then
		if command -v useradd >/dev/null; then
			useradd -m "$1" 2>&1 || exit $VZ_CHANGEPASS
		elif command -v adduser >/dev/null; then
			# busybox: without a password.
			adduser -D "$1" 2>&1 || exit $VZ_CHANGEPASS
		else
			error "neither useradd nor adduser is there to add user $1" $VZ_CHANGEPASS
		fi
	fi
	if command -v chpasswd >/dev/null; then
		said=$(printf '%s:%s\n' "$1" "$2" | chpasswd 2>&1) || error "$said" $VZ_CHANGEPASS
	elif ! printf '%s\n' "$2" | passwd --stdin "$1" >/dev/null 2>&1; then
		# busybox asks twice.
		said=$(printf '%s\n%s\n' "$2" "$2" | passwd "$1" 2>&1) || error "$said" $VZ_CHANGEPASS
	fi
}

[ -n "$USERPW" ] || exit 0
set -f
user= password=
for word in $USERPW; do
	case $word in
	*:*)
		[ -z "$user" ] || password_of "$user" "$password"
		user=${word%%:*} password=${word#*:}
		;;
	*) password="$password $word" ;;
	esac
done
password_of "$user" "$password"
exit 0
