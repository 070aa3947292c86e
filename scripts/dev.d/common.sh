# shellcheck shell=bash
# What the verbs of scripts/dev share: where things are, and how a build tree is made. Sourced, not run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build
# shellcheck disable=SC2034 # for the verbs
stage=$build/stage

die() {
	printf 'scripts/dev: %s\n' "$*" >&2
	exit 1
}
say() { printf '\n== %s\n' "$*"; }

jobs_count() { nproc 2>/dev/null || echo 2; }
# Tests wait more than they work.
test_jobs_count() { echo $(($(jobs_count) + 1)); }

# configure_tree DIR CONFIGURE_ARG...: DIR is configured with exactly these arguments, anew only when they changed.
configure_tree() {
	local dir=$1
	shift
	if [ ! -x "$root/configure" ]; then
		say "autoreconf"
		(cd "$root" && autoreconf -fi)
	fi
	mkdir -p "$dir"
	if [ ! -f "$dir/config.status" ] || [ "$(cat "$dir/.configured-with" 2>/dev/null)" != "$*" ]; then
		say "configure $dir"
		(cd "$dir" && "$root/configure" --quiet "$@")
		printf '%s\n' "$*" >"$dir/.configured-with"
	fi
}

# The tree that everything runs from: build/ with its runnable copy in build/stage.
build_stage() {
	local args=("--prefix=$stage" "--with-driverdir=$stage/lib/drivers")
	if [ "${FLEET_WERROR:-no}" = yes ]; then args+=(--enable-werror); fi
	configure_tree "$build" "${args[@]}"
	make -C "$build" --no-print-directory -j"$(jobs_count)"
	make -C "$build" --no-print-directory install >"$build/install.log" 2>&1 ||
		die "make install failed: $(tail -n 5 "$build/install.log")"
}

build_asan() {
	configure_tree "$build/asan" --enable-asan "--prefix=$build/asan/stage" \
		"--with-driverdir=$build/asan/stage/lib/drivers" 'CFLAGS=-g -O1'
	make -C "$build/asan" --no-print-directory -j"$(jobs_count)"
}

# The programs with places where tests make them die, stand still or fail; their runnable copy in build/faults/stage.
build_faults() {
	configure_tree "$build/faults" --enable-failpoints "--prefix=$build/faults/stage" \
		"--with-driverdir=$build/faults/stage/lib/drivers"
	make -C "$build/faults" --no-print-directory -j"$(jobs_count)"
}
