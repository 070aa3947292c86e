#!/usr/bin/env bash
# Builds the Debian packages of this tree as they are to be released.
#
#   packaging/build-deb.sh [VERSION] [--output DIR] [--shared]
#
# VERSION: 1.2.0, the git tag without its v [what git says]; DIR: where NAME_VERSION_ARCH.deb go [build/packages].
# --shared: with the distribution's libraries for everything, for that distribution alone; otherwise what is not on every
# Debian and Ubuntu server is within the programs (packaging/static-libs.sh).
#
# The tree's files (those that git knows or would add) are copied to build/deb and built there, so that
# nothing of a developer's build gets in. Two builds of one commit are identical, wherever they are made with the same
# tools: times are the commit's, and paths are not recorded. (packaging/check-reproducible holds that.)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
	printf 'build-deb: %s\n' "$*" >&2
	exit 1
}

version='' output=$root/build/packages shared=''
while [ $# -gt 0 ]; do
	case $1 in
	--output)
		[ $# -ge 2 ] || die "--output wants a directory"
		output=$2
		shift 2
		;;
	--shared)
		shared=yes
		shift
		;;
	-*) die "no option $1; usage: packaging/build-deb.sh [VERSION] [--output DIR] [--shared]" ;;
	*)
		[ -z "$version" ] || die "one version, please: '$version' or '$1'?"
		version=$1
		shift
		;;
	esac
done
[[ $output == /* ]] || output=$PWD/$output
[ -n "$version" ] || version=$("$root/build-aux/git-version")
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(\+[A-Za-z0-9.]+)?$ ]] ||
	die "'$version' is no version for a package; it looks like 1.2.0 (without v)"

"$root/scripts/dev.d/deps" build package
if [ -z "$shared" ]; then
	"$root/packaging/static-libs.sh" "$root/build/static" || exit $?
	export FLEET_STATIC_LIBS=$root/build/static
fi

# Of the commit; in a release tarball, which has none, of its own files.
if in_git=$(git -C "$root" rev-parse --show-toplevel 2>/dev/null) && [ "$in_git" = "$root" ]; then
	: "${SOURCE_DATE_EPOCH:=$(git -C "$root" log -1 --format=%ct)}"
	files() { git -C "$root" ls-files -z --cached --others --exclude-standard --deduplicate; }
else
	: "${SOURCE_DATE_EPOCH:=$(stat -c %Y "$root/configure.ac")}"
	files() { (cd "$root" && find . -name build -prune -o ! -type d -print0); }
fi
export SOURCE_DATE_EPOCH

# Always the same place, so that ccache knows what it sees again; one build at a time.
work=$root/build/deb
mkdir -p "$work"
exec {lock}>"$work/lock"
flock "$lock"
trap 'rm -rf "$work/fleet"' EXIT
rm -rf "$work/fleet" "$work"/*.deb
mkdir "$work/fleet"
# A file that is deleted but not yet committed so is not there to be copied.
files | while IFS= read -r -d '' f; do if [ -e "$root/$f" ] || [ -L "$root/$f" ]; then printf '%s\0' "$f"; fi; done |
	tar -C "$root" --null --files-from=- --create | tar -C "$work/fleet" --extract
cd "$work/fleet"
printf '%s' "$version" >.tarball-version
printf 'fleet (%s) unstable; urgency=medium\n\n  * Version %s. What is new is told in changelog.gz beside this file.\n\n -- %s  %s\n' \
	"$version" "$version" "$(sed -n 's/^Maintainer: //p' debian/control)" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" >debian/changelog

# C, and a umask that is not the developer's: both would show in the packages.
umask 022
export LC_ALL=C.UTF-8 TZ=UTC
DEB_BUILD_OPTIONS="nocheck parallel=$(nproc 2>/dev/null || echo 2) ${DEB_BUILD_OPTIONS:-}" \
	dpkg-buildpackage --build=binary --unsigned-changes --unsigned-buildinfo >"$work/log" 2>&1 || {
	tail -n 40 "$work/log" >&2
	die "the build failed; all it said is in $work/log"
}
mkdir -p "$output"
for deb in "$work"/*.deb; do
	mv "$deb" "$output/"
	printf '%s\n' "$output/$(basename "$deb")"
done
