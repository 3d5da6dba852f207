# What the template recipes share. Sourced by build.

say() { printf '%s\n' "$*"; }

die() {
    printf 'templates/build: %s\n' "$*" >&2
    exit 1
}

# The recipe's packages are named, not installed: only ./setup changes the machine.
require_packages() {
    local name=$1 package missing=()
    shift
    for package; do
        package_version "$package" >/dev/null || missing+=("$package")
    done
    ((${#missing[@]} == 0)) ||
        die "template $name needs packages that are not installed: apt-get install ${missing[*]}"
}

# Prints the installed version of a package; fails if it is not installed.
package_version() {
    local line
    line=$(dpkg-query -W -f '${db:Status-Abbrev}${Version}\n' "$1" 2>/dev/null) || return 1
    [[ $line = ii* ]] && printf '%s\n' "${line#ii }"
}

# Writes the tree ROOT as a tarball to stdout. Sorted, numeric owners, times not after
# SOURCE_DATE_EPOCH and without access and change times (they are the builder's), extended
# attributes kept: ping's capability is one. PACK_OPTIONS comes from the recipe.
pack() {
    local root=$1 format=$2
    tar --create --directory "$root" --sort=name --numeric-owner --sparse \
        --clamp-mtime --mtime="@$SOURCE_DATE_EPOCH" \
        --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
        --xattrs --xattrs-include='*' ${PACK_OPTIONS:-} . | compress "$format"
}

compress() {
    case $1 in
        gz) gzip --no-name -6 ;;
        zst) zstd --quiet -10 --stdout ;;
    esac
}

# A reader never sees half a tarball: copied beside its place, then renamed.
install_file() {
    local from=$1 to=$2
    [[ $from -ef $to ]] && return
    cp --reflink=auto "$from" "$to.new"
    chmod 644 "$to.new"
    mv "$to.new" "$to"
}

# Writes stdin to the file PATH below ROOT, with MODE.
put() {
    local root=$1 path=$2 mode=$3
    mkdir -p "$root/$(dirname "$path")"
    # A package may have left a link here that leads out of the tree.
    rm -f "$root/$path"
    cat >"$root/$path"
    chmod "$mode" "$root/$path"
}
