#!/usr/bin/env bash
# Builds fleetctl for workstations without a package: an archive with the program, its manual, its guide and completion for
# shells. On Linux it needs the C library alone, on macOS what comes with macOS, its curl among that.
#
#   packaging/build-cli.sh [VERSION] [TARGET] [--output DIR]    TARGET: linux-x64, macos-x64, macos-arm64 [this machine's];
#                                                               leaves fleetctl-TARGET.tar.gz in DIR [build/packages]
#
# TARGET is checked, not crossed: each is built on a machine of its own kind. (On macOS bash is 3.2.)
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
Darwin-x86_64) here=macos-x64 ;;
Darwin-arm64) here=macos-arm64 ;;
*) die "fleetctl is built on Linux on amd64 and on macOS, not on $(uname -s) on $(uname -m)" ;;
esac
[ "${target:-$here}" = "$here" ] || die "this machine builds $here, not $target"
[[ $output == /* ]] || output=$PWD/$output
[ -n "$version" ] || version=$("$root/build-aux/git-version")

# Not "cli": build/ is where developers build, and cli/config.h is a header there.
work=$root/build/cli-package
folder=fleetctl-$here

# prepare_*: brings tools and libraries; sets configure, its arguments, and versions, the file that says what was linked in.
# needs_*: the libraries that the program wants and the system may lack. finish_*: what the program takes to run. tar_with is GNU tar.
prepare_linux() {
	"$root/scripts/dev.d/deps" build
	"$root/packaging/static-libs.sh" "$root/build/static" || exit $?
	configure=("LDFLAGS=-L$root/build/static/cli-lib -L$root/build/static/lib" 'LIBS=-lssl -lcrypto -lz -lm')
	versions=$root/build/static/versions tar_with=tar
}
needs_linux() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^libc\.so\|^ld-linux'; }
finish_linux() { :; }

prepare_macos() {
	command -v brew >/dev/null || die "Homebrew is missing, which has the libraries: https://brew.sh"
	HOMEBREW_NO_AUTO_UPDATE=1 brew install --quiet autoconf automake libtool pkg-config gnu-tar json-c openssl@3 >"$work/brew.log" 2>&1 ||
		die "brew install failed: $work/brew.log"
	local json ssl
	json=$(brew --prefix json-c) ssl=$(brew --prefix openssl@3)
	configure=("JSONC_CFLAGS=-I$json/include" "JSONC_LIBS=$json/lib/libjson-c.a" "CRYPTO_CFLAGS=-I$ssl/include"
		"CRYPTO_LIBS=$ssl/lib/libcrypto.a" 'CURL_CFLAGS= ' 'CURL_LIBS=-lcurl')
	brew list --versions json-c openssl@3 >"$work/versions"
	versions=$work/versions tar_with=gtar
}
needs_macos() { otool -L "$1" | sed 1d | grep -v '^[[:space:]]*\(/usr/lib/\|/System/\)'; }
# strip has broken the signature without which arm64 runs nothing.
finish_macos() { codesign --force --sign - "$1"; }

rm -rf "$work"
mkdir -p "$work/$folder" "$output"
"prepare_${here%-*}"
[ -x "$root/configure" ] || (cd "$root" && autoreconf -fi)
cd "$work"
# The version is that of the tag, whatever an earlier configure was made for.
"$root/configure" --quiet --disable-servers "${configure[@]}" >configure.log 2>&1 || die "configure failed: $work/configure.log"
sed "s/^#define PACKAGE_VERSION .*/#define PACKAGE_VERSION \"$version\"/" config.h >config.h.new
mv config.h.new config.h
make -j"$(getconf _NPROCESSORS_ONLN)" fleetctl >make.log 2>&1 || die "make failed: $work/make.log"
strip -o "$folder/fleetctl" "$(test -x .libs/fleetctl && echo .libs/fleetctl || echo fleetctl)"
"finish_${here%-*}" "$folder/fleetctl"
cp "$root/docs/fleetctl.md" "$root/docs/man/fleetctl.1" "$versions" "$folder/"
cp -R "$root/src/cli/completion" "$folder/"
needed=$("needs_${here%-*}" "$folder/fleetctl" || true)
[ -z "$needed" ] || die "fleetctl needs more than every system of its kind has: $needed"
"$tar_with" --sort=name --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --mtime="@${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}" \
	-c "$folder" | gzip -9n >"$output/$folder.tar.gz"
"$folder/fleetctl" --version
printf '%s\n' "$output/$folder.tar.gz"
