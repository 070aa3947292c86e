/* The drivers of this server, as the driver host would look at them. */
#include "agent/admin/admin.h"
#include <limits.h>
#include "driver/registry.h"
#include "fleet/file.h"

/* Beside the program, as everywhere; in the path that configure was given else. */
static char *driver_dir(const struct admin *a)
{
	_cleanup_free_ char *program = NULL, *beside = NULL;
	char *real = NULL;

	if (a->driver_dir)
		return realpath(a->driver_dir, NULL);
	if (fleet_program_dir(&program, NULL) >= 0) {
		beside = xasprintf("%s/../lib/drivers", program);
		real = realpath(beside, NULL);
	}
	return real ? real : xstrdup(DRIVERDIR);
}

bool admin_load_drivers(const struct admin *a, struct driver_registry *ret)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	_cleanup_free_ char *dir = driver_dir(a);

	if (!dir || driver_registry_load(dir, ret, &err) < 0) {
		admin_say(stderr, "fleet-agent: drivers are not looked at: %s",
			dir ? err.message : "there is no such directory");
		return false;
	}
	return true;
}
