#!/usr/bin/env bash
# Builds fleetctl for workstations without a package: an archive with the program, its manual, its guide and completion for
# shells. On Linux it needs the C library alone.
#
#   packaging/build-cli.sh [VERSION] [TARGET] [--output DIR]    TARGET: linux-x64 [this machine];
#                                                               leaves fleetctl-TARGET.tar.gz in DIR [build/packages]
#
# TARGET is checked, not crossed: each is built on a machine of its own kind.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
	printf 'build-cli: %s\n' "$*" >&2
	exit 1
}

version='' target='' output=$root/build/packages
while [ $# -gt 0 ]; do
	case $1 in
	--output)
		[ $# -ge 2 ] || die "--output wants a directory"
		output=$2
		shift
		;;
	linux-* | macos-*) target=$1 ;;
	[0-9]*) version=$1 ;;
	*) die "no argument $1; usage: packaging/build-cli.sh [VERSION] [TARGET] [--output DIR]" ;;
	esac
	shift
done
case $(uname -s)-$(uname -m) in
Linux-x86_64) here=linux-x64 ;;
*) die "fleetctl is built on Linux on amd64 so far, not on $(uname -s) on $(uname -m)" ;;
esac
[ "${target:-$here}" = "$here" ] || die "this machine builds $here, not $target"
[[ $output == /* ]] || output=$PWD/$output
[ -n "$version" ] || version=$("$root/build-aux/git-version")

"$root/scripts/dev.d/deps" build
"$root/packaging/static-libs.sh" "$root/build/static" || exit $?
static=$root/build/static
# Not "cli": build/ is where developers build, and cli/config.h is a header there.
work=$root/build/cli-package
rm -rf "$work"
mkdir -p "$work/fleetctl-$here" "$output"
[ -x "$root/configure" ] || (cd "$root" && autoreconf -fi)
cd "$work"
# The version is that of the tag, whatever an earlier configure was made for.
"$root/configure" --quiet LDFLAGS="-L$static/cli-lib -L$static/lib" LIBS='-lssl -lcrypto -lz -lm' >configure.log 2>&1 || die "configure failed: $work/configure.log"
sed -i "s/^#define PACKAGE_VERSION .*/#define PACKAGE_VERSION \"$version\"/" config.h
make -j"$(nproc)" fleetctl >make.log 2>&1 || die "make failed: $work/make.log"
strip -o "fleetctl-$here/fleetctl" "$(test -x .libs/fleetctl && echo .libs/fleetctl || echo fleetctl)"
cp "$root/docs/fleetctl.md" "$root/docs/man/fleetctl.1" "$static/versions" "fleetctl-$here/"
cp -r "$root/src/cli/completion" "fleetctl-$here/"
needed=$(readelf -d "fleetctl-$here/fleetctl" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^libc\.so\|^ld-linux' || true)
[ -z "$needed" ] || die "fleetctl needs more than the C library: $needed"
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --mtime="@${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}" \
	-c "fleetctl-$here" | gzip -9n >"$output/fleetctl-$here.tar.gz"
"fleetctl-$here/fleetctl" --version
printf '%s\n' "$output/fleetctl-$here.tar.gz"
