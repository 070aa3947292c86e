/* What a push changed, for the record: the settings of two versions of a file side by side, by key path.
 * Values are cut short, and those of secrets are not in it at all. Pure. */
#ifndef HOST_CHANGES_H
#define HOST_CHANGES_H
#include "agent/host/apps.h"
#include "driver/settings.h"
#include "fleet/json.h"

#define CHANGE_TEXT_MAX 200
#define CHANGES_MAX     200 /* FLEET_SETTINGS_PER_PUSH_MAX: what a result's table holds */

/* Each key that is not the same in both, once for each place where it stands; stops at the first error, which
 * is returned. */
int changes_each(const struct settings *before, const struct settings *after,
	int (*each)(const char *key, void *arg, struct fleet_error *err), void *arg,
	struct fleet_error *err) FLEET_MUST_CHECK;
/* Adds changedKeys [key] and changes [{key, before, after, masked}] to result; past CHANGES_MAX the rest is
 * only counted. Returns how many keys changed. tell: called with each changed key, stops at its first error,
 * which is returned. */
int changes_add(struct json_object *result, const struct app *app, const struct settings *before,
	const struct settings *after, int (*tell)(const char *key, void *arg, struct fleet_error *err),
	void *arg, size_t *ret_count, struct fleet_error *err) FLEET_MUST_CHECK;

#endif
