#!/usr/bin/env bash
# Drivers that were built against an earlier release go on working: tests/abi/N.M/fleet/driver.h is the header as it
# was released, never to be edited. TAP.
# shellcheck disable=SC2317 # its functions are run by name, by try
set -uo pipefail
: "${FLEET_SRCDIR:?}" "${FLEET_STAGE:?}"
here=$FLEET_SRCDIR/tests/abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=c11 -Wall -Wextra -Werror)
n=0 failed=0
mkdir "$work/samples"
printf 'Port=8080\nName=a b\nEmpty=\n' >"$work/samples/app.conf"

try() { # try WHAT COMMAND...
	local what=$1
	shift
	n=$((n + 1))
	if "$@" >"$work/log" 2>&1; then
		echo "ok $n - $what"
	else
		failed=1
		grep -v '^ok' "$work/log" | head -n 30 | sed 's/^/# /'
		echo "not ok $n - $what"
	fi
}

# Members may come at the end of a struct, and structs that say their size may grow: what was there stays where it was.
layout_is_kept() { # layout_is_kept RELEASE
	gcc "${flags[@]}" -I "$here/$1" -o "$work/then" "$here/layout.c" &&
		gcc "${flags[@]}" -I "$FLEET_SRCDIR/include" -o "$work/now" "$here/layout.c" &&
		"$work/then" >"$work/then.txt" && "$work/now" >"$work/now.txt" && diff "$work/then.txt" "$work/now.txt"
}

# The comparison must be able to fail: a header with a member moved.
layout_would_tell() {
	mkdir -p "$work/moved/fleet"
	sed 's/^\tuint32_t line, column;/\tuint32_t column, line;/' "$here/$1/fleet/driver.h" >"$work/moved/fleet/driver.h"
	! diff -q "$here/$1/fleet/driver.h" "$work/moved/fleet/driver.h" &&
		gcc "${flags[@]}" -I "$work/moved" -o "$work/moved/layout" "$here/layout.c" &&
		"$work/moved/layout" >"$work/moved.txt" && ! diff -q "$work/then.txt" "$work/moved.txt"
}

edits() {
	[ "$(printf 'a=1\nb=2\n' | "$FLEET_STAGE/bin/fleet-driver" edit --driver "$work/lines-config.so" --set b=3 -)" = $'a=1\nb=3' ]
}

for release in "$here"/[0-9]*.[0-9]*; do
	release=$(basename "$release")
	try "ABI $release: layout and numbers are today's" layout_is_kept "$release"
	try "ABI $release: a moved member would be told" layout_would_tell "$release"
	try "ABI $release: a driver of then compiles" gcc "${flags[@]}" -shared -fPIC -fvisibility=hidden -I "$here/$release" \
		-o "$work/lines-config.so" "$here/lines-config.c"
	try "ABI $release: today's host puts it through the conformance suite" \
		"$FLEET_STAGE/bin/fleet-driver" check "$work/lines-config.so" --samples "$work/samples"
	try "ABI $release: it edits" edits
done
# dpkg would ask every admin who has written into agent.env, which is all of them, or refuse where nobody is there to answer.
try "agent.env is shipped as it was at first: new settings are told in docs/agent.md and fleet-agent.env(5)" \
	diff "$here/agent.env" "$FLEET_SRCDIR/etc/agent.env"
echo "1..$n"
exit "$failed"
