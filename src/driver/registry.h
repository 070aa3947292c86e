/* Which drivers there are: the *.so of the driver directory, each looked at in a child of its own (a driver
 * runs no code in a process that must survive), checked as DESIGN 6 asks: absolute path, root-owned and not
 * writable by others when we are root, ABI major, struct size, name equal to the file's name, no duplicate.
 * A driver that fails its check is listed with the reason, never fatal. Used by the host at start and at
 * reload. */
#ifndef DRIVER_REGISTRY_H
#define DRIVER_REGISTRY_H
#include "fleet/error.h"

enum { DRIVER_ROLE_FORMAT = 1, DRIVER_ROLE_SERVICE = 2 };

struct driver_info {
	char *name, *file;       /* owned */
	char *version, *summary; /* owned; NULL where the check failed before */
	unsigned roles;          /* DRIVER_ROLE_* */
	char *error;             /* owned: why it cannot be used; NULL: usable */
};
struct driver_registry {
	struct driver_info *items; /* owned, by name */
	size_t count;
};

/* dir: absolute. A missing directory is an error; an empty one is not. */
int driver_registry_load(
	const char *dir, struct driver_registry *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void driver_registry_done(struct driver_registry *r);
/* NULL where there is none; the caller looks at error and roles. */
const struct driver_info *driver_registry_find(const struct driver_registry *r, const char *name);

#endif
