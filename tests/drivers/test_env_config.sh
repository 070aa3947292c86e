#!/usr/bin/env bash
# env-config against a real systemd, in a throwaway server: boots one and runs env_config_systemd.py inside. TAP.
set -euo pipefail
: "${FLEET_SRCDIR:?}" "${FLEET_BUILDDIR:?}"
name=drivers-env-$$
container=$FLEET_SRCDIR/scripts/container

status=0
"$container" up "$name" --bind "$FLEET_BUILDDIR" --bind "$FLEET_SRCDIR" >/dev/null || status=$?
if [ "$status" = 77 ]; then
	echo '1..0 # SKIP this machine cannot boot throwaway servers'
	exit 0
fi
trap '"$container" down "$name"' EXIT
[ "$status" = 0 ] || { echo 'Bail out! the server did not boot'; exit 1; }
"$container" exec "$name" timeout 300 python3 "$FLEET_SRCDIR/tests/drivers/env_config_systemd.py" "$FLEET_BUILDDIR"
