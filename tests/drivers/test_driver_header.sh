#!/usr/bin/env bash
# fleet/driver.h, alone, in every language that a driver may be written in: no warning, and a driver that uses all of
# it compiles. TAP.
set -uo pipefail
: "${FLEET_SRCDIR:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/driver.c" <<'END'
#include <fleet/driver.h>

static int32_t read_it(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct fleet_bytes path = {"a", 1};

	if (in.len == 0)
		return fleet_driver_fail(err, -22, 1, 1, "%s", "empty");
	fleet_log(host, FLEET_LOG_LEVEL_DEBUG, "%d bytes, option %s", (int)in.len, fleet_driver_option(host, "x", "-"));
	if (FLEET_HAS(host, emit_line) && FLEET_CAN(host, emit_setting))
		return host->emit_setting(settings, path, in, FLEET_TYPE_STRING);
	return 0;
}

static int32_t edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits, uint32_t n,
	struct fleet_sink *out, struct fleet_driver_error *err)
{
	(void)err;
	return n > 0 && edits[0].kind == FLEET_EDIT_SET ? host->emit(out, in.data, in.len) : 0;
}

static int32_t check(const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	(void)host;
	(void)in;
	(void)err;
	return 0;
}

static const struct fleet_format_ops ops = {sizeof(ops), 0, read_it, edit, check, NULL};
FLEET_DRIVER_DEFINE("header-test", .version = "1", .summary = "Uses the header", .format = &ops, .service = NULL);
END
cp "$work/driver.c" "$work/driver.cc"
printf '#include <fleet/driver.h>\nint main(void);\nint main(void) { return 0; }\n' >"$work/alone.c"
printf '#include <fleet/driver.h>\nint main() { return 0; }\n' >"$work/alone.cc"

n=0
try() { # try WHAT COMPILER ARGUMENT...
	local what=$1
	shift
	n=$((n + 1))
	if ! command -v "$1" >/dev/null; then
		echo "ok $n - $what # SKIP no $1 here"
	elif "$@" -I "$FLEET_SRCDIR/include" -Wall -Wextra -Wconversion -Wshadow -Werror -o "$work/out" 2>"$work/log"; then
		echo "ok $n - $what"
	else
		sed 's/^/# /' "$work/log"
		echo "not ok $n - $what"
	fi
}
for compiler in gcc clang; do
	for std in c11 gnu17; do
		try "$compiler $std: the header alone" "$compiler" -std=$std -pedantic "$work/alone.c"
		try "$compiler $std: a driver" "$compiler" -std=$std -shared -fPIC "$work/driver.c"
	done
done
for compiler in g++ clang++; do
	for std in c++11 c++17 c++20; do
		try "$compiler $std: the header alone" "$compiler" -std=$std -pedantic "$work/alone.cc"
	done
	try "$compiler c++20: a driver" "$compiler" -std=c++20 -shared -fPIC "$work/driver.cc"
done

# and the one symbol of a driver in C++ has C's name
n=$((n + 1))
if ! command -v g++ >/dev/null; then
	echo "ok $n - its symbol in C++ # SKIP no g++ here"
elif g++ -std=c++20 -shared -fPIC -fvisibility=hidden -I "$FLEET_SRCDIR/include" -o "$work/out.so" "$work/driver.cc" &&
	[ "$(nm -D --defined-only "$work/out.so" | awk '{ print $3 }')" = fleet_driver_v1 ]; then
	echo "ok $n - its symbol in C++"
else
	echo "not ok $n - its symbol in C++"
fi
echo "1..$n"
