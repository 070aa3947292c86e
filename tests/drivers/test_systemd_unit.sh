#!/usr/bin/env bash
# systemd-unit against a real systemd, in a throwaway server: boots one and runs test_driver_systemd inside. TAP.
set -euo pipefail
: "${FLEET_SRCDIR:?}" "${FLEET_BUILDDIR:?}"
name=drivers-$$
container=$FLEET_SRCDIR/scripts/container

status=0
"$container" up "$name" --bind "$FLEET_BUILDDIR" >/dev/null || status=$?
if [ "$status" = 77 ]; then
	echo '1..0 # SKIP this machine cannot boot throwaway servers'
	exit 0
fi
trap '"$container" down "$name"' EXIT
[ "$status" = 0 ] || { echo 'Bail out! the server did not boot'; exit 1; }
"$container" exec "$name" env FLEET_TEST_SYSTEMD=1 timeout 300 "$FLEET_BUILDDIR/tests/unit/test_driver_systemd"
