#!/usr/bin/env bash
# Builds the libraries that the packages and archives carry within themselves, from the sources of the distribution that
# this machine runs, with its patches: what they need beyond those is on every Debian and Ubuntu server with systemd.
#
#   packaging/static-libs.sh [DIR]      DIR: where they go [build/static]
#
# Leaves DIR/lib/*.a, position independent; DIR/cli-lib, where the TLS library is among them, for programs that have libc
# alone; and DIR/versions, a line "SOURCE VERSION" for each, which the packages tell of (Built-Using). A second call
# is done at once as long as the distribution has no newer source. No library here asks for a symbol newer than GLIBC_2.35.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${1:-$root/build/static}
[[ $dir == /* ]] || dir=$PWD/$dir
built=(libevent curl libarchive libyaml)    # whose static libraries Debian lacks, or builds with more than we want
taken=(json-c:libjson-c-dev:libjson-c sqlite3:libsqlite3-dev:libsqlite3 openssl:libssl-dev:libssl openssl:libssl-dev:libcrypto zlib:zlib1g-dev:libz)

die() {
	printf 'static-libs: %s\n' "$*" >&2
	exit 1
}

# 75: try again with a network, or without these libraries (packaging/build-deb.sh --shared).
cannot_fetch() {
	printf 'static-libs: %s: %s\n' "$*" "$(tail -n 3 "$dir/log")" >&2
	exit 75
}

"$root/scripts/dev.d/deps" build package static
mkdir -p "$dir"
exec {lock}>"$dir/lock"
flock "$lock"

# The sources, by an apt of our own that has the machine's own sources, asked for source packages.
apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
: >"$apt/sources.list"
[ ! -f /etc/apt/sources.list ] || sed -n 's/^deb \(.*\)/deb-src \1/p' /etc/apt/sources.list >"$apt/sources.list"
rm -f "$apt/parts"/*
for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources; do
	[ ! -f "$f" ] || sed 's/^Types:.*/Types: deb-src/' "$f" >"$apt/parts/$(basename "$f")"
done
options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=$apt/parts" -o "Dir::State::lists=$apt/lists"
	-o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User=$(id -un)")
apt-get "${options[@]}" update >"$dir/log" 2>&1 || cannot_fetch "apt-get update failed"
version_of() {
	apt-cache "${options[@]}" showsrc --only-source "$1" 2>/dev/null | sed -n 's/^Version: //p' | sort -V | tail -n 1
}
binary_version() { dpkg-query -W -f '${source:Version}' "$1"; }

versions=$(
	for name in "${built[@]}"; do printf '%s %s\n' "$name" "$(version_of "$name")"; done
	for entry in "${taken[@]}"; do IFS=: read -r name package _ <<<"$entry" && printf '%s %s\n' "$name" "$(binary_version "$package")"; done | sort -u
)
[ "$(wc -w <<<"$versions")" = "$((2 * $(wc -l <<<"$versions")))" ] || cannot_fetch "not every source is to be had: $versions"
stamp=$versions$'\n'$(sha256sum <"${BASH_SOURCE[0]}")
if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

rm -rf "$dir/src" "$dir/cli-lib" "$dir/stamp"
mkdir -p "$dir/src" "$dir/lib" "$dir/cli-lib" "$dir/built"
cd "$dir/src"
# Debug paths and times would make two builds differ.
export CFLAGS="-g -O2 -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$dir/src=. -fvisibility=hidden" ARFLAGS=crD LC_ALL=C.UTF-8
export ac_cv_func_arc4random=no ac_cv_func_arc4random_buf=no ac_cv_func_arc4random_addrandom=no

# Its own arc4random, under names that are not those of newer C libraries.
prepare_libevent() { sed -i 's/\barc4random\(_[a-z]*\)\?(/event_&/g' arc4random.c evutil_rand.c; }
prepare_curl() { :; }
prepare_libarchive() { sed -i 's/\barc4random\(_[a-z]*\)\?(/archive_&/g' libarchive/archive_random.c; }
prepare_libyaml() { :; }

fetch() { # fetch SOURCE: unpacked, with the distribution's patches
	apt-get "${options[@]}" source "$1=$(version_of "$1")" >>"$dir/log" 2>&1 || cannot_fetch "apt-get source $1 failed"
	find . -maxdepth 1 -type d -name "$1-*" -print -quit
}
autotools() { # autotools SOURCE LIBRARIES... -- OPTION...: those libraries go into lib, unless they are there
	local name=$1 source library libraries=() recipe
	recipe="$(version_of "$name") $* $CFLAGS $(declare -f "prepare_$name")"
	if [ "$(cat "$dir/built/$name" 2>/dev/null)" = "$recipe" ]; then return 0; fi
	shift
	while [ "$1" != -- ]; do libraries+=("$1"); shift; done
	shift
	printf 'static-libs: %s\n' "$name" >&2
	source=$(fetch "$name") || exit $?
	(
		cd "$source"
		"prepare_$name"
		autoreconf -fi # as the distribution does: patches may be about what configure is made of
		./configure --disable-shared --enable-static --with-pic "$@"
		make -j"$(nproc)"
	) >>"$dir/log" 2>&1 || die "$name was not built; all it said is in $dir/log"
	for library in "${libraries[@]}"; do # Debian's patches call curl's by the last of its flavours; it is the same
		cp "$(find "$source" -path '*/.libs/*' \( -name "$library.a" -o -name "$library-nss.a" -o -name "$library-gnutls.a" \) -print -quit)" \
			"$dir/lib/$library.a"
	done
	printf '%s\n' "$recipe" >"$dir/built/$name"
}

# libevent is the other two in one, which libevent_openssl asks for.
autotools libevent libevent_core libevent_extra libevent_openssl libevent -- --disable-samples --disable-libevent-regress --disable-debug-mode
autotools libyaml libyaml --
# tar and zip with gzip, xz and zstd, as releases are packed.
autotools libarchive libarchive -- --disable-bsdtar --disable-bsdcpio --disable-bsdcat --disable-acl --disable-xattr --without-xml2 \
	--without-expat --without-bz2lib --without-lz4 --without-lzo2 --without-nettle --without-openssl --without-libb2 --without-iconv
# http and https, and a proxy for them.
autotools curl libcurl -- --with-openssl --with-zlib --enable-http --enable-proxy --enable-threaded-resolver --disable-ares --enable-ipv6 \
	--with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --with-ca-path=/etc/ssl/certs --disable-ftp --disable-file --disable-ldap \
	--disable-ldaps --disable-rtsp --disable-dict --disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb \
	--disable-smtp --disable-gopher --disable-mqtt --disable-manual --disable-docs --disable-ntlm --disable-unix-sockets \
	--disable-alt-svc --disable-hsts --without-brotli --without-zstd --without-gssapi --without-libpsl --without-libgsasl \
	--without-librtmp --without-libssh2 --without-libssh --without-libidn2 --without-nghttp2 --without-ngtcp2 --without-nghttp3 \
	--without-gnutls --without-nss

# What the distribution builds as we would.
archive=$(gcc -print-multiarch)
for entry in "${taken[@]}"; do
	IFS=: read -r _ _ library <<<"$entry"
	case $library in
	libssl | libcrypto | libz) cp "/usr/lib/$archive/$library.a" "$dir/cli-lib/" ;;
	*) cp "/usr/lib/$archive/$library.a" "$dir/lib/" ;;
	esac
done
printf '%s\n' "$versions" >"$dir/versions"
printf '%s\n' "$stamp" >"$dir/stamp"
rm -rf "$dir/src"
