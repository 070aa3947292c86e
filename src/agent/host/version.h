/* Which version of an app is here: from a file, a key of its env file, a command, or its service driver.
 * Blocks, within bounds; used in status children. */
#ifndef HOST_VERSION_H
#define HOST_VERSION_H
#include "agent/host/op.h"

/* The first line of a text, without white space around it; owned; NULL where that is empty. */
char *version_of_text(const char *text, size_t len);
/* Is it read at once (file, env), so that it is asked each time? */
bool version_is_cheap(const struct app *app);
/* *ret owned; NULL where the app has none to tell. */
int version_discover(const struct op_env *env, const struct app *app, char **ret,
	struct fleet_error *err) FLEET_MUST_CHECK;

#endif
