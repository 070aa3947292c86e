/* The part of a status request that runs in a child: the apps of one service driver, each told to the host as
 * soon as it is known. Blocks. */
#ifndef HOST_STATUS_CHILD_H
#define HOST_STATUS_CHILD_H
#include "agent/host/op.h"
#include "agent/host/outside.h"

#define STATUS_CALL_MS     5000 /* for all apps of one driver */
#define STATUS_DEADLINE_MS 8000 /* for the whole answer */

/* A version that was found out at some cost, and for which start of the service it holds. */
struct status_version {
	char *app_id, *key, *version; /* owned; version NULL: there is none */
};
struct status_order {
	const struct op_env *env;
	const char *driver; /* the apps that have this service driver */
	const struct status_version *versions;
	size_t version_count;
	const struct outside *outside;
};
/* Sends {"app": {...}} for each app, with `instance` besides; then {"id", "why"} where it is not as it was
 * and its log says why, and {"id", "key", "version"} for each version newly found out. */
int status_child_run(int fd, void *order) FLEET_MUST_CHECK;
/* An app of which nothing is known, and why; owned. */
struct json_object *status_unknown(const char *app_id, const char *why);

#endif
